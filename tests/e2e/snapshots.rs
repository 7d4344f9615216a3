//! What people read, word for word; times are N. After a change that is meant,
//! `INSTA_UPDATE=always cargo test --all-features --test e2e snapshots` writes the new words, to be read in the diff.

use insta::assert_snapshot;

use crate::support::run::mcflush;
use crate::support::server::{Server, Version};

fn filled(version: Version) -> Server {
    let server = Server::start(version, &[]);
    server.store(["shop:1", "shop:2", "shop:sess:1", "cart:1", "lone"]);
    server
}

/// Both streams of a run, each line marked by whose it is.
fn said(server: &Server, arguments: &[&str]) -> String {
    let run = mcflush(arguments.iter().copied().chain([server.address()])).run();
    let timeless = |line: &str| match line.rsplit_once(" in ") {
        Some((before, after)) if after.ends_with(" s") => format!("{before} in N s"),
        _ => line.to_owned(),
    };
    let mark =
        |text: &str, mark: &str| -> String { text.lines().map(|line| format!("{mark}{}\n", timeless(line))).collect() };
    let text = mark(&run.stdout, "") + &mark(&run.stderr, "stderr: ");
    let words = text.replace(server.address(), "SERVER");
    format!("exit {:?}\n{words}", run.status.code())
}

#[test]
fn a_clear() {
    let server = filled(Version::Sid);
    assert_snapshot!("dry_run", said(&server, &["--dry-run", "--prefix", "shop:", "--prefix", "cart:"]));
    assert_snapshot!("clear", said(&server, &["--prefix", "shop:", "--keep", "shop:sess:"]));
    assert_snapshot!("clear_of_nothing", said(&server, &["--prefix", "none:"]));
}

#[test]
fn a_clear_in_passes() {
    let server = filled(Version::Sid);
    let by_lru = ["--prefix", "shop:", "--strategy", "lru"];
    assert_snapshot!("dry_run_in_part", said(&server, &[&["--dry-run"], &by_lru[..]].concat()));
    assert_snapshot!("clear_in_passes", said(&server, &by_lru));
}

#[test]
fn a_flush() {
    let server = filled(Version::Sid);
    assert_snapshot!("flush_later", said(&server, &["--all", "--delay", "60"]));
    assert_snapshot!("flush", said(&server, &["--all"]));
}

#[test]
fn a_listing() {
    let server = filled(Version::Sid);
    assert_snapshot!("keys", said(&server, &["keys", "--prefix", "cart:"]));
}

#[test]
fn refusals() {
    let server = filled(Version::Sid);
    for (name, arguments) in [
        ("no_target", &[][..]),
        ("an_empty_prefix", &["--prefix", ""]),
        ("a_misspelt_option", &["--all", "--dryrun"]),
        ("a_misspelt_command", &["stat"]),
        ("two_targets", &["--all", "--prefix", "shop:"]),
        ("a_bad_number", &["--all", "--timeout", "soon"]),
    ] {
        assert_snapshot!(name, said(&server, arguments));
    }
    assert_eq!(server.count(""), 5);
}

#[test]
fn failures() {
    let mut server = filled(Version::Sid);
    server.kill();
    assert_snapshot!("refused", said(&server, &["--retries", "0", "--prefix", "shop:"]));
}
