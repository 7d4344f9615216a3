//! Input that people mistype, or copy from the settings of other clients: mcflush understands it as meant, or refuses
//! it before it sends anything.

use std::path::Path;

use crate::support::dns::Dns;
use crate::support::fake::Fake;
use crate::support::run::{Run, mcflush};
use crate::support::server::{Server, Version};

fn stored() -> Server {
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1", "shop:2", "blog:1"]);
    server
}

#[test]
fn a_command_among_the_servers() {
    let fake = Fake::silent();
    let (host, port) = fake.address().split_once(':').unwrap();
    for (arguments, meant) in [
        (&["--prefix", "shop:", "keys"][..], "mcflush keys --prefix shop: HOST;"),
        (&["--prefix", "a b", "--keep", "a b:", "keys"], "mcflush keys --prefix 'a b' --keep 'a b:' HOST;"),
        (&["--all", "stats"], "mcflush stats HOST;"),
        (&["--all", "stat"], "mcflush stats HOST;"),
        (&["--all", "Namespaces"], "mcflush namespaces HOST;"),
        (&["--all", "config"], "mcflush config check HOST;"),
        (&["--all", "help"], "mcflush --help;"),
        (&["--all", "man"], "mcflush man;"),
        (&["stats", "keys"], "mcflush keys HOST;"),
        (&["config", "check", "stats"], "mcflush stats HOST;"),
    ] {
        let run = mcflush(arguments.iter().copied().chain([fake.address()])).run();
        let meant = meant.replace("HOST", fake.address());
        run.is_refused().warns(&format!("the command goes first: {meant}"));
        let word = arguments.last().unwrap();
        run.warns(&format!("a host of that name is written {word}:11211"));
    }
    let url = format!("memcached://app:s3cr3t@{host}:{port}");
    let run = mcflush(["--all", "stats", &url]).run();
    assert!(!run.is_refused().stderr.contains("s3cr3t"), "{run}");
    fake.assert_untouched();
}

#[test]
fn a_host_may_have_the_name_of_a_command() {
    // mcflush resolves the name, which is all that a DNS server without that name can show.
    let dns = Dns::start(&[], &[]);
    let run = mcflush(["--prefix", "shop:", "stats:11311"]).env("MCFLUSH_DNS", dns.address()).run();
    run.fails("stats:11311", &["name"]);
}

#[test]
fn a_port_by_itself() {
    let fake = Fake::silent();
    let (_, port) = fake.address().split_once(':').unwrap();
    // mcflush must talk to no server, not even at a wrong address.
    for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
        let meant = format!("did you mean 127.0.0.77:{port}?");
        mcflush(command.iter().copied().chain(["127.0.0.77", port])).run().is_refused().warns(&meant);
        let variable = format!("127.0.0.77 {port}");
        let run = mcflush(command).env("MEMCACHE_SERVERS", &variable).run();
        run.is_refused().warns("MEMCACHE_SERVERS").warns(&meant);
    }
    for address in [port, "127.0.0.1:1 2", "2130706433", "127.1", "0x7f.1", "0177.0.0.1", "memcached://127.1"] {
        mcflush(["--all", fake.address(), address]).run().is_refused();
    }
    mcflush(["--all", "@caches", "11212"]).run().is_refused();
    fake.assert_untouched();
}

/// Passes the server's address in one form as an argument, in a variable, and in a list.
fn from_every_source(text: &str) -> [Run; 3] {
    let folder = tempfile::TempDir::with_prefix("mcflush-list-").unwrap();
    let list = folder.path().join("servers");
    std::fs::write(&list, text).unwrap();
    let stats = ["--dry-run", "--prefix", "shop:"];
    [
        mcflush(stats.iter().copied().chain([text])).run(),
        mcflush(stats).env("MEMCACHIER_SERVERS", text).run(),
        mcflush(stats.iter().copied().chain(["--servers-from", list.to_str().unwrap()])).run(),
    ]
}

#[test]
fn forms_of_other_clients() {
    let server = stored();
    let address = server.address();
    for text in [
        format!("{address}:5"),
        format!("tcp://{address}"),
        format!("tcp://{address}?persistent=1&weight=2"),
        format!("memcached://{address}?weight=33"),
    ] {
        for run in from_every_source(&text) {
            run.exits(0).says(&format!("{address}: would delete 2 keys"));
        }
    }
    let server = Server::start_unix(Version::Sid, &[]);
    server.store(["shop:1"]);
    let socket = server.address();
    assert!(Path::new(socket).is_absolute());
    for text in [
        format!("{socket}:5"),
        format!("unix:{socket}"),
        format!("unix://{socket}"),
        format!("unix:{socket}:0"),
        format!("memcached://{socket}"),
        format!("memcached://{socket}?weight=2"),
    ] {
        for run in from_every_source(&text) {
            run.exits(0).says(&format!("{socket}: would delete 1 key"));
        }
    }
}

#[test]
fn forms_that_are_refused() {
    let fake = Fake::silent();
    let address = fake.address();
    for (text, words) in [
        (format!("cache:{address}"), format!("name before host and port: write {address}")),
        (format!("memcached:?host[{address}]"), "several servers in one URL".into()),
        (format!("{address}:a:b"), "more parts than host, port and weight".into()),
        (format!("unix:/{}", "/tmp"), "absolute path".into()),
    ] {
        for run in from_every_source(&text) {
            run.is_refused().warns(&words);
            assert!(!run.stderr.contains("brackets"), "{run}");
        }
    }
    for separator in [",", ";"] {
        let both = format!("{address}{separator}{address}");
        mcflush(["--all", &both]).run().is_refused().warns("separates several servers").warns("by itself");
    }
    fake.assert_untouched();
}

#[test]
fn lists_of_other_programs() {
    let (one, two) = (stored(), stored());
    let folder = tempfile::TempDir::with_prefix("mcflush-list-").unwrap();
    let list = folder.path().join("servers");
    std::fs::write(&list, format!("\u{feff}{},\n{}\t# the second\n", one.address(), two.address())).unwrap();
    let run = mcflush(["--prefix", "shop:", "--servers-from", list.to_str().unwrap()]).run();
    run.succeeds().says(one.address()).says(two.address());
    // In a variable, either character separates them.
    let both = format!("{};{}", one.address(), two.address());
    mcflush(["--all"]).env("MEMCACHIER_SERVERS", both).run().succeeds().says(one.address()).says(two.address());
}

#[test]
fn a_prefix_that_is_written_like_a_pattern() {
    let server = stored();
    for (prefix, mark, meant) in [
        ("shop:*", '*', "\"shop:\" or --match \"shop:*\""),
        ("shop:%", '%', "\"shop:\""),
        ("^shop:", '^', "\"shop:\""),
        ("'shop:'", '\'', "\"shop:\""),
        ("*", '*', "--all"),
    ] {
        let words = format!(
            "no listed key begins with \"{prefix}\": {mark} stands for itself in a prefix: did you mean {meant}?"
        );
        for command in [&["--prefix"][..], &["--dry-run", "--prefix"], &["keys", "--prefix"]] {
            mcflush(command.iter().copied().chain([prefix, server.address()])).run().exits(0).warns(&words);
        }
    }
    assert_eq!(server.count(""), 3, "it stands for itself");
    // With --escaped, the prefix is meant literally.
    mcflush(["--escaped", "--prefix", "shop:*", server.address()]).run().is_complete();
    // If keys with this prefix exist, it is meant literally.
    server.store(["100%:1", "100%"]);
    let run = mcflush(["--prefix", "100%", server.address()]).run();
    run.is_complete().says("2 keys deleted");
}

#[test]
fn keys_name_the_closest_prefixes() {
    let (one, two) = (stored(), stored());
    let run = mcflush(["keys", "--prefix", "shpo:", one.address(), two.address()]).run();
    run.exits(0).warns("no listed key begins with \"shpo:\": the closest prefixes found: \"shop:\", \"blog:\"");
    assert_eq!(run.stdout, "");
    two.store(["shpo:1"]);
    let run = mcflush(["keys", "--prefix", "shpo:", one.address(), two.address()]).run();
    assert_eq!((run.succeeds().stdout.as_str(), run.stderr.as_str()), ("shpo:1\n", ""));
}

#[test]
fn a_clear_names_the_closest_prefixes() {
    let server = stored();
    let words = "no listed key begins with \"shpo:\": the closest prefixes found: \"shop:\", \"blog:\"";
    for command in [&["--prefix"][..], &["--dry-run", "--prefix"]] {
        mcflush(command.iter().copied().chain(["shpo:", server.address()])).run().succeeds().says(words);
    }
    assert_eq!(mcflush(["-q", "--prefix", "shpo:", server.address()]).run().succeeds().stdout, "");
}
