//! What people see: live lines during the work and one line afterwards, on wide and narrow terminals, and no live lines
//! without a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

use crate::support::fake::{Fake, holding_deletes};
use crate::support::run::mcflush;
use crate::support::server::{Server, Version};
use crate::support::terminal::Terminal;
use crate::support::{LONG, wait_for};

/// A server whose clear with `--rate 500` takes some seconds.
fn slow_to_clear() -> Server {
    let server = Server::start(Version::Sid, &[]);
    server.store((0..1500).map(|n| format!("shop:{n}")));
    server.store((0..500).map(|n| format!("blog:{n}")));
    server
}

/// A way to the server that holds deletes back until the flag is set, so that a line about them can be waited for.
fn held_back(server: &Server) -> (Fake, Arc<AtomicBool>) {
    let may_delete = Arc::new(AtomicBool::new(false));
    let is_allowed = Arc::clone(&may_delete);
    (holding_deletes(server, move || is_allowed.load(SeqCst), || {}), may_delete)
}

/// Whether the screen has a time of minutes and seconds.
fn has_a_clock(screen: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_clock = |word: &str| word.split_once(':').is_some_and(|(one, two)| is_number(one) && is_number(two));
    screen.split_whitespace().any(is_clock)
}

fn a_clear_is_watched(columns: u16, is_there: impl Fn(&str) -> bool) {
    let server = slow_to_clear();
    let (way, may_delete) = held_back(&server);
    let arguments = ["--prefix", "shop:", "--timeout", LONG, way.address()];
    let terminal = Terminal::run(columns, &[], &arguments);
    let screen = terminal
        .shows("a live line", |screen| screen.contains(way.address()) && has_a_clock(screen) && is_there(screen));
    assert_eq!(screen.lines().count(), 1, "{screen}");
    may_delete.store(true, SeqCst);
    let (status, screen, bytes) = terminal.wait();
    let said = screen.trim_end();
    assert_eq!(status, Some(0), "{screen}");
    let stays = format!("{}: complete, 1,500 keys deleted of 2,000 listed", way.address());
    assert!(said.starts_with(&stays), "{screen}");
    assert!(said.ends_with(" s") && said.matches(way.address()).count() == 1, "only that stays: {screen}");
    assert!(bytes.contains("\x1b[32mcomplete\x1b[0m"), "{bytes:?}");
}

#[test]
fn a_clear_on_40_columns() {
    a_clear_is_watched(40, |screen| screen.contains(" of 2,000"));
}

#[test]
fn a_clear_on_80_columns() {
    a_clear_is_watched(80, |screen| {
        ["2,000 listed", " deleted", "/s", "pass 1"].iter().all(|part| screen.contains(part))
    });
}

#[test]
fn a_clear_on_200_columns() {
    a_clear_is_watched(200, |screen| {
        ["2,000 listed", " deleted", "/s", "pass 1"].iter().all(|part| screen.contains(part))
    });
}

/// A server that lists some keys, and then pauses.
fn slow_to_list() -> Fake {
    Fake::start(|peer| {
        while let Some(line) = peer.line() {
            match line.as_str() {
                "version" => peer.send("VERSION 1.6.45\r\n"),
                "lru_crawler metadump hash" => {
                    peer.send("OK\r\n");
                    for n in 0..8192 {
                        peer.send(format!("key=shop%3A{n} exp=-1 la=1 cas=1 fetch=no cls=1 size=66 \n"));
                    }
                    peer.stay_silent();
                    return;
                }
                _ => peer.send("ERROR\r\n"),
            }
        }
    })
}

#[test]
fn a_look_is_watched_too() {
    let server = slow_to_list();
    for (columns, shown) in [(40, " listed"), (80, "8,192 listed"), (200, "8,192 listed")] {
        for command in [&["namespaces"][..], &["--dry-run", "--prefix", "shop:"]] {
            let arguments = [command, &["--timeout", "60", server.address()]].concat();
            let terminal = Terminal::run(columns, &[], &arguments);
            let screen = terminal.shows("a live line", |screen| screen.contains(shown));
            assert!(screen.lines().count() == 1 && screen.starts_with(server.address()), "{screen}");
            assert!(!screen.contains("deleted"), "nothing is: {screen}");
            terminal.signal("INT");
            let (status, screen, _) = terminal.wait();
            assert_eq!(status, Some(130), "{screen}");
            assert!(!screen.contains(" listed"), "nothing live stays: {screen}");
        }
    }
}

#[test]
fn keys_are_watched_when_they_go_to_a_file() {
    let server = slow_to_list();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let keys = format!("{} keys --timeout 60 {}", env!("CARGO_BIN_EXE_mcflush"), server.address());
    let to_file = format!("exec {keys} >{}", file.display());
    let began = Instant::now();
    let terminal = Terminal::run_program("/bin/sh", 80, &[], &["-c", &to_file]);
    terminal.shows("a live line", |screen| screen.contains(" listed"));
    // By that time, a live line would have appeared.
    let enough = 1.0 + 4.0 * began.elapsed().as_secs_f64();
    terminal.signal("INT");
    assert_eq!(terminal.wait().0, Some(130));
    // On the terminal itself, keys and live lines would mix; with a pager, live lines would disturb it.
    for to_people in [format!("exec {keys}"), format!("{keys} | cat")] {
        let terminal = Terminal::run_program("/bin/sh", 80, &[], &["-c", &to_people]);
        terminal.shows("keys", |screen| screen.contains("shop:"));
        let shown = Instant::now();
        wait_for("a live line to appear", || (shown.elapsed().as_secs_f64() > enough).then_some(()));
        terminal.types("\x03");
        let (_, _, bytes) = terminal.wait();
        assert!(!bytes.contains(" listed"), "{bytes}");
    }
}

#[test]
fn statistics_that_do_not_come_are_waited_for_in_sight() {
    let silent = Fake::silent();
    let terminal = Terminal::run(80, &[], &["stats", "--timeout", "60", silent.address()]);
    terminal.shows("a live line", |screen| screen.starts_with(silent.address()) && screen.contains("no answer yet"));
    terminal.signal("INT");
    assert_eq!(terminal.wait().0, Some(130));
}

#[test]
fn of_many_servers_some_are_shown_and_a_total() {
    let servers: Vec<Fake> = (0..50).map(|_| Fake::silent()).collect();
    let mut arguments = vec!["--prefix", "shop:", "--jobs", "20", "--timeout", "60"];
    arguments.extend(servers.iter().map(Fake::address));
    let terminal = Terminal::run(80, &[], &arguments);
    let screen = terminal.shows("eight servers and a total", |screen| {
        (screen.contains("0 of 50 done") || screen.contains("0 of 50 ser")) && screen.lines().count() == 9
    });
    let lines: Vec<_> = screen.lines().collect();
    for line in &lines[..8] {
        let is_named = servers.iter().any(|server| line.starts_with(server.address()));
        assert!(is_named && line.contains("no answer yet"), "{screen}");
    }
    terminal.signal("INT");
    let (status, screen, _) = terminal.wait();
    assert_eq!(status, Some(130), "{screen}");
    assert!(!screen.contains("no answer yet"), "nothing live stays: {screen}");
}

#[test]
fn lines_printed_meanwhile_stand_above_the_live_lines() {
    let (server, silent) = (slow_to_clear(), Fake::silent());
    let other = Server::start(Version::Sid, &[]);
    let arguments = [
        "-v",
        "--prefix",
        "shop:",
        "--rate",
        "500",
        "--jobs",
        "3",
        other.address(),
        server.address(),
        silent.address(),
    ];
    let terminal = Terminal::run(200, &[], &arguments);
    terminal.shows("results above live lines", |screen| {
        let place = |text: &str| screen.lines().position(|line| line.contains(text));
        match (place("complete, 0 keys deleted"), place(" of 3 servers done")) {
            (Some(result), Some(total)) => result < total && screen.contains("mcflush: "),
            _ => false,
        }
    });
    terminal.signal("INT");
    let (_, screen, _) = terminal.wait();
    assert!(!screen.contains("servers done  "), "{screen}");
}

#[test]
fn plain_terminals_get_plain_text() {
    let server = slow_to_clear();
    let address = server.address();
    let fast = ["--prefix", "blog:", address];
    for (environment, arguments, colours, escapes) in [
        (vec![], fast.to_vec(), true, true),
        (vec![("NO_COLOR", "1")], fast.to_vec(), false, true),
        (vec![("NO_COLOR", "")], fast.to_vec(), true, true),
        (vec![("TERM", "dumb")], [&["--rate", "200"], &fast[..]].concat(), false, false),
        (vec![], [&["--color", "never"], &fast[..]].concat(), false, true),
        (vec![], [&["--color=never", "--progress=never"], &fast[..]].concat(), false, false),
        (vec![("NO_COLOR", "1")], vec!["--help"], false, false),
        (vec![], vec!["--help"], true, true),
        (vec![], vec!["--help", "--color", "never"], false, false),
    ] {
        let (status, _, bytes) = Terminal::run(80, &environment, &arguments).wait();
        assert_eq!(status, Some(0), "{arguments:?} {bytes}");
        let coloured = bytes.contains("\x1b[32m") || bytes.contains("\x1b[1m");
        assert_eq!(coloured, colours, "{environment:?} {arguments:?} {bytes:?}");
        assert!(escapes || !bytes.contains('\x1b'), "{environment:?} {arguments:?} {bytes:?}");
    }
}

#[test]
fn errors_stand_out() {
    let (status, screen, bytes) = Terminal::run(40, &[], &["--prefix", ""]).wait();
    assert_eq!(status, Some(2), "{screen}");
    assert!(bytes.starts_with("\x1b[31m\x1b[1mmcflush:\x1b[0m "), "{bytes:?}");
}

#[test]
fn no_live_lines_off_a_terminal() {
    let server = slow_to_clear();
    // Every run is checked for escape sequences, so that is not repeated here.
    mcflush(["--prefix", "shop:", "--rate", "1000", server.address()]).run().is_complete();
    let server = slow_to_clear();
    let (way, may_delete) = held_back(&server);
    let options = ["--progress", "always", "--prefix", "shop:", "--timeout", LONG, way.address()];
    let run = mcflush(options).without_v().spawn();
    run.wait_for_stderr("2,000 listed");
    may_delete.store(true, SeqCst);
    run.wait().exits(0).warns("mcflush: ").warns(" deleted").says("complete");
}

#[test]
fn quiet_is_quiet_on_a_terminal_too() {
    let server = slow_to_clear();
    let (status, _, bytes) =
        Terminal::run(80, &[], &["--quiet", "--prefix", "shop:", "--rate", "1000", server.address()]).wait();
    assert_eq!((status, bytes.as_str()), (Some(0), ""));
}
