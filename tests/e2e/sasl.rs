//! Servers that speak only the binary protocol: with SASL (`-S`), and without (`-B binary`).

use std::io::Write;
use std::process::{Command, Stdio};

use mcflush::protocol::Key;
use mcflush::protocol::binary::{HEADER, Request};
use mcflush::protocol::storage::Credentials;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::run::{Run, mcflush};
use crate::support::server::{Connection, Server, Version, each_version};
use crate::support::wait_for;
use crate::tls::Certificates;

each_version!(
    with_the_right_password,
    a_delayed_flush,
    a_verified_flush,
    a_wrong_password,
    no_password,
    operations_that_list_keys,
    no_mechanism_that_can_be_used,
    without_sasl,
    a_server_that_does_not_flush,
);
// Debian 11 builds memcached without TLS.
each_version!(but bullseye: over_tls);

const PASSWORD: &str = "s3cr3t";

/// A server with SASL, and its password database.
struct Locked {
    server: Server,
    _folder: TempDir,
}

impl Locked {
    fn start(version: Version, more: &[&str]) -> Locked {
        Locked::with_mechanisms(version, "plain", more)
    }

    fn with_mechanisms(version: Version, mechanisms: &str, more: &[&str]) -> Locked {
        let folder = TempDir::with_prefix("mcflush-sasl-").expect("a temporary folder");
        let path = folder.path().to_str().expect("temporary paths are text");
        let database = format!("{path}/sasldb");
        // memcached's realm is the machine's name.
        let realm = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("proc is mounted");
        let mut adding = Command::new("/usr/sbin/saslpasswd2")
            .args(["-a", "memcached", "-c", "-p", "-f", &database, "-u", realm.trim(), "app"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("saslpasswd2 (of sasl2-bin, which scripts/test installs) runs");
        adding.stdin.take().expect("a pipe").write_all(PASSWORD.as_bytes()).expect("it takes the password");
        assert!(adding.wait().expect("a child can be waited for").success());
        let config = format!("mech_list: {mechanisms}\nsasldb_path: {database}\n");
        std::fs::write(folder.path().join("memcached.conf"), config).expect("a temporary file");
        let server = Server::start_in(version, &[&["-S"], more].concat(), &[("SASL_CONF_PATH", path)]);
        Locked { server, _folder: folder }
    }

    fn address(&self) -> &str {
        self.server.address()
    }

    fn url(&self, password: &str) -> String {
        format!("memcached://app:{password}@{}", self.address())
    }

    fn enter(&self) -> Raw {
        let mut raw = Raw(self.server.connect());
        let credentials = Credentials::new("app", PASSWORD).expect("no spaces");
        assert_eq!(raw.ask(&Request::Authenticate(credentials)), 0, "the server lets the test in");
        raw
    }
}

/// A connection of another client that speaks the binary protocol.
struct Raw(Connection);

impl Raw {
    /// Sends a request; returns the status of the answer.
    fn ask(&mut self, request: &Request) -> u16 {
        let mut wire = bytes::BytesMut::new();
        request.encode(&mut wire);
        self.0.send(&wire);
        let header = self.0.bytes(HEADER);
        let body = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        self.0.bytes(usize::try_from(body).expect("a short body"));
        u16::from_be_bytes([header[6], header[7]])
    }

    fn store(&mut self, keys: &[&'static str]) {
        for &key in keys {
            let key = Key::new(key).expect("a key");
            assert_eq!(self.ask(&Request::Set { key, seconds: 0, value: "x".into() }), 0);
        }
    }

    fn has(&mut self, key: &'static str) -> bool {
        match self.ask(&Request::Get(Key::new(key).expect("a key"))) {
            0 => true,
            1 => false,
            status => panic!("get {key}: status {status}"),
        }
    }
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}{run}"))
}

fn with_the_right_password(version: Version) {
    let locked = Locked::start(version, &[]);
    let (url, mut other) = (locked.url(PASSWORD), locked.enter());
    other.store(&["shop:1", "blog:1", "blog:2"]);
    let run = mcflush(["stats", "--group", "general", "--group", "settings", "--group", "slabs", "--json", &url]).run();
    run.succeeds();
    let groups = &json(&run)["servers"][0]["groups"];
    assert_eq!(groups["general"]["curr_items"], 3);
    assert_eq!(groups["settings"]["auth_enabled_sasl"], "yes");
    assert_eq!(groups["slabs"]["active_slabs"], 1);
    mcflush(["--all", &url]).run().succeeds().counts(3).says(locked.address());
    assert!(["shop:1", "blog:1", "blog:2"].iter().all(|key| !other.has(key)));
    other.store(&["shop:1"]);
    let run = mcflush(["--all", "--json", "-vvv", &url]).run();
    assert!(!run.exits(0).stderr.contains(PASSWORD) && !run.stdout.contains(PASSWORD), "{run}");
    let server = &json(&run)["servers"][0];
    assert_eq!(server["ok"], true);
    // No keys can be listed: a second flush covers what a flush by time may leave.
    assert_eq!(server["proof"], if matches!(version, Version::Bullseye | Version::Debian) { "cas" } else { "twice" });
    assert!(!other.has("shop:1"));
    other.store(&["shop:1"]);
    mcflush(["--all", "--once", &url]).run().succeeds();
    other.store(&["shop:2"]);
    mcflush(["--all", "--keep-new", &url]).run().fails(locked.address(), &["disabled"]).warns("new items");
    assert!(other.has("shop:2"));
}

fn a_delayed_flush(version: Version) {
    let locked = Locked::start(version, &[]);
    let mut other = locked.enter();
    other.store(&["shop:1"]);
    mcflush(["--all", "--delay", "600", &locked.url(PASSWORD)]).run().succeeds().says("600");
    assert!(other.has("shop:1"));
    // A later flush replaces the one before.
    mcflush(["--all", "--delay", "1", &locked.url(PASSWORD)]).run().succeeds();
    wait_for("the flush", || (!other.has("shop:1")).then_some(()));
}

fn a_verified_flush(version: Version) {
    let locked = Locked::start(version, &[]);
    let mut other = locked.enter();
    other.store(&["shop:1"]);
    mcflush(["--all", "--verify", &locked.url(PASSWORD)]).run().succeeds();
    assert!(!other.has("shop:1"));
}

fn a_wrong_password(version: Version) {
    let locked = Locked::start(version, &[]);
    let mut other = locked.enter();
    other.store(&["shop:1"]);
    for command in [&["--all"][..], &["--all", "--delay", "1"], &["--all", "--verify"], &["stats"]] {
        let run = mcflush(command.iter().copied().chain(["-vvv", &locked.url("wr0ng")])).run();
        run.fails(locked.address(), &["auth"]).warns("--password-file").claims_nothing();
        assert!(!run.stderr.contains("wr0ng"), "{run}");
    }
    assert!(other.has("shop:1"));
}

fn no_password(version: Version) {
    let locked = Locked::start(version, &[]);
    let mut other = locked.enter();
    other.store(&["shop:1"]);
    for command in [&["--all"][..], &["--all", "--delay", "1"], &["--all", "--verify"], &["stats"]] {
        let run = mcflush(command.iter().copied().chain([locked.address()])).run();
        run.fails(locked.address(), &["auth"]).warns("--user").claims_nothing();
    }
    assert!(other.has("shop:1"));
}

fn operations_that_list_keys(version: Version) {
    let locked = Locked::start(version, &[]);
    let mut other = locked.enter();
    other.store(&["shop:1"]);
    for server in [locked.address(), &locked.url(PASSWORD), &locked.url("wrong")] {
        for command in [
            &["--prefix", "shop:"][..],
            &["--all", "--keep", "blog:"],
            &["--prefix", "shop:", "--dry-run"],
            &["--all", "--dry-run"],
            &["keys"],
            &["namespaces"],
        ] {
            let run = mcflush(command.iter().copied().chain([server])).run();
            run.fails(locked.address(), &["disabled"]).warns("binary protocol").warns("lists no keys").claims_nothing();
        }
    }
    assert!(other.has("shop:1"));
}

fn no_mechanism_that_can_be_used(version: Version) {
    for (mechanisms, words) in [("cram-md5", "CRAM-MD5"), ("gssapi", "no mechanism")] {
        let locked = Locked::with_mechanisms(version, mechanisms, &[]);
        for command in ["--all", "stats"] {
            let run = mcflush([command, &locked.url(PASSWORD)]).run();
            run.fails(locked.address(), &["auth"]).warns("PLAIN").warns(words).claims_nothing();
        }
    }
}

fn without_sasl(version: Version) {
    let server = Server::start(version, &["-B", "binary"]);
    let mut other = Raw(server.connect());
    let with_password = format!("memcached://app:{PASSWORD}@{}", server.address());
    for server in [server.address(), &with_password] {
        other.store(&["shop:1", "shop:2"]);
        mcflush(["stats", server]).run().succeeds().says("curr_items");
        mcflush(["--all", server]).run().succeeds().counts(2);
        assert!(!other.has("shop:1"));
        // The server counts flushed items until a client asks for them.
        assert!(!other.has("shop:2"));
    }
    other.store(&["shop:1"]);
    let run = mcflush(["--prefix", "shop:", server.address()]).run();
    run.fails(server.address(), &["disabled"]).warns("lists no keys");
    assert!(other.has("shop:1"));
}

fn a_server_that_does_not_flush(version: Version) {
    let locked = Locked::start(version, &["-F"]);
    let mut other = locked.enter();
    other.store(&["shop:1"]);
    mcflush(["--all", &locked.url(PASSWORD)]).run().fails(locked.address(), &["disabled"]).warns("-F").claims_nothing();
    assert!(other.has("shop:1"));
}

fn over_tls(version: Version) {
    let certificates = Certificates::new();
    certificates.sign("good", "127.0.0.1", |_| {});
    let locked = Locked::start(version, &["-Z", "-o", &certificates.options("good")]);
    let ca = certificates.ca();
    let run = |command: &[&str], user: &str| {
        let url = format!("memcacheds://{user}{}", locked.address());
        mcflush(command.iter().copied().chain(["--tls-ca", &ca, &url])).run()
    };
    run(&["--all"], "app:s3cr3t@").succeeds().counts(0);
    run(&["stats"], "app:s3cr3t@").succeeds().says("curr_items");
    run(&["--all"], "app:wrong@").fails(locked.address(), &["auth"]);
    run(&["--all"], "").fails(locked.address(), &["auth"]);
    run(&["--prefix", "shop:"], "app:s3cr3t@").fails(locked.address(), &["disabled"]);
    // The scheme without the s.
    mcflush(["--all", "--timeout", "20", &locked.url(PASSWORD)]).run().fails(locked.address(), &["tls"]);
}
