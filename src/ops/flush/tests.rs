//! The checks after a flush, with a scripted server and a paused clock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use super::{Flush, flush};
use crate::error::FailureKind;
use crate::ops::scripted::{Say, address, item, server, stats, text};

#[tokio::test(start_paused = true)]
async fn items_stored_after_a_restart_are_new() {
    // The server restarts between the flush and the walk. It counts CAS from 1 again, so its new items look older than
    // the probe.
    let (mut context, heard) = server({
        let is_flushed = AtomicBool::new(false);
        move |line| match line {
            "stats" => {
                let pid = if is_flushed.load(SeqCst) { 8 } else { 7 };
                Say::Text(stats(pid, "STAT version 1.6.45\r\n"))
            }
            "stats settings" => text("STAT cas_enabled yes\r\nEND\r\n"),
            "flush_all" => {
                is_flushed.store(true, SeqCst);
                text("OK\r\n")
            }
            "version" => text("VERSION 1.6.45\r\n"),
            "mn" => text("MN\r\n"),
            "lru_crawler metadump hash" => Say::Text(item("shop:1", 2) + "END\r\n"),
            line if line.starts_with("set ") => text("STORED\r\n"),
            line if line.starts_with("gets ") => {
                Say::Text(format!("VALUE {} 0 1 50\r\nx\r\nEND\r\n", line.strip_prefix("gets ").unwrap()))
            }
            line if line.starts_with("md ") => text(""),
            _ => text("ERROR\r\n"),
        }
    });
    context.patience.retries = 0;
    let flushed = flush(&address(), Flush::Exact { verify: false, keep_new: true }, &context).await;
    assert_eq!(flushed.map_err(|error| error.kind()), Err(FailureKind::Incomplete));
    assert!(!heard.all().iter().any(|line| line.starts_with("md ")), "{:?}", heard.all());
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
