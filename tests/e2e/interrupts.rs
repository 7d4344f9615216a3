//! SIGINT and SIGTERM: mcflush ends at once, says so, and leaves no half-written command.

use crate::support::LONG;
use crate::support::fake::{Answer, Fake};
use crate::support::run::mcflush;
use crate::support::server::{Server, Version};

const SIGNALS: [(&str, i32); 2] = [("INT", 130), ("TERM", 143)];

#[test]
fn while_a_server_is_silent() {
    for (signal, status) in SIGNALS {
        for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
            let fake = Fake::silent();
            let arguments = [command, &["--timeout", LONG, fake.address()]].concat();
            let run = mcflush(arguments).spawn();
            fake.wait_for_connection();
            run.signal(signal);
            run.wait().exits(status).claims_nothing();
        }
    }
}

#[test]
fn between_two_passes() {
    for (signal, status) in SIGNALS {
        let fake = Fake::answering(|line| match line {
            "version" => Answer::text("VERSION 1.6.18\r\n"),
            "lru_crawler metadump all" => Answer::text("key=shop%3A1 exp=-1\nEND\r\n"),
            "mn" => Answer::text("MN\r\n"),
            line if line.starts_with("md ") => Answer::Nothing,
            _ => Answer::text("ERROR\r\n"),
        });
        let run = mcflush(["--prefix", "shop:", fake.address()]).spawn();
        fake.wait_for_line("mn");
        run.signal(signal);
        let run = run.wait();
        run.exits(status).claims_nothing();
        // The report still says what was done.
        assert!(format!("{}{}", run.stdout, run.stderr).contains(fake.address()), "{run}");
    }
}

#[test]
fn while_the_crawler_is_busy() {
    const DUMP: &str = "lru_crawler metadump hash";
    for (signal, status) in SIGNALS {
        let fake = Fake::answering(|line| match line {
            "version" => Answer::text("VERSION 1.6.38\r\n"),
            DUMP => Answer::text("BUSY currently processing crawler request\r\n"),
            _ => Answer::text("ERROR\r\n"),
        });
        let run = mcflush(["--prefix", "shop:", fake.address()]).spawn();
        crate::support::wait_for("a second try", || (fake.count_lines(DUMP) > 1).then_some(()));
        run.signal(signal);
        run.wait().exits(status).claims_nothing();
    }
}

#[test]
fn one_server_done_another_silent() {
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1"]);
    let silent = Fake::silent();
    let run = mcflush(["--all", "--timeout", LONG, server.address(), silent.address()]).spawn();
    silent.wait_for_connection();
    crate::support::wait_for("the flush", || (server.count("") == 0).then_some(()));
    run.signal("INT");
    let run = run.wait();
    run.exits(130);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains(server.address()) && said.contains(silent.address()), "{run}");
}
