//! Bad input: exit status 2, one line with advice, and nothing sent.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::fake::Fake;
use crate::support::run::{Run, mcflush};

/// Runs with a server that could be harmed, and expects that it was left alone.
fn leaves_alone(arguments: &[&str]) -> Run {
    let fake = Fake::silent();
    let run = mcflush(arguments.iter().copied().chain([fake.address()])).run();
    fake.assert_untouched();
    run
}

#[test]
fn no_target() {
    // The server's name is the only argument; and then without it.
    for run in [leaves_alone(&[]), mcflush::<&str>([]).run()] {
        run.exits(2).warns("--all").warns("--prefix");
        assert!(run.stdout.is_empty(), "{run}");
        assert!(run.stderr.lines().count() <= 12, "a short usage: {run}");
    }
}

#[test]
fn both_targets() {
    leaves_alone(&["--all", "--prefix", "shop:"]).is_refused().warns("--all").warns("--prefix");
    leaves_alone(&["--prefix", "shop:", "--all"]).is_refused();
}

#[test]
fn an_empty_prefix() {
    leaves_alone(&["--prefix", ""]).is_refused().warns("--all");
    leaves_alone(&["--prefix="]).is_refused().warns("--all");
    leaves_alone(&["--prefix", "shop:", "--prefix", ""]).is_refused().warns("--all");
}

#[test]
fn a_pattern_that_is_none() {
    for (pattern, words) in
        [("", "empty"), ("*", "--all"), ("a[b", "\\["), ("[^a]", "[!"), ("[z-a]", "backwards"), ("a\\", "\\\\")]
    {
        leaves_alone(&["--match", pattern]).is_refused().warns("--match").warns(words);
        leaves_alone(&["keys", "--keep-match", pattern]).is_refused().warns("--keep-match").warns(words);
    }
    leaves_alone(&["--all", "--match", "a*"]).is_refused();
    leaves_alone(&["--all", "--once", "--keep-match", "a*"]).is_refused();
}

#[test]
fn a_prefix_over_250_bytes() {
    leaves_alone(&["--prefix", &"p".repeat(251)]).is_refused().warns("250");
    // 126 letters, 252 bytes.
    leaves_alone(&["--prefix", &"ö".repeat(126)]).is_refused().warns("250");
}

#[test]
fn a_prefix_without_a_value() {
    mcflush(["--prefix"]).run().exits(2).warns("--prefix");
}

#[test]
fn bad_addresses() {
    for address in [
        "",
        " ",
        ":11211",
        "127.0.0.1:",
        "127.0.0.1:99999",
        "127.0.0.1:0",
        "127.0.0.1:port",
        "127.0.0.1:-1",
        "[::1",
        "[::1]11211",
        "[nonsense]:11211",
        "two words",
        "http://127.0.0.1",
        "memcached://",
        "memcached://127.0.0.1:99999",
        "memcached+unix://",
        "bad\u{1b}[31mname",
        "line\nbreak",
    ] {
        for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
            leaves_alone(&[command, &[address]].concat()).is_refused();
        }
    }
}

#[test]
fn the_bad_address_is_named() {
    leaves_alone(&["--all", "127.0.0.1:99999"]).is_refused().warns("\"127.0.0.1:99999\"").warns("(character 11)");
    leaves_alone(&["--all", "cache*1"]).is_refused().warns("\"cache*1\"").warns("'*'").warns("(character 6)");
}

#[test]
fn options_that_do_not_exist() {
    leaves_alone(&["--all", "--no-such-option"]).exits(2).warns("--no-such-option");
    leaves_alone(&["stats", "--no-such-option"]).exits(2).warns("--no-such-option");
}

#[test]
fn what_was_probably_meant() {
    leaves_alone(&["--prefx", "shop:"]).exits(2).warns("--prefix");
    leaves_alone(&["stat"]).is_refused().warns("did you mean mcflush stats?");
    leaves_alone(&["namespace"]).is_refused().warns("did you mean mcflush namespaces?");
}

#[test]
fn options_without_sense() {
    for options in [
        ["--timeout", "soon"],
        ["--timeout", "-1"],
        ["--timeout", "nan"],
        ["--timeout", "0"],
        ["--retries", "-1"],
        ["--retries", "some"],
        ["--jobs", "0"],
        ["--jobs", "many"],
    ] {
        leaves_alone(&[&["--all"], &options[..]].concat()).exits(2).warns(options[0]);
    }
}

#[test]
fn arguments_that_are_not_text() {
    // Such a prefix is valid, because prefixes are bytes; such an address is not.
    let fake = Fake::silent();
    mcflush([OsStr::new("--all"), OsStr::from_bytes(b"cache\xff")]).run().exits(2);
    fake.assert_untouched();
}

#[test]
fn help_and_version() {
    mcflush(["--help"]).run().succeeds().says("--all").says("--prefix").says("stats");
    mcflush(["--version"]).run().succeeds().says(env!("CARGO_PKG_VERSION"));
}

#[test]
fn texts_for_packagers() {
    for shell in ["bash", "zsh", "fish"] {
        mcflush(["completions", shell]).run().succeeds().says(&format!("completions {shell} -- "));
    }
    mcflush(["completions", "elvish"]).run().succeeds().says("--prefix");
    mcflush(["completions", "sheII"]).run().is_refused().warns("sheII");
    mcflush(["man"]).run().succeeds().says(".SH NAME").says(".SH EXAMPLES");
}
