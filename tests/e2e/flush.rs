//! `--all`: flushes the whole instance, and never claims success wrongly.

use crate::support::run::mcflush;
use crate::support::server::{Server, Version, each_version};

each_version!(
    empties_the_instance,
    an_empty_instance,
    twice,
    flush_forbidden,
    on_a_unix_socket,
    with_a_full_config_of_forms,
);

fn empties_the_instance(version: Version) {
    let server = Server::start(version, &[]);
    server.store((0..1234).map(|n| format!("shop:{n}")));
    server.store([b"shop:\r\n1".as_slice()]);
    mcflush(["--all", server.address()]).run().succeeds().says(server.address()).counts(1235);
    assert_eq!(server.count(""), 0);
    assert!(!server.has("shop:1"));
    assert_eq!(server.stat("cmd_flush"), flushes(version));
}

/// How many flushes: if flush_all compares CAS, a second one hides items that were being changed; if not, a walk finds
/// what the first left.
fn flushes(version: Version) -> u64 {
    if version.has_harmless_hash_dump() { 1 } else { 2 }
}

fn an_empty_instance(version: Version) {
    let server = Server::start(version, &[]);
    mcflush(["--all", server.address()]).run().succeeds().counts(0);
    assert_eq!(server.stat("cmd_flush"), flushes(version));
}

fn twice(version: Version) {
    let server = Server::start(version, &[]);
    for _ in 0..2 {
        server.store(["shop:1", "shop:2"]);
        mcflush(["--all", server.address()]).run().succeeds();
        assert_eq!(server.count(""), 0);
    }
}

fn flush_forbidden(version: Version) {
    let server = Server::start(version, &["-F"]);
    server.store(["shop:1", "shop:2"]);
    mcflush(["--all", server.address()]).run().fails(server.address(), &["disabled"]).warns("-F");
    assert_eq!(server.count(""), 2);
}

fn on_a_unix_socket(version: Version) {
    let server = Server::start_unix(version, &[]);
    server.store(["shop:1", "shop:2"]);
    mcflush(["--all", server.address()]).run().succeeds().says(server.address());
    assert_eq!(server.count(""), 0);
}

fn with_a_full_config_of_forms(version: Version) {
    let server = Server::start(version, &[]);
    let port = server.address().rsplit(':').next().expect("a port");
    for form in
        [format!("localhost:{port}"), format!("memcached://127.0.0.1:{port}"), format!("memcached://localhost:{port}")]
    {
        server.store(["shop:1"]);
        let shown = form.trim_start_matches("memcached://");
        mcflush(["--all", &form]).run().succeeds().says(shown);
        assert_eq!(server.count(""), 0, "{form}");
    }
}

#[test]
fn dumps_forbidden_does_not_matter() {
    let server = Server::start(Version::Sid, &["-X"]);
    server.store(["shop:1"]);
    mcflush(["--all", server.address()]).run().succeeds();
    assert!(!server.has("shop:1"));
}

mod on_ipv6 {
    use super::*;

    #[test]
    fn bracketed() {
        // A second -l in addition to that of every test server; with -p -1 each address gets a port of its own.
        let server = Server::start(Version::Sid, &["-l", "[::1]"]);
        server.store(["shop:1"]);
        let ports: Vec<String> = server
            .stats("stats conns")
            .into_iter()
            .filter(|(name, _)| name.ends_with(":addr"))
            .filter_map(|(_, value)| Some(value.strip_prefix("tcp6:[::1]:")?.to_owned()))
            .collect();
        let [port] = ports.as_slice() else {
            panic!("memcached should listen once on ::1: {ports:?}");
        };
        let address = format!("[::1]:{port}");
        mcflush(["--all", &address]).run().succeeds().says(&address);
        assert_eq!(server.count(""), 0);
    }
}
