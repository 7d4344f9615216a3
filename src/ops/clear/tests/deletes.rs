//! The commands that delete, and what comes of their answers.

use super::*;
use crate::ops::Stop;

/// A server that lists these items, and knows no meta commands in spite of its version.
fn without_meta(listed: String) -> (Context, Heard) {
    dumping_with("1.6.38", move |line| match line {
        HASH_DUMP => Some(Say::Text(listed.clone() + "END\r\n")),
        line if line.starts_with('m') => Some(text("ERROR\r\n")),
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn a_server_without_the_meta_commands_of_its_version_is_told_to_delete_by_others() {
    for (options, deletes) in [
        (ClearOptions::default(), ["delete shop:1", "delete shop:2"]),
        (keeping_new(), ["cas shop:1 0 -1 0 50", "cas shop:2 0 -1 0 3"]),
    ] {
        let (context, heard) = without_meta(item("shop:1", 2) + &item("shop:2", 3));
        let cleared = clear_shop(&context, options).await;
        assert_eq!((cleared.proof, cleared.deleted), (Some(ClearProof::Walk), 2), "{cleared:?}");
        let lines = heard.all();
        assert!(deletes.iter().all(|delete| heard.count(delete) == 1), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("md ")), "{lines:?}");
    }
}

/// The classic commands cannot mark an item only if it is still the listed one.
#[tokio::test(start_paused = true)]
async fn a_server_without_meta_commands_cannot_keep_new_items_under_a_filter() {
    let (context, heard) = without_meta(item("shop:1", 2));
    let cleared = clear_shop(&context, ClearOptions { filter: larger_than_10(), ..keeping_new() }).await;
    assert!(matches!(cleared.error, Some(crate::error::Error { problem: Problem::NoAge { .. }, .. })), "{cleared:?}");
    let lines = heard.all();
    assert!(!lines.iter().any(|line| line.starts_with("append ") || line.starts_with("cas ")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_answers_to_what_was_sent() {
    let stop = Stop::default();
    let cancelled = stop.clone();
    let (mut context, _) = dumping_with("1.5.10", move |line| match line {
        LRU_DUMP => Some(Say::Text(item("shop:1", 2) + &item("shop:2", 3) + "END\r\n")),
        "delete shop:1" => {
            cancelled.cancel();
            Some(Say::Later(Duration::from_secs(1), "DELETED\r\n".into()))
        }
        _ => None,
    });
    context.stop = stop;
    let cleared = clear_shop(&context, ClearOptions::default()).await;
    assert_eq!((kind(&cleared), cleared.deleted), (Some(FailureKind::Interrupted), 2), "{cleared:?}");
}

/// The fence of a batch confirms its deletes, so one more would confirm the next batch before its answers come.
#[tokio::test(start_paused = true)]
async fn a_batch_without_a_delete_has_no_fence() {
    let (context, _) = dumping_with("1.6.38", |line| match line {
        HASH_DUMP => Some(Say::Text(item("shop:1", 2) + &item("shop:2", 60) + &item("shop:3", 3) + "END\r\n")),
        "md shop:3 C3 q" => Some(text("NF\r\n")),
        _ => None,
    });
    // So slow that each key is a batch of its own.
    let cleared = clear_shop(&context, ClearOptions { rate: Some(50.try_into().unwrap()), ..keeping_new() }).await;
    assert_eq!((cleared.proof, cleared.kept_new), (Some(ClearProof::Walk), Some(1)), "{cleared:?}");
    assert_eq!(cleared.deleted, 1, "another client was faster with the third: {cleared:?}");
}
