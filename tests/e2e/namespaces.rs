//! `mcflush namespaces`: counts keys by prefix.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::json::document;
use crate::support::fake::{Fake, UnusedPort};
use crate::support::run::mcflush;
use crate::support::server::{Server, Version, each_version, set_by_binary_protocol};
use crate::support::wait_for;

each_version!(of_two_apps, of_hostile_keys, without_dumps);

fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

/// The prefix and the number of keys of each row.
fn rows(document: &Value) -> Vec<(&str, u64)> {
    let rows = document["namespaces"].as_array().unwrap();
    rows.iter().map(|row| (row["prefix"].as_str().unwrap(), row["keys"].as_u64().unwrap())).collect()
}

/// Stores keys that expire in an hour.
fn store_expiring(server: &Server, keys: &[String]) {
    let mut connection = server.connect();
    for key in keys {
        connection.send(format!("set {key} 0 3600 1\r\nx\r\n").as_bytes());
        assert_eq!(connection.line().as_deref(), Some("STORED"));
    }
}

/// LRU dumps of old servers list a newly stored key a moment later.
fn when_all_are_listed(server: &Server, keys: u64, arguments: &[&str]) -> Value {
    wait_for("all keys in the listing", || {
        let document = document(mcflush(arguments.iter().copied().chain([server.address()])).run().exits(0));
        (document["servers"][0]["listed"] == json!(keys)).then_some(document)
    })
}

fn of_two_apps(version: Version) {
    let server = Server::start(version, &[]);
    server.store(numbered("shop:cart:", 200));
    server.store(numbered("shop:product:", 100));
    server.store(numbered("blog/", 50));
    server.store(["plain"]);
    store_expiring(&server, &numbered("sess.", 30));
    let complete = version.has_harmless_hash_dump();

    let whole = when_all_are_listed(&server, 381, &["namespaces", "--json"]);
    assert_eq!(rows(&whole), [("shop:", 300), ("blog/", 50), ("sess.", 30), ("(none)", 1)]);
    assert_eq!((&whole["command"], &whole["complete"]), (&json!("namespaces"), &json!(complete)));
    let sess = &whole["namespaces"][2];
    assert_eq!((&sess["expiring"], &whole["namespaces"][0]["expiring"]), (&json!(30), &json!(0)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let age = now.as_secs().abs_diff(sess["oldest_access"].as_u64().unwrap());
    assert!(age < 600 && sess["bytes"].as_u64().unwrap() > 30 * 48, "{sess}");

    let deeper = when_all_are_listed(&server, 381, &["namespaces", "--json", "--depth", "2", "--top", "2"]);
    assert_eq!(rows(&deeper), [("shop:cart:", 200), ("shop:product:", 100), ("(none)", 1), ("(others)", 80)]);
    let by_slash = when_all_are_listed(&server, 381, &["namespaces", "--json", "--separator", "/"]);
    assert_eq!(rows(&by_slash), [("blog/", 50), ("(none)", 331)]);

    let run = mcflush(["namespaces", server.address()]).run();
    run.exits(0).says(&format!("{}: 381 keys", server.address())).says("expiring");
    let row = run.stdout.lines().find(|line| line.starts_with("shop:")).unwrap();
    let cells: Vec<_> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!((cells[1], cells[4], cells.len()), ("300", "0", 6), "{run}");
    assert_eq!(run.stderr.contains("recently read keys may be missing"), !complete, "{run}");
    assert_eq!(server.keys().len(), 381, "nothing was changed");
}

fn of_hostile_keys(version: Version) {
    let server = Server::start(version, &[]);
    let keys: [&[u8]; 4] = [b"a\nEND\n:1", b"\x1b[2J:1", b"two words:1", b"back\\slash:1"];
    set_by_binary_protocol(&server, &keys);
    let found = when_all_are_listed(&server, 4, &["namespaces", "--json"]);
    let mut prefixes: Vec<_> = rows(&found).into_iter().map(|(prefix, _)| prefix).collect();
    prefixes.sort_unstable();
    assert_eq!(prefixes, ["\\x1b[2J:", "a\\x0aEND\\x0a:", "back\\\\slash:", "two words:"]);
    let run = mcflush(["namespaces", server.address()]).run();
    run.exits(0).says("\\x1b[2J:");
    assert_eq!(run.stdout.lines().count(), 6, "{run}");
}

fn without_dumps(version: Version) {
    let server = Server::start(version, &["-X"]);
    server.store(["shop:1"]);
    mcflush(["namespaces", server.address()]).run().fails(server.address(), &["disabled"]);
}

#[test]
fn of_several_servers_together() {
    let servers: Vec<Server> = (0..2).map(|_| Server::start(Version::Sid, &[])).collect();
    servers[0].store([numbered("shop:", 30), numbered("blog:", 10)].concat());
    servers[1].store([numbered("shop:", 5), numbered("wiki:", 7)].concat());
    let nobody = UnusedPort::start();
    let addresses = [servers[0].address(), nobody.address(), servers[1].address()];
    let run = mcflush(["namespaces", "--json"].into_iter().chain(addresses)).run();
    let together = document(run.exits(3));
    assert_eq!(rows(&together), [("shop:", 35), ("blog:", 10), ("wiki:", 7)]);
    assert_eq!(together["complete"], json!(false));
    let listed: Vec<_> = (0..3).map(|at| together["servers"][at]["listed"].clone()).collect();
    assert_eq!(listed, [json!(40), json!(0), json!(12)]);
    let run = mcflush(["namespaces"].into_iter().chain(addresses)).run();
    run.exits(3).says(&format!("{}, {}: 52 keys", addresses[0], addresses[2])).warns(nobody.address());
}

#[test]
fn of_more_prefixes_than_memory_is_for() {
    let server = Server::start(Version::Sid, &[]);
    let many: Vec<_> = (0..21_000).map(|n| format!("{n}:x")).collect();
    server.store(many.iter().map(String::as_str).chain(["plain"]));
    let run = mcflush(["namespaces", "--json", "--top", "1", server.address()]).run();
    run.exits(0).warns("20,000 prefixes").warns("(others)");
    let rows: Vec<_> = rows(&document(&run)).into_iter().map(|(prefix, keys)| (prefix.len() < 8, keys)).collect();
    assert_eq!(rows, [(true, 1), (true, 1), (false, 20_999)]);
}

#[test]
fn of_an_empty_server() {
    let server = Server::start(Version::Sid, &[]);
    mcflush(["namespaces", server.address()]).run().succeeds().says("0 keys");
    let empty = document(mcflush(["namespaces", "--json", server.address()]).run().exits(0));
    assert_eq!((&empty["complete"], &empty["namespaces"]), (&json!(true), &json!([])));
}

#[test]
fn of_a_server_that_is_silent() {
    let silent = Fake::silent();
    let run = mcflush(["namespaces", "--timeout", "1", silent.address()]).run();
    run.fails(silent.address(), &["timeout"]).claims_nothing();
}

#[test]
fn options_without_effect_are_refused() {
    let fake = Fake::silent();
    for options in [["--separator", "ab"], ["--separator", ""], ["--depth", "0"], ["--depth", "-1"], ["--top", "0"]] {
        mcflush(["namespaces"].into_iter().chain(options).chain([fake.address()])).run().is_refused().warns(options[0]);
    }
    fake.assert_untouched();
}
