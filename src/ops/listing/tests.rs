//! How each strategy lists keys, and what it waits for.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::error::FailureKind;
use crate::ops::retry::Retries;
use crate::ops::scripted::{HASH_DUMP, Heard, LRU_DUMP, Say, address, collect, item, server, stop_in, text};

/// Keeps the listed keys, as they came.
#[derive(Default)]
struct Keys(Vec<String>);

impl Visitor for Keys {
    fn visit(&mut self, item: ListedItem<'_>) -> Result<(), Error> {
        self.0.push(String::from_utf8_lossy(item.raw_key()).into_owned());
        Ok(())
    }
}

/// A server of this version that knows no other command than those that the function answers.
fn knowing(version: &'static str, answer: impl Fn(&str) -> Option<Say> + Send + 'static) -> (Context, Heard) {
    server(move |line| match (answer(line), line) {
        (Some(said), _) => said,
        (None, "version") => Say::Text(format!("VERSION {version}\r\n")),
        (None, _) => text("ERROR\r\n"),
    })
}

/// A server that knows only a dump of the hash table.
fn dumping(version: &'static str, dump: impl Fn() -> Say + Send + 'static) -> (Context, Heard) {
    knowing(version, move |line| (line == HASH_DUMP).then(&dump))
}

/// How a walk ends, and the keys that it shows.
async fn walked(context: &Context, strategy: Strategy) -> (Result<Walked, Error>, Vec<String>) {
    let way = choose(&address(), Some(strategy), context, &mut Retries::new(context)).await.unwrap();
    let mut client = context.connect(&address()).await.unwrap();
    let mut keys = Keys::default();
    let walked = walk(way, &mut client, context, &mut keys).await;
    (walked, keys.0)
}

fn hiding(hidden: u64) -> Coverage {
    Coverage { hidden, ..Coverage::ALL }
}

/// What the context's events tell of from now on: the reasons of waits, and of strategies.
fn reasons(context: &mut Context) -> Arc<Mutex<Vec<String>>> {
    collect(context, |event| match event {
        Event::Waiting { why, .. } => Some(why.to_owned()),
        Event::Strategy { why, .. } => Some(why),
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn what_a_cachedump_leaves_out_depends_on_lists_and_version() {
    // Of the first class, two keys are not listed, of the second, one: in other lists, or stored as base64.
    for (version, hot, coverage) in [
        ("1.4.25", 0, Coverage::ALL),
        ("1.4.25", 1, Coverage { is_partial: true, ..hiding(2) }),
        ("1.6.9", 0, Coverage::ALL),
        ("1.6.10", 0, hiding(3)),
        ("unknown", 0, hiding(3)),
        ("1.6.38", 0, hiding(3)),
        ("1.6.38", 1, Coverage { is_partial: true, ..hiding(3) }),
    ] {
        let (context, _) = knowing(version, move |line| match line {
            "stats settings" => Some(text("STAT lru_segmented no\r\nEND\r\n")),
            "stats items" => Some(Say::Text(format!(
                "STAT items:1:number 3\r\nSTAT items:1:number_hot {hot}\r\nSTAT items:2:number 2\r\nEND\r\n"
            ))),
            "stats cachedump 1 0" => Some(text("ITEM a [1 b; 0 s]\r\nEND\r\n")),
            "stats cachedump 2 0" => Some(text("ITEM b [1 b; 0 s]\r\nEND\r\n")),
            _ => None,
        });
        let (walked, keys) = walked(&context, Strategy::Cachedump).await;
        assert_eq!((walked.unwrap(), keys.concat().as_str()), (Walked::Whole(coverage), "ab"), "{version} {hot}");
    }
}

/// Between two questions, the first item may be stored.
#[tokio::test(start_paused = true)]
async fn a_server_that_names_no_slab_class_is_empty_if_it_says_so_or_names_one_later() {
    for (items, class_later, is_whole) in [(0, false, true), (1, true, true), (1, false, false)] {
        let asked = AtomicUsize::new(0);
        let (context, _) = knowing("1.4.25", move |line| match line {
            "stats" => Some(Say::Text(format!("STAT curr_items {items}\r\nEND\r\n"))),
            "stats items" if asked.fetch_add(1, SeqCst) > 0 && class_later => {
                Some(text("STAT items:1:number 1\r\nEND\r\n"))
            }
            "stats items" => Some(text("END\r\n")),
            _ => None,
        });
        match walked(&context, Strategy::Cachedump).await.0 {
            Ok(walked) => assert!(is_whole && walked == Walked::Whole(Coverage::ALL), "{walked:?}"),
            Err(error) => assert!(!is_whole && matches!(error.problem, Problem::Unsuited { .. }), "{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_entries_that_a_dump_leaves_out_are_listed_apart() {
    let (context, _) = knowing("1.5.5", |line| match line {
        "stats items" => Some(text(
            "STAT items:1:number 5\r\nSTAT items:2:number 1\r\nSTAT items:3:number 3\r\nSTAT items:3:number_hot 1\r\n\
             STAT items:3:number_warm 1\r\nEND\r\n",
        )),
        LRU_DUMP => {
            let other = item("f", 6).replace("cls=1", "cls=3");
            Some(Say::Text(item("a", 2) + &item("b", 3) + &item("c", 4) + &other + "END\r\n"))
        }
        "stats cachedump 1 1" => Some(text("ITEM d [1 b; 0 s]\r\nEND\r\n")),
        "stats cachedump 2 1" => Some(text("ITEM e [1 b; 0 s]\r\nEND\r\n")),
        "stats cachedump 3 1" => Some(text("ITEM g [1 b; 0 s]\r\nEND\r\n")),
        _ => None,
    });
    let (walked, mut keys) = walked(&context, Strategy::Lru).await;
    keys.sort();
    assert_eq!(keys.concat(), "abcdefg");
    // One key of the first class, none of the second, and the newest of two lists of the third.
    assert_eq!(walked.unwrap(), Walked::Whole(hiding(1 + 2)));
}

#[tokio::test(start_paused = true)]
async fn a_dump_without_its_end_line_is_an_error() {
    let whole = |answer: &'static str| async move {
        let (context, _) = dumping("1.6.38", move || text(answer));
        let (walked, keys) = walked(&context, Strategy::Hash).await;
        (walked.map_err(|error| error.kind()), keys.concat())
    };
    let all = Ok(Walked::Whole(Coverage::ALL));
    assert_eq!(whole("key=a exp=-1 cas=2\nEND\r\n").await, (all, "a".into()));
    let all = Ok(Walked::Whole(Coverage::ALL));
    assert_eq!(whole("NOTSTARTED no items to crawl\r\n").await, (all, String::new()));
    // Not a refusal: another listing would show the key again.
    assert_eq!(whole("key=a exp=-1 cas=2\nERROR\r\n").await, (Err(FailureKind::Server), "a".into()));
    assert_eq!(whole("VERSION 1.6.38\r\n").await, (Err(FailureKind::Protocol), String::new()));
}

#[tokio::test(start_paused = true)]
async fn only_a_malformed_line_of_a_server_that_garbles_means_a_garbled_dump() {
    for (version, is_garbled) in [("1.6.38", true), ("1.6.45", false)] {
        let (context, _) = dumping(version, || text("lost in the middle\r\n"));
        let error = walked(&context, Strategy::Hash).await.0.unwrap_err();
        assert_eq!(matches!(error.problem, Problem::Garbled { .. }), is_garbled, "{version}: {error}");
        let (context, _) = dumping(version, || Say::Last(item("shop:1", 2)));
        let error = walked(&context, Strategy::Hash).await.0.unwrap_err();
        assert!(matches!(error.problem, Problem::Lost { .. }), "{version}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_not_waited_for_as_one_that_walks() {
    let within_a_line = dumping("1.6.38", || text("key=shop%3A1 exp"));
    let before_the_dump = knowing("1.6.38", |line| (line == "stats").then_some(Say::Silence));
    for (context, heard) in [within_a_line, before_the_dump] {
        let began = Instant::now();
        let error = walked(&context, Strategy::Hash).await.0.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Timeout, "{error}");
        assert_eq!(began.elapsed(), context.patience.timeout, "{:?}", heard.all());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dump_waits_for_another_crawl_and_for_the_hash_table_and_says_so() {
    let full = |time: u32| format!("STAT time {time}\r\nSTAT hash_power_level 16\r\nSTAT curr_items 98305\r\nEND\r\n");
    let one = |stat: &str| vec![format!("STAT {stat} 1\r\nEND\r\n"), "END\r\n".into()];
    for (stats, waits, why) in [
        (one("lru_crawler_running"), 1, "crawler is taken"),
        (one("hash_is_expanding"), 1, "is enlarging its hash table"),
        // For more than three seconds by the server's clock.
        (vec![full(100), full(103), full(104)], 2, "about to enlarge its hash table"),
    ] {
        let asked = AtomicUsize::new(0);
        let (mut context, heard) = knowing("1.6.38", move |line| match line {
            "stats" => Some(Say::Text(stats[asked.fetch_add(1, SeqCst)].clone())),
            HASH_DUMP => Some(text("END\r\n")),
            _ => None,
        });
        let reasons = reasons(&mut context);
        let (walked, _) = walked(&context, Strategy::Hash).await;
        assert_eq!((walked.unwrap(), heard.count("stats")), (Walked::Whole(Coverage::ALL), waits + 1), "{why}");
        let told = reasons.lock().unwrap().iter().filter(|reason| reason.contains(why)).count();
        assert_eq!(told, waits, "{why}");
    }
}

/// To close the connection during the last part of a dump can crash these servers.
#[tokio::test(start_paused = true)]
async fn a_dump_that_is_given_up_is_read_to_its_end_where_closing_crashes_the_server() {
    let dump = |first: &str| first.to_owned() + &item("shop:2", 3) + &item("shop:3", 4) + "END\r\n";
    let whole = dump(&item("shop:1", 2));
    let garbled = dump("key=shop%3A1 exp=-1 la=17key=shop%3A9 exp=-1 cas=2\n");
    for (version, answer, kind, milliseconds) in [
        ("1.6.24", &whole, FailureKind::Interrupted, 4_000),
        ("1.6.24", &garbled, FailureKind::Protocol, 4_000),
        ("1.6.38", &whole, FailureKind::Interrupted, 1_500),
        ("1.6.38", &garbled, FailureKind::Protocol, 1_000),
    ] {
        let answer = answer.clone();
        let (context, _) = dumping(version, move || Say::Slowly(Duration::from_secs(1), answer.clone()));
        let began = Instant::now();
        stop_in(&context, Duration::from_millis(1_500));
        let error = walked(&context, Strategy::Hash).await.0.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_millis()), (kind, milliseconds), "{version}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_dump_is_followed_by_a_cachedump_and_its_answer_told() {
    let (mut context, _) = knowing("1.6.38", |line| match line {
        "stats items" => Some(text("STAT items:1:number 1\r\nEND\r\n")),
        "stats cachedump 1 0" => Some(text("ITEM a [1 b; 0 s]\r\nEND\r\n")),
        _ => None,
    });
    let reasons = reasons(&mut context);
    let visited = visit_all(&address(), None, &context, Keys::default).await.unwrap();
    assert_eq!((visited.strategy, visited.visitor.0), (Strategy::Cachedump, vec!["a".to_owned()]));
    assert_eq!(reasons.lock().unwrap().last().unwrap(), "hash was answered \"ERROR\"");
}

#[tokio::test(start_paused = true)]
async fn after_a_refused_dump_a_proxy_is_asked_for_no_other_listing_and_a_forbidden_cachedump_is_called_disabled() {
    let refused = |asked, refusal: &'static str| async move {
        let (context, heard) = knowing("1.6.38", move |line| match line {
            "version" => None,
            "stats items" if asked == Some(Strategy::Cachedump) => Some(text("STAT items:1:number 1\r\nEND\r\n")),
            _ => Some(text(refusal)),
        });
        let error = visit_all(&address(), asked, &context, Keys::default).await.err().unwrap();
        (error.problem, heard.count("stats settings"))
    };
    let (problem, other_listings) = refused(None, "CLIENT_ERROR parsing request\r\n").await;
    assert!(matches!(problem, Problem::Refusal { command: "lru_crawler metadump", .. }), "{problem}");
    assert_eq!(other_listings, 0);
    let (problem, _) = refused(Some(Strategy::Cachedump), "CLIENT_ERROR stats cachedump not allowed\r\n").await;
    assert!(matches!(problem, Problem::Disabled { .. }), "{problem}");
}

#[test]
fn a_listed_key_that_no_server_can_hold_is_an_error() {
    for (length, is_key) in [(KEY_MAX, true), (KEY_MAX + 1, false)] {
        let line = CachedumpItem::new(format!("ITEM {} [1 b; 0 s]", "k".repeat(length))).unwrap();
        let mut key = BytesMut::new();
        let decoded = ListedItem::Cachedump(&line).decode_key(&address(), &mut key);
        assert_eq!((decoded.is_ok(), key.len()), (is_key, if is_key { length } else { 0 }));
    }
}

/// Old servers give the time of their start for an item that never expires.
#[test]
fn a_cachedump_tells_when_an_item_expires_only_by_a_time_to_come() {
    for (time, expires) in [(0_u64, None), (1_500_000_000, None), (4_102_444_800, Some(4_102_444_800))] {
        let line = CachedumpItem::new(format!("ITEM a [1 b; {time} s]")).unwrap();
        assert_eq!(ListedItem::Cachedump(&line).expires(), expires);
    }
}
