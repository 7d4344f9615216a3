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
    for (listed_by, proof, walks) in [(0, Some(ClearProof::Walk), 2), (1, Some(ClearProof::Walk), 3), (9, None, 3)] {
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

#[tokio::test(start_paused = true)]
async fn without_cas_a_key_that_each_walk_lists_counts_as_left() {
    let (context, _) = dumping_with("1.6.38", |line| match line {
        HASH_DUMP => Some(Say::Text(item("shop:1", 0) + "END\r\n")),
        line if line.starts_with("mg ") => Some(text("HD c0\r\n")),
        _ => None,
    });
    let cleared = clear_shop(&context, ClearOptions { verify: true, ..ClearOptions::default() }).await;
    assert_eq!((cleared.proof, kind(&cleared)), (None, Some(FailureKind::Incomplete)), "{cleared:?}");
}

/// Another client's touch, which gives no new CAS, takes the expiry of an old item after the first walk.
#[tokio::test(start_paused = true)]
async fn an_old_item_that_meets_the_filter_only_in_the_verifying_walks_counts_as_left() {
    let (context, _) = dumping("1.6.38", |number| {
        let expiry = if number == 0 { "exp=1764009999" } else { "exp=-1" };
        Say::Text(item("shop:1", 2).replace("exp=-1", expiry) + "END\r\n")
    });
    let filter = Filter { no_expiry: true, ..Filter::default() };
    let cleared = clear_shop(&context, ClearOptions { filter, verify: true, ..ClearOptions::default() }).await;
    assert_eq!((cleared.proof, kind(&cleared)), (None, Some(FailureKind::Incomplete)), "{cleared:?}");
}

/// Until 1.6.23 an item that the server moves to another slab page gets a new CAS, so an old one looks new.
#[tokio::test(start_paused = true)]
async fn items_moved_during_a_walk_matter_only_where_new_items_are_kept_and_moved_ones_look_new() {
    for (version, keep_new, is_moved, is_complete) in [
        ("1.6.20", true, true, false),
        ("1.6.20", true, false, true),
        ("1.6.20", false, true, true),
        ("1.6.38", true, true, true),
    ] {
        let walks = AtomicU32::new(0);
        let (context, _) = dumping_with(version, move |line| match line {
            HASH_DUMP => {
                walks.fetch_add(1, SeqCst);
                Some(Say::Text(item("shop:1", 2) + "END\r\n"))
            }
            "stats" => {
                let moved = if is_moved { walks.load(SeqCst) } else { 0 };
                Some(Say::Text(stats(7, &format!("STAT slab_reassign_rescues {moved}\r\n"))))
            }
            _ => None,
        });
        let cleared = clear_shop(&context, ClearOptions { keep_new, ..ClearOptions::default() }).await;
        assert_eq!(cleared.proof.is_some(), is_complete, "{version}, {keep_new}, {is_moved}: {cleared:?}");
        if !is_complete {
            let (what, instead) = unproven(cleared);
            assert!(what.contains("moved items look new") && instead.contains("without keeping new items"), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_walk_after_a_flush_is_made_again_only_where_flushes_compare_times() {
    for (version, cas, walks) in [("1.6.20", "yes", 1), ("1.6.20", "no", 2), ("1.6.38", "yes", 2)] {
        let answer = flushed(version, || 3);
        let (context, heard) = server(move |line| match line {
            HASH_DUMP => text("END\r\n"),
            "stats settings" => Say::Text(format!("STAT cas_enabled {cas}\r\nEND\r\n")),
            line => answer(line).unwrap(),
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        let made = (cleared.proof, heard.count(HASH_DUMP));
        assert_eq!(made, (Some(ClearProof::Walk), walks), "{version}, {cas}: {cleared:?}");
    }
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
        let dumps = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&dumps);
        let answer = flushed(version, move || u32::from(seen.load(SeqCst) > 0));
        let (mut context, heard) = server(move |line| {
            answer(line).unwrap_or_else(|| match dumps.fetch_add(1, SeqCst) {
                0 => Say::Text(item("shop:1", 2) + "END\r\n"),
                _ => Say::Text(item("shop:2", 3) + "END\r\n"),
            })
        });
        context.events = Events::to(|event| assert!(!matches!(event, Event::Waiting { .. }), "not worth telling"));
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

#[tokio::test(start_paused = true)]
async fn a_walk_counts_if_at_least_half_of_its_keys_were_there_to_be_deleted() {
    for (there, walks) in [(5, 1), (4, 2)] {
        let dumps = AtomicUsize::new(0);
        let (context, heard) = server(move |line| match line {
            HASH_DUMP if dumps.fetch_add(1, SeqCst) == 0 => {
                Say::Text((0..10).map(|n| item(&format!("shop:{n}"), 2)).collect::<String>() + "END\r\n")
            }
            HASH_DUMP => text("END\r\n"),
            line if (there..10).any(|n| line == format!("md shop:{n} q")) => text("NF\r\n"),
            line => at_rest("1.6.38", line),
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!((cleared.deleted, heard.count(HASH_DUMP)), (there, walks), "{cleared:?}");
        assert_eq!(cleared.proof, Some(ClearProof::Walk), "{cleared:?}");
    }
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

/// A user sees the count on the screen grow.
#[tokio::test(start_paused = true)]
async fn listed_keys_are_told_from_time_to_time_though_none_is_in_scope() {
    let lines = item("blog:1", 2).repeat(70_000);
    let (mut context, _) = dumping("1.6.38", move |_| Say::Text(lines.clone() + "END\r\n"));
    let told = collect(&mut context, |event| if let Event::Listed { keys, .. } = event { Some(keys) } else { None });
    clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(*told.lock().unwrap(), [1 << 16, 70_000 - (1 << 16)]);
}

/// `count` long keys, as a dump lists them.
fn long_keys(count: usize) -> Say {
    Say::Text((0..count).map(|key| item(&format!("shop:{key:0200}"), 2)).collect::<String>() + "END\r\n")
}

#[tokio::test(start_paused = true)]
async fn deletes_count_though_further_keys_cannot_be_read_from_the_disk() {
    let (mut context, heard) = dumping("1.6.38", |_| long_keys(1_000));
    context.spool = Disk::of(1_000).with_readable(1).spool().with_memory(0);
    let told = collect(&mut context, |event| if let Event::Spool(why) = event { Some(why) } else { None });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    let deletes = heard.all().iter().filter(|line| line.starts_with("md ")).count() as u64;
    assert_eq!((kind(&cleared), cleared.deleted), (Some(FailureKind::Io), deletes), "{cleared:?}");
    assert!((1..1_000).contains(&deletes), "{deletes}");
    assert!(told.lock().unwrap().is_empty(), "mcflush does not walk again: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn deletes_that_a_lost_connection_left_open_are_sent_again_though_further_keys_cannot_be_read() {
    let fences = AtomicUsize::new(0);
    let (mut context, heard) = dumping_with("1.6.38", move |line| match line {
        HASH_DUMP => Some(long_keys(1_000)),
        // The first asks whether the server knows meta commands.
        "mn" if fences.fetch_add(1, SeqCst) == 1 => Some(Say::Last(String::new())),
        _ => None,
    });
    context.patience.retries = 1;
    context.spool = Disk::of(1_000).with_readable(1).spool().with_memory(0);
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    let sent: Vec<_> = heard.all().into_iter().filter(|line| line.starts_with("md ")).collect();
    let deletes: BTreeSet<_> = sent.iter().collect();
    assert_eq!((kind(&cleared), cleared.deleted), (Some(FailureKind::Io), deletes.len() as u64), "{cleared:?}");
    assert!(!deletes.is_empty() && sent.len() > deletes.len(), "{} of {} were sent again", deletes.len(), sent.len());
}

/// Clears a server whose dumps, by their number from 0, list so many long keys. Memory holds some 80 of them, and the
/// disk none. Returns also how many walks were told to be made again.
async fn cleared_beside_a_full_disk(keys: impl Fn(usize) -> usize + Send + 'static) -> (Cleared, usize) {
    let (mut context, _) = dumping("1.6.38", move |number| long_keys(keys(number)));
    context.spool = Disk::of(0).spool().with_memory(0);
    let told = collect(&mut context, |event| if let Event::Spool(why) = event { Some(why) } else { None });
    // The walk is faster than the deletes.
    let rate = NonZeroU32::new(1_000);
    let cleared = clear_shop(&context, ClearOptions { rate, ..ClearOptions::default() }).await;
    let told = told.lock().unwrap().len();
    (cleared, told)
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_was_given_up_for_lack_of_room_is_made_again_a_hundred_times() {
    let (cleared, told) = cleared_beside_a_full_disk(|number| if number < 100 { 200 } else { 1 }).await;
    assert_eq!(told, 100);
    assert_eq!((cleared.proof, cleared.passes, cleared.listed), (Some(ClearProof::Walk), 101, 1), "{cleared:?}");
    let (cleared, told) = cleared_beside_a_full_disk(|_| 200).await;
    assert_eq!(told, 100, "after the last one mcflush does not walk again");
    assert_eq!((kind(&cleared), cleared.passes), (Some(FailureKind::Incomplete), 101), "{cleared:?}");
    let error = cleared.error.unwrap().to_string();
    assert!(error.contains("100 walks were given up"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_walk_whose_last_batch_finds_no_room_is_whole() {
    let (cleared, told) = cleared_beside_a_full_disk(|_| 100).await;
    assert_eq!((cleared.proof, cleared.passes, cleared.deleted), (Some(ClearProof::Walk), 1, 100), "{cleared:?}");
    assert_eq!(told, 0, "it is not made again");
}
