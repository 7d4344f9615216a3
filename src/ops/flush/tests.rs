//! The checks after a flush, with a scripted server and a paused clock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use tokio::time::Instant;

use super::{Flush, FlushProof, Flushed, flush};
use crate::error::{Error, FailureKind, Problem};
use crate::ops::notes::LONGEST;
use crate::ops::scripted::{HASH_DUMP, Heard, LRU_DUMP, Say, address, collect, item, server, stats, text};
use crate::ops::{Context, Event};

/// The answer to a `gets` of the probe.
fn probe(line: &str) -> Say {
    probe_with(line, 50)
}

fn probe_with(line: &str, cas: u64) -> Say {
    Say::Text(format!("VALUE {} 0 1 {cas}\r\nx\r\nEND\r\n", line.strip_prefix("gets ").unwrap()))
}

/// A flush that keeps new items, with an older and a newer one than the probe in the walk after it; and the deletes that
/// the server received.
async fn keeping_new(is_restarted: bool) -> (Result<Flushed, Error>, Vec<String>) {
    let (mut context, heard) = server({
        let is_flushed = AtomicBool::new(false);
        move |line| match line {
            "stats" => {
                let pid = if is_restarted && is_flushed.load(SeqCst) { 8 } else { 7 };
                Say::Text(stats(pid, "STAT version 1.6.45\r\n"))
            }
            "stats settings" => text("STAT cas_enabled yes\r\nEND\r\n"),
            "flush_all" => {
                is_flushed.store(true, SeqCst);
                text("OK\r\n")
            }
            "version" => text("VERSION 1.6.45\r\n"),
            "mn" => text("MN\r\n"),
            HASH_DUMP => Say::Text(item("shop:1", 2) + &item("shop:2", 51) + "END\r\n"),
            line if line.starts_with("set ") => text("STORED\r\n"),
            line if line.starts_with("gets ") => probe(line),
            line if line.starts_with("md ") => text(""),
            _ => text("ERROR\r\n"),
        }
    });
    context.patience.retries = 0;
    let flushed = flush(&address(), Flush::Exact { verify: false, keep_new: true }, &context).await;
    (flushed, heard.all().into_iter().filter(|line| line.starts_with("md ")).collect())
}

#[tokio::test(start_paused = true)]
async fn items_stored_after_a_restart_are_new() {
    // The server restarts between the flush and the walk. It counts CAS from 1 again, so its new items look older than
    // the probe.
    let (flushed, deletes) = keeping_new(true).await;
    assert_eq!(flushed.map_err(|error| error.kind()), Err(FailureKind::Incomplete));
    assert!(deletes.is_empty(), "{deletes:?}");
}

#[tokio::test(start_paused = true)]
async fn of_what_a_flush_left_only_items_older_than_the_probe_are_deleted() {
    let (flushed, deletes) = keeping_new(false).await;
    let flushed = flushed.unwrap();
    assert_eq!((flushed.proof, flushed.swept, flushed.kept_new), (Some(FlushProof::Walk), Some(1), Some(1)));
    assert_eq!(deletes, ["md shop:1 C2 q"]);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_lost_its_server_for_a_moment_is_told_again() {
    for words in ["SERVER_ERROR backend failure", "SERVER_ERROR connection timeout", "SERVER_ERROR Connection refused"]
    {
        let times = AtomicUsize::new(0);
        let (mut context, heard) = server(move |line| match line {
            "flush_all" if times.fetch_add(1, SeqCst) == 0 => Say::Text(format!("{words}\r\n")),
            "flush_all" => text("OK\r\n"),
            _ => text("ERROR\r\n"),
        });
        context.patience.retries = 1;
        let flushed = flush(&address(), Flush::Once, &context).await;
        assert!(flushed.is_ok(), "{words}: {flushed:?}");
        assert_eq!(heard.count("flush_all"), 2);
    }
}

/// A proxy closes at what it does not know; a server that says nothing is not there.
#[tokio::test(start_paused = true)]
async fn a_question_before_a_flush_that_is_closed_at_is_no_reason_against_it() {
    for question in ["stats", "version", "stats settings"] {
        for is_closed in [true, false] {
            let (context, heard) = server(move |line| match line {
                line if line == question => {
                    if is_closed {
                        Say::Last(String::new())
                    } else {
                        Say::Silence
                    }
                }
                "stats" if question == "version" => text("STAT curr_items 1\r\nEND\r\n"),
                "stats" => Say::Text(stats(7, "STAT version 1.6.18\r\n")),
                "version" => text("VERSION 1.6.18\r\n"),
                "stats settings" => text("STAT cas_enabled yes\r\nEND\r\n"),
                "flush_all" => text("OK\r\n"),
                _ => text("ERROR\r\n"),
            });
            let flushed = flush(&address(), Flush::Exact { verify: false, keep_new: false }, &context).await;
            let is_sent = heard.count("flush_all") > 0;
            assert_eq!(is_sent, is_closed, "{question}: {flushed:?}, {:?}", heard.all());
            let is_silent = flushed.is_err_and(|error| error.kind() == FailureKind::Timeout);
            assert_eq!(is_silent, !is_closed, "{question}");
        }
    }
}

/// A server whose LRU maintainer has run so often after so many seconds.
fn late_maintainer(runs: impl Fn(u64) -> u64 + Send + 'static, settings: &'static str) -> (Context, Heard) {
    let began = Instant::now();
    server(move |line| match line {
        "stats" => {
            let elapsed = began.elapsed().as_secs();
            let (time, run) = (1_764_000_000 + elapsed, runs(elapsed));
            Say::Text(format!(
                "STAT pid 7\r\nSTAT version 1.6.45\r\nSTAT time {time}\r\nSTAT get_hits 0\r\nSTAT cmd_set 0\r\n\
                 STAT lru_maintainer_juggles {run}\r\nEND\r\n"
            ))
        }
        "stats settings" => text(settings),
        "version" => text("VERSION 1.6.45\r\n"),
        "mn" => text("MN\r\n"),
        "flush_all" => text("OK\r\n"),
        line if line.starts_with("set ") => text("STORED\r\n"),
        line if line.starts_with("gets ") => text("END\r\n"),
        _ => text("ERROR\r\n"),
    })
}

/// The server notes a read only after its clock has turned twice: the second flush has to come after that.
#[tokio::test(start_paused = true)]
async fn a_second_flush_waits_for_a_late_lru_maintainer() {
    let began = Instant::now();
    let settings = "STAT cas_enabled yes\r\nSTAT lru_crawler no\r\nEND\r\n";
    let (context, heard) = late_maintainer(|seconds| seconds / 5, settings);
    flush(&address(), Flush::Exact { verify: false, keep_new: false }, &context).await.unwrap();
    // The two runs after the one under way at the first flush note each read before it; they have ended when a third begins.
    let flushes = heard.times("flush_all").into_iter().map(|time| (time - began).as_secs() / 5);
    assert_eq!(flushes.collect::<Vec<_>>(), [0, 3]);
}

/// Where nothing can be listed, the flush is made again when the server's clock has turned twice.
#[tokio::test(start_paused = true)]
async fn a_second_flush_waits_for_the_server_s_clock() {
    for tells_time in [true, false] {
        let began = Instant::now();
        let (context, heard) = server(move |line| match line {
            "stats" => {
                let time = format!("STAT time {}\r\n", 1_764_000_000 + began.elapsed().as_secs());
                let time = if tells_time { time.as_str() } else { "" };
                Say::Text(format!("STAT pid 7\r\nSTAT version 1.6.45\r\n{time}END\r\n"))
            }
            "stats settings" => text("STAT cas_enabled yes\r\nSTAT lru_crawler no\r\nEND\r\n"),
            "version" => text("VERSION 1.6.45\r\n"),
            "flush_all" => text("OK\r\n"),
            _ => text("ERROR\r\n"),
        });
        let flushed = flush(&address(), Flush::Exact { verify: false, keep_new: false }, &context).await.unwrap();
        assert_eq!(flushed.proof.map(|proof| proof.as_str()), Some("twice"));
        let flushes = heard.times("flush_all");
        let [first, second] = flushes[..] else { panic!("flushed at {flushes:?}") };
        let between = (second - first).as_millis();
        assert!((2_000..=2_300).contains(&between), "{between} ms, the server tells its time: {tells_time}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_server_s_clock_says_why_and_how_long() {
    let (mut context, _) = server(|line| match line {
        "stats" => text("STAT version 1.4.22\r\nEND\r\n"),
        "flush_all" => text("OK\r\n"),
        _ => text("ERROR\r\n"),
    });
    let waits = collect(&mut context, |event| match event {
        Event::Waiting { why, after } => Some((why, after.as_millis())),
        _ => None,
    });
    flush(&address(), Flush::Exact { verify: false, keep_new: false }, &context).await.unwrap();
    let waits = waits.lock().unwrap().clone();
    let [(again, 2_100), (later, 1_100)] = waits[..] else { panic!("{waits:?}") };
    assert!(again.contains("it is sent again") && later.contains("stored later in the same second"), "{waits:?}");
}

/// A walk would have to wait for the notes. A verified flush is no flush without its walk.
#[tokio::test(start_paused = true)]
async fn a_walk_that_waits_too_long_for_notes_is_replaced_by_a_second_flush_unless_it_verifies() {
    for (verify, flushes) in [(false, 2), (true, 1)] {
        let (context, heard) =
            late_maintainer(|seconds| seconds.saturating_sub(LONGEST.as_secs() + 5), "STAT cas_enabled yes\r\nEND\r\n");
        let flushed = flush(&address(), Flush::Exact { verify, keep_new: false }, &context).await;
        assert_eq!(heard.count("flush_all"), flushes, "{flushed:?}");
        let why = match flushed {
            Ok(flushed) => {
                assert_eq!((verify, flushed.proof), (false, Some(FlushProof::Twice)));
                flushed.walk_failed.unwrap()
            }
            Err(error) => {
                assert!(verify && error.kind() == FailureKind::Incomplete, "{error}");
                error.to_string()
            }
        };
        assert!(why.contains("so the server notes no reads"), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_flush_is_given_up_if_no_reads_are_noted_for_half_a_minute() {
    let (context, heard) = late_maintainer(|_| 0, "STAT cas_enabled yes\r\nSTAT lru_crawler no\r\nEND\r\n");
    let began = Instant::now();
    let error = flush(&address(), Flush::Exact { verify: false, keep_new: false }, &context).await.unwrap_err();
    assert!(error.kind() == FailureKind::Incomplete && error.to_string().contains("does not run"), "{error}");
    assert_eq!((heard.count("flush_all"), began.elapsed()), (1, LONGEST));
}

/// What mcflush says of a verified flush, by the CAS, after which the probe is there or not and these items are listed.
async fn verified(is_probe_there: bool, listed: String) -> Option<String> {
    let is_flushed = AtomicBool::new(false);
    let (context, heard) = server(move |line| match line {
        "stats" => Say::Text(stats(7, "STAT version 1.6.18\r\n")),
        "stats settings" => text("STAT cas_enabled yes\r\nEND\r\n"),
        "version" => text("VERSION 1.6.18\r\n"),
        "mn" => text("MN\r\n"),
        "flush_all" => {
            is_flushed.store(true, SeqCst);
            text("OK\r\n")
        }
        LRU_DUMP => Say::Text(listed.clone() + "END\r\n"),
        line if line.starts_with("set ") => text("STORED\r\n"),
        line if line.starts_with("gets ") && (is_probe_there || !is_flushed.load(SeqCst)) => probe(line),
        line if line.starts_with("gets ") => text("END\r\n"),
        _ => text("ERROR\r\n"),
    });
    let flushed = flush(&address(), Flush::Exact { verify: true, keep_new: false }, &context).await;
    assert_eq!(heard.count("flush_all"), 2);
    match flushed {
        Ok(flushed) => {
            assert_eq!(flushed.proof, Some(FlushProof::Cas));
            None
        }
        Err(error) => {
            assert_eq!(error.kind(), FailureKind::Incomplete);
            Some(error.problem.to_string())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_verified_flush_says_what_was_left() {
    assert_eq!(verified(false, String::new()).await, None);
    assert_eq!(verified(false, item("new", 51)).await, None);
    let said = verified(true, String::new()).await.unwrap();
    assert!(said.contains("an item stored before flush_all is still there"), "{said}");
    let said = verified(false, item("one", 9) + &item("two", 50) + &item("new", 51)).await.unwrap();
    assert!(said.contains("still shows 2 keys"), "{said}");
}

/// A flush that may have been made is not made again where new items are to be kept, and not called made.
#[tokio::test(start_paused = true)]
async fn a_flush_without_an_answer_is_not_repeated_where_new_items_stay() {
    for (keep_new, sent) in [(true, 1), (false, 2)] {
        let (mut context, heard) = server(move |line| match line {
            "stats" => Say::Text(stats(7, "STAT version 1.6.18\r\n")),
            "stats settings" => text("STAT cas_enabled yes\r\nEND\r\n"),
            "flush_all" => Say::Last(String::new()),
            line if line.starts_with("set ") => text("STORED\r\n"),
            line if line.starts_with("gets ") => probe(line),
            _ => text("ERROR\r\n"),
        });
        context.patience.retries = 1;
        let error = flush(&address(), Flush::Exact { verify: false, keep_new }, &context).await.unwrap_err();
        assert!(matches!(error.problem, Problem::FlushUnknown { .. }), "{error}");
        assert_eq!(heard.count("flush_all"), sent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_before_the_flush_leaves_no_doubt_about_it() {
    let (context, heard) = server(|line| match line {
        "stats" => Say::Text(stats(7, "STAT version 1.6.18\r\n")),
        "stats settings" => text("STAT cas_enabled yes\r\nEND\r\n"),
        _ => Say::Last(String::new()),
    });
    let error = flush(&address(), Flush::Exact { verify: true, keep_new: false }, &context).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Lost { .. }), "{error}");
    assert_eq!(heard.count("flush_all"), 0);
}

/// The settings do not say so; the item that mcflush stores shows it.
#[tokio::test(start_paused = true)]
async fn without_cas_no_flush_keeps_new_items() {
    let (context, heard) = server(|line| match line {
        "stats" => Say::Text(stats(7, "STAT version 1.6.45\r\n")),
        line if line.starts_with("set ") => text("STORED\r\n"),
        line if line.starts_with("gets ") => probe_with(line, 0),
        _ => text("ERROR\r\n"),
    });
    let error = flush(&address(), Flush::Exact { verify: false, keep_new: true }, &context).await.unwrap_err();
    assert!(matches!(error.problem, Problem::NoAge { why } if why.contains("-C")), "{error}");
    assert_eq!(heard.count("flush_all"), 0);
}

/// A walk that fails is told, and a second flush is made in its place.
#[tokio::test(start_paused = true)]
async fn a_walk_that_is_refused_is_replaced_by_a_second_flush() {
    for verify in [false, true] {
        let began = Instant::now();
        let (context, heard) = server(move |line| match line {
            "stats" => {
                let time = 1_764_000_000 + began.elapsed().as_secs();
                Say::Text(format!("STAT pid 7\r\nSTAT version 1.6.45\r\nSTAT time {time}\r\nEND\r\n"))
            }
            "stats settings" => text("STAT cas_enabled yes\r\nEND\r\n"),
            "version" => text("VERSION 1.6.45\r\n"),
            "mn" => text("MN\r\n"),
            "flush_all" => text("OK\r\n"),
            HASH_DUMP => text("ERROR metadump not allowed\r\n"),
            line if line.starts_with("set ") => text("STORED\r\n"),
            line if line.starts_with("gets ") => text("END\r\n"),
            _ => text("ERROR\r\n"),
        });
        let flushed = flush(&address(), Flush::Exact { verify, keep_new: false }, &context).await.unwrap();
        assert_eq!(flushed.proof, Some(FlushProof::Twice));
        assert!(flushed.walk_failed.is_some_and(|why| why.contains("metadump not allowed")));
        assert_eq!(heard.count("flush_all"), 2);
    }
}

/// What comes of a `flush_all`, with a delay or without one, that a server or a proxy refuses.
#[tokio::test(start_paused = true)]
async fn a_refused_flush_says_whether_the_delay_is_what_was_refused() {
    const PROXY: &str = "STAT proxy_conn_requests 3\r\nEND\r\n";
    const SERVER: &str = "STAT pid 7\r\nSTAT version 1.6.18\r\nEND\r\n";
    let delayed = Flush::After(5.try_into().unwrap());
    for (how, said, answer, expected) in [
        (delayed, SERVER, "CLIENT_ERROR bad command line format\r\n", "delay"),
        (Flush::Once, SERVER, "CLIENT_ERROR bad command line format\r\n", "refusal"),
        (delayed, PROXY, "CLIENT_ERROR bad command line format\r\n", "proxied"),
        (Flush::Once, PROXY, "ERROR\r\n", "proxied"),
        (Flush::Once, PROXY, "", "proxied"),
        (Flush::Once, SERVER, "", "unknown"),
        (delayed, SERVER, "OK\r\n", "done"),
    ] {
        let (context, _) = server(move |line| match line {
            "stats" => text(said),
            line if line.starts_with("flush_all") && answer.is_empty() => Say::Last(String::new()),
            line if line.starts_with("flush_all") => text(answer),
            _ => text("ERROR\r\n"),
        });
        let found = match flush(&address(), how, &context).await.map_err(|error| error.problem) {
            Ok(flushed) => {
                assert_eq!(flushed.delay, 5);
                "done"
            }
            Err(Problem::NoDelay(_)) => "delay",
            Err(Problem::Refusal { command: "flush_all", .. }) => "refusal",
            Err(Problem::Proxied { command: "flush_all" }) => "proxied",
            Err(Problem::FlushUnknown { .. }) => "unknown",
            Err(problem) => panic!("{how:?}, {answer:?}: {problem}"),
        };
        assert_eq!(found, expected, "{how:?}, {said:?}, {answer:?}");
    }
}

/// A server whose dumps go on to list an item that was there before the flush.
#[tokio::test(start_paused = true)]
async fn only_a_verified_flush_walks_again_after_its_walk() {
    for (verify, walks) in [(true, 3), (false, 1)] {
        let began = Instant::now();
        let is_flushed = AtomicBool::new(false);
        let (context, heard) = server(move |line| match line {
            "stats" => {
                let time = began.elapsed();
                let turns = time.as_millis() / 10;
                Say::Text(stats(7, &format!("STAT version 1.6.45\r\nSTAT lru_maintainer_juggles {turns}\r\n")))
            }
            "stats settings" => text("STAT cas_enabled yes\r\nEND\r\n"),
            "version" => text("VERSION 1.6.45\r\n"),
            "mn" => text("MN\r\n"),
            "flush_all" => {
                is_flushed.store(true, SeqCst);
                text("OK\r\n")
            }
            HASH_DUMP => Say::Text(item("shop:1", 9) + "END\r\n"),
            line if line.starts_with("set ") => text("STORED\r\n"),
            line if line.starts_with("gets ") && is_flushed.load(SeqCst) => text("END\r\n"),
            line if line.starts_with("gets ") => probe(line),
            line if line.starts_with("md ") => text(""),
            _ => text("ERROR\r\n"),
        });
        let flushed = flush(&address(), Flush::Exact { verify, keep_new: false }, &context).await;
        assert_eq!((heard.count(HASH_DUMP), heard.count("flush_all")), (walks, 1), "{flushed:?}");
        match flushed {
            Ok(flushed) => assert_eq!((verify, flushed.proof, flushed.swept), (false, Some(FlushProof::Walk), Some(1))),
            Err(error) => assert!(verify && error.kind() == FailureKind::Incomplete, "{error}"),
        }
    }
}

/// What decides how a flush is checked is asked only where it is checked.
#[tokio::test(start_paused = true)]
async fn a_flush_asks_only_what_it_needs() {
    const KNOWN: &str = "STAT pid 7\r\nSTAT version 1.6.18\r\nEND\r\n";
    const PROXY: &str = "STAT version 1.6.45\r\nSTAT proxy_conn_requests 3\r\nEND\r\n";
    let exact = Flush::Exact { verify: false, keep_new: false };
    for (how, said, asked) in [
        (Flush::Once, KNOWN, &["stats", "flush_all"][..]),
        (Flush::Once, "STAT pid 7\r\nEND\r\n", &["stats", "flush_all"]),
        (Flush::Once, "END\r\n", &["stats", "flush_all"]),
        (exact, KNOWN, &["stats", "stats settings", "flush_all"]),
        (exact, "STAT pid 7\r\nEND\r\n", &["stats", "version", "stats settings", "flush_all"]),
        (exact, PROXY, &["stats", "flush_all"]),
        (exact, "END\r\n", &["stats", "flush_all"]),
    ] {
        let (context, heard) = server(move |line| match line {
            "stats" => text(said),
            "version" => text("VERSION 1.6.18\r\n"),
            "stats settings" => text("STAT cas_enabled yes\r\nEND\r\n"),
            "flush_all" => text("OK\r\n"),
            _ => text("ERROR\r\n"),
        });
        flush(&address(), how, &context).await.unwrap();
        let heard = heard.all();
        let until_flush = heard.iter().position(|line| line == "flush_all").unwrap() + 1;
        assert_eq!(&heard[..until_flush], asked, "{how:?}, {said:?}");
    }
}
