//! How passes are judged by the server's counters and by other keys, beside clients that use the server.

use super::*;

/// A server that other clients use all the time: each reading of its counters shows one more read. Its dumps are made
/// by their number, and a mark gives this CAS.
fn in_use(mark: u64, dump: impl Fn(usize) -> Say + Send + 'static) -> (Context, Heard) {
    let (number, readings) = (AtomicUsize::new(0), AtomicU32::new(0));
    dumping_with("1.6.18", move |line| match line {
        LRU_DUMP => Some(dump(number.fetch_add(1, SeqCst))),
        "stats" => Some(Say::Text(stats(7, &format!("STAT touch_hits {}\r\n", readings.fetch_add(1, SeqCst))))),
        line if line.starts_with("mg ") => Some(Say::Text(format!("HD c{mark}\r\n"))),
        _ => None,
    })
}

fn blog(numbers: impl IntoIterator<Item = usize>, cas: u64) -> String {
    numbers.into_iter().map(|n| item(&format!("blog:{n}"), cas)).collect()
}

/// Each pass misses one key of ten, of those that nobody clears: as many of those in scope may be missed.
#[tokio::test(start_paused = true)]
async fn keys_out_of_scope_show_how_many_a_pass_misses() {
    let (context, _) = in_use(50, |number| {
        let ours = if number == 0 { item("shop:1", 2) } else { String::new() };
        Say::Text(blog((0..1_000).filter(|n| n % 10 != number % 10), 9) + &ours + "END\r\n")
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(cleared.proof, Some(ClearProof::Passes), "{cleared:?}");
    let rate = cleared.miss_rate.unwrap();
    assert!((0.1..0.15).contains(&rate) && cleared.passes < 12, "{cleared:?}");
}

#[tokio::test(start_paused = true)]
async fn old_keys_out_of_scope_that_a_pass_lists_late_were_missed_before() {
    // The third pass lists 250 keys, of which those before it listed 200.
    for (late_cas, mark, rate) in [(2, 50, 0.2..0.3), (60, 50, 0.0..0.1), (0, 0, 0.0..0.1)] {
        let (context, _) = in_use(mark, move |number| {
            let cas = mark.min(2);
            let in_scope = if number == 0 { item("shop:1", cas) } else { String::new() };
            let late = if number < 2 { String::new() } else { blog(200..250, late_cas) };
            Say::Text(in_scope + &blog(0..200, cas) + &late + "END\r\n")
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!((cleared.proof, cleared.deleted), (Some(ClearProof::Passes), 1), "{cleared:?}");
        assert!(rate.contains(&cleared.miss_rate.unwrap()), "{late_cas}, {mark}: {cleared:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn passes_that_miss_most_keys_prove_nothing() {
    let (context, heard) =
        in_use(50, |number| Say::Text(if number % 2 == 0 { blog(0..200, 2) } else { String::new() } + "END\r\n"));
    let (what, _) = unproven(clear_shop(&context, ClearOptions::default()).await);
    assert!(what.contains("more than half of its keys: at 40 passes, at most 1 key may be left"), "{what}");
    assert_eq!(heard.count(LRU_DUMP), 40);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_moves_items_between_its_lists_is_not_at_rest() {
    let readings = AtomicU32::new(0);
    let (context, heard) = dumping_with("1.6.18", move |line| match line {
        LRU_DUMP => Some(text("END\r\n")),
        "stats" => Some(Say::Text(stats(7, &format!("STAT moves_to_cold {}\r\n", readings.fetch_add(1, SeqCst))))),
        _ => None,
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(cleared.proof, Some(ClearProof::Passes), "{cleared:?}");
    assert!(cleared.miss_rate > Some(0.0) && heard.count(LRU_DUMP) > 10, "{cleared:?}");
}

/// In the pause after the first pass, the server moves items to another slab page, so that they look new.
#[tokio::test(start_paused = true)]
async fn after_moves_passes_are_judged_anew_if_a_mark_told_old_keys_from_new_ones() {
    for (mark, second, told) in [
        // The key that the second pass lists may be old or new, so that pass does not count.
        (50, item("shop:2", 60), vec![1, 0, 0]),
        // Nothing that may be old was listed.
        (50, String::new(), vec![1, 0]),
        // Without CAS (-C), a key counts as old all the same.
        (0, item("shop:2", 0), vec![1, 1, 0]),
    ] {
        let (began, dumps) = (Instant::now(), AtomicUsize::new(0));
        let (mut context, _) = dumping_with("1.6.18", move |line| match line {
            LRU_DUMP => Some(Say::Text(match dumps.fetch_add(1, SeqCst) {
                0 => item("shop:1", mark.min(2)) + "END\r\n",
                1 => second.clone() + "END\r\n",
                _ => "END\r\n".into(),
            })),
            "stats" => Some(Say::Text(stats(
                7,
                &format!("STAT slab_reassign_rescues {}\r\n", began.elapsed().as_secs().min(1)),
            ))),
            line if line.starts_with("mg ") => Some(Say::Text(format!("HD c{mark}\r\n"))),
            _ => None,
        });
        let evidence = told_evidence(&mut context);
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!(cleared.proof, Some(ClearProof::Passes), "{cleared:?}");
        let old: Vec<_> = evidence.lock().unwrap().iter().map(|(_, old, _)| *old).collect();
        assert!(old.starts_with(&told) && (mark == 0 || old.len() == told.len()), "{told:?}: {old:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_renew_the_limit_of_40_passes() {
    let dumps = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&dumps);
    let (context, _) = dumping_with("1.6.18", move |line| match line {
        LRU_DUMP => {
            seen.fetch_add(1, SeqCst);
            Some(Say::Text(item("shop:1", 2) + "END\r\n"))
        }
        "stats" => Some(Say::Text(stats(if seen.load(SeqCst) < 5 { 7 } else { 8 }, ""))),
        _ => None,
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((kind(&cleared), cleared.passes), (Some(FailureKind::Incomplete), 40), "{cleared:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_stored_meanwhile_that_another_client_deletes_first_costs_no_pass() {
    let dumps = AtomicUsize::new(0);
    let (context, _) = dumping_with("1.6.18", move |line| match line {
        LRU_DUMP if dumps.fetch_add(1, SeqCst) == 0 => Some(Say::Text(item("shop:1", 2) + "END\r\n")),
        LRU_DUMP => Some(Say::Text(item("shop:2", 60) + "END\r\n")),
        "md shop:2 q" => Some(text("NF\r\n")),
        _ => None,
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, cleared.passes), (Some(ClearProof::Passes), 2), "{cleared:?}");
}

/// A cachedump lists expired items, which no command finds; the first lookup removes them.
#[tokio::test(start_paused = true)]
async fn expired_keys_in_the_first_cachedump_count_as_old_keys() {
    let dumps = AtomicUsize::new(0);
    let (mut context, _) = dumping_with("1.4.25", move |line| match line {
        "stats items" => Some(text("STAT items:1:number 1\r\nEND\r\n")),
        "stats settings" => Some(text("STAT cas_enabled yes\r\nSTAT lru_maintainer_thread no\r\nEND\r\n")),
        "stats cachedump 1 0" if dumps.fetch_add(1, SeqCst) == 0 => Some(text("ITEM shop:1 [1 b; 0 s]\r\nEND\r\n")),
        "stats cachedump 1 0" => Some(text("END\r\n")),
        line if line.starts_with("append ") => Some(text("NOT_STORED\r\n")),
        line if line.starts_with("delete ") => Some(text("NOT_FOUND\r\n")),
        _ => None,
    });
    let told = told_evidence(&mut context);
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!(cleared.proof, Some(ClearProof::Passes), "{cleared:?}");
    assert_eq!(*told.lock().unwrap(), [(1, 1, None), (2, 0, Some(0.0))]);
}

/// Passes are three runs of the LRU maintainer apart, counted from the beginning of the earlier one.
#[tokio::test(start_paused = true)]
async fn the_time_of_a_pass_and_of_a_pause_counts_as_waiting_for_the_lru_maintainer() {
    for (is_used, apart) in [(true, 100), (false, 1_500)] {
        let (began, readings) = (Instant::now(), AtomicU32::new(0));
        let (context, heard) = dumping_with("1.6.18", move |line| match line {
            LRU_DUMP => Some(Say::Later(Duration::from_millis(100), "END\r\n".into())),
            "stats" => {
                let hits = if is_used { readings.fetch_add(1, SeqCst) } else { 0 };
                let turns = began.elapsed().as_millis() / 10;
                Some(Say::Text(stats(7, &format!("STAT touch_hits {hits}\r\nSTAT lru_maintainer_juggles {turns}\r\n"))))
            }
            _ => None,
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        assert_eq!(cleared.proof, Some(ClearProof::Passes), "{cleared:?}");
        let times = heard.times(LRU_DUMP);
        assert_eq!((times[1] - times[0]).as_millis(), apart, "{times:?}");
    }
}
