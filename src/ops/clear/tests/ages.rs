//! What tells old items from those stored meanwhile: a mark, the CAS that a listing gives, or a look at each key.

use super::*;

#[tokio::test(start_paused = true)]
async fn servers_that_list_some_keys_without_their_cas_are_refused_at_once() {
    for version in ["1.5.5", "1.5.6"] {
        let (context, heard) = dumping(version, |_| text("END\r\n"));
        let cleared = clear_shop(&context, keeping_new()).await;
        let error = cleared.error.expect("their newest entries have no CAS").to_string();
        assert!(error.contains("the newest entry of each LRU list without its CAS"), "{version}: {error}");
        assert_eq!(heard.count(LRU_DUMP), 0, "{version}");
    }
}

/// The mark may have been made: with a filter its item may then look as if it were stored meanwhile.
#[tokio::test(start_paused = true)]
async fn a_connection_lost_at_the_mark_is_a_reason_to_walk_again_only_with_a_filter() {
    for (filter, walks) in [(Filter::default(), 1), (larger_than_10(), 2)] {
        let marks = AtomicUsize::new(0);
        let (mut context, heard) = dumping_with("1.6.38", move |line| match line {
            HASH_DUMP => Some(Say::Text(item("shop:1", 2) + "END\r\n")),
            line if is_mark(line) && marks.fetch_add(1, SeqCst) == 0 => Some(Say::Last(String::new())),
            _ => None,
        });
        context.patience.retries = 1;
        let cleared = clear_shop(&context, ClearOptions { filter, ..keeping_new() }).await;
        assert_eq!((cleared.proof, cleared.deleted), (Some(ClearProof::Walk), 1), "{filter:?}: {cleared:?}");
        assert_eq!(heard.count(HASH_DUMP), walks, "{filter:?}");
    }
}

/// Another client deletes each key before it can be marked.
#[tokio::test(start_paused = true)]
async fn keys_that_are_gone_before_the_mark_are_neither_left_nor_kept() {
    let (context, heard) = dumping_with("1.6.38", |line| match line {
        HASH_DUMP => Some(Say::Text(item("shop:1", 2) + &item("shop:2", 3) + "END\r\n")),
        line if is_mark(line) => Some(text("NF\r\n")),
        _ => None,
    });
    let cleared = clear_shop(&context, keeping_new()).await;
    assert_eq!((cleared.proof, cleared.kept_new), (Some(ClearProof::Walk), Some(0)), "{cleared:?}");
    assert!(!heard.all().iter().any(|line| line.ends_with(" q")), "{:?}", heard.all());
}

#[tokio::test(start_paused = true)]
async fn a_clear_that_keeps_new_items_fails_if_the_mark_gives_no_cas() {
    let (context, heard) = dumping_with("1.6.38", |line| match line {
        HASH_DUMP => Some(Say::Text(item("shop:1", 2) + "END\r\n")),
        line if line.starts_with("mg ") => Some(text("HD c0\r\n")),
        _ => None,
    });
    let cleared = clear_shop(&context, keeping_new()).await;
    assert!(matches!(cleared.error.unwrap().problem, Problem::NoAge { .. }));
    assert!(!heard.all().iter().any(|line| line.ends_with(" q")), "{:?}", heard.all());
}

/// A pass may have missed keys that are older than those that it listed.
#[tokio::test(start_paused = true)]
async fn until_a_mark_is_found_every_key_counts_as_old() {
    let marks = AtomicUsize::new(0);
    let dumps = AtomicUsize::new(0);
    let (context, heard) = dumping_with("1.6.18", move |line| match line {
        LRU_DUMP => Some(Say::Text(match dumps.fetch_add(1, SeqCst) {
            0 => item("shop:1", 2) + "END\r\n",
            1 => item("shop:2", 40) + "END\r\n",
            _ => "END\r\n".into(),
        })),
        line if is_mark(line) && marks.fetch_add(1, SeqCst) == 0 => Some(text("NF\r\n")),
        _ => None,
    });
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((cleared.proof, heard.count(LRU_DUMP)), (Some(ClearProof::Passes), 3), "{cleared:?}");
}

#[tokio::test(start_paused = true)]
async fn with_a_filter_alone_the_first_listing_tells_old_items_and_none_is_marked() {
    for (cas, passes) in [(9, 2), (5, 3)] {
        let (context, heard) = dumping("1.6.18", move |number| {
            let listed = match number {
                0 => item("shop:1", 5),
                1 => item("shop:2", cas),
                _ => String::new(),
            };
            Say::Text(listed + "END\r\n")
        });
        let cleared = clear_shop(&context, ClearOptions { filter: larger_than_10(), ..ClearOptions::default() }).await;
        assert_eq!((cleared.proof, cleared.passes), (Some(ClearProof::Passes), passes), "{cas}: {cleared:?}");
        assert_eq!(cleared.deleted, 2, "{cas}");
        assert!(!heard.all().iter().any(|line| is_mark(line)), "{:?}", heard.all());
    }
}

/// A cachedump does not say the CAS of a key, so mcflush looks at each key once there is a mark to compare with.
#[tokio::test(start_paused = true)]
async fn keys_of_a_cachedump_are_looked_at_after_the_mark() {
    // The mark has CAS 50.
    for (cas, passes) in [(51, 2), (50, 3)] {
        let dumps = AtomicUsize::new(0);
        let (context, heard) = dumping_with("1.4.25", move |line| match line {
            "stats settings" => Some(text("STAT cas_enabled yes\r\nSTAT lru_maintainer_thread no\r\nEND\r\n")),
            "stats items" => Some(text("STAT items:1:number 2\r\nEND\r\n")),
            "stats cachedump 1 0" => Some(text(match dumps.fetch_add(1, SeqCst) {
                0 => "ITEM shop:1 [1 b; 0 s]\r\nITEM shop:2 [1 b; 0 s]\r\nEND\r\n",
                1 => "ITEM shop:3 [1 b; 0 s]\r\nEND\r\n",
                _ => "END\r\n",
            })),
            "gets shop:3" => Some(Say::Text(format!("VALUE shop:3 0 1 {cas}\r\nx\r\nEND\r\n"))),
            _ => None,
        });
        let cleared = clear_shop(&context, ClearOptions::default()).await;
        let counts = (cleared.proof, cleared.passes, cleared.deleted);
        assert_eq!(counts, (Some(ClearProof::Passes), passes, 3), "{cas}: {cleared:?}");
        let looks = ["gets shop:1", "gets shop:2", "gets shop:3"].map(|look| heard.count(look));
        assert_eq!(looks, [1, 0, 1], "{cas}: the first shows the mark");
    }
}
