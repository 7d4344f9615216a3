//! Where results go, and what happens if they cannot be written.

use std::fs::File;
use std::io::pipe;

use crate::support::fake::{Answer, Fake};
use crate::support::run::mcflush;
use crate::support::server::{Server, Version, each_version};

each_version!(success_says_nothing_on_stderr);

fn success_says_nothing_on_stderr(version: Version) {
    let server = Server::start(version, &[]);
    server.store(["shop:1", "blog:1"]);
    for command in [&["--prefix", "shop:"][..], &["--all", "--verify"], &["--all"]] {
        let run = mcflush([command, &[server.address()]].concat()).without_v().run();
        assert!(run.exits(0).stderr.is_empty(), "{run}");
    }
}

fn full() -> File {
    File::options().write(true).open("/dev/full").expect("Linux has one")
}

#[test]
fn a_full_disk_is_a_failure_that_comes_after_the_work() {
    let server = Server::start(Version::Sid, &[]);
    for command in [&["--all"][..], &["--prefix", "shop:"]] {
        server.store(["shop:1"]);
        let run = mcflush([command, &[server.address()]].concat()).stdout(full()).run();
        run.exits(1).warns("mcflush: ").warns("io");
        assert_eq!(server.count(""), 0, "{run}");
    }
    mcflush(["stats", server.address()]).stdout(full()).run().exits(1).warns("mcflush: ");
}

#[test]
fn a_reader_that_went_away_does_not_stop_the_work() {
    let server = Server::start(Version::Sid, &[]);
    for command in [&["--all"][..], &["--prefix", "shop:"]] {
        server.store(["shop:1"]);
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let run = mcflush([command, &[server.address()]].concat()).stdout(writer).run();
        assert_eq!(server.count(""), 0, "{run}");
        // It ends with an exit status, not by a signal.
        assert!(run.status.code().is_some(), "{run}");
    }
}

#[test]
fn a_reader_that_went_away_ends_a_listing_quietly() {
    let server = Server::start(Version::Sid, &[]);
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let run = mcflush(["stats", server.address()]).stdout(writer).run();
    assert!(run.stderr.is_empty(), "{run}");
    assert!(run.status.code().is_some(), "{run}");
}

#[test]
fn nothing_raw_reaches_the_terminal() {
    let fake = Fake::answering(|line| match line {
        "stats" => Answer::text("STAT version 1.6.\u{1b}[31m38\r\nSTAT \u{7}bell \u{9b}2J\r\nEND\r\n"),
        "flush_all" => Answer::text("SERVER_ERROR \u{1b}]0;owned\u{7}\r\n"),
        _ => Answer::text("ERROR \u{1b}[2J\r\n"),
    });
    // Every run is checked for control characters; this checks that the rest of the text is still there.
    mcflush(["stats", fake.address()]).run().succeeds().says("1.6.\\x1b[31m38").says("\\x07bell");
    mcflush(["--all", fake.address()]).run().exits(1).warns("\\x1b]0;owned\\x07");
    mcflush(["--prefix", "shop:", fake.address()]).run().exits(1);
}

#[test]
fn no_color_without_a_terminal() {
    let server = Server::start(Version::Sid, &[]);
    for (name, value) in [("TERM", "xterm-256color"), ("CLICOLOR_FORCE", "0")] {
        mcflush(["stats", server.address()]).env(name, value).run().succeeds();
    }
}
