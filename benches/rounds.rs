//! Rounds under load, each of which must be right: `make torture`. For a part of them
//! `cargo bench --bench rounds -- passes 300`, `-- flush 100`, `-- keep-new 100`; for some servers
//! `-- passes 150 debian` (run `cargo build --release --example traffic` first).
//!
//! `passes`: clears of one of two apps on servers before 1.6.19, while three processes read and write both. `flush`: `--all`
//! while other processes read and change values. `keep-new`: the same with `--keep-new`, and clears.

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

use support::flushes::{self, Changes, ReadUntil};
use support::passes;
use support::server::{Server, Version};

/// The versions of `flush` and `keep-new`, each with every kind of traffic.
const FLUSHED: [Version; 4] = [Version::Bullseye, Version::Debian, Version::Trixie, Version::Sid];

/// The versions on which a clear uses passes.
const BY_PASSES: [Version; 2] = [Version::Bullseye, Version::Debian];

/// The numbers of rounds that were right and wrong.
#[derive(Default)]
struct Score {
    passed: usize,
    failed: usize,
}

impl Score {
    fn note(&mut self, is_right: bool, what: &dyn std::fmt::Debug) {
        if is_right {
            self.passed += 1;
        } else {
            self.failed += 1;
            println!("FAILED: {what:#?}");
        }
    }
}

/// Plays this many rounds with each of these versions, and keeps the score.
type Part = fn(usize, &[Version], &mut Score);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let asked = words.iter().find_map(|word| word.parse::<usize>().ok());
    let parts: [(&str, usize, Part); 3] =
        [("passes", 300, by_passes), ("flush", 100, flush), ("keep-new", 100, keep_new)];
    let (wanted, names): (Vec<&String>, Vec<&String>) = words
        .iter()
        .filter(|word| word.parse::<usize>().is_err())
        .partition(|word| FLUSHED.iter().any(|version| name(*version) == **word));
    let versions: Vec<Version> = FLUSHED
        .into_iter()
        .filter(|version| wanted.is_empty() || wanted.iter().any(|word| name(*version) == **word))
        .collect();
    if let Some(unknown) = names.iter().find(|name| parts.iter().all(|(part, ..)| *part != name.as_str())) {
        println!("no part {unknown}: there are passes, flush and keep-new, the number of rounds, and names of servers");
        return ExitCode::from(2);
    }
    let mut score = Score::default();
    for (part, rounds, run) in parts {
        if names.is_empty() || names.iter().any(|name| name.as_str() == part) {
            run(asked.unwrap_or(rounds), &versions, &mut score);
        }
    }
    println!("\n{} passed, {} failed", score.passed, score.failed);
    if score.failed == 0 && score.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn name(version: Version) -> String {
    format!("{version:?}").to_lowercase()
}

/// `MEDIAN (MAXIMUM)` of some figures.
fn median_and_worst(figures: impl Iterator<Item = f64>, show: impl Fn(f64) -> String) -> String {
    let mut figures: Vec<f64> = figures.filter(|figure| !figure.is_nan()).collect();
    figures.sort_by(f64::total_cmp);
    match (figures.get(figures.len() / 2), figures.last()) {
        (Some(median), Some(most)) => format!("{} ({})", show(*median), show(*most)),
        _ => "-".into(),
    }
}

/// Plays this many rounds over all versions and loads.
fn by_passes(rounds: usize, versions: &[Version], score: &mut Score) {
    println!("\nclears by passes, so many keys beside as many; median (worst)");
    println!(
        "{:9} {:>6} {:8} {:>6} {:>10} {:>15} {:>10} {:>13} {:>21} {:>5} {:>6}",
        "memcached", "keys", "load", "rounds", "incomplete", "p in %", "passes", "seconds", "doubt", "left", "taken"
    );
    let kinds: Vec<(Version, usize, usize)> = BY_PASSES
        .into_iter()
        .filter(|version| versions.contains(version))
        .flat_map(|version| {
            [(version, passes::MANY, 0), (version, passes::MANY, passes::HOGS), (version, passes::FEW, 0)]
        })
        .collect();
    for (at, (version, keys, hogs)) in kinds.iter().enumerate() {
        let share = (rounds + kinds.len() - 1 - at) / kinds.len();
        let server = Server::start(*version, &[]);
        let mut found = Vec::new();
        for _ in 0..share {
            let round = passes::round(&server, *keys, *hogs);
            score.note(round.is_true() && round.is_complete(), &round);
            found.push(round);
        }
        println!(
            "{:9} {keys:>6} {:8} {share:>6} {:>10} {:>15} {:>10} {:>13} {:>21} {:>5} {:>6}",
            name(*version),
            if *hogs > 0 { "busy" } else { "traffic" },
            found.iter().filter(|round| !round.is_complete()).count(),
            median_and_worst(found.iter().map(|round| round.miss_rate * 100.0), |rate| format!("{rate:.1}")),
            median_and_worst(found.iter().map(|round| round.passes as f64), |passes| format!("{passes:.0}")),
            median_and_worst(found.iter().map(|round| round.seconds), |seconds| format!("{seconds:.1}")),
            median_and_worst(found.iter().map(|round| round.doubt), |doubt| format!("{doubt:.1e}")),
            found.iter().filter(|round| round.is_complete()).map(|round| round.left).sum::<usize>(),
            found.iter().map(|round| round.taken).sum::<usize>(),
        );
    }
}

/// Whether mcflush reported that it could not prove that every item is gone.
fn is_incomplete(round: &flushes::Round) -> bool {
    !round.run.status.success() && round.run.stderr.contains(": incomplete: ")
}

fn show_flushes(version: Version, what: &str, found: &[flushes::Round]) {
    println!(
        "{:9} {what:22} {:>6} {:>10} {:>14} {:>6} {:>12} {:>6}",
        name(version),
        found.len(),
        found.iter().filter(|round| is_incomplete(round)).count(),
        median_and_worst(found.iter().map(|round| round.run.took.as_secs_f64()), |seconds| format!("{seconds:.2}")),
        found.iter().filter(|round| round.run.status.success()).map(|round| round.left.sum()).sum::<usize>(),
        found.iter().map(|round| round.new).sum::<usize>(),
        found.iter().map(|round| round.lost).sum::<usize>(),
    );
}

fn flush_head(of: &str) {
    println!("\n{of}; seconds: median (worst)");
    println!(
        "{:9} {:22} {:>6} {:>10} {:>14} {:>6} {:>12} {:>6}",
        "memcached", "readers stop", "rounds", "incomplete", "seconds", "left", "new stored", "lost"
    );
}

/// Plays this many rounds with each version.
fn flush(rounds: usize, versions: &[Version], score: &mut Score) {
    flush_head("--all under reads, incr, append and touch");
    for &version in versions {
        let server = Server::start(version, &[]);
        for (at, until) in ReadUntil::ALL.into_iter().enumerate() {
            let share = (rounds + ReadUntil::ALL.len() - 1 - at) / ReadUntil::ALL.len();
            let mut found = Vec::new();
            for number in 0..share {
                // Some keys are read so soon after they were stored that the server does not note the read.
                let age = [4, 4, 0, 5][number % 4];
                let round = flushes::round(&server, until, Changes::All, age, &["--all"]);
                let is_right = round.run.status.success() && round.left.sum() == 0 && round.lost == 0;
                score.note(is_right, &round);
                found.push(round);
            }
            show_flushes(version, &format!("{until:?}"), &found);
        }
    }
}

/// Plays this many rounds with each version. Before 1.6.24 an item that the server moves to another slab page looks new: a
/// clear that detects this reports it, and does not count as wrong.
fn keep_new(rounds: usize, versions: &[Version], score: &mut Score) {
    flush_head("--keep-new under reads, touch and stores");
    for &version in versions {
        let server = Server::start(version, &[]);
        for (at, scope) in [&["--all"][..], &["--prefix", "shop:"]].into_iter().enumerate() {
            let share = (rounds + 1 - at) / 2;
            let mut found = Vec::new();
            for number in 0..share {
                let until = ReadUntil::ALL[number % ReadUntil::ALL.len()];
                let round = flushes::round_that_keeps_new(&server, until, [4, 0, 5][number % 3], scope);
                let is_clean = round.run.status.success() && round.left.sum() == 0;
                score.note((is_clean || is_incomplete(&round)) && round.lost == 0, &round);
                found.push(round);
            }
            show_flushes(version, &scope.join(" "), &found);
        }
    }
}
