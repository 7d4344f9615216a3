//! The engine's rules, with a scripted server and a paused clock.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::time::Instant;

use super::{ClearOptions, ClearProof, Cleared, clear};
use crate::error::{FailureKind, Problem};
use crate::ops::scripted::{Heard, Say, address, item, server, server_over, stats, stats_of_flushed, text};
use crate::ops::{Connector, Context, Strategy};
use crate::scope::{Prefix, Scope};

const HASH_DUMP: &str = "lru_crawler metadump hash";
const LRU_DUMP: &str = "lru_crawler metadump all";

/// The answer of a server at rest, of this version, to every command but its dumps.
fn at_rest(version: &str, line: &str) -> Say {
    match line {
        "version" => Say::Text(format!("VERSION {version}\r\n")),
        "stats" => Say::Text(stats(7, "")),
        "stats settings" => text("STAT cas_enabled yes\r\nSTAT lru_segmented yes\r\nEND\r\n"),
        "mn" => text("MN\r\n"),
        line if line.ends_with(" I") => text("HD\r\n"),
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
    let deadline = Instant::now() + Duration::from_secs(500);
    context.deadline = Some(deadline.into_std());
    let stop = context.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep_until(deadline).await;
        stop.cancel();
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(kind(&cleared), Some(FailureKind::Deadline));
    assert!(Instant::now() >= deadline);
}

#[tokio::test(start_paused = true)]
async fn a_server_at_rest_takes_two_passes() {
    let (context, heard) =
        dumping("1.6.18", |number| Say::Text(if number == 0 { item("shop:1", 2) } else { String::new() } + "END\r\n"));
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, cleared.passes, cleared.deleted), (Some(ClearProof::Passes), 2, 1), "{cleared:?}");
    assert_eq!((cleared.miss_rate, cleared.doubt), (Some(0.0), Some(0.0)));
    assert_eq!(heard.count(LRU_DUMP), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_used_in_the_pause_is_not_at_rest() {
    // mcflush reads the counters twice at first, after the first pass, after the pause, and after each later pass.
    let (context, heard) = server({
        let (dumps, readings) = (AtomicUsize::new(0), AtomicU32::new(0));
        move |line| match line {
            LRU_DUMP if dumps.fetch_add(1, SeqCst) == 0 => Say::Text(item("shop:1", 2) + "END\r\n"),
            LRU_DUMP => text("END\r\n"),
            "stats" if readings.fetch_add(1, SeqCst) < 3 => Say::Text(stats(7, "STAT touch_hits 0\r\n")),
            "stats" => Say::Text(stats(7, "STAT touch_hits 1\r\n")),
            line => at_rest("1.6.18", line),
        }
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(cleared.proof, Some(ClearProof::Passes), "{cleared:?}");
    assert!(heard.count(LRU_DUMP) > 2, "{cleared:?}");
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
async fn keys_that_the_first_pass_does_not_list_are_waited_for() {
    let began = Instant::now();
    let (context, _) = server({
        let deleted = AtomicU32::new(0);
        move |line| match line {
            // A client read the keys twice just before: they are hidden for a second.
            LRU_DUMP if began.elapsed() < Duration::from_secs(1) || deleted.load(SeqCst) > 0 => text("END\r\n"),
            LRU_DUMP => Say::Text(item("shop:1", 2) + "END\r\n"),
            line if line.starts_with("md shop:1 q") => {
                deleted.fetch_add(1, SeqCst);
                text("")
            }
            line => at_rest("1.6.18", line),
        }
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, cleared.deleted), (Some(ClearProof::Passes), 1), "{cleared:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_never_goes_ends_incomplete() {
    let (context, heard) = dumping("1.6.18", |_| Say::Text(item("shop:1", 2) + "END\r\n"));
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, kind(&cleared)), (None, Some(FailureKind::Incomplete)));
    assert_eq!(heard.count(LRU_DUMP), 40);
}

#[tokio::test(start_paused = true)]
async fn keys_stored_meanwhile_do_not_count() {
    // The mark has CAS 50: these items are newer.
    let (context, _) = dumping("1.6.18", |number| {
        Say::Text(item("shop:1", if number == 0 { 2 } else { 50 + number as u64 }) + "END\r\n")
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, cleared.passes), (Some(ClearProof::Passes), 2), "{cleared:?}");
}

#[tokio::test(start_paused = true)]
async fn items_moved_to_another_page_may_be_old() {
    // mcflush reads the counters before and after the first pass, after the pause, and after the second pass. The
    // server moves the item in the pause or in the second pass.
    for moved_before in [2, 3] {
        let (context, heard) = server({
            let (dumps, looks) = (AtomicUsize::new(0), AtomicU32::new(0));
            move |line| match line {
                // In the second pass the item looks new, because the server has moved it.
                LRU_DUMP => match dumps.fetch_add(1, SeqCst) {
                    0 => Say::Text(item("shop:1", 2) + "END\r\n"),
                    1 => Say::Text(item("shop:2", 60) + "END\r\n"),
                    _ => text("END\r\n"),
                },
                "stats" if looks.fetch_add(1, SeqCst) < moved_before => {
                    Say::Text(stats(7, "STAT slab_reassign_rescues 0\r\n"))
                }
                "stats" => Say::Text(stats(7, "STAT slab_reassign_rescues 9\r\n")),
                line => at_rest("1.6.18", line),
            }
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!((cleared.proof, cleared.deleted), (Some(ClearProof::Passes), 2), "{cleared:?}");
        assert!(heard.count(LRU_DUMP) >= 3, "one more after the one that found it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restarted_server_is_looked_at_anew() {
    for restarted_before in [1, 2, 3] {
        let (context, _) = server({
            let (dumps, looks) = (AtomicUsize::new(0), AtomicU32::new(0));
            move |line| match line {
                LRU_DUMP => match dumps.fetch_add(1, SeqCst) {
                    0 => {
                        let items = (0..500).map(|n| item(&format!("blog:{n}"), 1_000 + n));
                        Say::Text(items.collect::<String>() + "END\r\n")
                    }
                    // The new process counts its CAS from 1.
                    _ => Say::Text(item("blog:1", 1) + "END\r\n"),
                },
                "stats" if looks.fetch_add(1, SeqCst) < restarted_before => Say::Text(stats(7, "")),
                "stats" => Say::Text(stats(8, "")),
                line => at_rest("1.6.18", line),
            }
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!(cleared.proof, Some(ClearProof::Passes), "{cleared:?}");
        assert!(cleared.passes >= 3, "two of the new one: {cleared:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_says_nothing_is_waited_for_while_the_server_answers() {
    let (context, _) = dumping("1.6.38", |_| Say::Later(Duration::from_secs(120), "END\r\n".into()));
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(cleared.proof, Some(ClearProof::Walk), "{cleared:?}");
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_never_ends_is_given_up() {
    let (context, _) = dumping("1.6.38", |_| Say::Silence);
    let began = Instant::now();
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(kind(&cleared), Some(FailureKind::Timeout));
    assert!(began.elapsed() >= Duration::from_secs(300));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_in_a_walk_is_a_timeout() {
    let began = Instant::now();
    let (context, _) = server(move |line| match line {
        HASH_DUMP => Say::Silence,
        _ if began.elapsed() > Duration::from_secs(1) => Say::Silence,
        line => at_rest("1.6.38", line),
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(kind(&cleared), Some(FailureKind::Timeout));
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_dump_without_end_is_ended_by_a_version() {
    for end in ["VERSION 1.4.33\r\n", "ERROR\r\n"] {
        let (context, heard) = server({
            let dumps = AtomicUsize::new(0);
            let dumping = AtomicUsize::new(0);
            move |line| match line {
                LRU_DUMP => {
                    dumping.store(1, SeqCst);
                    Say::Text(if dumps.fetch_add(1, SeqCst) == 0 { item("shop:1", 2) } else { String::new() })
                }
                // The server reads it after the dump, and may have swallowed a part of it.
                "version" if dumping.swap(0, SeqCst) == 1 => text(end),
                line => at_rest("1.4.33", line),
            }
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!((cleared.proof, cleared.deleted), (Some(ClearProof::Passes), 1), "{cleared:?}");
        assert_eq!(heard.count("delete shop:1"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_garbled_walk_is_walked_again() {
    let (mut context, heard) = dumping("1.6.38", |number| {
        let garbled = item("shop:1", 2).replace("cls=1", "clkey=shop%3A9 exp=-1 cls=1");
        Say::Text(if number == 0 { garbled } else { item("shop:1", 2) } + "END\r\n")
    });
    context.patience.retries = 1;
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, cleared.deleted), (Some(ClearProof::Walk), 1), "{cleared:?}");
    assert_eq!((heard.count(HASH_DUMP), heard.count("md shop:9 q")), (2, 0));
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
async fn a_listing_that_broke_off_is_not_counted() {
    let (mut context, _) = dumping("1.6.38", |number| match number {
        0 => Say::Last(item("blog:1", 1) + &item("blog:2", 2)),
        _ => Say::Text(item("shop:1", 3) + "END\r\n"),
    });
    context.patience.retries = 1;
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, cleared.listed, cleared.deleted), (Some(ClearProof::Walk), 1, 1), "{cleared:?}");
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_was_refused_is_no_pass() {
    let dumps = AtomicUsize::new(0);
    let (context, heard) = dumping_with("1.6.38", move |line| match line {
        HASH_DUMP => Some(text("ERROR metadump not allowed\r\n")),
        "stats items" => Some(text("STAT items:1:number 2\r\nSTAT items:1:number_hot 1\r\nEND\r\n")),
        "stats cachedump 1 0" if dumps.fetch_add(1, SeqCst) == 0 => Some(text("ITEM shop:1 [1 b; 0 s]\r\nEND\r\n")),
        "stats cachedump 1 0" => Some(text("END\r\n")),
        _ => None,
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.strategy, cleared.proof), (Some(Strategy::Cachedump), None), "{cleared:?}");
    assert_eq!((cleared.passes, heard.count("stats cachedump 1 0")), (2, 2), "until a pass finds nothing: {cleared:?}");
    let error = cleared.error.expect("it lists a part").to_string();
    assert!(error.contains("lists only a part of its keys"), "and of the classes none is cut: {error}");
}

#[tokio::test(start_paused = true)]
async fn a_cachedump_that_broke_off_is_made_again() {
    for (begin, deleted) in [("", 0), ("ITEM shop:1 [1 b; 0 s]\r\n", 1)] {
        let dumps = AtomicUsize::new(0);
        let (mut context, _) = dumping_with("1.4.25", move |line| match line {
            "stats settings" => Some(text("STAT cas_enabled yes\r\nSTAT lru_maintainer_thread no\r\nEND\r\n")),
            "stats items" => Some(text("STAT items:1:number 2\r\nEND\r\n")),
            "stats cachedump 1 0" if dumps.fetch_add(1, SeqCst) == 0 => Some(Say::Last(begin.into())),
            "stats cachedump 1 0" => Some(text("END\r\n")),
            _ => None,
        });
        context.patience.retries = 1;
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!((cleared.proof, cleared.deleted), (Some(ClearProof::Passes), deleted), "{cleared:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_each_pass_lists_is_one_key_out_of_reach() {
    // The key is too long for the base64 form, and the server does not answer the binary protocol.
    let key = format!("shop:{}%20", "x".repeat(230));
    let (context, heard) = dumping("1.6.18", move |_| Say::Text(item(&key, 2).replace("%2520", "%20") + "END\r\n"));
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert!(heard.count(LRU_DUMP) > 1, "{cleared:?}");
    let error = cleared.error.expect("the key is left");
    assert!(matches!(error.problem, Problem::OutOfReach { count: 1, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn new_items_are_kept() {
    let keep_new = ClearOptions { keep_new: true, ..ClearOptions::default() };
    for (version, delete) in [("1.6.38", "md shop:2 C3 q"), ("1.6.9", "cas shop:2 0 -1 0 3")] {
        let (context, heard) = dumping(version, |number| {
            let old = item("shop:1", 2) + &item("shop:2", 3);
            // The mark has CAS 50.
            Say::Text(if number == 0 { old } else { String::new() } + &item("shop:3", 51) + "END\r\n")
        });
        let cleared = clear_shop(&context, keep_new).await;
        assert!(cleared.proof.is_some(), "{cleared:?}");
        assert_eq!((cleared.deleted, cleared.kept_new), (2, Some(u64::from(cleared.passes))), "{version}: {cleared:?}");
        let lines = heard.all();
        assert!(heard.count(delete) == 1 && !lines.iter().any(|line| line.starts_with("md shop:3")), "{lines:?}");
    }
}

/// Only a key that a text command can name gives the mark by which old items are told from new ones.
#[tokio::test(start_paused = true)]
async fn without_a_key_to_mark_nothing_is_called_complete() {
    for (version, key) in [("1.6.38", format!("shop:{}%20", "x".repeat(230))), ("1.6.9", "shop:a%20b".into())] {
        let dump = item(&key, 2).replace("%2520", "%20") + "END\r\n";
        let (context, _) = dumping(version, move |_| Say::Text(dump.clone()));
        let cleared = clear_shop(&context, ClearOptions { keep_new: true, ..ClearOptions::default() }).await;
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
    let cleared = clear_shop(&context, ClearOptions { keep_new: true, ..ClearOptions::default() }).await;
    assert_eq!((cleared.proof, cleared.kept_new), (Some(ClearProof::Walk), Some(0)), "{cleared:?}");
    assert_eq!((heard.count("md shop:1 C50 q"), heard.count("md shop:1 C2 q")), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn without_cas_nothing_can_be_kept() {
    let (context, heard) = server(|line| match line {
        "stats settings" => text("STAT cas_enabled no\r\nEND\r\n"),
        line => at_rest("1.6.38", line),
    });
    let cleared = clear_shop(&context, ClearOptions { keep_new: true, ..ClearOptions::default() }).await;
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
            let stop = context.stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                stop.cancel();
            });
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

#[tokio::test(start_paused = true)]
async fn a_dump_waits_until_the_server_has_enlarged_its_hash_table() {
    let began = Instant::now();
    let (context, heard) = server(move |line| match line {
        "stats" => {
            let power = if began.elapsed() < Duration::from_secs(1) { 16 } else { 17 };
            Say::Text(stats(7, &format!("STAT hash_power_level {power}\r\nSTAT curr_items 120000\r\n")))
        }
        LRU_DUMP if began.elapsed() < Duration::from_secs(1) => Say::Silence,
        LRU_DUMP => text("END\r\n"),
        line => at_rest("1.6.18", line),
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(cleared.proof, Some(ClearProof::Passes), "{cleared:?}");
    assert_eq!(heard.count(LRU_DUMP), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hash_table_that_stays_full_is_no_reason_to_wait_for_ever() {
    let (context, _) = server(move |line| match line {
        "stats" => Say::Text(stats(7, "STAT hash_power_level 16\r\nSTAT curr_items 120000\r\n")),
        HASH_DUMP => text("END\r\n"),
        line => at_rest("1.6.38", line),
    });
    let began = Instant::now();
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(cleared.proof, Some(ClearProof::Walk), "{cleared:?}");
    assert!((3..=6).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_dump_is_not_asked_for_while_another_crawl_runs() {
    let began = Instant::now();
    let (context, heard) = server(move |line| match line {
        "stats" => {
            let running = u8::from(began.elapsed() < Duration::from_secs(20));
            Say::Text(stats(7, &format!("STAT lru_crawler_running {running}\r\n")))
        }
        HASH_DUMP if began.elapsed() < Duration::from_secs(20) => Say::Silence,
        HASH_DUMP => text("END\r\n"),
        line => at_rest("1.6.38", line),
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, heard.count(HASH_DUMP)), (Some(ClearProof::Walk), 1), "{cleared:?}");
}

#[tokio::test(start_paused = true)]
async fn keys_stored_behind_the_walk_before_the_mark_do_not_count_as_left() {
    let verify = ClearOptions { verify: true, ..ClearOptions::default() };
    // The mark has CAS 50. The second key was stored before the mark, where the first walk had passed.
    for (listed_by, proof, walks) in [(1, Some(ClearProof::Walk), 3), (9, None, 3)] {
        let (context, heard) = dumping("1.6.38", move |number| {
            let newer = item("shop:2", 40);
            Say::Text(
                if number == 0 {
                    item("shop:1", 2)
                } else if number <= listed_by {
                    newer
                } else {
                    String::new()
                } + "END\r\n",
            )
        });
        let cleared = clear_shop(&context, verify).await;
        assert_eq!((cleared.proof, heard.count(HASH_DUMP)), (proof, walks), "{cleared:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_verifying_walk_still_lists_is_named() {
    let (context, _) = dumping("1.6.38", |_| {
        Say::Text((1..=4).map(|n| item(&format!("shop:{n}"), 2)).collect::<String>() + "END\r\n")
    });
    let cleared = clear_shop(&context, ClearOptions { verify: true, ..ClearOptions::default() }).await;
    let error = cleared.error.expect("they are there each time").to_string();
    assert!(error.contains("still listed 4 keys"), "{error}");
    assert!(error.contains("such as shop%3A1 shop%3A2 shop%3A3;"), "{error}");
}

/// A server whose LRU maintainer runs every 10 ms from now on, and that reports how often it was flushed.
fn flushed(version: &'static str, flushes: impl Fn() -> u32 + Send + 'static) -> impl Fn(&str) -> Option<Say> {
    let began = Instant::now();
    move |line| match line {
        "stats" => {
            let juggles = format!("STAT lru_maintainer_juggles {}\r\n", began.elapsed().as_millis() / 10);
            Some(Say::Text(stats_of_flushed(7, flushes(), &juggles)))
        }
        HASH_DUMP => None,
        line => Some(at_rest(version, line)),
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_another_client_s_flush_hid_from_the_walk_is_deleted() {
    // The second key was read and then flushed during the first walk; it came back when the server noted the read.
    for (version, walks) in [("1.6.38", 2), ("1.6.20", 1)] {
        let dumps = std::sync::Arc::new(AtomicUsize::new(0));
        let seen = std::sync::Arc::clone(&dumps);
        let answer = flushed(version, move || u32::from(seen.load(SeqCst) > 0));
        let (context, heard) = server(move |line| {
            answer(line).unwrap_or_else(|| match dumps.fetch_add(1, SeqCst) {
                0 => Say::Text(item("shop:1", 2) + "END\r\n"),
                _ => Say::Text(item("shop:2", 3) + "END\r\n"),
            })
        });
        let began = Instant::now();
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!((cleared.proof, heard.count(HASH_DUMP)), (Some(ClearProof::Walk), walks), "{version}: {cleared:?}");
        assert_eq!(cleared.deleted, walks as u64, "{version}");
        assert_eq!(began.elapsed() >= Duration::from_millis(20), walks == 2, "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_unread_for_long_shows_that_no_flush_came_right_before() {
    // The server's clock stands at 1764000100.
    for (last_access, walks) in [(1_764_000_000, 1), (1_764_000_089, 1), (1_764_000_090, 2), (1_764_000_101, 2)] {
        let answer = flushed("1.6.38", || 3);
        let (context, heard) = server(move |line| {
            answer(line).unwrap_or_else(|| {
                let line = format!("key=blog%3A1 exp=-1 la={last_access} cas=2 fetch=no cls=1 size=64\n");
                Say::Text(line + &item("shop:1", 2).replace("la=1764000000", "la=1764000101") + "END\r\n")
            })
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!(
            (cleared.proof, heard.count(HASH_DUMP)),
            (Some(ClearProof::Walk), walks),
            "{last_access}: {cleared:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_flushed_all_the_time_is_given_up() {
    let flushes = AtomicU32::new(0);
    let answer = flushed("1.6.38", move || flushes.fetch_add(1, SeqCst));
    let (context, heard) = server(move |line| answer(line).unwrap_or_else(|| text("END\r\n")));
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((kind(&cleared), heard.count(HASH_DUMP)), (Some(FailureKind::Incomplete), 10), "{cleared:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_read_is_deleted_however_late_the_lru_maintainer_runs() {
    let began = Instant::now();
    // The first run that begins after the read notes it, and the key is listed from then on.
    let runs = move || began.elapsed().as_secs() / 4;
    let is_deleted = std::sync::atomic::AtomicBool::new(false);
    let (context, _) = server(move |line| match line {
        "stats" => Say::Text(format!(
            "STAT pid 7\r\nSTAT uptime 100\r\nSTAT get_hits 2\r\nSTAT cmd_set 1\r\nSTAT lru_maintainer_juggles {}\r\nEND\r\n",
            runs()
        )),
        LRU_DUMP if runs() > 0 && !is_deleted.load(SeqCst) => Say::Text(item("shop:1", 2) + "END\r\n"),
        LRU_DUMP => text("END\r\n"),
        line => {
            is_deleted.fetch_or(line.starts_with("md ") && !line.ends_with(" I"), SeqCst);
            at_rest("1.6.18", line)
        }
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, cleared.deleted), (Some(ClearProof::Passes), 1), "{cleared:?}");
}

#[tokio::test(start_paused = true)]
async fn passes_of_a_server_in_use_are_three_turns_of_its_lru_maintainer_apart() {
    let began = Instant::now();
    let turns = move || began.elapsed().as_millis() / 10;
    let (hits, dumps) = (AtomicU32::new(0), std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));
    let seen = std::sync::Arc::clone(&dumps);
    let (context, _) = server(move |line| match line {
        "stats" => Say::Text(format!(
            "STAT pid 7\r\nSTAT uptime 100\r\nSTAT get_hits {}\r\nSTAT cmd_set 1\r\nSTAT lru_maintainer_juggles {}\r\nEND\r\n",
            hits.fetch_add(1, SeqCst),
            turns()
        )),
        LRU_DUMP => {
            let mut dumps = seen.lock().unwrap();
            dumps.push(turns());
            Say::Text(if dumps.len() == 1 { item("shop:1", 2) } else { String::new() } + "END\r\n")
        }
        line => at_rest("1.6.18", line),
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(cleared.proof, Some(ClearProof::Passes), "{cleared:?}");
    let dumps = dumps.lock().unwrap();
    assert!(dumps.len() > 5 && dumps.windows(2).all(|pair| pair[1] >= pair[0] + 3), "{dumps:?}");
}
