//! `mcflush keys`: lists the keys that are there.

use std::collections::BTreeSet;
use std::io::Read;

use serde_json::json;

use crate::json::lines;
use crate::support::fake::{Fake, UnusedPort};
use crate::support::run::{Run, mcflush};
use crate::support::server::{LARGE_TABLE, Server, Version, each_version, set_by_binary_protocol};
use crate::support::terminal::Terminal;
use crate::support::wait_for;

each_version!(
    of_a_prefix,
    of_hostile_keys,
    as_json,
    the_first_of_an_order,
    a_reader_that_has_enough,
    a_reader_that_stalls
);

fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

/// Runs until it prints this many lines: LRU dumps of old servers list a newly stored key a moment later.
pub fn when_listed(server: &Server, count: usize, arguments: &[&str]) -> Run {
    wait_for("all keys in the listing", || {
        let run = mcflush(arguments.iter().copied().chain([server.address()])).run();
        (run.exits(0).stdout.lines().count() == count).then_some(run)
    })
}

fn sorted(run: &Run) -> BTreeSet<&str> {
    run.stdout.lines().collect()
}

fn of_a_prefix(version: Version) {
    let server = Server::start(version, &[]);
    server.store([numbered("shop:", 300), numbered("blog:", 20)].concat());
    let shop = numbered("shop:", 300);
    let run = when_listed(&server, 300, &["keys", "--prefix", "shop:"]);
    assert_eq!(sorted(&run), shop.iter().map(String::as_str).collect());
    assert_eq!(run.stderr.contains("recently read keys may be missing"), !version.has_harmless_hash_dump(), "{run}");
    let run = when_listed(
        &server,
        20,
        &["keys", "--prefix", "blog:", "--prefix", "shop:7", "--keep", "shop:77", "--keep", "shop:7"],
    );
    assert_eq!(sorted(&run).len(), 20, "all of shop:7 is kept");
    when_listed(&server, 320, &["keys"]);
    assert_eq!(server.keys().len(), 320, "nothing was changed");
}

fn of_hostile_keys(version: Version) {
    let server = Server::start(version, &[]);
    let keys: [&[u8]; 5] = [b"a\nEND\n", b"\x1b[2J", b"two words", b"back\\slash", b"gr\xc3\xb6\xc3\x9fe\xff"];
    set_by_binary_protocol(&server, &keys);
    let run = when_listed(&server, 5, &["keys"]);
    let shown = ["\\x1b[2J", "a\\x0aEND\\x0a", "back\\\\slash", "größe\\xff", "two words"];
    assert_eq!(sorted(&run), shown.into_iter().collect());

    let folder = tempfile::TempDir::with_prefix("mcflush-keys-").unwrap();
    let raw = folder.path().join("raw");
    let file = std::fs::File::create(&raw).unwrap();
    mcflush(["keys", "-0", server.address()]).stdout(file).run().exits(0);
    let raw = std::fs::read(&raw).unwrap();
    let found: BTreeSet<&[u8]> = raw.strip_suffix(b"\0").unwrap().split(|&byte| byte == 0).collect();
    assert_eq!(found, keys.into_iter().collect());

    // Printed keys can be given back as prefixes.
    let run = mcflush(["keys", "--escaped", "--prefix", "a\\x0a", server.address()]).run();
    assert_eq!(run.exits(0).stdout, "a\\x0aEND\\x0a\n");
}

fn as_json(version: Version) {
    let server = Server::start(version, &[]);
    set_by_binary_protocol(&server, &[b"a b\n"]);
    server.store(["shop:1"]);
    let run = when_listed(&server, 2, &["keys", "--json"]);
    let mut items = lines(&run);
    items.sort_by_key(|item| item["key"].to_string());
    assert_eq!((&items[0]["key"], &items[0]["key_base64"]), (&json!("a b\\x0a"), &json!("YSBiCg==")));
    assert_eq!((&items[1]["key"], &items[1]["key_base64"]), (&json!("shop:1"), &json!(null)));
    assert_eq!((&items[1]["server"], &items[1]["exp"]), (&json!(server.address()), &json!(null)));
    assert!(items[1]["size"].as_u64().unwrap() > 48, "{run}");

    let mut connection = server.connect();
    connection.send(b"set sess:1 0 3600 1\r\nx\r\n");
    assert_eq!(connection.line().as_deref(), Some("STORED"));
    let run = when_listed(&server, 1, &["keys", "--json", "--long", "--prefix", "sess:"]);
    let item = &lines(&run)[0];
    let lives = item["exp"].as_u64().unwrap() - item["last_access"].as_u64().unwrap();
    assert!((3500..=3700).contains(&lives) && item["cas"].as_u64() > Some(0) && item["class"] == json!(1), "{run}");
    let run = mcflush(["keys", "--long", "--prefix", "sess:", server.address()]).run();
    let cells: Vec<_> = run.exits(0).stdout.trim_end().split(' ').collect();
    let expected = ["exp", "last_access", "size", "cas", "class"].map(|name| item[name].to_string());
    assert_eq!((cells[5], &cells[..5]), ("sess:1", &expected.each_ref().map(String::as_str)[..]));
}

fn the_first_of_an_order(version: Version) {
    let server = Server::start(version, &[]);
    let mut connection = server.connect();
    for (number, seconds) in [(1, 5_000), (2, 0), (3, 9_000), (4, 7_000), (5, 0)] {
        let value = "x".repeat(100 * number);
        connection.send(format!("set k{number} 0 {seconds} {}\r\n{value}\r\n", value.len()).as_bytes());
        assert_eq!(connection.line().as_deref(), Some("STORED"));
    }
    when_listed(&server, 5, &["keys"]);
    for (options, keys) in [
        (&["--top", "2"][..], "k5 k4"),
        (&["--top", "9"], "k5 k4 k3 k2 k1"),
        (&["--sort", "expiry", "--top", "4"], "k1 k4 k3 k2"),
        (&["--sort", "key", "--top", "2", "--prefix", "k"], "k1 k2"),
        (&["--sort", "key", "--top", "2", "--larger", "300", "--no-expiry"], "k5"),
        (&["--sort", "age", "--top", "5", "--idle", "1w"], ""),
    ] {
        let run = when_listed(&server, keys.split_whitespace().count(), &[&["keys"], options].concat());
        assert_eq!(run.stdout.split_whitespace().collect::<Vec<_>>().join(" "), keys, "{run}");
    }
    let other = Server::start(version, &[]);
    other.store(["k", &"l".repeat(200)]);
    when_listed(&other, 2, &["keys"]);
    let run = mcflush(["keys", "--json", "--top", "3", server.address(), other.address()]).run();
    let items: Vec<_> = lines(run.exits(0)).iter().map(|item| item["size"].as_u64().unwrap()).collect();
    assert!(items.len() == 3 && items.is_sorted_by(|one, next| one >= next), "{run}");
}

#[test]
fn in_columns_on_a_terminal() {
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1"]);
    let mut connection = server.connect();
    connection.send(format!("set shop:two 0 7300 3000\r\n{}\r\n", "x".repeat(3_000)).as_bytes());
    assert_eq!(connection.line().as_deref(), Some("STORED"));
    let (_, screen, _) = Terminal::run(80, &[], &["keys", "--long", "--top", "2", server.address()]).wait();
    let rows: Vec<Vec<&str>> = screen.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["expires", "last", "access", "size", "cas", "class", "key"]);
    assert_eq!((&rows[1][..3], rows[1].last()), (&["in", "2", "h"][..], Some(&"shop:two")), "{screen}");
    assert!(rows[1].contains(&"KiB") && rows[2].contains(&"never"), "{screen}");
    let ends: Vec<_> =
        screen.lines().take(3).map(|line| line.len() - line.split(' ').next_back().unwrap().len()).collect();
    assert!(ends.iter().all(|end| *end == ends[0]), "the keys stand under each other: {screen}");
}

/// Enough keys that no socket, pipe or memory holds all of them.
const MANY: usize = 400_000;

fn loaded(version: Version) -> Server {
    // 1.6.18 may never answer a walk of a growing table.
    let server = Server::start(version, &LARGE_TABLE);
    let mut loader = server.loader();
    for n in 0..MANY {
        loader.set(format!("a:some-rather-long-name-of-a-key-{n}").as_bytes(), b"x");
    }
    loader.finish();
    server
}

/// Whether another client's crawl may begin, and reaches its end.
fn crawler_is_free(server: &Server) -> bool {
    let mut connection = server.connect();
    connection.send(b"lru_crawler metadump 63\r\n");
    let line = connection.line().expect("an answer");
    !line.starts_with("BUSY")
}

/// Looks again if mcflush, on a busy machine, stored keys in its file more slowly than the server listed them: it then gives
/// up, and says so.
fn unless_too_slow(mut look: impl FnMut() -> Run) -> Run {
    wait_for("a machine that is fast enough", || {
        Some(look()).filter(|run| !run.stderr.contains("more slowly than the server lists them"))
    })
}

fn a_reader_that_has_enough(version: Version) {
    let server = loaded(version);
    let run = unless_too_slow(|| {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let running = mcflush(["keys", "--prefix", "a:", server.address()]).stdout(writer).spawn();
        reader.read_exact(&mut [0; 1000]).unwrap();
        drop(reader);
        running.wait()
    });
    run.exits(0);
    assert!(!run.stderr.contains("io"), "it says nothing of it: {run}");
    wait_for("the crawler", || crawler_is_free(&server).then_some(()));
}

fn a_reader_that_stalls(version: Version) {
    let server = loaded(version);
    let mut text = String::new();
    let run = unless_too_slow(|| {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let running = mcflush(["keys", "--strategy", "hash", server.address()]).stdout(writer).spawn();
        let mut first = [0; 1];
        reader.read_exact(&mut first).unwrap();
        // The output is not read any further, and the dump still reaches its end.
        wait_for("the crawler", || crawler_is_free(&server).then_some(()));
        text = char::from(first[0]).into();
        reader.read_to_string(&mut text).unwrap();
        running.wait()
    });
    run.exits(0);
    assert_eq!(text.lines().collect::<BTreeSet<_>>().len(), MANY);
    assert_eq!(text.lines().count(), MANY);
}

#[test]
fn a_stalled_reader_does_not_delay_a_stop() {
    let server = loaded(Version::Sid);
    let run = unless_too_slow(|| {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let running = mcflush(["keys", server.address()]).stdout(writer).spawn();
        reader.read_exact(&mut [0; 1]).unwrap();
        running.signal("TERM");
        running.wait()
    });
    run.exits(143);
}

#[test]
fn of_several_servers_in_order() {
    let servers: Vec<Server> = (0..2).map(|_| Server::start(Version::Sid, &[])).collect();
    servers[0].store(["one:1"]);
    servers[1].store(["two:1"]);
    let nobody = UnusedPort::start();
    let addresses = [servers[0].address(), nobody.address(), servers[1].address()];
    let run = mcflush(["keys"].into_iter().chain(addresses)).run();
    run.exits(3).warns(nobody.address());
    assert_eq!(run.stdout, "one:1\ntwo:1\n");
}

#[test]
fn lost_in_the_middle_it_is_not_begun_again() {
    let fake = Fake::start(|peer| {
        while let Some(line) = peer.line() {
            match line.as_str() {
                "version" => peer.send("VERSION 1.6.45\r\n"),
                "stats" => peer.send("END\r\n"),
                _ => {
                    peer.send("OK\r\nkey=shop%3A1 exp=-1 la=1 cas=1 fetch=no cls=1 size=66\n");
                    return;
                }
            }
        }
    });
    let run = mcflush(["keys", fake.address()]).run();
    run.exits(1).warns("lost");
    assert_eq!(run.stdout, "shop:1\n", "once");
}

#[test]
fn a_full_disk_is_an_error() {
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    mcflush(["keys", server.address()]).stdout(full).run().exits(1).warns("could not be written");
}

#[test]
fn options_without_effect_are_refused() {
    let fake = Fake::silent();
    for options in [
        &["--sort", "size"][..],
        &["--sort", "colour", "--top", "2"],
        &["--top", "0"],
        &["--top", "100001"],
        &["--idle", "soon"],
        &["--larger", "-1"],
        &["-0", "--json"],
        &["-0", "--long"],
        &["--prefix", ""],
        &["--escaped", "--prefix", "\\q"],
    ] {
        mcflush(["keys"].iter().chain(options).copied().chain([fake.address()])).run().is_refused();
    }
    fake.assert_untouched();
}
