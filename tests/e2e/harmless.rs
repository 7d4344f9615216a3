//! No other client is affected: their gets continue whatever mcflush does, also while it is stopped.
//!
//! The limits here suit a loaded machine and catch clients that hang; `make torture` measures.

use std::time::Duration;

use crate::support::run::{Running, mcflush};
use crate::support::server::{LARGE_TABLE, Server, Version, each_version};
use crate::support::traffic::Reader;
use crate::support::wait_for;

each_version!(gets_go_on_during_a_clear, gets_go_on_with_a_rate, gets_go_on_while_it_is_stopped);

/// Enough keys that a dump does not fit into the buffers between the server and a client that does not read.
const EACH: usize = 80_000;

/// Runs `work` while a client reads keys of `server`. No get may take many times as long as the longest one of a server that
/// mcflush does not know: a busy machine makes both wait.
fn while_a_client_reads(
    version: Version,
    server: &Server,
    keys: usize,
    key: impl Fn(usize) -> String + Sync,
    work: impl FnOnce(&Reader),
) {
    let elsewhere = Server::start(version, &[]);
    Reader::during(
        &elsewhere,
        1,
        |_| "blog:1".to_owned(),
        |beside| {
            Reader::during(server, keys, key, |reader| {
                wait_for("gets without mcflush", || (reader.gets() > 1_000).then_some(()));
                work(reader);
                let longest = Duration::from_secs(30) + 10 * beside.worst();
                assert!(reader.worst() < longest, "a get took {:?}, elsewhere {:?}", reader.worst(), beside.worst());
            });
        },
    );
}

fn loaded(version: Version, ours: usize) -> Server {
    let server = Server::start(version, &LARGE_TABLE);
    server.store((0..EACH).map(|n| format!("blog:{n}")).chain((0..ours).map(|n| format!("shop:{n}"))));
    server
}

/// Keys of both apps; those of the app that is not cleared come first.
fn key(ours: usize) -> impl Fn(usize) -> String + Sync {
    move |n| if n < ours { format!("shop:{n}") } else { format!("blog:{}", n - ours) }
}

fn gets_go_on_during_a_clear(version: Version) {
    let server = loaded(version, EACH);
    while_a_client_reads(version, &server, EACH + EACH, key(EACH), |_| {
        mcflush(["--prefix", "shop:", server.address()]).run().is_complete();
    });
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, EACH));
}

fn gets_go_on_with_a_rate(version: Version) {
    const OURS: usize = 10_000;
    let server = loaded(version, OURS);
    while_a_client_reads(version, &server, EACH + OURS, key(OURS), |_| {
        let run = mcflush(["--rate", "5000", "--prefix", "shop:", server.address()]).run();
        run.is_complete();
        assert!(run.took > Duration::from_millis(1_800), "faster than it may: {run}");
    });
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, EACH));
}

fn gets_go_on_while_it_is_stopped(version: Version) {
    let server = loaded(version, EACH);
    while_a_client_reads(version, &server, EACH + EACH, key(EACH), |reader| {
        let crawls = server.stat("lru_crawler_starts");
        let mut clear = mcflush(["--prefix", "shop:", server.address()]).spawn();
        // In the middle of the dump, then at several points of the deletes.
        wait_for("the dump to begin", || (server.stat("lru_crawler_starts") > crawls).then_some(()));
        stop_for_a_while(&clear, reader);
        for tenths in [1, 3, 5, 7, 9] {
            let deletes = EACH as u64 * tenths / 10;
            wait_for("more deletes", || (!clear.is_running() || server.stat("delete_hits") >= deletes).then_some(()));
            if !clear.is_running() {
                break;
            }
            stop_for_a_while(&clear, reader);
        }
        clear.wait().is_complete();
    });
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, EACH));
}

/// Waits until a hundred keys have been read; fails if none can be read.
fn stop_for_a_while(clear: &Running, reader: &Reader) {
    clear.signal("STOP");
    let before = reader.gets();
    wait_for("gets while mcflush is stopped", || (reader.gets() > before + 500).then_some(()));
    clear.signal("CONT");
}
