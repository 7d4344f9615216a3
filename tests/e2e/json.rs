//! `--json`: one document that scripts can read, whatever happened, described by docs/output.schema.json.

use std::path::Path;

use boon::{Compiler, Schemas};
use serde_json::{Value, json};

use crate::support::fake::{Answer, Fake, UnusedPort};
use crate::support::run::{Run, mcflush};
use crate::support::server::{Server, Version, each_version};
use crate::support::wait_for;

each_version!(of_a_flush, of_a_clear, of_a_dry_run, of_stats);

/// The document, validated against the schema.
pub fn document(run: &Run) -> Value {
    let mut lines = lines(run);
    assert_eq!(lines.len(), 1, "one line{run}");
    lines.remove(0)
}

/// Each line, validated against the schema.
pub fn lines(run: &Run) -> Vec<Value> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/output.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("output.schema.json", schema).unwrap();
    let compiled = compiler.compile("output.schema.json", &mut schemas).unwrap();
    let line = |line| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}{run}"));
        if let Err(error) = schemas.validate(&line, compiled) {
            panic!("not as docs/output.schema.json says: {error:#}{run}");
        }
        line
    };
    run.stdout.lines().map(line).collect()
}

fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

fn of_a_flush(version: Version) {
    let server = Server::start(version, &[]);
    server.store(numbered("shop:", 12));
    let document = document(mcflush(["--json", "--all", server.address()]).run().exits(0));
    let (swept, proof) = if version.has_harmless_hash_dump() { (json!(0), "walk") } else { (Value::Null, "cas") };
    let item = json!({
        "server": server.address(), "ok": true, "complete": true, "items_before": 12, "delay": 0, "swept": swept,
        "proof": proof, "error": null,
    });
    assert_eq!(document, json!({ "command": "flush", "dry_run": false, "complete": true, "servers": [item] }));
}

fn of_a_clear(version: Version) {
    let server = Server::start(version, &[]);
    server.store([numbered("shop:", 12), numbered("blog:", 3)].concat());
    let dry = dry_run_of_all(&server, 12, &["--prefix", "shop:"]);
    let would = &dry["servers"][0]["bytes"];
    assert!(would.as_u64().unwrap() > 12 * 48, "each takes more than its header: {would}");
    let document = document(mcflush(["--json", "--prefix", "shop:", server.address()]).run().exits(0));
    assert_eq!((&document["command"], &document["complete"]), (&json!("clear"), &json!(true)));
    let found = &document["servers"][0];
    assert_eq!((&found["server"], &found["ok"]), (&json!(server.address()), &json!(true)));
    assert_eq!((&found["matched"], &found["deleted"]), (&json!(12), &json!(12)));
    // The first listing of an old server may miss keys.
    assert!(found["listed"] == json!(15) || !version.has_harmless_hash_dump(), "{found}");
    let (strategy, proof) = if version.has_harmless_hash_dump() { ("hash", "walk") } else { ("lru", "passes") };
    assert_eq!((&found["strategy"], &found["proof"]), (&json!(strategy), &json!(proof)));
    assert_eq!(&found["bytes"], would);
}

/// LRU dumps of old servers list a newly stored key a moment later.
fn dry_run_of_all(server: &Server, keys: u64, scope: &[&str]) -> Value {
    wait_for("all keys in the listing", || {
        let options = ["--json", "--dry-run", server.address()];
        let document = document(mcflush(options.iter().chain(scope)).run().exits(0));
        (document["servers"][0]["matched"] == keys).then_some(document)
    })
}

fn of_a_dry_run(version: Version) {
    let server = Server::start(version, &[]);
    server.store([&b"a\nb"[..], b"a\nc", b"x"]);
    let document = dry_run_of_all(&server, 2, &["--escaped", "--prefix", r"a\x0a"]);
    let found = &document["servers"][0];
    assert_eq!((&found["matched"], &found["deleted"], &found["complete"]), (&json!(2), &json!(0), &Value::Null));
    let prefix = &found["prefixes"][0];
    assert_eq!((&prefix["prefix"], &prefix["keys"], &prefix["bytes"]), (&json!(r"a\x0a"), &json!(2), &found["bytes"]));
    assert_eq!(server.keys().len(), 3);
}

fn of_stats(version: Version) {
    let server = Server::start(version, &[]);
    server.store(["shop:1"]);
    let document = document(mcflush(["stats", "--json", server.address()]).run().exits(0));
    let general = &document["servers"][0]["groups"]["general"];
    assert_eq!(general["curr_items"], json!(1));
    assert!(general["version"].is_string() && general["rusage_user"].is_f64(), "{general}");
}

#[test]
fn of_servers_that_fail_beside_one_that_does_not() {
    let (server, nobody) = (Server::start(Version::Sid, &[]), UnusedPort::start());
    let hostile = Fake::answering(|_| Answer::text("SERVER_ERROR \u{1b}[2J\r\n"));
    server.store(["shop:1"]);
    for command in [&["--all"][..], &["--prefix", "shop:"], &["--dry-run", "--prefix", "shop:"], &["stats"]] {
        let options = ["--json", "--retries", "0", server.address(), nobody.address(), hostile.address()];
        let run = mcflush(command.iter().chain(&options)).run();
        let document = document(run.exits(3));
        let kinds: Vec<_> = (0..3).map(|at| document["servers"][at]["error"]["kind"].as_str()).collect();
        assert_eq!(kinds, [None, Some("refused"), Some("server")], "{run}");
        run.warns(&format!("mcflush: {}: refused: ", nobody.address()));
    }
}

#[test]
fn of_an_interrupted_clear() {
    let server = Server::start(Version::Sid, &[]);
    server.store(numbered("shop:", 20_000));
    let running = mcflush(["--json", "--prefix", "shop:", "--rate", "100", server.address()]).spawn();
    wait_for("some deletes", || (server.stat("delete_hits") > 0).then_some(()));
    running.signal("TERM");
    let run = running.wait();
    let document = document(run.exits(143));
    let found = &document["servers"][0];
    assert_eq!((&document["complete"], &found["error"]["kind"]), (&json!(false), &json!("interrupted")));
    assert_eq!(found["deleted"], json!(server.stat("delete_hits")));
}

#[test]
fn a_result_that_cannot_be_written_is_not_done() {
    let server = Server::start(Version::Sid, &[]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    mcflush(["--json", "--all", server.address()]).stdout(full).run().exits(1).warns("could not be written");
}

#[test]
fn quiet_means_nothing_beside_it() {
    mcflush(["--json", "--quiet", "--all", "localhost:1"]).run().is_refused();
}
