//! `mcflush hot`: what clients read and write now.

use std::time::Duration;

use serde_json::{Value, json};

use crate::json::document;
use crate::support::fake::{Answer, Fake};
use crate::support::run::{Run, mcflush};
use crate::support::server::{Server, Version, each_version};
use crate::support::terminal::Terminal;
use crate::support::wait_for;

each_version!(what_is_used, beside_namespaces, without_a_log);

/// One round of another client: a hit, a miss, and a store.
fn round(connection: &mut crate::support::server::Connection) {
    connection.send(b"get shop:1\r\nget shop:none\r\nset blog:1 0 0 1\r\nx\r\n");
    for line in ["VALUE shop:1 0 1", "x", "END", "END", "STORED"] {
        assert_eq!(connection.line().as_deref(), Some(line));
    }
}

/// Runs mcflush while another client is at work.
fn during_traffic(server: &Server, arguments: &[&str]) -> Run {
    server.store(["shop:1"]);
    let mut running = mcflush(arguments.iter().chain(&[server.address()])).spawn();
    let mut connection = server.connect();
    while running.is_running() {
        round(&mut connection);
        std::thread::sleep(Duration::from_micros(200));
    }
    running.wait()
}

/// Runs mcflush for a time, and then for longer until it has seen enough: a busy machine gives other clients little time,
/// or makes the server leave lines out of its log.
fn until_enough<T>(mut run: impl FnMut(&str) -> T, is_enough: impl Fn(&T) -> bool) -> T {
    ["0.6", "5", "30"].into_iter().map(&mut run).find(is_enough).expect("it sees enough in 30 seconds")
}

/// Whether the servers left out no log line.
fn is_whole(document: &Value) -> bool {
    document["servers"][0]["skipped"] == 0
}

fn of(document: &Value, prefix: &str) -> Value {
    let rows = document["namespaces"].as_array().unwrap();
    rows.iter().find(|row| row["prefix"] == prefix).cloned().unwrap_or_default()
}

fn count(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_default()
}

fn what_is_used(version: Version) {
    let server = Server::start(version, &[]);
    let (run, document) = until_enough(
        |seconds| {
            let run = during_traffic(&server, &["hot", "--json", "--seconds", seconds]);
            let document = document(run.exits(0));
            (run, document)
        },
        |(_, document)| is_whole(document) && count(&of(document, "shop:"), "gets") > 20,
    );
    let (shop, blog) = (of(&document, "shop:"), of(&document, "blog:"));
    let [gets, hits, sets] = [(&shop, "gets"), (&shop, "hits"), (&blog, "sets")].map(|(row, name)| count(row, name));
    assert!(sets > 5 && hits.abs_diff(gets / 2) <= 1 && sets.abs_diff(hits) <= 1, "{run}");
    // A look-up that belongs to a store must not count as a get.
    assert!(blog["gets"].as_u64().unwrap() <= 1, "{run}");
    let per_second = shop["gets_per_second"].as_f64().unwrap();
    assert!((per_second - gets as f64 / document["seconds"].as_f64().unwrap()).abs() < 1.0, "{run}");
    let hottest: Vec<_> = document["keys"].as_array().unwrap().iter().map(|key| key["key"].clone()).collect();
    assert!(hottest.len() == 3 && hottest.contains(&json!("shop:none")), "{run}");
    let row = &document["servers"][0];
    assert_eq!((&row["skipped"], &row["logs_deletes"]), (&json!(0), &json!(version.has_harmless_hash_dump())));
}

fn beside_namespaces(version: Version) {
    let server = Server::start(version, &[]);
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let page = page.to_str().unwrap();
    server.store((0..100).map(|n| format!("idle:{n}")));
    let document = until_enough(
        |seconds| {
            document(during_traffic(&server, &["namespaces", "--html", page, "--json", "--hot", seconds]).exits(0))
        },
        |document| per_second(document, "shop:", "reads") > 0.0 && per_second(document, "blog:", "writes") > 0.0,
    );
    // Old servers list a newly stored key a moment later.
    if version.has_harmless_hash_dump() {
        let idle = of(&document, "idle:");
        assert_eq!((&idle["keys"], &idle["reads_per_second"]), (&json!(100), &json!(0.0)));
    }
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(">reads/s</button>") && page.contains(" reads/s, "), "{page}");
}

fn per_second(document: &Value, prefix: &str, what: &str) -> f64 {
    of(document, prefix)[format!("{what}_per_second")].as_f64().unwrap_or_default()
}

fn without_a_log(version: Version) {
    let server = Server::start(version, &["-W"]);
    for command in [&["hot", "--seconds", "0.5"][..], &["namespaces", "--hot", "0.5"]] {
        let run = mcflush(command.iter().chain(&[server.address()])).run();
        run.fails(server.address(), &["disabled"]).warns("without -W").claims_nothing();
    }
    // -X forbids only dumps.
    let server = Server::start(version, &["-X"]);
    mcflush(["hot", "--seconds", "0.1", server.address()]).run().exits(0).says("0 gets, 0 sets");
}

#[test]
fn deletes_and_evictions_are_counted() {
    let server = Server::start(Version::Sid, &["-m", "2"]);
    let mut connection = server.connect();
    let (value, mut number) = ("x".repeat(10_000), 0);
    while server.stat("evictions") == 0 {
        number += 1;
        connection.send(format!("set fill:{number} 0 0 10000\r\n{value}\r\n").as_bytes());
        assert_eq!(connection.line().as_deref(), Some("STORED"));
    }
    let during = |seconds: &str| {
        let mut running = mcflush(["hot", "--seconds", seconds, "--json", server.address()]).spawn();
        while running.is_running() {
            number += 1;
            connection.send(
                format!("set fill:{number} 0 0 10000\r\n{value}\r\nset gone:1 0 0 1\r\nx\r\ndelete gone:1\r\n")
                    .as_bytes(),
            );
            for line in ["STORED", "STORED", "DELETED"] {
                assert_eq!(connection.line().as_deref(), Some(line));
            }
            // Slow enough that the server leaves no line out of its log.
            std::thread::sleep(Duration::from_micros(300));
        }
        document(running.wait().exits(0))
    };
    let document = until_enough(during, |document| {
        let (gone, fill) = (of(document, "gone:"), of(document, "fill:"));
        is_whole(document) && count(&gone, "deletes") > 5 && count(&fill, "evictions") > 5
    });
    let gone = of(&document, "gone:");
    assert!(count(&gone, "deletes").abs_diff(count(&gone, "sets")) <= 1, "{document}");
    assert!(count(&gone, "gets") <= 1, "{document}");
}

#[test]
fn as_a_table_and_a_page() {
    let server = Server::start(Version::Sid, &[]);
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let page = page.to_str().unwrap();
    // Then a round that the log cuts in two changes the ratio by less than two percent.
    let is_enough = |run: &Run| {
        let gets = run.exits(0).stdout.split(" gets").next().unwrap().rsplit(' ').next().unwrap().replace(',', "");
        gets.parse::<u64>().is_ok_and(|gets| gets > 100) && !run.stderr.contains("left out")
    };
    let run = until_enough(
        |seconds| during_traffic(&server, &["hot", "--top", "1", "--html", page, "--seconds", seconds]),
        is_enough,
    );
    run.exits(0).says("% hits)").says("gets/s").says("(others)").says("most used keys");
    let first: Vec<_> = run.stdout.lines().nth(2).unwrap().split_whitespace().collect();
    let ratio: f64 = first[2].trim_end_matches('%').parse().unwrap();
    assert!(first[0] == "shop:" && (ratio - 50.0).abs() < 2.0, "{run}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains("<h1>Reads and writes on ") && page.contains("<td>shop:</td>") && page.contains("<b>shop:</b>")
    );
    let full = mcflush(["hot", "--seconds", "0.1", "--html", "/nonexistent/page", server.address()]).run();
    full.exits(1).warns("--html");
}

#[test]
fn a_terminal_shows_it_meanwhile() {
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1"]);
    let terminal = Terminal::run(80, &[], &["hot", "--seconds", "60", server.address()]);
    let mut connection = server.connect();
    let is_shown = |screen: &str| screen.contains("shop:") && screen.contains("of 1:00: ");
    wait_for("the traffic to be shown", || {
        round(&mut connection);
        is_shown(&terminal.screen()).then_some(())
    });
    terminal.signal("INT");
    let (status, screen, _) = terminal.wait();
    assert_eq!(status, Some(130), "{screen}");
    assert!(screen.contains("gets") && screen.contains("most used keys"), "what was seen is said: {screen}");
}

#[test]
fn servers_that_have_no_log() {
    for (answer, words) in [("ERROR\r\n", "since 1.4.26"), ("SERVER_ERROR Command not supported\r\n", "not supported")]
    {
        let fake =
            Fake::answering(move |line| if line == "stats" { Answer::text("END\r\n") } else { Answer::text(answer) });
        let run = mcflush(["hot", "--seconds", "0.5", "--retries", "0", fake.address()]).run();
        run.fails(fake.address(), &["disabled", "server"]).warns(words);
    }
    let proxy = Fake::answering(|_| Answer::text("STAT proxy_conn_requests 4\r\nEND\r\n"));
    mcflush(["hot", "--seconds", "0.5", proxy.address()]).run().fails(proxy.address(), &["disabled"]).warns("proxy");
}

#[test]
fn skipped_log_lines_are_reported() {
    let fake = Fake::start(|peer| {
        while let Some(line) = peer.line() {
            if line == "stats" {
                peer.send("END\r\n");
            } else {
                peer.send(
                    "OK\r\nskipped=4711\nts=1.1 gid=1 type=item_get key=%1B%5B2J%3A1 status=found clsid=1 cfd=27\n",
                );
            }
        }
    });
    let run = mcflush(["hot", "--seconds", "0.3", fake.address()]).run();
    run.exits(0).warns("left out 4,711 log lines").says("\\x1b[2J:");
}

#[test]
fn options_without_effect_are_refused() {
    let fake = Fake::silent();
    for options in [["--seconds", "0"], ["--seconds", "soon"], ["--separator", "ab"], ["--top", "0"], ["--keys", "501"]]
    {
        mcflush(["hot"].into_iter().chain(options).chain([fake.address()])).run().is_refused().warns(options[0]);
    }
    fake.assert_untouched();
}
