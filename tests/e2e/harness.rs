//! Tests of the test support itself: a loader that loses keys would make any clear look complete.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::fake::{Answer, Fake};
use crate::support::run::mcflush;
use crate::support::server::{Server, Version, each_version, set_by_binary_protocol};
use crate::support::{signal, wait_for};

each_version!(
    keys_come_back_as_they_were_stored,
    keys_that_were_just_read_are_all_there,
    a_server_dies_with_its_thread,
);

fn keys_come_back_as_they_were_stored(version: Version) {
    let server = Server::start(version, &[]);
    let mut keys: BTreeSet<Vec<u8>> = (0..=255).map(|byte| vec![b'k', byte, b'%']).collect();
    server.store(&keys);
    let by_binary_protocol = [vec![b' '; 250], b"\r\n".to_vec()];
    set_by_binary_protocol(&server, &by_binary_protocol.each_ref().map(Vec::as_slice));
    keys.extend(by_binary_protocol);
    assert_eq!(server.keys(), keys);
    assert_eq!(server.count(b"k"), 256);
    assert_eq!(server.stat("curr_items"), 258);
}

/// LRU dumps leave these keys out; the count that the tests use must not.
fn keys_that_were_just_read_are_all_there(version: Version) {
    const COUNT: usize = 20_000;
    let server = Server::start(version, &[]);
    let keys: Vec<String> = (0..COUNT).map(|n| format!("k{n}")).collect();
    server.store(&keys);
    for _ in 0..3 {
        assert_eq!(server.read_all(&keys), COUNT);
        assert_eq!(server.count("k"), COUNT);
    }
    assert!(server.has("k7") && !server.has("k"));
}

fn a_server_dies_with_its_thread(version: Version) {
    let pid = std::thread::spawn(move || {
        let server = Server::start(version, &[]);
        let pid = server.pid();
        // As if the thread had been killed before it could clean up.
        std::mem::forget(server);
        pid
    })
    .join()
    .expect("the server starts");
    wait_for("the server to die", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The process is gone, or a zombie.
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}

#[test]
#[should_panic(expected = "on purpose")]
fn a_server_test_that_fails() {
    let server = Server::start(Version::Sid, &["-o", "hashpower=17"]);
    server.store(["shop:1"]);
    mcflush(["--prefix", "shop:", server.address()]).run().is_complete();
    panic!("on purpose");
}

#[test]
fn a_server_test_that_fails_prints_server_and_runs() {
    let output = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "harness::a_server_test_that_fails", "--nocapture"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    for part in [": memcached 1.", "hashpower=17", "\"--prefix\" \"shop:\"", "listing by ", "complete"] {
        assert!(said.contains(part), "{part:?} should be in: {said}");
    }
}

#[test]
fn a_killed_server_is_gone() {
    // On a socket that no other program takes.
    let mut server = Server::start_unix(Version::Sid, &[]);
    server.kill();
    assert!(std::os::unix::net::UnixStream::connect(server.address()).is_err());
}

#[test]
fn a_conversation_by_the_script() {
    use std::io::{Read, Write};
    let fake = Fake::start(|peer| {
        assert_eq!(peer.number(), 0);
        peer.expect("version");
        peer.send("VERSION 1.6.38\r\n");
    });
    let mut client = std::net::TcpStream::connect(fake.address()).expect("it listens");
    client.write_all(b"version\r\n").expect("it reads");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it answers");
    assert_eq!(answer, "VERSION 1.6.38\r\n");
    assert_eq!(fake.lines(), ["version"]);
    assert_eq!(fake.connections(), 1);
}

#[test]
#[should_panic(expected = "expected \"version\", got Some(\"flush_all\")")]
fn a_conversation_that_leaves_the_script() {
    use std::io::{Read, Write};
    let fake = Fake::start(|peer| peer.expect("version"));
    let mut client = std::net::TcpStream::connect(fake.address()).expect("it listens");
    client.write_all(b"flush_all\r\n").expect("it reads");
    // Reads until the fake hangs up, which it does after it has read the line.
    client.read_to_end(&mut Vec::new()).expect("it hangs up");
}

#[test]
fn an_idle_fake_stops_at_once() {
    drop(Fake::silent());
    let fake = Fake::answering(|_| Answer::Nothing);
    let _client = std::net::TcpStream::connect(fake.address()).expect("it listens");
}

#[test]
#[should_panic(expected = "cannot send SIGINT")]
fn a_signal_to_an_ended_process_is_noticed() {
    // Above any process id of Linux.
    signal(u32::MAX >> 1, "INT");
}
