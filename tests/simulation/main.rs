//! Clears and flushes of a model memcached under faults. All random numbers come from one seed, and the clock is paused, so
//! that waiting takes no time. Whatever goes wrong, mcflush must delete only the right items and report the truth.
// The lint forbids waits in the client; these waits belong to the model.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::indexing_slicing, clippy::panic, clippy::print_stdout, clippy::string_slice, clippy::unwrap_used)]

mod chance;
mod disk;
mod model;
mod oracle;
mod plan;
#[path = "../support/recorded.rs"]
mod recorded;
mod recorded_servers;
mod run;
mod talk;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

#[test]
fn every_seed_holds() {
    let (from, seeds) = (number("SIMULATE_FROM", 1), number("SIMULATE_SEEDS", 300));
    let ends_at_failure = std::env::var_os("SIMULATE_TO_FAILURE").is_some();
    let next = AtomicU64::new(from);
    let (outcomes, failed) = (Mutex::new(BTreeMap::<String, u64>::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, SeqCst);
                    if seed >= from + seeds {
                        return;
                    }
                    let ran = run::run(seed);
                    *outcomes.lock().unwrap().entry(ran.outcome).or_default() += 1;
                    if !ran.broken.is_empty() {
                        println!("seed {seed}: {}", ran.broken.join("; "));
                        println!("    again: make simulate SEEDS=1 FROM={seed}");
                        failed.lock().unwrap().push(seed);
                        if ends_at_failure {
                            return;
                        }
                    }
                }
            });
        }
    });
    let mut ran = 0;
    for (outcome, count) in outcomes.into_inner().unwrap() {
        println!("{count:>7}  {outcome}");
        ran += count;
    }
    let failed = failed.into_inner().unwrap();
    println!("{} passed, {} failed", ran - failed.len() as u64, failed.len());
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}

/// In these seeds the connection breaks after the server marked a key and before mcflush read the answer (`--keep-new` with
/// a condition).
#[test]
fn a_lost_mark_makes_no_old_item_new() {
    for seed in [1_030_516, 1_105_691, 1_211_135, 1_336_795, 1_739_668, 1_975_546] {
        let ran = run::run(seed);
        assert!(ran.broken.is_empty(), "seed {seed}: {:?}", ran.broken);
    }
}

#[test]
fn a_seed_repeats_itself() {
    for seed in 1..=20 {
        let (once, again) = (run::run(seed), run::run(seed));
        assert_eq!(once.trace, again.trace, "seed {seed}");
    }
}
