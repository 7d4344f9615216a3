//! Dumps, and walks of the hash table: when one may begin, how it ends, and what it proves.

use super::*;

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
async fn a_dump_waits_until_the_server_has_enlarged_its_hash_table() {
    let began = Instant::now();
    // A busy machine keeps the server from setting its clock, and so from looking at its table.
    let late = Duration::from_secs(20);
    let (context, heard) = server(move |line| match line {
        "stats" => {
            let power = if began.elapsed() < late { 16 } else { 17 };
            Say::Text(stats(7, &format!("STAT hash_power_level {power}\r\nSTAT curr_items 120000\r\n")))
        }
        LRU_DUMP if began.elapsed() < late => Say::Silence,
        LRU_DUMP => text("END\r\n"),
        line => at_rest("1.6.18", line),
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(cleared.proof, Some(ClearProof::Passes), "{cleared:?}");
    assert_eq!(heard.count(LRU_DUMP), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hash_table_that_stays_full_is_no_reason_to_wait_for_ever() {
    let began = Instant::now();
    let (context, _) = server(move |line| match line {
        "stats" => {
            let time = (1_764_000_100 + began.elapsed().as_secs()).to_string();
            let full = stats(7, "STAT hash_power_level 16\r\nSTAT curr_items 120000\r\n");
            Say::Text(full.replace("1764000100", &time))
        }
        HASH_DUMP => text("END\r\n"),
        line => at_rest("1.6.38", line),
    });
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
async fn without_a_key_in_scope_at_first_what_a_verifying_walk_lists_is_new() {
    let (context, heard) = dumping("1.6.38", |number| {
        Say::Text(item(if number == 0 { "blog:1" } else { "shop:1" }, 2 + number as u64) + "END\r\n")
    });
    let cleared = clear_shop(&context, ClearOptions { verify: true, ..ClearOptions::default() }).await;
    assert_eq!((cleared.proof, heard.count(HASH_DUMP)), (Some(ClearProof::Walk), 2), "{cleared:?}");
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
    for version in ["1.6.38", "1.6.20"] {
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
        assert_eq!((cleared.proof, heard.count(HASH_DUMP)), (Some(ClearProof::Walk), 2), "{version}: {cleared:?}");
        assert_eq!(cleared.deleted, 2, "{version}");
        assert!(began.elapsed() >= Duration::from_millis(30), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_unread_for_long_shows_that_no_flush_came_right_before() {
    // The server's clock stands at 1764000100.
    for (last_access, walks) in [(1_764_000_000, 1), (1_764_000_039, 1), (1_764_000_040, 2), (1_764_000_101, 2)] {
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

/// A balancer gives the walk to one server and the deletes to another.
#[tokio::test(start_paused = true)]
async fn keys_that_are_not_where_they_were_listed_are_not_called_clear() {
    let (context, heard) = server(move |line| match line {
        HASH_DUMP => Say::Text((1..=4).map(|n| item(&format!("shop:{n}"), 2)).collect::<String>() + "END\r\n"),
        line if line.starts_with("md ") => text("NF\r\n"),
        line => at_rest("1.6.38", line),
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((kind(&cleared), heard.count(HASH_DUMP)), (Some(FailureKind::Incomplete), 10), "{cleared:?}");
    assert!(cleared.error.is_some_and(|error| error.to_string().contains("several servers")));
}

/// With a rate, most keys may have expired when their turn comes, and others are stored meanwhile.
#[tokio::test(start_paused = true)]
async fn keys_that_expired_before_they_were_deleted_are_no_sign_of_another_server() {
    let dumps = AtomicU32::new(0);
    let (context, heard) = server(move |line| match line {
        HASH_DUMP => {
            let cas = 2 + dumps.fetch_add(1, SeqCst);
            Say::Text((1..=4).map(|n| item(&format!("shop:{n}"), cas.into())).collect::<String>() + "END\r\n")
        }
        line if line.starts_with("md ") => text("NF\r\n"),
        line => at_rest("1.6.38", line),
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, heard.count(HASH_DUMP)), (Some(ClearProof::Walk), 2), "{cleared:?}");
}
