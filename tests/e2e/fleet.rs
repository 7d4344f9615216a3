//! Many servers: lists from files, parts of a list, staggered flushes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serde_json::{Value, json};

use crate::support::fake::{Answer, Fake, UnusedPort};
use crate::support::run::{Run, mcflush};
use crate::support::server::{Server, Version, each_version};
use crate::support::{LONG, wait_for};

each_version!(a_delayed_flush);

fn stored(version: Version) -> Server {
    let server = Server::start(version, &[]);
    server.store(["shop:1"]);
    server
}

fn a_delayed_flush(version: Version) {
    let server = stored(version);
    let run = mcflush(["--all", "--delay", "2", server.address()]).run();
    run.succeeds().says("will flush in 2 seconds");
    wait_for("the flush", || (!server.has("shop:1")).then_some(()));
}

#[test]
fn staggered_flushes_come_one_after_the_other() {
    let servers: Vec<Server> = (0..3).map(|_| stored(Version::Sid)).collect();
    let addresses = servers.iter().map(Server::address);
    let run = mcflush(["--json", "--all", "--delay", "1", "--stagger", "2"].into_iter().chain(addresses)).run();
    let document: Value = serde_json::from_str(&run.exits(0).stdout).unwrap();
    let delays: Vec<_> = (0..3).map(|at| document["servers"][at]["delay"].clone()).collect();
    assert_eq!(delays, [json!(1), json!(3), json!(5)]);
    for server in &servers {
        wait_for("the flush", || (!server.has("shop:1")).then_some(()));
    }
}

#[test]
fn the_jobs_of_an_array_stagger_over_the_whole_list() {
    let servers: Vec<Server> = (0..4).map(|_| stored(Version::Sid)).collect();
    let mut delays = Vec::new();
    for shard in ["0/2", "1/2"] {
        let addresses = servers.iter().map(Server::address);
        let options = ["--json", "--all", "--delay", "100", "--stagger", "10", "--shard", shard];
        let run = mcflush(options.into_iter().chain(addresses)).run();
        let document: Value = serde_json::from_str(&run.exits(0).stdout).unwrap();
        delays.extend((0..2).map(|at| document["servers"][at]["delay"].as_u64().unwrap()));
    }
    delays.sort_unstable();
    assert_eq!(delays, [100, 110, 120, 130]);
}

/// Runs with a list of servers from a file.
fn from_file(list: &str, more: &[&str]) -> Run {
    let folder = tempfile::TempDir::with_prefix("mcflush-list-").unwrap();
    let file = folder.path().join("servers");
    std::fs::write(&file, list).unwrap();
    mcflush(["--all", "--servers-from", file.to_str().unwrap()].into_iter().chain(more.iter().copied())).run()
}

#[test]
fn servers_from_a_file_beside_those_that_are_named() {
    let (one, two, named) = (stored(Version::Sid), stored(Version::Sid), stored(Version::Sid));
    let list = format!("# the caches\n\n  {} # first\n{}\r\n{}\n", one.address(), two.address(), one.address());
    from_file(&list, &[named.address()]).succeeds();
    for server in [&one, &two, &named] {
        assert_eq!(server.stat("cmd_flush"), 1, "each once");
    }
}

#[test]
fn a_file_that_names_no_server_is_an_error() {
    let fake = Fake::silent();
    for list in ["", "# none\n\n"] {
        from_file(list, &[fake.address()]).is_refused().warns("names no server");
    }
    from_file("cache1\ncache2:port\n", &[fake.address()]).is_refused().warns("servers:2: ");
    mcflush(["--all", "--servers-from", "/nonexistent", fake.address()]).run().is_refused().warns("/nonexistent");
    // The tests' stdin is empty.
    mcflush(["--all", "--servers-from", "-", fake.address()]).run().is_refused().warns("stdin");
    fake.assert_untouched();
}

#[test]
fn every_server_is_in_one_shard_whatever_the_order() {
    let servers: Vec<Server> = (0..5).map(|_| stored(Version::Sid)).collect();
    let mut addresses: Vec<&str> = servers.iter().map(Server::address).collect();
    for shard in ["0/3", "1/3", "2/3"] {
        mcflush(["--all", "--shard", shard].into_iter().chain(addresses.iter().copied())).run().succeeds();
        addresses.rotate_left(2);
    }
    for server in &servers {
        assert_eq!(server.stat("cmd_flush"), 1, "each once");
    }
}

#[test]
fn an_empty_shard_is_done_and_says_so() {
    let server = stored(Version::Sid);
    // A single server is in one of the two parts.
    let runs = ["0/2", "1/2"].map(|shard| mcflush(["--all", "--shard", shard, server.address()]).run());
    let said = runs.iter().filter(|run| run.exits(0).stdout.contains("has no server"));
    assert_eq!((said.count(), server.stat("cmd_flush")), (1, 1));
    let run = mcflush(["--json", "--all", "--shard", "1/2", server.address()]).run();
    let document: Value = serde_json::from_str(&run.exits(0).stdout).unwrap();
    assert_eq!(document["servers"], json!([]));
}

#[test]
fn options_without_effect_are_refused() {
    let fake = Fake::silent();
    for arguments in [
        &["--prefix", "a", "--delay", "1"][..],
        &["--prefix", "a", "--stagger", "1"],
        &["--all", "--keep", "a", "--delay", "1"],
        &["--all", "--verify", "--delay", "1"],
        &["--all", "--verify", "--stagger", "1"],
        &["--all", "--dry-run", "--stagger", "1"],
        &["--all", "--delay", "0"],
        &["--all", "--delay", "-1"],
        &["--all", "--delay", "2592001"],
        &["--all", "--delay", "2592000", "--stagger", "1", "localhost:1"],
        &["--all", "--shard", "2/2"],
        &["--all", "--shard", "-1/2"],
        &["stats", "--delay", "1"],
    ] {
        mcflush(arguments.iter().copied().chain([fake.address()])).run().is_refused();
    }
    fake.assert_untouched();
}

#[test]
fn a_deadline_ends_the_whole_run() {
    let silent: Vec<Fake> = (0..20).map(|_| Fake::silent()).collect();
    // The deadline is long enough for the server that answers on any machine. Twenty silences in sequence would take far
    // longer than a test may wait.
    let options = ["--json", "--jobs", "1", "--timeout", LONG, "--deadline", "20"];
    let runs = [&["--all"][..], &["--prefix", "shop:"], &["stats"]].map(|command| {
        let server = stored(Version::Sid);
        let addresses = std::iter::once(server.address()).chain(silent.iter().map(Fake::address));
        let run = mcflush(command.iter().copied().chain(options).chain(addresses)).spawn();
        (run, server)
    });
    for (run, _server) in runs {
        let run = run.wait();
        let document: Value = serde_json::from_str(&run.exits(3).stdout).unwrap();
        let kinds: Vec<_> = (0..21).map(|at| document["servers"][at]["error"]["kind"].as_str()).collect();
        assert_eq!(kinds[0], None, "{run}");
        assert!(kinds[1..].iter().all(|kind| *kind == Some("deadline")), "{run}");
    }
}

#[test]
fn a_deadline_ends_the_wait_for_the_crawler() {
    let fake = Fake::answering(|line| match line {
        "version" => Answer::text("VERSION 1.6.38\r\n"),
        "stats" => Answer::text("END\r\n"),
        _ => Answer::text("BUSY currently processing crawler request\r\n"),
    });
    let run = mcflush(["--deadline", "1", "--prefix", "shop:", fake.address()]).run();
    run.fails(fake.address(), &["deadline"]).claims_nothing();
}

#[test]
fn frozen_and_dead_servers_do_not_stop_the_others() {
    const ALL: usize = 100;
    let (mut live, mut frozen, mut dead, mut addresses) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for at in 0..ALL {
        if at % 10 == 3 {
            // As after a server was killed, but no other program can get its port meanwhile.
            let nobody = UnusedPort::start();
            addresses.push(nobody.address().to_owned());
            dead.push(nobody);
            continue;
        }
        let server = Server::start(Version::Sid, &["-t", "1", "-m", "8"]);
        addresses.push(server.address().to_owned());
        server.store(["shop:1", "blog:1"]);
        if at % 10 == 7 {
            server.freeze();
            frozen.push(server);
        } else {
            live.push(server);
        }
    }
    assert_eq!((live.len(), frozen.len(), dead.len()), (80, 10, 10));
    for (command, left) in [(&["--prefix", "shop:"][..], (0, 1)), (&["--all"], (0, 0))] {
        // There are more silent servers than jobs. The timeout is long enough that, on a busy machine, no server that waits
        // for its turn counts as silent.
        let options = ["--json", "--jobs", "8", "--timeout", "10", "--retries", "0"];
        let arguments = command.iter().copied().chain(options).chain(addresses.iter().map(String::as_str));
        let run = mcflush(arguments).run();
        let document: Value = serde_json::from_str(&run.exits(3).stdout).unwrap();
        let results = document["servers"].as_array().unwrap();
        let order: Vec<_> = results.iter().map(|result| result["server"].as_str().unwrap()).collect();
        assert_eq!(order, addresses, "in the order they were named");
        for (at, result) in results.iter().enumerate() {
            let kind = result["error"]["kind"].as_str();
            let expected =
                [Some("refused"), Some("timeout")].into_iter().zip([3, 7]).find(|(_, place)| at % 10 == *place);
            assert_eq!(kind, expected.and_then(|(kind, _)| kind), "{result}");
        }
        for server in &live {
            assert_eq!((server.count("shop:"), server.count("blog:")), left);
        }
    }
}

#[test]
fn a_slow_server_does_not_hold_the_others_up() {
    const QUICK: usize = 200;
    const SAID: &str = "STAT curr_items 3\r\nEND\r\n";
    let answered = Arc::new(AtomicUsize::new(0));
    let is_last = Arc::clone(&answered);
    // It answers after all the others, which share the three remaining jobs.
    let slow = Fake::answering(move |_| {
        wait_for("the answers of all quick servers", || (is_last.load(SeqCst) >= QUICK).then_some(()));
        Answer::text(SAID)
    });
    let quick = |_| {
        let answered = Arc::clone(&answered);
        Fake::answering(move |_| {
            answered.fetch_add(1, SeqCst);
            Answer::text(SAID)
        })
    };
    let quick: Vec<Fake> = (0..QUICK).map(quick).collect();
    let addresses = std::iter::once(&slow).chain(&quick).map(Fake::address);
    let options = ["stats", "--json", "--jobs", "4", "--timeout", "60", "--retries", "0"];
    let run = mcflush(options.into_iter().chain(addresses.clone())).run();
    let document: Value = serde_json::from_str(&run.exits(0).stdout).unwrap();
    let results = document["servers"].as_array().unwrap();
    let order: Vec<_> = results.iter().map(|result| result["server"].as_str().unwrap()).collect();
    assert_eq!(order, addresses.collect::<Vec<_>>(), "in the order they were named");
}
