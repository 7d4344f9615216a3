//! Managed services and proxies, scripted: mcflush names each, and gives advice that can help there.

use crate::support::dns::Dns;
use crate::support::fake::{Answer, Fake};
use crate::support::run::mcflush;
use crate::support::server::{Server, Version};

fn port(address: &str) -> &str {
    address.rsplit(':').next().expect("a port")
}

#[test]
fn a_proxy_that_refuses_a_command() {
    for reply in [
        "SERVER_ERROR Command disabled\r\n",
        "SERVER_ERROR Command not supported\r\n",
        "CLIENT_ERROR parsing request\r\n",
    ] {
        let fake = Fake::answering(move |line| match line {
            "version" => Answer::text("VERSION 1.6.38\r\n"),
            _ => Answer::text(reply),
        });
        for command in [&["--all"][..], &["--prefix", "shop:"], &["keys"], &["namespaces"]] {
            let arguments = command.iter().copied().chain(["--retries", "0", fake.address()]);
            let run = mcflush(arguments).without_v().run();
            run.fails(fake.address(), &["server"]).claims_nothing().warns("a proxy may be in front");
            assert!(!run.stderr.contains("check the server's log"), "{run}");
        }
    }
}

#[test]
fn the_built_in_proxy_is_named() {
    let fake = Fake::answering(|line| match line {
        "version" => Answer::text("VERSION 1.6.45\r\n"),
        "stats" => Answer::text("STAT version 1.6.45\r\nSTAT proxy_conn_requests 1\r\nEND\r\n"),
        "mn" => Answer::text("MN\r\n"),
        _ => Answer::BytesThenClose(Vec::new()),
    });
    for command in [&["--all"][..], &["--prefix", "shop:"]] {
        let run = mcflush(command.iter().copied().chain(["--retries", "0", fake.address()])).without_v().run();
        run.fails(fake.address(), &["server"]).claims_nothing().warns("memcached's built-in proxy");
    }
}

#[test]
fn a_service_that_lists_no_keys() {
    let fake = Fake::answering(|line| match line {
        "version" => Answer::text("VERSION 1.6.22\r\n"),
        "stats" => Answer::text("STAT curr_items 3\r\nSTAT version 1.6.22\r\nEND\r\n"),
        "flush_all" => Answer::text("OK\r\n"),
        line if line.starts_with("flush_all ") => Answer::text("CLIENT_ERROR bad command line format\r\n"),
        _ => Answer::text("ERROR\r\n"),
    });
    for command in [&["--prefix", "shop:"][..], &["keys"], &["namespaces"], &["--dry-run", "--all"]] {
        let run = mcflush(command.iter().copied().chain([fake.address()])).without_v().run();
        run.fails(fake.address(), &["disabled"]).claims_nothing().warns("this service lists no keys");
    }
    mcflush(["--all", fake.address()]).run().exits(0).says("flushed").says("a strong hint");
    mcflush(["--all", "--delay", "30", fake.address()])
        .without_v()
        .run()
        .fails(fake.address(), &["disabled"])
        .warns("takes no delayed flush");
}

#[test]
fn a_stagger_keeps_its_own_clock_where_a_server_takes_no_delay() {
    let flushed = || {
        Fake::answering(|line| match line {
            "version" => Answer::text("VERSION 1.6.22\r\n"),
            "flush_all" => Answer::text("OK\r\n"),
            line if line.starts_with("flush_all ") => Answer::text("CLIENT_ERROR bad command line format\r\n"),
            _ => Answer::text("ERROR\r\n"),
        })
    };
    let (one, two) = (flushed(), flushed());
    let run = mcflush(["--all", "--once", "--stagger", "1", one.address(), two.address()]).run();
    run.exits(0).says(&format!("{}: flushed", two.address()));
    assert_eq!((one.count_lines("flush_all"), two.count_lines("flush_all")), (1, 1));
    assert_eq!(two.count_lines("flush_all 1"), 1, "it was asked first");
    assert!(run.took.as_secs_f64() >= 1.0, "{run}");
}

/// A server that reports that it is one node of two.
fn node(nodes: String) -> Fake {
    let reply = format!("CONFIG cluster 0 {}\r\n12\n{nodes}\r\nEND\r\n", nodes.len() + 3);
    Fake::answering(move |line| match line {
        "config get cluster" => Answer::text(&reply),
        "version" => Answer::text("VERSION 1.6.22\r\n"),
        "flush_all" => Answer::text("OK\r\n"),
        _ => Answer::text("ERROR\r\n"),
    })
}

#[test]
fn one_node_of_several_is_warned_of() {
    let node = node("a.cache.test|127.0.0.1|11211 b.cache.test|127.0.0.1|11212".into());
    let dns = Dns::start(&[("a.cache.test", "127.0.0.1"), ("x.cfg.cache.test", "127.0.0.1")], &[]);
    let name = format!("a.cache.test:{}", port(node.address()));
    let run = mcflush(["--all", "--once", &name]).env("MCFLUSH_DNS", dns.address()).run();
    run.exits(0).warns("one node of 2").warns(&format!("memcached+auto://{name}"));
    // A name with .cfg. in it is enough to tell.
    let plain = Server::start(Version::Sid, &[]);
    let name = format!("x.cfg.cache.test:{}", port(plain.address()));
    let run = mcflush(["--all", "--once", &name]).env("MCFLUSH_DNS", dns.address()).run();
    run.exits(0).warns("the endpoint of a cluster");
    // A user who gives an address has chosen the node on purpose.
    assert_eq!(mcflush(["--all", "--once", node.address()]).without_v().run().exits(0).stderr, "");
}

#[test]
fn a_node_whose_name_does_not_resolve_goes_by_its_address() {
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1"]);
    let endpoint = node(format!("gone.cache.test|127.0.0.1|{}", port(server.address())));
    let dns = Dns::start(&[("other.cache.test", "127.0.0.1")], &[]);
    let list = format!("memcached+auto://{}", endpoint.address());
    mcflush(["--all", &list]).env("MCFLUSH_DNS", dns.address()).run().exits(0).says(server.address());
    assert_eq!(server.count(""), 0);
}
