//! More than one server: mcflush works on each, and reports on each.

use crate::support::fake::{Answer, Fake, UnusedPort};
use crate::support::run::mcflush;
use crate::support::server::{Server, Version, each_version};
use crate::support::{LONG, wait_for};

each_version!(
    only_the_named_instance,
    all_named_instances,
    one_of_three_is_dead,
    one_of_three_is_dead_in_a_clear,
    jobs_one_by_one,
);

fn only_the_named_instance(version: Version) {
    let (named, other) = (Server::start(version, &[]), Server::start(version, &[]));
    named.store(["shop:1", "blog:1"]);
    other.store(["shop:1", "blog:1"]);
    mcflush(["--prefix", "shop:", named.address()]).run().is_complete();
    assert_eq!((named.count(""), other.count("")), (1, 2));
    mcflush(["--all", named.address()]).run().succeeds();
    assert_eq!((named.count(""), other.count("")), (0, 2));
    assert_eq!(other.stat("cmd_flush"), 0);
}

fn all_named_instances(version: Version) {
    let servers = [(); 3].map(|()| Server::start(version, &[]));
    for server in &servers {
        server.store(["shop:1", "shop:2", "blog:1"]);
    }
    let addresses = servers.each_ref().map(Server::address);
    let run = mcflush([&["--prefix", "shop:"], addresses.as_slice()].concat()).run();
    run.is_complete();
    for server in &servers {
        run.says(server.address());
        assert_eq!((server.count("shop:"), server.count("blog:")), (0, 1));
    }
    mcflush([&["--all"], addresses.as_slice()].concat()).run().succeeds();
    assert!(servers.iter().all(|server| server.count("") == 0));
}

fn one_of_three_is_dead(version: Version) {
    let (one, two) = (Server::start(version, &[]), Server::start(version, &[]));
    let dead = UnusedPort::start();
    one.store(["shop:1"]);
    two.store(["shop:1"]);
    mcflush(["--all", one.address(), dead.address(), two.address()])
        .run()
        .exits(3)
        .complains(dead.address(), &["refused"])
        .says(one.address())
        .says(two.address());
    assert_eq!((one.count(""), two.count("")), (0, 0));
}

fn one_of_three_is_dead_in_a_clear(version: Version) {
    let (one, two) = (Server::start(version, &[]), Server::start(version, &[]));
    let dead = UnusedPort::start();
    one.store(["shop:1", "blog:1"]);
    two.store(["shop:1", "blog:1"]);
    mcflush(["--prefix", "shop:", dead.address(), one.address(), two.address()])
        .run()
        .exits(3)
        .complains(dead.address(), &["refused"]);
    for server in [&one, &two] {
        assert_eq!((server.count("shop:"), server.count("blog:")), (0, 1));
    }
}

fn jobs_one_by_one(version: Version) {
    let servers = [(); 2].map(|()| Server::start(version, &[]));
    for server in &servers {
        server.store(["shop:1"]);
    }
    let addresses = servers.each_ref().map(Server::address);
    mcflush([&["--all", "--jobs", "1"], addresses.as_slice()].concat()).run().succeeds();
    assert!(servers.iter().all(|server| server.count("") == 0));
}

#[test]
fn one_is_dead_in_stats() {
    let server = Server::start(Version::Sid, &[]);
    let dead = UnusedPort::start();
    mcflush(["stats", dead.address(), server.address()])
        .run()
        .exits(3)
        .complains(dead.address(), &["refused"])
        .says("curr_items");
}

#[test]
fn all_are_dead() {
    let (one, two) = (UnusedPort::start(), UnusedPort::start());
    for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
        let arguments = [command, &[one.address(), two.address()]].concat();
        mcflush(arguments)
            .run()
            .exits(1)
            .complains(one.address(), &["refused"])
            .complains(two.address(), &["refused"])
            .claims_nothing();
    }
}

#[test]
fn a_server_named_twice_is_visited_once() {
    let server = Server::start(Version::Sid, &[]);
    let url = format!("memcached://{}", server.address());
    mcflush(["--all", server.address(), server.address(), &url]).run().succeeds();
    assert_eq!(server.stat("cmd_flush"), 1);
}

#[test]
fn silent_servers_are_waited_for_together() {
    let servers: Vec<Fake> = (0..10).map(|_| Fake::silent()).collect();
    let addresses = servers.iter().map(Fake::address);
    let run = mcflush(["--all", "--timeout", LONG].into_iter().chain(addresses)).spawn();
    // Each is contacted while the others are silent.
    servers.iter().for_each(Fake::wait_for_connection);
    run.signal("INT");
    run.wait().exits(130);
}

#[test]
fn a_silent_server_does_not_hold_up_the_rest() {
    let silent = Fake::silent();
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1"]);
    let run = mcflush(["--all", "--timeout", LONG, silent.address(), server.address()]).spawn();
    silent.wait_for_connection();
    wait_for("the flush", || (server.stat("cmd_flush") > 0).then_some(()));
    run.signal("INT");
    run.wait().exits(130).complains(silent.address(), &["interrupted"]);
    assert_eq!(server.count(""), 0);
}

#[test]
fn a_refusal_by_one_is_not_a_success_of_the_other() {
    let forbidden = Server::start(Version::Sid, &["-F"]);
    let liar = Fake::answering(|_| Answer::text("ERROR\r\n"));
    mcflush(["--all", forbidden.address(), liar.address()])
        .run()
        .exits(1)
        .complains(forbidden.address(), &["disabled"])
        .complains(liar.address(), &["server", "disabled", "protocol"]);
}
