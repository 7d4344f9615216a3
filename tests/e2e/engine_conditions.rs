//! Clears while the server is busy with other things.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::fake::{Fake, holding_deletes, is_delete};
use crate::support::run::mcflush;
use crate::support::server::{LARGE_TABLE, Server, Version, each_version};
use crate::support::traffic::{StopAtEnd, get};
use crate::support::{LONG, wait_for};

each_version!(
    the_hash_table_grows,
    items_are_evicted,
    items_expire,
    slab_pages_move,
    no_lru_maintainer,
    values_on_disk,
    a_unix_socket,
    another_crawl_runs,
    two_clears_at_once,
    the_server_dies_and_comes_back,
    keys_read_three_times,
    more_keys_than_memory_holds,
    without_a_temporary_file_for_keys_that_memory_cannot_hold,
    memory_stays_small,
);

fn numbered(prefix: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |n| format!("{prefix}{n}"))
}

/// A pause of other clients after each turn, so that they do not keep all processors busy.
const PAUSE: Duration = Duration::from_millis(5);

/// Clears `shop:` while `other` is called repeatedly, from before the clear until after it.
fn clear_during(server: &Server, mut other: impl FnMut() + Send) {
    let (stop, turns) = (AtomicBool::new(false), std::sync::atomic::AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                other();
                turns.fetch_add(1, Relaxed);
                std::thread::sleep(PAUSE);
            }
        });
        wait_for("the other client to begin", || (turns.load(Relaxed) > 0).then_some(()));
        mcflush(["--prefix", "shop:", server.address()]).run().is_complete();
    });
}

fn the_hash_table_grows(version: Version) {
    const OURS: usize = 30_000;
    let server = Server::start(version, &["-o", "hashpower=13"]);
    server.store(numbered("shop:", OURS));
    let level = || server.stat("hash_power_level");
    let (before, mut stored) = (level(), 0);
    clear_during(&server, || {
        // Limited, because the test counts all these keys afterwards.
        if stored < 120_000 {
            server.store((stored..stored + 10_000).map(|n| format!("blog:{n}")));
            stored += 10_000;
        }
    });
    wait_for("the hash table to have grown", || (stored < 60_000 || level() > before).then_some(()));
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, stored));
}

fn items_are_evicted(version: Version) {
    const OURS: usize = 5_000;
    let server = Server::start(version, &["-m", "64"]);
    let value = vec![b'v'; 2_000];
    let mut round = 0;
    let mut fill = || {
        let mut loader = server.loader();
        for n in 0..500 {
            loader.set(format!("blog:{round}:{n}").as_bytes(), &value);
        }
        // This waits for the server, which needs time for other clients.
        loader.finish();
        round += 1;
    };
    while server.stat("evictions") == 0 {
        fill();
    }
    let mut loader = server.loader();
    for key in numbered("shop:", OURS) {
        loader.set(key.as_bytes(), &value);
    }
    loader.finish();
    let before = server.stat("evictions");
    clear_during(&server, fill);
    assert!(server.stat("evictions") > before, "nothing was evicted meanwhile");
    assert_eq!(server.count("shop:"), 0);
    assert!(server.count("blog:") > 0);
}

fn items_expire(version: Version) {
    const EACH: usize = 20_000;
    let server = Server::start(version, &[]);
    let mut commands = String::new();
    for n in 0..EACH {
        // Some expire before the clear begins, some while it runs, and some never.
        let seconds = [1, 2, 3, 0][n % 4];
        for app in ["shop", "blog"] {
            commands.push_str(&format!("set {app}:{n} 0 {seconds} 1 noreply\r\nx\r\n"));
        }
    }
    let mut connection = server.connect();
    connection.send(commands.as_bytes());
    connection.send(b"mn\r\n");
    assert_eq!(connection.line().as_deref(), Some("MN"));
    wait_for("the first to expire", || (!get(&mut connection, "blog:0")).then_some(()));
    mcflush(["--prefix", "shop:", server.address()]).run().is_complete();
    for n in 0..EACH {
        assert!(n % 97 != 0 || !get(&mut connection, &format!("shop:{n}")));
        assert!(n % 4 != 3 || n % 97 != 0 || get(&mut connection, &format!("blog:{n}")), "blog:{n} is gone");
    }
}

fn slab_pages_move(version: Version) {
    const EACH: usize = 40_000;
    let server = Server::start(version, &["-o", "slab_reassign,no_slab_automove"]);
    let mut loader = server.loader();
    for n in 0..EACH {
        for app in ["shop", "blog"] {
            loader.set(format!("{app}:{n}").as_bytes(), &vec![b'v'; [20, 400][n % 2]]);
        }
    }
    loader.finish();
    // The two slab classes that hold the keys.
    let mut classes: Vec<(u64, String)> = server
        .stats("stats slabs")
        .into_iter()
        .filter_map(|(name, value)| Some((value.parse().ok()?, name.strip_suffix(":total_pages")?.to_owned())))
        .collect();
    classes.sort();
    let [.., (_, small), (_, large)] = classes.as_slice() else { panic!("fewer than two classes: {classes:?}") };
    let mut connection = server.connect();
    let mut turn = 0;
    clear_during(&server, || {
        let (from, to) = if turn % 2 == 0 { (large, small) } else { (small, large) };
        turn += 1;
        connection.send(format!("slabs reassign {from} {to}\r\n").as_bytes());
        let answer = connection.line().expect("the server answers");
        assert!(["OK", "BUSY", "NOSPARE"].iter().any(|begin| answer.starts_with(begin)), "{answer}");
    });
    wait_for("pages to have moved", || (server.stat("slabs_moved") > 0).then_some(()));
    assert_eq!(server.count("shop:"), 0);
    assert!(server.stat("delete_hits") <= EACH as u64, "more was deleted than there was of shop:");
}

fn no_lru_maintainer(version: Version) {
    let server = Server::start(version, &["-o", "no_lru_maintainer,lru_crawler"]);
    server.store(numbered("shop:", 5_000).chain(numbered("blog:", 5_000)));
    mcflush(["--prefix", "shop:", server.address()]).run().is_complete().counts(5_000);
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, 5_000));
}

fn values_on_disk(version: Version) {
    let folder = TempDir::with_prefix("mcflush-ext-").unwrap();
    let file = format!("ext_path={}:256m,ext_item_age=1", folder.path().join("store").display());
    let server = Server::start(version, &["-m", "64", "-o", &file]);
    let value = vec![b'v'; 4_000];
    let mut each = 0;
    wait_for("values on disk", || {
        // An older server writes to disk only when its memory is nearly full. It writes only items of a certain age, and none
        // gets that old while more are stored than fit.
        if server.stat("evictions") == 0 {
            let mut loader = server.loader();
            for n in each..each + 500 {
                for app in ["shop", "blog"] {
                    loader.set(format!("{app}:{n}").as_bytes(), &value);
                }
            }
            loader.finish();
            each += 500;
        }
        (server.stat("extstore_objects_written") > 500).then_some(())
    });
    mcflush(["--prefix", "shop:", server.address()]).run().is_complete();
    assert_eq!(server.count("shop:"), 0);
    let blog = server.count("blog:");
    assert!(blog <= each && blog as u64 + server.stat("evictions") >= each as u64, "{blog} of {each} are left");
}

fn a_unix_socket(version: Version) {
    let server = Server::start_unix(version, &[]);
    server.store(numbered("shop:", 20_000).chain(numbered("blog:", 5_000)));
    mcflush(["--prefix", "shop:", server.address()]).run().is_complete().counts(20_000);
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, 5_000));
}

fn another_crawl_runs(version: Version) {
    const EACH: usize = 150_000;
    let server = Server::start(version, &LARGE_TABLE);
    server.store(numbered("shop:", EACH).chain(numbered("blog:", EACH)));
    // Its dump is not read yet, so it holds the crawler.
    let mut other = server.connect();
    other.send(b"lru_crawler metadump all\r\n");
    wait_for("the other crawl", || (server.stat("lru_crawler_running") == 1).then_some(()));
    // A run with a deadline waits for the crawler until then.
    let clear = mcflush(["-v", "--deadline", LONG, "--prefix", "shop:", server.address()]).spawn();
    clear.wait_for_stderr("waiting");
    other.skip_past(&[b"END\r\n"]);
    clear.wait().is_complete();
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, EACH));
}

fn two_clears_at_once(version: Version) {
    const EACH: usize = 60_000;
    let server = Server::start(version, &LARGE_TABLE);
    server.store(numbered("shop:", EACH).chain(numbered("blog:", EACH)));
    // A run with a deadline waits for the other's crawl until then.
    let clear = || mcflush(["--deadline", LONG, "--prefix", "shop:", server.address()]).spawn();
    let (first, second) = (clear(), clear());
    first.wait().is_complete();
    second.wait().is_complete();
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, EACH));
    assert_eq!(server.stat("delete_hits"), EACH as u64);
}

fn the_server_dies_and_comes_back(version: Version) {
    let mut server = Server::start(version, &[]);
    server.store(numbered("shop:", 30_000));
    let clear = mcflush(["--retries", "60", "--rate", "20000", "--prefix", "shop:", server.address()]).spawn();
    wait_for("the first deletes", || (server.stat("delete_hits") > 0).then_some(()));
    let port = server.address().rsplit(':').next().unwrap().to_owned();
    server.kill();
    let server = Server::start(version, &["-p", &port]);
    server.store(numbered("blog:", 100));
    clear.wait().is_complete();
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, 100));
}

/// LRU dumps list none of these keys.
fn keys_read_three_times(version: Version) {
    let server = Server::start(version, &[]);
    for (count, age) in [(60, 2), (1_000, 0), (5_000, 2)] {
        server.store(numbered("shop:", count).chain(numbered("blog:", count)));
        let (mut connection, stored) = (server.connect(), server.stat("uptime"));
        wait_for("the keys to age", || (server.stat("uptime") >= stored + age).then_some(()));
        for _ in 0..3 {
            for key in numbered("shop:", count) {
                assert!(get(&mut connection, &key));
            }
        }
        mcflush(["--prefix", "shop:", server.address()]).run().is_complete().counts(count);
        assert_eq!((server.count("shop:"), server.count("blog:")), (0, count), "{count} keys of {age} s");
    }
}

/// Long keys, so that few of them fill the memory for keys not yet deleted.
fn long(prefix: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |n| format!("{prefix}{n:0>200}"))
}

const MORE_THAN_MEMORY_HOLDS: usize = 40_000;

fn more_keys_than_memory_holds(version: Version) {
    let server = Server::start(version, &[]);
    server.store(long("shop:", MORE_THAN_MEMORY_HOLDS).chain(long("blog:", 1_000)));
    let has_a_file = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&has_a_file);
    let way = holding_deletes(&server, move || seen.load(Relaxed), || {});
    let clear = mcflush(["--timeout", LONG, "--prefix", "shop:", way.address()]).spawn();
    wait_for("the unlinked file", || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", clear.pid())).expect("it runs");
        let is_deleted = |path: std::path::PathBuf| path.to_string_lossy().ends_with("(deleted)");
        open.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(is_deleted)).then_some(())
    });
    has_a_file.store(true, Relaxed);
    clear.wait().is_complete().counts(MORE_THAN_MEMORY_HOLDS);
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, 1_000));
}

fn without_a_temporary_file_for_keys_that_memory_cannot_hold(version: Version) {
    let server = Server::start(version, &[]);
    server.store(long("shop:", MORE_THAN_MEMORY_HOLDS).chain(long("blog:", 1_000)));
    let is_given_up = Arc::new(AtomicBool::new(false));
    let (seen, noted) = (Arc::clone(&is_given_up), Arc::clone(&is_given_up));
    let way = holding_deletes(&server, move || seen.load(Relaxed), move || noted.store(true, Relaxed));
    let run = mcflush(["-v", "--timeout", LONG, "--prefix", "shop:", way.address()])
        .env("TMPDIR", "/nonexistent/folder")
        .run();
    run.exits(0).says("complete").warns("listed keys could not be kept (");
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, 1_000));
}

/// The most memory that a complete clear of this many keys holds until its last delete, in KiB.
fn peak_memory(server: &Server, keys: usize) -> u64 {
    let (address, deletes) = (server.address().to_owned(), Arc::new(AtomicUsize::new(0)));
    let (is_last, may_end) = (Arc::clone(&deletes), Arc::new(AtomicBool::new(false)));
    let ends = Arc::clone(&may_end);
    let way = Fake::start(move |peer| {
        peer.pass_on_to(&address, |line| {
            if is_delete(line) && deletes.fetch_add(1, Relaxed) + 1 == keys {
                wait_for("the memory to be measured", || ends.load(Relaxed).then_some(()));
            }
        });
    });
    let clear = mcflush(["--timeout", LONG, "--prefix", "shop:", way.address()]).spawn();
    wait_for("the last delete", || (is_last.load(Relaxed) >= keys).then_some(()));
    let peak = clear.peak_memory();
    may_end.store(true, Relaxed);
    clear.wait().is_complete();
    peak
}

fn memory_stays_small(version: Version) {
    const FEW: usize = 1_000;
    const MANY: usize = 70_000;
    let (few, server) = (Server::start(version, &[]), Server::start(version, &[]));
    few.store(long("shop:", FEW));
    server.store(long("shop:", MANY).chain(long("blog:", 10_000)));
    let few = peak_memory(&few, FEW);
    let many = peak_memory(&server, MANY);
    // All the keys together would take more: some 14 MB.
    assert!(few > 0 && many <= few + 8 * 1024, "{many} KiB, and {few} KiB for a few keys");
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, 10_000));
}
