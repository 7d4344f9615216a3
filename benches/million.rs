//! Clears at full size, on each memcached: `make torture`. Fails if an old key is left or another key is deleted. A number as
//! argument sets the number of rounds, names such as `bullseye` choose the servers. If BENCH_WRITE is set, the tables go into docs/PERFORMANCE.md.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench that meets a surprise should stop there, and its table is its result"
)]

mod page;
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use page::{Spread, Table};
use support::run::mcflush;
use support::server::{Server, Version};
use support::traffic::{Reader, StopAtEnd, get};
use support::wait_for;

const EACH: usize = 1_000_000;

/// The longest delay of another client's get that mcflush may cause.
const HARM: Duration = Duration::from_millis(50);

/// The clears of a version.
#[derive(Default)]
struct Clears {
    seconds: Vec<f64>,
    /// The most old keys that a clear left.
    left: usize,
    /// The most keys of the other app that a clear deleted.
    lost: usize,
    /// Those that did not exit with 0.
    failed: usize,
}

impl Clears {
    fn are_right(&self) -> bool {
        self.left + self.lost + self.failed == 0
    }

    fn seconds(&self) -> String {
        let Spread { least, most, .. } = Spread::of(&self.seconds);
        format!("{least:.1} to {most:.1}")
    }
}

fn main() -> ExitCode {
    let rounds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(10);
    let asked = |name: &String| std::env::args().any(|argument| argument == *name);
    let mut versions: Vec<_> =
        Version::ALL.into_iter().map(|version| (version, format!("{version:?}").to_lowercase())).collect();
    if versions.iter().any(|(_, name)| asked(name)) {
        versions.retain(|(_, name)| asked(name));
    }
    let mut clean = true;
    let mut complete = Table::new(&[
        "memcached",
        "right after loading, s",
        "with readers and writers, s",
        "60 to 5,000 keys read three times, 1.5 to 6 s old, s",
        "most left",
        "most of the other app lost",
        "not complete",
    ]);
    let mut harmless =
        Table::new(&["memcached", "without mcflush", "during a clear", "`--rate 5000`", "stopped at ten moments"]);
    for (version, name) in versions {
        let server = Server::start(version, &["-m", "2048"]);
        server.store((0..EACH).map(|n| format!("blog:{n}")));
        println!("\n{name}: {EACH} keys of shop: beside {EACH} of blog:");
        println!(
            "{:26} {:>5} {:>10} {:>10} {:>6} {:>8} {:>6}",
            "when", "round", "shop left", "blog lost", "status", "seconds", "MB"
        );
        let (mut loaded, mut busy, mut read) = (Clears::default(), Clears::default(), Clears::default());
        (1..=rounds).for_each(|round| right_after_loading(&server, round, &mut loaded));
        (1..=rounds).for_each(|round| with_readers_and_writers(&server, round, &mut busy));
        after_three_reads(&server, &mut read);
        let clears = [&loaded, &busy, &read];
        clean &= clears.iter().all(|clears| clears.are_right());
        complete.row(&[
            name.clone(),
            loaded.seconds(),
            busy.seconds(),
            read.seconds(),
            clears.map(|clears| clears.left).into_iter().max().unwrap().to_string(),
            clears.map(|clears| clears.lost).into_iter().max().unwrap().to_string(),
            clears.map(|clears| clears.failed).into_iter().sum::<usize>().to_string(),
        ]);
        let worst = worst_gets(&server);
        clean &= worst.iter().all(|time| time.saturating_sub(worst[0]) < HARM);
        let worst = worst.map(|time| format!("{:.2}", time.as_secs_f64() * 1e3));
        harmless.row(&[&[name][..], &worst].concat());
    }
    complete.note(&format!("{rounds} rounds each of the first two, least to most; six of the third."));
    page::show("complete", &complete);
    page::show("harmless", &harmless);
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn load(server: &Server) {
    server.store((0..EACH).map(|n| format!("shop:{n}")));
}

fn right_after_loading(server: &Server, round: usize, clears: &mut Clears) {
    load(server);
    let cleared = clear(server);
    report(server, "right after loading", round, cleared, clears);
}

fn with_readers_and_writers(server: &Server, round: usize, clears: &mut Clears) {
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
    report(server, "with readers and writers", round, cleared, clears);
}

fn both_apps(n: usize) -> String {
    format!("{}:{}", ["shop", "blog"][n % 2], n / 2)
}

fn after_three_reads(server: &Server, clears: &mut Clears) {
    for (count, age) in [(60, 1.5), (60, 6.0), (1_000, 1.5), (1_000, 4.0), (5_000, 1.5), (5_000, 6.0)] {
        server.store((0..count).map(|n| format!("shop:{n}")));
        let mut connection = server.connect();
        std::thread::sleep(Duration::from_secs_f64(age));
        for _ in 0..3 {
            (0..count).for_each(|n| assert!(get(&mut connection, &format!("shop:{n}"))));
        }
        let cleared = clear(server);
        report(server, &format!("{count} read, {age} s old"), 1, cleared, clears);
    }
}

/// Prints a line, and notes the clear. Keys that were stored meanwhile may exist or not.
fn report(
    server: &Server,
    when: &str,
    round: usize,
    (status, took, memory): (i32, Duration, f64),
    clears: &mut Clears,
) {
    let (mut shop, mut blog) = (0, 0);
    server.each_key(|key| {
        shop += usize::from(key.starts_with(b"shop:") && !key.starts_with(b"shop:new:"));
        blog += usize::from(key.starts_with(b"blog:") && !key.starts_with(b"blog:new:"));
    });
    let lost = EACH - blog;
    println!("{when:26} {round:>5} {shop:>10} {lost:>10} {status:>6} {:>8.2} {memory:>6.1}", took.as_secs_f64());
    clears.seconds.push(took.as_secs_f64());
    clears.left = clears.left.max(shop);
    clears.lost = clears.lost.max(lost);
    clears.failed += usize::from(status != 0);
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

/// The slowest get of another client, over all keys: alone, and beside clears of three kinds.
fn worst_gets(server: &Server) -> [Duration; 4] {
    load(server);
    let worst = |work: &dyn Fn(&Reader)| {
        Reader::during(server, 2 * EACH, both_apps, |reader| {
            work(reader);
            (reader.worst(), reader.gets())
        })
    };
    let alone = worst(&|_| std::thread::sleep(Duration::from_secs(5)));
    let show = |what: &str, (worst, gets): (Duration, u64)| {
        println!("worst get {what:24} {:>8.2} ms of {gets} gets", worst.as_secs_f64() * 1e3);
        worst
    };
    let alone = show("without mcflush", alone);
    let plain = |more: &[&str]| {
        let mut arguments = vec!["--prefix", "shop:", server.address()];
        arguments.extend_from_slice(more);
        mcflush(arguments).run().is_complete();
    };
    let clear = show("during a clear", worst(&|_| plain(&[])));
    server.store((0..20_000).map(|n| format!("shop:{n}")));
    let slow = show("with --rate 5000", worst(&|_| plain(&["--rate", "5000"])));
    load(server);
    let stopped = show("stopped at ten moments", worst(&|reader| stopped_at_ten_moments(server, reader)));
    [alone, clear, slow, stopped]
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
