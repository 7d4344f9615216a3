//! The server confirms a flush, and then the connection breaks while mcflush checks the flush, at each step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

use crate::support::fake::Fake;
use crate::support::run::mcflush;

const DUMP: &str = "OK\r\n\
    key=shop%3A1 exp=-1 la=1764000000 cas=2 fetch=no cls=1 size=64 flags=0 \n\
    key=shop%3A2 exp=-1 la=1764000000 cas=3 fetch=no cls=1 size=64 flags=0 \n";

/// How the connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Instead of an answer.
    Answer,
    /// In the middle of an answer.
    InTheMiddle,
    /// Instead of an answer, and from then on every new connection breaks at once.
    ForGood,
}

/// What the server did after it confirmed a flush.
#[derive(Default)]
struct Done {
    steps: AtomicUsize,
    flushes: AtomicUsize,
    /// Whether a dump was listed to its end.
    is_listed: AtomicBool,
    /// The deletes since then, and how many were confirmed.
    deletes: AtomicUsize,
    confirmed: AtomicUsize,
    is_gone: AtomicBool,
    seconds: AtomicU64,
}

/// A server of 1.6.45 that keeps two keys at a flush, and whose connection breaks at step `at` after it.
fn server(cut: Cut, at: usize) -> (Fake, Arc<Done>) {
    let done = Arc::new(Done::default());
    let shared = Arc::clone(&done);
    let fake = Fake::start(move |peer| {
        while let Some(line) = peer.line() {
            if done.is_gone.load(SeqCst) {
                return;
            }
            let answer = match line.as_str() {
                "version" => "VERSION 1.6.45\r\n".to_owned(),
                // Its clock turns at each question.
                "stats" => {
                    let time = done.seconds.fetch_add(1, SeqCst);
                    format!(
                        "STAT pid 1\r\nSTAT uptime {time}\r\nSTAT time {time}\r\nSTAT version 1.6.45\r\nSTAT curr_items 2\r\nEND\r\n"
                    )
                }
                "stats settings" => "STAT cas_enabled yes\r\nSTAT lru_crawler yes\r\nEND\r\n".to_owned(),
                "flush_all" => "OK\r\n".to_owned(),
                "mn" => "MN\r\n".to_owned(),
                "lru_crawler metadump hash" => format!("{DUMP}END\r\n"),
                line if line.starts_with("md ") => String::new(),
                "quit" => return,
                _ => "ERROR\r\n".to_owned(),
            };
            let is_flushed = done.flushes.load(SeqCst) > 0;
            if is_flushed && !answer.is_empty() && done.steps.fetch_add(1, SeqCst) == at {
                match cut {
                    Cut::Answer => {}
                    Cut::InTheMiddle => peer.send(&answer[..answer.len() / 2]),
                    Cut::ForGood => done.is_gone.store(true, SeqCst),
                }
                return;
            }
            match line.as_str() {
                "flush_all" => drop(done.flushes.fetch_add(1, SeqCst)),
                "lru_crawler metadump hash" => done.is_listed.store(true, SeqCst),
                "mn" => done.confirmed.store(done.deletes.load(SeqCst), SeqCst),
                line if line.starts_with("md ") => drop(done.deletes.fetch_add(1, SeqCst)),
                _ => {}
            }
            peer.send(&answer);
        }
    });
    (fake, shared)
}

/// Cuts at each step until there is none left; returns the number of steps.
fn at_each_step(cut: Cut, options: &[&str]) -> usize {
    for at in 0..100 {
        let (fake, done) = server(cut, at);
        let run = mcflush(["--all", fake.address()].iter().chain(options)).run();
        let is_cut = done.steps.load(SeqCst) > at;
        let is_swept = done.is_listed.load(SeqCst) && done.confirmed.load(SeqCst) >= 2;
        match run.status.code() {
            Some(0) if run.stdout.contains("a strong hint") => {
                assert!(is_cut && done.flushes.load(SeqCst) >= 2, "{cut:?} {at}: not flushed twice: {run}");
            }
            Some(0) => assert!(is_swept, "{cut:?} {at}: what was left is not deleted: {run}"),
            Some(1) => {
                assert!(is_cut, "{cut:?} {at}: nothing went wrong: {run}");
                run.warns("flush_all was confirmed").claims_nothing();
            }
            _ => panic!("{cut:?} {at}: {run}"),
        }
        if !is_cut {
            return at;
        }
    }
    panic!("it never ends");
}

#[test]
fn cut_once() {
    for cut in [Cut::Answer, Cut::InTheMiddle] {
        // The steps are the version, the dump, and the fence after the deletes.
        assert!(at_each_step(cut, &["--retries", "0"]) >= 3);
        // A second try completes the sweep.
        at_each_step(cut, &["--retries", "2"]);
    }
}

#[test]
fn cut_for_good() {
    assert!(at_each_step(Cut::ForGood, &["--retries", "0"]) >= 3);
}
