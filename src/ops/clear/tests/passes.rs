//! Passes over the LRU lists: how many there are, and what they count.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_server_at_rest_takes_two_passes() {
    let (context, heard) =
        dumping("1.6.18", |number| Say::Text(if number == 0 { item("shop:1", 2) } else { String::new() } + "END\r\n"));
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, cleared.passes, cleared.deleted), (Some(ClearProof::Passes), 2, 1), "{cleared:?}");
    assert_eq!((cleared.miss_rate, cleared.doubt), (Some(0.0), Some(0.0)));
    assert_eq!(heard.count(LRU_DUMP), 2);
}

/// The counts are those of the first pass alone, and each pass is told, with the doubt that is left.
#[tokio::test(start_paused = true)]
async fn what_a_clear_counts_and_tells() {
    let (mut context, _) = dumping("1.6.18", |number| {
        let listed =
            if number == 0 { item("shop:1", 2) + &item("blog:1", 3) + &item("shop:2", 4) } else { item("blog:1", 3) };
        Say::Text(listed + "END\r\n")
    });
    let told = told_evidence(&mut context);
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.listed, cleared.matched, cleared.deleted, cleared.bytes), (3, 2, 2, 2 * 64), "{cleared:?}");
    assert_eq!(*told.lock().unwrap(), [(1, 2, None), (2, 0, Some(0.0))]);
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

/// In the pause between two passes, or in the second one.
#[tokio::test(start_paused = true)]
async fn at_a_deadline_after_the_first_pass_mcflush_says_what_may_be_left() {
    for seconds in [1, 4] {
        let (mut context, _) =
            dumping(
                "1.6.18",
                |number| {
                    if number == 0 { Say::Text(item("shop:1", 2) + "END\r\n") } else { Say::Silence }
                },
            );
        end_in(&mut context, seconds);
        let error =
            clear_shop(&context, ClearOptions::default()).await.error.expect("it cannot be complete").to_string();
        assert!(error.contains("at the deadline, keys may be left"), "{seconds} s: {error}");
    }
}

/// What the passes may have missed is told only if there was a pass, and only if it is the deadline that ended them.
#[tokio::test(start_paused = true)]
async fn a_clear_that_ends_before_its_first_pass_or_not_by_a_deadline_says_nothing_of_missed_keys() {
    let (mut context, _) = dumping("1.6.18", |_| Say::Silence);
    end_in(&mut context, 4);
    assert_eq!(kind(&clear_shop(&context, ClearOptions::default()).await), Some(FailureKind::Deadline));

    let (context, _) = dumping("1.6.18", |number| if number == 0 { text("END\r\n") } else { Say::Last(String::new()) });
    assert_eq!(kind(&clear_shop(&context, ClearOptions::default()).await), Some(FailureKind::Lost));

    // In the pause after the first pass.
    let (context, _) = dumping("1.6.18", |_| text("END\r\n"));
    stop_in(&context, Duration::from_secs(1));
    assert_eq!(kind(&clear_shop(&context, ClearOptions::default()).await), Some(FailureKind::Interrupted));
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
    let (what, _) = unproven(cleared);
    assert!(what.contains("at 40 passes") && !what.contains("-C"), "the server has CAS: {what}");
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

/// An address that leads to several servers in turn looks like this.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_restarted_during_each_pass_ends_the_clear() {
    let looks = AtomicU32::new(1);
    let (context, heard) = dumping_with("1.6.18", move |line| match line {
        "stats" => Some(Say::Text(stats(looks.fetch_add(1, SeqCst), ""))),
        LRU_DUMP => Some(text("END\r\n")),
        _ => None,
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(heard.count(LRU_DUMP), 40);
    let (what, instead) = unproven(cleared);
    assert!(what.contains("restarted during the last of 40 passes") && instead.contains("several servers"), "{what}");
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
    // The server does not answer the binary protocol.
    let (context, heard) = dumping("1.6.18", |_| Say::Text(item(&unreachable_key(), 2) + "END\r\n"));
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(heard.count(LRU_DUMP), 2, "more passes would list it again: {cleared:?}");
    let error = cleared.error.expect("the key is left");
    assert!(matches!(error.problem, Problem::OutOfReach { count: 1, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_key_out_of_reach_that_is_gone_in_the_end_is_not_left() {
    let (context, _) = dumping("1.6.18", |number| {
        Say::Text(if number == 0 { item(&unreachable_key(), 2) } else { String::new() } + "END\r\n")
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, cleared.passes), (Some(ClearProof::Passes), 2), "{cleared:?}");
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
    let (hits, dumps) = (AtomicU32::new(0), AtomicUsize::new(0));
    let (context, heard) = server(move |line| match line {
        "stats" => Say::Text(format!(
            "STAT pid 7\r\nSTAT uptime 100\r\nSTAT get_hits {}\r\nSTAT cmd_set 1\r\nSTAT lru_maintainer_juggles {}\r\nEND\r\n",
            hits.fetch_add(1, SeqCst),
            began.elapsed().as_millis() / 10
        )),
        LRU_DUMP if dumps.fetch_add(1, SeqCst) == 0 => Say::Text(item("shop:1", 2) + "END\r\n"),
        LRU_DUMP => text("END\r\n"),
        line => at_rest("1.6.18", line),
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(cleared.proof, Some(ClearProof::Passes), "{cleared:?}");
    let dumps: Vec<_> = heard.times(LRU_DUMP).into_iter().map(|time| (time - began).as_millis() / 10).collect();
    assert!(dumps.len() > 5 && dumps.windows(2).all(|pair| pair[1] >= pair[0] + 3), "{dumps:?}");
}

/// Servers that call themselves memcached, hold items and list none.
#[tokio::test(start_paused = true)]
async fn a_server_that_lists_none_of_its_items_is_not_called_clear() {
    for version in ["1.5.0", "1.4.20", "1.6.18"] {
        let (context, _) = server(move |line| match line {
            "stats items" | "stats settings" => text("END\r\n"),
            line if line.starts_with("stats") => Say::Text(stats(7, "STAT curr_items 5\r\n")),
            line if line.starts_with("lru_crawler ") => text("ERROR\r\n"),
            line => at_rest(version, line),
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!((cleared.proof, kind(&cleared)), (None, Some(FailureKind::Disabled)), "{version}: {cleared:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_dumps_of_old_servers_leave_out_are_counted() {
    // The class holds four items, two of which never expire, and the crawler stops at entry number `limit` of its list.
    for (version, limit, hidden) in [
        ("1.5.4", 4, Some("1 key")),
        ("1.4.33", 2, Some("3 keys")),
        ("1.4.33", 0, Some("2 keys")),
        ("1.4.37", 0, None),
        ("1.5.4", 5, None),
        ("1.5.7", 2, None),
        ("UNKNOWN", 4, Some("2 keys")),
    ] {
        let (context, heard) = dumping_with(version, move |line| match line {
            LRU_DUMP => Some(text(if version == "1.4.33" { "" } else { "END\r\n" })),
            "stats settings" => {
                Some(Say::Text(format!("STAT cas_enabled yes\r\nSTAT lru_crawler_tocrawl {limit}\r\nEND\r\n")))
            }
            "stats items" => Some(text("STAT items:1:number 4\r\nSTAT items:1:number_noexp 2\r\nEND\r\n")),
            _ => None,
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        match hidden {
            None => assert_eq!(cleared.proof, Some(ClearProof::Passes), "{version}, {limit}: {cleared:?}"),
            Some(hidden) => {
                assert_eq!((cleared.proof, kind(&cleared)), (None, Some(FailureKind::Incomplete)), "{cleared:?}");
                let error = cleared.error.unwrap().to_string();
                assert!(error.contains(&format!("at most {hidden} may be left")), "{error}");
                assert!(error.contains("lru_crawler tocrawl 0"), "{error}");
                assert_eq!(heard.count(LRU_DUMP), 2 + 6, "six more, in case the server moves them: {version}");
            }
        }
    }
}

/// A clear of a server that lists its slab classes only by `stats cachedump`; by the number of items in each class, its dump,
/// and the answer to a delete.
async fn by_cachedump(classes: &[(u32, u64)], dump: String, deleted: &'static str, asked: Option<Strategy>) -> Cleared {
    let items: String = classes.iter().map(|(class, items)| format!("STAT items:{class}:number {items}\r\n")).collect();
    let (context, _) = dumping_with("1.4.25", move |line| match line {
        "stats settings" => Some(text("STAT cas_enabled yes\r\nSTAT lru_maintainer_thread no\r\nEND\r\n")),
        "stats items" => Some(Say::Text(items.clone() + "END\r\n")),
        line if line.starts_with("stats cachedump ") => Some(Say::Text(dump.clone())),
        line if line.starts_with("delete ") => Some(text(deleted)),
        line if line.starts_with("append ") && deleted == "NOT_FOUND\r\n" => Some(text("NOT_STORED\r\n")),
        line if line.starts_with("gets ") && deleted == "NOT_FOUND\r\n" => Some(text("END\r\n")),
        _ => None,
    });
    clear_shop(&context, ClearOptions { strategy: asked, ..ClearOptions::default() }).await
}

const CHOOSE: &str = "let mcflush choose how keys are listed, or flush the whole instance";
const UPGRADE: &str = "upgrade memcached, or flush the whole instance";

#[tokio::test(start_paused = true)]
async fn keys_that_no_command_finds_under_their_listed_name_are_counted() {
    let line = |n| format!("ITEM shop:{n} [1 b; 0 s]\r\n");
    for (keys, said) in [(1, "1 key in scope is listed under a name"), (3, "3 keys in scope are listed under names")] {
        for (asked, advice) in [(None, UPGRADE), (Some(Strategy::Cachedump), CHOOSE)] {
            let dump = (0..keys).map(line).collect::<String>() + "END\r\n";
            let (what, instead) = unproven(by_cachedump(&[(1, keys)], dump, "NOT_FOUND\r\n", asked).await);
            assert!(what.starts_with(said), "{what}");
            assert_eq!(instead, advice);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn slab_classes_that_are_listed_in_part_are_named() {
    let line = format!("ITEM blog:{} [1 b; 0 s]\r\n", "x".repeat(177));
    assert_eq!(line.len(), 200);
    let long = line.repeat(11_000) + "END\r\n";
    let said = unproven(by_cachedump(&[(1, 15_000)], long.clone(), "DELETED\r\n", None).await);
    assert!(
        said.0.starts_with("slab class 1 holds more keys than this server lists (2 MB): about 4000 keys were"),
        "{said:?}"
    );
    assert!(said.1.contains("a prefix with a version in it"), "{said:?}");
    let (what, _) = unproven(by_cachedump(&[(1, 15_000), (7, 12_000)], long, "DELETED\r\n", None).await);
    assert!(what.starts_with("2 slab classes (1, 7) hold more keys") && what.contains("about 5000 keys"), "{what}");

    let broken = "ITEM blog:1 [1 b; 0 s]\r\nITEM shop:1\ntwo [1 b; 0 s]\r\nEND\r\n".to_owned();
    let (what, instead) = unproven(by_cachedump(&[(3, 5)], broken.clone(), "DELETED\r\n", None).await);
    assert!(
        what.starts_with("slab class 3 holds a key with a line end in it") && what.contains("about 4 keys"),
        "{what}"
    );
    assert_eq!(instead, UPGRADE);
    let asked = Some(Strategy::Cachedump);
    let (what, instead) = unproven(by_cachedump(&[(3, 5), (4, 2)], broken, "DELETED\r\n", asked).await);
    assert!(what.starts_with("2 slab classes (3, 4) hold a key with a line end"), "{what}");
    assert_eq!(instead, CHOOSE);
}

#[tokio::test(start_paused = true)]
async fn without_cas_keys_that_are_stored_all_the_time_cannot_be_told_from_old_ones() {
    let (context, _) = dumping_with("1.6.18", |line| match line {
        LRU_DUMP => Some(Say::Text(item("shop:1", 0) + "END\r\n")),
        "stats settings" => Some(text("STAT cas_enabled no\r\nSTAT lru_segmented yes\r\nEND\r\n")),
        line if line.starts_with("mg ") => Some(text("HD c0\r\n")),
        line if line.starts_with("gets ") => Some(text("VALUE shop:1 0 1 0\r\nx\r\nEND\r\n")),
        _ => None,
    });
    let (what, _) = unproven(clear_shop(&context, ClearOptions::default()).await);
    assert!(what.contains("still listed 1 keys in scope, and without CAS (-C)"), "{what}");
}

/// The server counts a `cas` as a store and as a hit: mcflush's own are no sign of other clients.
#[tokio::test(start_paused = true)]
async fn deletes_by_comparing_are_not_taken_for_other_clients() {
    let (context, heard) = dumping("1.5.10", |number| {
        let listed = if number == 0 { (1..=5).map(|n| item(&format!("shop:{n}"), n)).collect() } else { String::new() };
        Say::Text(listed + "END\r\n")
    });
    let cleared = clear_shop(&context, keeping_new()).await;
    assert_eq!((cleared.proof, cleared.passes, cleared.deleted), (Some(ClearProof::Passes), 2, 5), "{cleared:?}");
    assert!(heard.all().iter().filter(|line| line.starts_with("cas ")).count() >= 4, "{:?}", heard.all());
}

#[tokio::test(start_paused = true)]
async fn at_a_deadline_in_a_wait_for_the_lru_maintainer_mcflush_says_what_may_be_left() {
    let dumps = AtomicUsize::new(0);
    let (mut context, _) = server(move |line| match line {
        "stats" => Say::Text(stats(7, "STAT lru_maintainer_juggles 5\r\n")),
        LRU_DUMP if dumps.fetch_add(1, SeqCst) == 0 => Say::Text(item("shop:1", 2) + "END\r\n"),
        LRU_DUMP => text("END\r\n"),
        line => at_rest("1.6.18", line),
    });
    end_in(&mut context, 10);
    let error = clear_shop(&context, ClearOptions::default()).await.error.expect("it cannot be complete").to_string();
    assert!(error.contains("at the deadline, keys may be left"), "{error}");
}

/// A wait for the server's LRU maintainer is told once, if it is long; one that never runs is given up.
#[tokio::test(start_paused = true)]
async fn a_long_wait_for_the_lru_maintainer_is_told_once() {
    for (runs_every, times, is_complete) in [(Some(10), 0, true), (Some(4_000), 1, true), (None, 1, false)] {
        let began = Instant::now();
        let dumps = AtomicUsize::new(0);
        let (mut context, _) = server(move |line| match line {
            "stats" => {
                let turns = runs_every.map_or(5, |every| began.elapsed().as_millis() / every);
                Say::Text(stats(7, &format!("STAT lru_maintainer_juggles {turns}\r\n")))
            }
            LRU_DUMP if dumps.fetch_add(1, SeqCst) == 0 => Say::Text(item("shop:1", 2) + "END\r\n"),
            LRU_DUMP => text("END\r\n"),
            line => at_rest("1.6.18", line),
        });
        let told = collect(&mut context, |event| {
            matches!(event, Event::Waiting { after, .. } if after == Duration::from_secs(1)).then_some(())
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!(cleared.proof.is_some(), is_complete, "{runs_every:?}: {cleared:?}");
        assert_eq!(told.lock().unwrap().len(), times, "{runs_every:?}: {cleared:?}");
        if !is_complete {
            let error = cleared.error.unwrap();
            assert!(error.kind() == FailureKind::Incomplete && error.to_string().contains("does not run"), "{error}");
        }
    }
}

/// A refused delete is told by the command that was sent, and does not count as done.
#[tokio::test(start_paused = true)]
async fn a_refused_delete_is_told_by_its_command() {
    for (version, refused, command) in [("1.6.18", "md shop:2 q", "md"), ("1.5.10", "delete shop:2", "delete")] {
        let dumps = AtomicUsize::new(0);
        let (context, _) = dumping_with(version, move |line| match line {
            LRU_DUMP if dumps.fetch_add(1, SeqCst) == 0 => {
                Some(Say::Text(item("shop:1", 2) + &item("shop:2", 3) + &item("shop:3", 4) + "END\r\n"))
            }
            LRU_DUMP => Some(text("END\r\n")),
            line if line == refused => Some(text("CLIENT_ERROR no\r\n")),
            _ => None,
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!((cleared.proof, cleared.deleted), (None, 2), "{version}: {cleared:?}");
        let error = cleared.error.unwrap();
        assert!(matches!(error.problem, Problem::Refusal { command: told, .. } if told == command), "{error}");
    }
}

/// Items that another client stored after they were listed are kept, and counted.
#[tokio::test(start_paused = true)]
async fn what_has_another_cas_by_now_is_kept_and_counted() {
    let dumps = AtomicUsize::new(0);
    let (context, _) = dumping_with("1.6.18", move |line| match line {
        LRU_DUMP if dumps.fetch_add(1, SeqCst) == 0 => {
            Some(Say::Text((1..=6).map(|n| item(&format!("shop:{n}"), n)).collect::<String>() + "END\r\n"))
        }
        LRU_DUMP => Some(text("END\r\n")),
        "md shop:2 C2 q" | "md shop:5 C5 q" => Some(text("EX\r\n")),
        "md shop:3 C3 q" => Some(text("NF\r\n")),
        _ => None,
    });
    let cleared = clear_shop(&context, keeping_new()).await;
    assert_eq!((cleared.matched, cleared.deleted, cleared.kept_new), (6, 3, Some(2)), "{cleared:?}");
}
