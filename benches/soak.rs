//! One process that clears, flushes, lists and counts for ten minutes while other clients read: `make soak` (SECONDS=600).
//! Its memory and its descriptors must not grow, and its results must stay right.

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

use mcflush::address::ServerAddr;
use mcflush::ops::Context;
use mcflush::ops::clear::{ClearOptions, clear};
use mcflush::ops::flush::{Flush, flush};
use mcflush::ops::namespaces::{Division, namespaces};
use mcflush::ops::stats::stats;
use mcflush::protocol::stats::StatsGroup;
use mcflush::scope::{Prefix, Scope};
use support::other_clients::{OtherClients, numbered};
use support::server::{Server, Version};

/// The number of keys of each of the two apps.
const EACH: usize = 5_000;

/// The number of lines of the table.
const PARTS: u32 = 10;

/// The memory that the allocator may hold at the end in addition to that after the first part.
const GROWTH_KIB: u64 = 2 * 1024;

/// The resources of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    kib: u64,
    descriptors: usize,
}

impl Held {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let descriptors = std::fs::read_dir("/proc/self/fd").expect("Linux tells").count();
        Self { kib: kib.and_then(|kib| kib.trim().parse().ok()).expect("a number"), descriptors }
    }
}

/// The work done in a part.
#[derive(Default)]
struct Done {
    operations: u32,
    incomplete: u32,
    clears: Vec<Duration>,
}

fn main() -> ExitCode {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(600);
    let part = Duration::from_secs(seconds) / PARTS;
    let servers: Vec<Server> = Version::ALL.into_iter().map(|version| Server::start(version, &[])).collect();
    let _readers: Vec<_> = servers.iter().map(|server| OtherClients::start(server, "read", "blog:", EACH, 1)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    println!(
        "{:>4} {:>10} {:>10} {:>16} {:>9} {:>11}",
        "part", "operations", "incomplete", "clear (median)", "RSS KiB", "descriptors"
    );
    let (mut held, mut failures) = (Vec::new(), 0);
    for number in 1..=PARTS {
        let (began, mut done) = (Instant::now(), Done::default());
        while began.elapsed() < part {
            for server in &servers {
                failures += runtime.block_on(round(server, &mut done));
            }
        }
        let now = Held::now();
        done.clears.sort();
        let median = done.clears[done.clears.len() / 2];
        let Done { operations, incomplete, .. } = done;
        println!(
            "{number:>4} {operations:>10} {incomplete:>10} {:>16.3} {:>9} {:>11}",
            median.as_secs_f64(),
            now.kib,
            now.descriptors
        );
        held.push(now);
    }
    let (first, last) = (held[0], held[held.len() - 1]);
    let is_flat = last.kib <= first.kib + GROWTH_KIB && last.descriptors <= first.descriptors;
    println!("\n{failures} failures, memory and descriptors {}", if is_flat { "flat" } else { "NOT flat" });
    if is_flat && failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs each operation once on a server. Returns the number of wrong results.
async fn round(server: &Server, done: &mut Done) -> u32 {
    let mut failures = 0;
    let mut judge = |is_right: bool, what: &dyn std::fmt::Debug| {
        if !is_right {
            failures += 1;
            println!("FAILED: {what:#?}");
        }
    };
    let address: ServerAddr = server.address().parse().expect("an address");
    let context = Context::default();
    server.store(numbered("shop:", EACH).into_iter().chain(numbered("blog:", EACH)));

    let counted = namespaces(&address, &Division::default(), None, &context).await;
    judge(counted.is_ok(), &counted.as_ref().err());
    let said = stats(&address, &[StatsGroup::General, StatsGroup::Slabs], &context).await;
    judge(said.is_ok(), &said.as_ref().err());

    let scope = Scope::of([Prefix::new("shop:").expect("a prefix")]);
    let cleared = clear(&address, &scope, &ClearOptions::default(), &context).await;
    // Before 1.6.19 other clients' reads may prevent a proof; then mcflush reports it.
    done.incomplete += u32::from(cleared.proof.is_none());
    done.clears.push(cleared.took);
    let left = server.count("shop:");
    judge(left == 0 || cleared.proof.is_none(), &(left, &cleared));

    let flushed = flush(&address, Flush::Exact { verify: false, keep_new: false }, &context).await;
    judge(flushed.is_ok(), &flushed.as_ref().err());
    let left = server.count("");
    judge(left == 0, &left);
    done.operations += 4;
    failures
}
