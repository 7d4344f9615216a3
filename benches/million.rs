//! Clears at full size, on each memcached: `make torture`. Fails at the first old key that is left or other key that is
//! deleted. A number as argument sets the number of rounds.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench that meets a surprise should stop there, and its table is its result"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use support::run::mcflush;
use support::server::{Server, Version};
use support::traffic::{Reader, StopAtEnd, get};
use support::wait_for;

const EACH: usize = 1_000_000;

/// The longest delay of another client's get that mcflush may cause.
const HARM: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let rounds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(10);
    let mut clean = true;
    for version in Version::ALL {
        let server = Server::start(version, &["-m", "2048"]);
        server.store((0..EACH).map(|n| format!("blog:{n}")));
        let name = format!("{version:?}").to_lowercase();
        println!("\n{name}: {EACH} keys of shop: beside {EACH} of blog:");
        println!(
            "{:26} {:>5} {:>10} {:>10} {:>6} {:>8} {:>6}",
            "when", "round", "shop left", "blog lost", "status", "seconds", "MB"
        );
        for round in 1..=rounds {
            clean &= right_after_loading(&server, round);
        }
        for round in 1..=rounds {
            clean &= with_readers_and_writers(&server, round);
        }
        clean &= after_three_reads(&server);
        clean &= harmless(&server);
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn load(server: &Server) {
    server.store((0..EACH).map(|n| format!("shop:{n}")));
}

fn right_after_loading(server: &Server, round: usize) -> bool {
    load(server);
    let cleared = clear(server);
    report(server, "right after loading", round, EACH, cleared)
}

fn with_readers_and_writers(server: &Server, round: usize) -> bool {
    load(server);
    let stop = AtomicBool::new(false);
    let cleared = std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for app in ["shop", "blog"] {
            let stop = &stop;
            scope.spawn(move || {
                let mut turn = 0;
                while !stop.load(Relaxed) {
                    // Some of these keys are stored again and again.
                    server.store((0..1_000).map(|n| format!("{app}:new:{}", turn % 50 * 1_000 + n)));
                    turn += 1;
                }
            });
        }
        Reader::during(server, 2 * EACH, both_apps, |_| clear(server))
    });
    report(server, "with readers and writers", round, EACH, cleared)
}

fn both_apps(n: usize) -> String {
    format!("{}:{}", ["shop", "blog"][n % 2], n / 2)
}

fn after_three_reads(server: &Server) -> bool {
    let mut clean = true;
    for (count, age) in [(60, 1.5), (60, 6.0), (1_000, 1.5), (1_000, 4.0), (5_000, 1.5), (5_000, 6.0)] {
        server.store((0..count).map(|n| format!("shop:{n}")));
        let mut connection = server.connect();
        std::thread::sleep(Duration::from_secs_f64(age));
        for _ in 0..3 {
            (0..count).for_each(|n| assert!(get(&mut connection, &format!("shop:{n}"))));
        }
        let cleared = clear(server);
        clean &= report(server, &format!("{count} read, {age} s old"), 1, EACH, cleared);
    }
    clean
}

/// Prints a line. Returns whether the result is right; keys that were stored meanwhile may exist or not.
fn report(
    server: &Server,
    when: &str,
    round: usize,
    others: usize,
    (status, took, memory): (i32, Duration, f64),
) -> bool {
    let (mut shop, mut blog) = (0, 0);
    server.each_key(|key| {
        shop += usize::from(key.starts_with(b"shop:") && !key.starts_with(b"shop:new:"));
        blog += usize::from(key.starts_with(b"blog:") && !key.starts_with(b"blog:new:"));
    });
    let lost = others - blog;
    println!("{when:26} {round:>5} {shop:>10} {lost:>10} {status:>6} {:>8.2} {memory:>6.1}", took.as_secs_f64());
    status == 0 && shop == 0 && lost == 0
}

/// Exit status, time, and peak memory in MB.
fn clear(server: &Server) -> (i32, Duration, f64) {
    let began = Instant::now();
    let mut running = mcflush(["--prefix", "shop:", server.address()]).spawn();
    let mut peak = 0;
    while running.is_running() {
        peak = peak.max(running.peak_memory());
        std::thread::sleep(Duration::from_millis(10));
    }
    let took = began.elapsed();
    (running.wait().status.code().unwrap_or(-1), took, peak as f64 * 1024.0 / 1e6)
}

/// Whether the slowest get of another client, over all keys, is fast enough.
fn harmless(server: &Server) -> bool {
    load(server);
    let worst = |work: &dyn Fn(&Reader)| {
        Reader::during(server, 2 * EACH, both_apps, |reader| {
            work(reader);
            (reader.worst(), reader.gets())
        })
    };
    let alone = worst(&|_| std::thread::sleep(Duration::from_secs(5)));
    let mut clean = true;
    let mut show = |what: &str, (worst, gets): (Duration, u64)| {
        println!("worst get {what:24} {:>8.2} ms of {gets} gets", worst.as_secs_f64() * 1e3);
        clean &= worst.saturating_sub(alone.0) < HARM;
    };
    show("without mcflush", alone);
    let plain = |more: &[&str]| {
        let mut arguments = vec!["--prefix", "shop:", server.address()];
        arguments.extend_from_slice(more);
        mcflush(arguments).run().is_complete();
    };
    show("during a clear", worst(&|_| plain(&[])));
    server.store((0..20_000).map(|n| format!("shop:{n}")));
    show("with --rate 5000", worst(&|_| plain(&["--rate", "5000"])));
    load(server);
    show("stopped at ten moments", worst(&|reader| stopped_at_ten_moments(server, reader)));
    clean
}

fn stopped_at_ten_moments(server: &Server, reader: &Reader) {
    let (crawls, hits) = (server.stat("lru_crawler_starts"), server.stat("delete_hits"));
    let mut clear = mcflush(["--prefix", "shop:", server.address()]).spawn();
    wait_for("the dump to begin", || (server.stat("lru_crawler_starts") > crawls).then_some(()));
    for tenths in 0..10 {
        let deletes = hits + EACH as u64 * tenths / 10;
        wait_for("more deletes", || (!clear.is_running() || server.stat("delete_hits") >= deletes).then_some(()));
        clear.signal("STOP");
        let (gets, began) = (reader.gets(), Instant::now());
        // A second of silence is longer than any pause of a busy machine.
        wait_for("a second of gets", || {
            (began.elapsed() > Duration::from_secs(1) && reader.gets() > gets).then_some(())
        });
        clear.signal("CONT");
    }
    clear.wait().is_complete();
}
