//! Clears 1,000,000 of 2,000,000 keys three times on each memcached, and fails when one key is left or one too many is
//! gone: `make torture`.

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
use std::time::{Duration, Instant};

use support::run::mcflush;
use support::server::{Server, Version};

const EACH: usize = 1_000_000;
const ROUNDS: u32 = 3;

fn main() -> ExitCode {
    println!("{EACH} keys of shop: beside {EACH} of blog:, right after loading; `mcflush --prefix shop:`");
    println!(
        "{:8} {:>5} {:>10} {:>10} {:>9} {:>8} {:>6}",
        "server", "round", "shop left", "blog left", "status", "seconds", "MB"
    );
    let mut clean = true;
    for version in Version::ALL {
        let server = Server::start(version, &["-m", "2048"]);
        server.store((0..EACH).map(|n| format!("blog:{n}")));
        for round in 1..=ROUNDS {
            server.store((0..EACH).map(|n| format!("shop:{n}")));
            let (status, took, memory) = clear(&server);
            let (mut shop, mut blog) = (0, 0);
            server.each_key(|key| {
                shop += usize::from(key.starts_with(b"shop:"));
                blog += usize::from(key.starts_with(b"blog:"));
            });
            let (name, seconds) = (format!("{version:?}").to_lowercase(), took.as_secs_f64());
            println!("{name:8} {round:>5} {shop:>10} {blog:>10} {status:>9} {seconds:>8.2} {memory:>6.1}");
            clean &= status == 0 && shop == 0 && blog == EACH;
        }
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
