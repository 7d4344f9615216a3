//! `examples/passthrough`: a client gets the same bytes through it as without it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::cases::REQUESTS;
use super::support::server::{Server, Version, each_version};
use super::support::{PATIENCE, wait_for};

/// The running example.
struct Passthrough {
    child: Child,
    address: String,
}

/// The figures that it prints at its end.
#[derive(Debug)]
struct Said {
    requests: u64,
    replies: u64,
    connections: u64,
    raw: u64,
}

impl Passthrough {
    fn start(server: &Server) -> Self {
        // The examples are built beside the tests: target/debug/deps/protocol-… and target/debug/examples.
        let mut program: PathBuf = std::env::current_exe().unwrap();
        program.pop();
        program.pop();
        program.push("examples/passthrough");
        let mut child = Command::new(program)
            .args(["127.0.0.1:0", server.address()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example is built with the tests");
        let mut line = String::new();
        BufReader::with_capacity(64, child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { child, address }
    }

    fn stop(mut self) -> Said {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        let count = |name: &str| -> u64 {
            let line =
                text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {text}"));
            line.trim().parse().unwrap()
        };
        Said {
            requests: count("requests decoded:"),
            replies: count("replies decoded:"),
            connections: count("connections:"),
            raw: count("connections copied raw:"),
        }
    }
}

impl Drop for Passthrough {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends the whole script, closes the sending side, and reads to the end.
fn talk(address: &str, script: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(script).unwrap();
    let mut said = Vec::new();
    stream.shutdown(Shutdown::Write).unwrap();
    stream.read_to_end(&mut said).unwrap();
    said
}

/// Sends one command and reads its answer. A fence after the command shows where the answer ends; after a dump there can be
/// none.
fn step(address: &str, command: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    // A watch may need several tries within this time.
    let patience = if command.starts_with("watch") { PATIENCE / 6 } else { PATIENCE };
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.write_all(command.as_bytes()).unwrap();
    let ends: &[&[u8]] = if command.contains("dump ") {
        &[b"END\r\n", b"EN\r\n", b"ERROR\r\n"]
    } else if command.starts_with("quit") || command.starts_with("shutdown") {
        &[b"\r\n"]
    } else if command.starts_with("watch") {
        &[b"OK\r\n", b"ERROR\r\n"]
    } else if command == "mn\r\n" {
        &[b"MN\r\n"]
    } else {
        stream.write_all(b"mn\r\n").unwrap();
        &[b"MN\r\n"]
    };
    let mut said = Vec::new();
    let mut chunk = [0; 4096];
    while !ends.iter().any(|end| said.ends_with(end)) {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => said.extend_from_slice(&chunk[..length]),
            // A server that closes the connection with unread bytes resets it: that is an end too.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            // 1.6.38, asked directly, sometimes hands the connection to its logger and never answers.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && command.starts_with("watch") => {
                return Vec::new();
            }
            Err(error) => panic!("{command:?}: {error}"),
        }
    }
    said
}

/// Replaces the figures that always differ between two connections: times, counters, descriptors.
fn steady(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = text.split_inclusive('\n').map(|line| {
        if let Some(stat) = line.strip_prefix("STAT ") {
            let name = stat.split(' ').next().unwrap_or_default();
            return format!("STAT {}", name.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        line.split(' ')
            .filter(|word| !["la=", "cas=", "exp="].iter().any(|name| word.starts_with(name)))
            .collect::<Vec<_>>()
            .join(" ")
    });
    lines.collect()
}

/// Each line once, sorted.
fn kinds_of_lines(steady: &str) -> String {
    let kinds: std::collections::BTreeSet<_> =
        steady.split("STAT ").flat_map(|part| part.split_inclusive("END\r\n")).collect();
    kinds.into_iter().collect::<Vec<_>>().join("|")
}

fn every_command_is_answered_as_without(version: Version) {
    // There are two servers, so that both have executed the same requests.
    let (direct, proxied) = (Server::start(version, &[]), Server::start(version, &[]));
    let passthrough = Passthrough::start(&proxied);
    // Left out: commands with answers that depend on the state of the server's own threads. Besides, `slabs reassign -1 2`
    // crashes 1.6.38 with a segmentation fault.
    let unsteady = ["lru_crawler crawl", "slabs reassign"];
    let commands = REQUESTS.iter().filter(|request| !unsteady.iter().any(|name| request.starts_with(name)));
    // Instead: commands that the server refuses in any state.
    let commands = commands.chain(&["lru_crawler crawl 99\r\n", "slabs reassign 1 1\r\n"]);
    for command in commands {
        // The server may run its own crawl; then the command is sent again.
        let busy = |said: &[u8]| said.starts_with(b"BUSY") || said.starts_with(b"ERROR locked");
        let until_free = |address: &str| {
            wait_for("the crawler to be free", || {
                let said = step(address, command);
                let is_left = said.is_empty() && command.starts_with("watch");
                (!busy(&said) && !is_left).then_some(said)
            })
        };
        let (said, expected) = (until_free(&passthrough.address), until_free(direct.address()));
        let (mut said, mut expected) = (steady(&said), steady(&expected));
        if command.starts_with("stats conns") {
            // The order of connections, and those that are closed but not yet noticed, depend on the timing.
            (said, expected) = (kinds_of_lines(&said), kinds_of_lines(&expected));
        }
        assert_eq!(said, expected, "{command:?}");
    }
    let said = passthrough.stop();
    assert_eq!(said.raw, 0, "{said:?}");
    assert!(said.requests > 100 && said.replies > 60, "{said:?}");
}

/// If the server refuses a line before its end, the connection ends at the same point as without the proxy.
fn an_endless_line_ends_the_connection(version: Version) {
    let server = Server::start(version, &[]);
    let passthrough = Passthrough::start(&server);
    for address in [server.address(), &passthrough.address] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&[b'x'; 2049]).unwrap();
        // The client gets no bytes; the connection is closed or reset.
        let end = stream.read(&mut [0; 64]).map_err(|error| error.kind());
        assert!(matches!(end, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)), "{address}: {end:?}");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("get {}", "k ".repeat(3000)).as_bytes()).unwrap();
        stream.write_all(b"l\r\n").unwrap();
        let mut end = [0; 5];
        stream.read_exact(&mut end).unwrap();
        assert_eq!(&end, b"END\r\n", "{address}");
    }
}

fn an_authenticated_session_is_the_same_byte_for_byte(version: Version) {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    std::fs::write(&users, "app:secret\n").unwrap();
    let options = ["-Y", users.to_str().unwrap()];
    let (direct, proxied) = (Server::start(version, &options), Server::start(version, &options));
    let passthrough = Passthrough::start(&proxied);
    // One request at a time, because these servers do not answer requests that are pipelined after a refused one.
    let session = [
        ("get a\r\n", "CLIENT_ERROR unauthenticated\r\n"),
        ("set auth 0 0 9\r\napp wrong\r\n", "CLIENT_ERROR authentication failure\r\n"),
        ("set auth 0 0 10\r\napp secret\r\n", "STORED\r\n"),
        ("set a 0 0 1\r\nx\r\n", "STORED\r\n"),
        ("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n"),
        ("set auth 0 0 9\r\napp wrong\r\n", "STORED\r\n"),
        ("mg a v\r\n", "VA 1\r\nx\r\n"),
    ];
    for address in [direct.address(), &passthrough.address] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        for (command, answer) in session {
            stream.write_all(command.as_bytes()).unwrap();
            let mut said = vec![0; answer.len()];
            stream.read_exact(&mut said).unwrap();
            assert_eq!(String::from_utf8_lossy(&said), answer, "{address}: {command:?}");
        }
    }
    let said = passthrough.stop();
    assert_eq!((said.raw, said.requests, said.replies), (0, 7, 8), "{said:?}");
}

fn a_pipelined_session_is_the_same_byte_for_byte(version: Version) {
    let script = "set a 5 0 3\r\nabc\r\nadd a 0 0 1\r\nx\r\ngets a b\r\nget  a \r\ndelete a 0\r\nget a\n\
        incr n 1\r\nset n 0 0 2\r\n10\r\nincr n 5\r\ndecr n 100\r\nget n\r\ntouch n 100 noreply\r\nmg n v t s\r\n\
        ms x 2 c\r\nhi\r\nmd x q\r\nmd x q\r\nmn\r\nmg x v q\r\nmn\r\nverbosity 0\r\nflush_all 1000\r\ncache_memlimit 0\r\n\
        set big 0 0 2000000\r\n";
    let script = [script.as_bytes(), &vec![b'x'; 2_000_000], b"\r\nget big\r\nversion\r\nquit\r\n"].concat();
    let (direct, proxied) = (Server::start(version, &[]), Server::start(version, &[]));
    let passthrough = Passthrough::start(&proxied);
    assert_eq!(
        String::from_utf8_lossy(&talk(&passthrough.address, &script)),
        String::from_utf8_lossy(&talk(direct.address(), &script))
    );
    let said = passthrough.stop();
    assert_eq!((said.raw, said.requests > 20, said.replies > 20), (0, true, true), "{said:?}");
}

fn behind_a_bad_line_it_is_a_tunnel_and_says_so(version: Version) {
    for script in [
        &b"version\r\nnonsense\r\nversion\r\nget a\r\n"[..],
        b"set k 0 0 3\r\nabcdef\r\nversion\r\n",
        b"set k 0 0 abc\r\nversion\r\nmn\r\n",
    ] {
        let (direct, proxied) = (Server::start(version, &[]), Server::start(version, &[]));
        let passthrough = Passthrough::start(&proxied);
        assert_eq!(
            String::from_utf8_lossy(&talk(&passthrough.address, script)),
            String::from_utf8_lossy(&talk(direct.address(), script))
        );
        let said = passthrough.stop();
        assert_eq!((said.connections, said.raw), (1, 1), "{said:?}");
    }
}

fn a_watched_connection_passes_its_log(version: Version) {
    let server = Server::start(version, &[]);
    let passthrough = Passthrough::start(&server);
    let mut watcher = TcpStream::connect(&passthrough.address).unwrap();
    watcher.set_read_timeout(Some(PATIENCE)).unwrap();
    watcher.write_all(b"watch mutations\r\n").unwrap();
    let mut lines = BufReader::new(watcher);
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "OK\r\n");
    talk(&passthrough.address, b"set watched 0 0 1\r\nx\r\n");
    line.clear();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("key=watched"), "{line}");
}

fn many_clients_at_once(version: Version) {
    let server = Server::start(version, &[]);
    let passthrough = Passthrough::start(&server);
    std::thread::scope(|scope| {
        for client in 0..50 {
            let address = &passthrough.address;
            scope.spawn(move || {
                let value = format!("{client}-").repeat(1000);
                let length = value.len();
                let script = format!("set k{client} 0 0 {length}\r\n{value}\r\nget k{client}\r\n").repeat(20);
                let answer = format!("STORED\r\nVALUE k{client} 0 {length}\r\n{value}\r\nEND\r\n").repeat(20);
                assert!(talk(address, script.as_bytes()) == answer.as_bytes(), "client {client}");
            });
        }
    });
    let said = passthrough.stop();
    assert_eq!((said.requests, said.replies, said.raw), (2000, 3000, 0), "{said:?}");
}

/// Runs a program that must succeed, and returns its output.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| {
        panic!("{program}: {error}: scripts/fetch-clients brings it (make test does)");
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The folder into which scripts/fetch-clients puts the clients.
fn clients() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache/clients")
}

fn pymemcache_notices_nothing(version: Version) {
    let server = Server::start(version, &[]);
    let passthrough = Passthrough::start(&server);
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/protocol/pymemcache_session.py");
    let python = clients().join("python/bin/python");
    let (host, port) = passthrough.address.split_once(':').unwrap();
    let said = run(python.to_str().unwrap(), &[script.to_str().unwrap(), host, port]);
    assert_eq!(said.trim(), "ok");
    let said = passthrough.stop();
    assert_eq!(said.raw, 0, "{said:?}");
    assert!(said.requests > 30 && said.replies > 30, "{said:?}");
}

fn libmemcached_tools_notice_nothing(version: Version) {
    let server = Server::start(version, &[]);
    let passthrough = Passthrough::start(&server);
    let servers = format!("--servers={}", passthrough.address);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stored-by-memcp");
    std::fs::write(&file, "some text").unwrap();
    run("memcping", &[&servers]);
    run("memccp", &[&servers, file.to_str().unwrap()]);
    run("memcexist", &[&servers, "stored-by-memcp"]);
    assert_eq!(run("memccat", &[&servers, "stored-by-memcp"]).trim(), "some text");
    run("memctouch", &[&servers, "--expire=100", "stored-by-memcp"]);
    assert!(run("memcstat", &[&servers]).contains("curr_items: 1"));
    run("memcdump", &[&servers]);
    run("memcrm", &[&servers, "stored-by-memcp"]);
    run("memcflush", &[&servers]);
    let said = passthrough.stop();
    assert_eq!(said.raw, 0, "{said:?}");
    assert!(said.requests > 10 && said.replies > 50, "{said:?}");
}

each_version!(
    pymemcache_notices_nothing,
    libmemcached_tools_notice_nothing,
    an_authenticated_session_is_the_same_byte_for_byte,
    behind_a_bad_line_it_is_a_tunnel_and_says_so,
    a_watched_connection_passes_its_log,
    an_endless_line_ends_the_connection,
    many_clients_at_once,
);
// The codec does not know the meta commands of versions before 1.6.10.
each_version!(but bullseye: every_command_is_answered_as_without, a_pipelined_session_is_the_same_byte_for_byte);
