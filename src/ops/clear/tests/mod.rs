//! The engine's rules, with a scripted server and a paused clock.

mod ages;
mod deletes;
mod judged;
mod passes;
mod walks;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{ClearOptions, ClearProof, Cleared, clear};
use crate::error::{FailureKind, Problem};
use crate::ops::scripted::{
    Disk, HASH_DUMP, Heard, LRU_DUMP, Say, address, collect, item, server, server_over, stats, stats_of_flushed,
    stop_in, text,
};
use crate::ops::{Connector, Context, Event, Events, Filter, Strategy};
use crate::scope::{Prefix, Scope};

/// Whether this command gives an item a new CAS.
fn is_mark(line: &str) -> bool {
    line.starts_with("md ") && line.split(' ').any(|flag| flag == "I")
}

/// The answer of a server at rest, of this version, to every command but its dumps.
fn at_rest(version: &str, line: &str) -> Say {
    match line {
        "version" => Say::Text(format!("VERSION {version}\r\n")),
        "stats" => Say::Text(stats(7, "")),
        "stats settings" => text("STAT cas_enabled yes\r\nSTAT lru_segmented yes\r\nEND\r\n"),
        "mn" => text("MN\r\n"),
        line if is_mark(line) => text("HD\r\n"),
        line if line.starts_with("mg ") => text("HD c50\r\n"),
        line if line.starts_with("md ") => text(""),
        line if line.starts_with("append ") => text("STORED\r\n"),
        line if line.starts_with("gets ") => text("VALUE shop:1 0 1 50\r\nx\r\nEND\r\n"),
        line if line.starts_with("delete ") => text("DELETED\r\n"),
        line if line.starts_with("cas ") => text("STORED\r\n"),
        _ => text("ERROR\r\n"),
    }
}

async fn clear_shop(context: &Context, options: ClearOptions) -> Cleared {
    clear(&address(), &Scope::of([Prefix::new("shop:").unwrap()]), &options, context).await
}

fn keeping_new() -> ClearOptions {
    ClearOptions { keep_new: true, ..ClearOptions::default() }
}

fn larger_than_10() -> Filter {
    Filter { larger: Some(10), ..Filter::default() }
}

/// A key, as a metadump shows it, that no command can name: it has a space, and is too long for the base64 form.
fn unreachable_key() -> String {
    format!("shop:{}%20", "x".repeat(230))
}

/// A server whose dumps are made by their number, from 0.
fn dumping(version: &'static str, dump: impl Fn(usize) -> Say + Send + 'static) -> (Context, Heard) {
    let number = AtomicUsize::new(0);
    server(move |line| match line {
        HASH_DUMP | LRU_DUMP => dump(number.fetch_add(1, SeqCst)),
        line => at_rest(version, line),
    })
}

/// A server at rest, except where the function gives another answer.
fn dumping_with(version: &'static str, answer: impl Fn(&str) -> Option<Say> + Send + 'static) -> (Context, Heard) {
    server(move |line| answer(line).unwrap_or_else(|| at_rest(version, line)))
}

/// What is told of a pass: its number, the old keys that it found, and how many are expected to be left.
type ToldPass = (u32, u64, Option<f64>);

/// The passes that the context's events tell of from now on.
fn told_evidence(context: &mut Context) -> Arc<Mutex<Vec<ToldPass>>> {
    let began = AtomicU32::new(0);
    collect(context, move |event| {
        if let Event::Pass(number) = event {
            began.store(number, SeqCst);
        }
        let Event::Evidence { old, doubt, .. } = event else { return None };
        Some((began.load(SeqCst), old, doubt))
    })
}

/// Sets a deadline in so many seconds, at which the operation is stopped.
fn end_in(context: &mut Context, seconds: u64) {
    let time = Duration::from_secs(seconds);
    context.deadline = Some((Instant::now() + time).into_std());
    stop_in(context, time);
}

/// What cannot be proven, and what to do.
fn unproven(cleared: Cleared) -> (String, &'static str) {
    match cleared.error.expect("it is not complete").problem {
        Problem::Unproven { what, instead } => (what, instead),
        problem => panic!("{problem}"),
    }
}

fn kind(cleared: &Cleared) -> Option<FailureKind> {
    cleared.error.as_ref().map(crate::error::Error::kind)
}

#[tokio::test(start_paused = true)]
async fn a_crawler_that_is_never_free_is_given_up() {
    let (context, heard) = dumping("1.6.38", |_| text("BUSY currently processing crawler request\r\n"));
    let began = Instant::now();
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(kind(&cleared), Some(FailureKind::Busy));
    assert!(began.elapsed() >= Duration::from_secs(60) && heard.count(HASH_DUMP) > 2);
}

#[tokio::test(start_paused = true)]
async fn within_a_deadline_a_taken_crawler_is_waited_for() {
    let (mut context, _) = dumping("1.6.38", |_| text("BUSY currently processing crawler request\r\n"));
    let began = Instant::now();
    end_in(&mut context, 500);
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(kind(&cleared), Some(FailureKind::Deadline));
    assert!(began.elapsed() >= Duration::from_secs(500));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_waits_until_its_answers_are_read_goes_on() {
    const KEYS: usize = 1_000;
    // Without meta commands, each delete is answered.
    let (context, heard) = server_over(512, {
        let dumps = AtomicUsize::new(0);
        move |line| match line {
            LRU_DUMP if dumps.fetch_add(1, SeqCst) == 0 => {
                Say::Text((1..=KEYS).map(|n| item(&format!("shop:{n}"), 2)).collect::<String>() + "END\r\n")
            }
            LRU_DUMP => text("END\r\n"),
            "mn" => text("ERROR\r\n"),
            line => at_rest("1.6.9", line),
        }
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, cleared.deleted), (Some(ClearProof::Passes), KEYS as u64), "{cleared:?}");
    assert!(heard.all().iter().filter(|line| line.starts_with("delete ")).count() >= KEYS);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_full_for_a_while_is_tried_again() {
    let (mut context, heard) = server({
        let times = AtomicUsize::new(0);
        move |line| match line {
            _ if times.fetch_add(1, SeqCst) < 3 => Say::Last("ERROR Too many open connections\r\n".into()),
            HASH_DUMP => Say::Text(item("shop:1", 2) + "END\r\n"),
            line => at_rest("1.6.38", line),
        }
    });
    context.patience.retries = 5;
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, cleared.deleted), (Some(ClearProof::Walk), 1), "{cleared:?}");
    assert!(!heard.all().iter().any(|line| line.starts_with("stats cachedump")));
}

/// A server without memory for its answer fails each command of a clear in turn, once.
#[tokio::test(start_paused = true)]
async fn a_failure_that_passes_is_tried_again_and_changes_nothing() {
    const FAILURE: &str = "SERVER_ERROR out of memory writing stats\r\n";
    for version in ["1.6.38", "1.6.9"] {
        let with_failure_at = |command: Option<String>| {
            let (has_failed, dumps) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let (mut context, heard) = server(move |line| match line {
                line if Some(line) == command.as_deref() && has_failed.fetch_add(1, SeqCst) == 0 => text(FAILURE),
                HASH_DUMP | LRU_DUMP if dumps.fetch_add(1, SeqCst) > 0 => text("END\r\n"),
                HASH_DUMP | LRU_DUMP => Say::Text(item("shop:1", 2) + &item("shop:2", 3) + "END\r\n"),
                line => at_rest(version, line),
            });
            context.patience.retries = 1;
            async move { (clear_shop(&context, ClearOptions::default()).await, heard.all()) }
        };
        let (undisturbed, commands) = with_failure_at(None).await;
        assert!(undisturbed.proof.is_some(), "{undisturbed:?}");
        for command in commands.into_iter().collect::<std::collections::BTreeSet<_>>() {
            let (cleared, _) = with_failure_at(Some(command.clone())).await;
            let ended = |cleared: &Cleared| (cleared.proof, cleared.strategy);
            assert_eq!(ended(&cleared), ended(&undisturbed), "{version}, at {command}: {cleared:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_prefix_whose_items_the_filter_leaves_is_not_misspelt() {
    let filter = Filter { larger: Some(1000), ..Filter::default() };
    let (context, _) = dumping("1.6.38", |_| Say::Text(item("blog:1", 2) + &item("shop:1", 3) + "END\r\n"));
    for (prefix, closest) in [("shop:", None), ("shup:", Some(&b"shop:"[..]))] {
        let scope = Scope::of([Prefix::new(prefix).unwrap()]);
        let options = ClearOptions { filter, ..ClearOptions::default() };
        let cleared = clear(&address(), &scope, &options, &context).await;
        let first = cleared.nearest.first().map(|prefix| &prefix[..]);
        assert_eq!((cleared.deleted, first), (0, closest), "{prefix} {cleared:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn new_items_are_kept() {
    for (version, delete, proof) in [("1.6.38", "md shop:2 C3 q", "walk"), ("1.6.9", "cas shop:2 0 -1 0 3", "passes")] {
        let (context, heard) = dumping(version, |number| {
            let old = item("shop:1", 2) + &item("shop:2", 3);
            // The mark has CAS 50.
            Say::Text(if number == 0 { old } else { String::new() } + &item("shop:3", 51) + "END\r\n")
        });
        let cleared = clear_shop(&context, keeping_new()).await;
        assert_eq!(cleared.proof.map(|proof| proof.as_str()), Some(proof), "{cleared:?}");
        assert_eq!((cleared.deleted, cleared.kept_new), (2, Some(u64::from(cleared.passes))), "{version}: {cleared:?}");
        let lines = heard.all();
        assert!(heard.count(delete) == 1 && !lines.iter().any(|line| line.starts_with("md shop:3")), "{lines:?}");
    }
}

/// Only a key that a text command can name gives the mark by which old items are told from new ones.
#[tokio::test(start_paused = true)]
async fn without_a_key_to_mark_nothing_is_called_complete() {
    for (version, key) in [("1.6.38", unreachable_key()), ("1.6.9", "shop:a%20b".into())] {
        let dump = item(&key, 2) + "END\r\n";
        let (context, _) = dumping(version, move |_| Say::Text(dump.clone()));
        let cleared = clear_shop(&context, keeping_new()).await;
        let error = cleared.error.expect("the key is left");
        assert!(matches!(error.problem, Problem::NoAge { .. }), "{version}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_marked_key_whose_delete_is_lost_is_deleted_by_the_cas_of_the_mark() {
    let lost = AtomicU32::new(0);
    let (mut context, heard) = dumping_with("1.6.38", move |line| match line {
        HASH_DUMP => Some(Say::Text(item("shop:1", 2) + "END\r\n")),
        "md shop:1 C50 q" if lost.fetch_add(1, SeqCst) == 0 => Some(Say::Last(String::new())),
        // The mark gave the item another CAS than the listed one.
        "md shop:1 C2 q" => Some(text("EX\r\n")),
        _ => None,
    });
    context.patience.retries = 1;
    let cleared = clear_shop(&context, keeping_new()).await;
    assert_eq!((cleared.proof, cleared.kept_new), (Some(ClearProof::Walk), Some(0)), "{cleared:?}");
    assert_eq!((heard.count("md shop:1 C50 q"), heard.count("md shop:1 C2 q")), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn without_cas_nothing_can_be_kept() {
    let (context, heard) = server(|line| match line {
        "stats settings" => text("STAT cas_enabled no\r\nEND\r\n"),
        line => at_rest("1.6.38", line),
    });
    let cleared = clear_shop(&context, keeping_new()).await;
    assert_eq!(kind(&cleared), Some(FailureKind::Disabled));
    assert_eq!(heard.count(HASH_DUMP), 0, "before anything is listed");
}

/// The server falls silent at each command of a clear in turn, or while mcflush connects.
#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_clear_within_a_timeout() {
    for version in ["1.6.38", "1.6.18", "1.6.9"] {
        let silent_at = |command: Option<String>| {
            let dumps = AtomicUsize::new(0);
            server(move |line| match line {
                line if Some(line) == command.as_deref() => Say::Silence,
                HASH_DUMP | LRU_DUMP if dumps.fetch_add(1, SeqCst) > 0 => text("END\r\n"),
                HASH_DUMP | LRU_DUMP => Say::Text(item("shop:1", 2) + &item("shop:2", 3) + "END\r\n"),
                line => at_rest(version, line),
            })
        };
        let (context, heard) = silent_at(None);
        assert!(clear_shop(&context, ClearOptions::default()).await.proof.is_some());
        let commands: std::collections::BTreeSet<_> = heard.all().into_iter().collect();
        assert!(commands.len() > 5, "{commands:?}");
        for command in commands.into_iter().map(Some).chain([None]) {
            let (mut context, _) = silent_at(command.clone());
            if command.is_none() {
                context.connector = Connector::by(|_| std::future::pending());
            }
            let began = Instant::now();
            stop_in(&context, Duration::from_secs(1));
            let cleared = clear_shop(&context, ClearOptions::default()).await;
            assert_eq!(kind(&cleared), Some(FailureKind::Interrupted), "{version}, at {command:?}: {cleared:?}");
            let took = began.elapsed();
            assert!(took <= Duration::from_secs(1) + context.patience.timeout, "{version}, at {command:?}: {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_another_client_deletes_meanwhile_cost_no_round_trip_each() {
    let lines: String = (0..5_000).map(|number| item(&format!("shop:{number}"), 2)).collect();
    let (context, heard) = server(move |line| match line {
        HASH_DUMP => Say::Text(lines.clone() + "END\r\n"),
        line if line.ends_with(" I") => text("NF\r\n"),
        line => at_rest("1.6.38", line),
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(cleared.proof, Some(ClearProof::Walk), "{cleared:?}");
    let marks = heard.all().iter().filter(|line| line.ends_with(" I")).count();
    assert!(marks < 100, "{marks} marks were tried");
}
