//! Servers that misbehave. In every case mcflush ends, names the fault, and never reports success.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::fake::{Answer, Fake, UnusedPort};
use crate::support::run::{Run, mcflush};
use crate::support::server::{Server, Version, each_version};
use crate::support::{LONG, wait_for};

each_version!(dumps_forbidden, crawler_off, frozen);

const HASH_DUMP: &str = "lru_crawler metadump hash";
const LRU_DUMP: &str = "lru_crawler metadump all";

/// The answers of a server of this version that holds only the keys of this dump.
fn answer(version: &str, dump: &str, line: &str) -> Answer {
    match line {
        "version" => Answer::text(&format!("VERSION {version}\r\n")),
        "stats" => Answer::text(
            "STAT pid 1\r\nSTAT curr_items 2\r\nSTAT get_hits 0\r\nSTAT cmd_set 0\r\nSTAT cmd_flush 0\r\nEND\r\n",
        ),
        "flush_all" => Answer::text("OK\r\n"),
        "mn" => Answer::text("MN\r\n"),
        HASH_DUMP | LRU_DUMP => Answer::text(dump),
        "quit" => Answer::BytesThenClose(Vec::new()),
        // The watermark: the key exists, and its CAS is newer than the dump's.
        line if line.starts_with("md ") && line.ends_with(" I") => Answer::text("HD\r\n"),
        line if line.starts_with("mg ") => Answer::text("HD c9\r\n"),
        line if line.starts_with("md ") => Answer::Nothing,
        _ => Answer::text("ERROR\r\n"),
    }
}

fn with_dump(dump: impl Into<String>) -> Fake {
    let dump = dump.into();
    Fake::answering(move |line| answer("1.6.38", &dump, line))
}

fn dump_line(key: &str) -> String {
    format!("key={key} exp=-1 la=1764000000 cas=2 fetch=no cls=1 size=64 flags=0\n")
}

/// Without retries, so that the test sees the first failure.
fn once(arguments: &[&str], server: &str) -> Run {
    let options = ["--retries", "0", server];
    mcflush(arguments.iter().chain(&options)).run()
}

fn clear(fake: &Fake) -> Run {
    once(&["--prefix", "shop:"], fake.address())
}

fn deletes(fake: &Fake) -> Vec<String> {
    let mut lines = fake.lines();
    lines.retain(|line| line.starts_with("md ") || line.starts_with("delete "));
    lines
}

// No server at the address, or a server that does not answer.

#[test]
fn refused() {
    let nobody = UnusedPort::start();
    for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
        once(command, nobody.address()).fails(nobody.address(), &["refused"]).claims_nothing();
    }
}

#[test]
fn a_socket_that_is_not_there() {
    once(&["--all"], "/nonexistent/mcflush.sock").exits(1).warns("mcflush: /nonexistent/mcflush.sock: ");
}

#[test]
fn a_name_that_does_not_exist() {
    // This machine's resolver may not answer either.
    mcflush(["--all", "--timeout", "3", "no-such-host.invalid:11211"])
        .run()
        .fails("no-such-host.invalid:11211", &["name", "timeout"]);
}

#[test]
fn silence() {
    for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
        let fake = Fake::silent();
        once(&[command, &["--timeout", "0.3"]].concat(), fake.address())
            .fails(fake.address(), &["timeout"])
            .claims_nothing();
    }
}

#[test]
fn half_a_line_then_silence() {
    let halves = [
        ("stats", "STAT curr_it"),
        ("flush_all", "O"),
        ("version", "VERSION 1.6"),
        (HASH_DUMP, "key=shop%3A1 exp=-1 la=17"),
    ];
    let mut runs = Vec::new();
    for (at, half) in halves {
        for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
            let fake = Fake::answering(move |line| {
                if line == at {
                    Answer::BytesThenSilence(half.as_bytes().to_vec())
                } else {
                    answer("1.6.38", "END\r\n", line)
                }
            });
            // Long enough that a busy machine does not look like a silent server.
            let options = ["--timeout", "10", "--retries", "0", fake.address()];
            let run = mcflush(command.iter().chain(&options)).spawn();
            runs.push((run, fake, command, at));
        }
    }
    for (run, fake, command, at) in runs {
        let run = run.wait();
        // A flush does not need the count of items before it, nor does a clear need the statistics.
        if command == ["--all"] && at == HASH_DUMP {
            // The server confirmed the flush, and mcflush sends it again.
            run.exits(0).says("a strong hint");
            assert_eq!(fake.count_lines("flush_all"), 2);
        } else if fake.has_line(at) && !(command == ["--all"] && at == "stats") {
            run.fails(fake.address(), &["timeout"]).claims_nothing();
        }
    }
}

#[test]
fn a_full_backlog() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("it is bound");
    let mut held = Vec::new();
    // No connection is accepted; when the queue is full, the kernel drops further ones.
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        held.push(stream);
        assert!(held.len() < 20_000, "the backlog does not fill");
    }
    let address = address.to_string();
    once(&["--all", "--timeout", "0.5"], &address).fails(&address, &["timeout"]);
}

fn frozen(version: Version) {
    let server = Server::start(version, &[]);
    server.store(["shop:1"]);
    server.freeze();
    for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
        once(&[command, &["--timeout", "0.3"]].concat(), server.address())
            .fails(server.address(), &["timeout"])
            .claims_nothing();
    }
    server.thaw();
}

#[test]
fn frozen_and_thawed_within_the_timeout() {
    let server = Server::start(Version::Sid, &[]);
    server.store(["shop:1", "blog:1"]);
    server.freeze();
    let mut run = mcflush(["--prefix", "shop:", "--timeout", "30", server.address()]).spawn();
    assert!(run.is_running());
    server.thaw();
    run.wait().is_complete();
    assert_eq!((server.count("shop:"), server.count("blog:")), (0, 1));
}

// Another program on the port.

#[test]
fn not_a_memcached() {
    let banners = [
        "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "220 mail.example ESMTP\r\n",
        "-ERR unknown command 'flush_all'\r\n",
        "\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{46}\n",
        "\u{1b}]0;owned\u{7}\u{1b}[2J\r\n",
        "\r\n",
    ];
    for banner in banners {
        for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
            // The server sends its text right after the connect, or as an answer.
            let at_once = Fake::start(move |peer| {
                peer.send(banner);
                peer.stay_silent();
            });
            once(&[command, &["--timeout", "5"]].concat(), at_once.address())
                .fails(at_once.address(), &["protocol"])
                .claims_nothing();
            let answered = Fake::answering(move |_| Answer::BytesThenClose(banner.as_bytes().to_vec()));
            once(command, answered.address()).fails(answered.address(), &["protocol"]).claims_nothing();
        }
    }
}

#[test]
fn the_answer_is_shown() {
    let fake = Fake::answering(|_| Answer::BytesThenClose(b"SSH-2.0-\x1b[31mOpen\xffSSH\r\n".to_vec()));
    once(&["--all"], fake.address()).fails(fake.address(), &["protocol"]).warns("SSH-2.0-").warns("\\x1b[31mOpen");
}

#[test]
fn binary_garbage() {
    let fake = Fake::answering(|_| Answer::BytesThenClose((0..=255).cycle().take(5000).collect()));
    for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
        once(command, fake.address()).fails(fake.address(), &["protocol", "limit"]).claims_nothing();
    }
}

// Replies other than the expected ones.

#[test]
fn only_ok_is_ok() {
    for reply in [
        "OKAY\r\n",
        "ok\r\n",
        "NOT_OK\r\n",
        "END\r\n",
        "MN\r\n",
        "RESET\r\n",
        "ERROR\r\n",
        "SERVER_ERROR proxy write to backend\r\n",
        "CLIENT_ERROR unauthenticated\r\n",
        "\r\n",
    ] {
        let fake = Fake::answering(move |line| match line {
            "flush_all" => Answer::text(reply),
            _ => answer("1.6.38", "", line),
        });
        let run = once(&["--all"], fake.address());
        run.fails(fake.address(), &["protocol", "server", "auth", "disabled"]);
        run.claims_nothing();
    }
}

#[test]
fn a_count_that_fails_does_not_stop_the_flush() {
    for reply in ["ERROR\r\n", ""] {
        let fake = Fake::answering(move |line| match line {
            "stats" => Answer::BytesThenClose(reply.as_bytes().to_vec()),
            _ => answer("1.6.38", "", line),
        });
        once(&["--all"], fake.address()).exits(0).says("a strong hint");
        // mcflush knows nothing of this server, so it can only flush twice.
        assert_eq!(fake.count_lines("flush_all"), 2);
    }
}

#[test]
fn a_connection_closed_at_the_flush_points_to_a_proxy() {
    let fake = Fake::answering(|line| match line {
        "flush_all" | "stats" | HASH_DUMP | LRU_DUMP => Answer::BytesThenClose(Vec::new()),
        _ => answer("1.6.38", "", line),
    });
    once(&["--all"], fake.address()).fails(fake.address(), &["lost"]).warns("proxy");
    once(&["--prefix", "shop:"], fake.address()).fails(fake.address(), &["lost"]).warns("proxy").claims_nothing();
}

// Connections that are cut at each byte.

fn cut(at: &'static str, reply: String, length: usize) -> Fake {
    Fake::answering(move |line| {
        if line == at {
            Answer::BytesThenClose(reply.as_bytes()[..length].to_vec())
        } else {
            answer("1.6.38", "END\r\n", line)
        }
    })
}

#[test]
fn a_flush_cut_at_each_byte() {
    let reply = "OK\r\n";
    for length in 0..reply.len() {
        let fake = cut("flush_all", reply.to_owned(), length);
        once(&["--all"], fake.address()).fails(fake.address(), &["lost", "protocol"]);
    }
    once(&["--all"], cut("flush_all", reply.to_owned(), reply.len()).address()).succeeds();
}

#[test]
fn stats_cut_at_each_byte() {
    let reply = "STAT pid 1\r\nSTAT version 1.6.38\r\nEND\r\n";
    for length in 0..reply.len() {
        let fake = cut("stats", reply.to_owned(), length);
        once(&["stats"], fake.address()).fails(fake.address(), &["lost", "protocol"]);
        // The flush is sent without the count of items.
        let fake = cut("stats", reply.to_owned(), length);
        once(&["--all", "--once"], fake.address()).exits(0);
    }
    let whole = cut("stats", reply.to_owned(), reply.len());
    once(&["stats"], whole.address()).succeeds().says("1.6.38");
}

#[test]
fn a_dump_cut_at_each_byte() {
    for begin in ["", "OK\r\n"] {
        let lines = [dump_line("shop%3A1"), dump_line("blog%3A1")].concat();
        let dump = format!("{begin}{lines}END\r\n");
        for length in 0..dump.len() {
            let fake = cut(HASH_DUMP, dump.clone(), length);
            clear(&fake).fails(fake.address(), &["lost", "protocol", "incomplete"]).claims_nothing();
            // The cut line was not a key.
            assert!(deletes(&fake).iter().all(|line| line.starts_with("md shop:1 ")), "{:?}", deletes(&fake));
        }
        let whole = cut(HASH_DUMP, dump.clone(), dump.len());
        clear(&whole).is_complete().counts(1);
    }
}

#[test]
fn a_fence_cut_at_each_byte() {
    let reply = "MN\r\n";
    for length in 0..reply.len() {
        let dump = format!("{}END\r\n", dump_line("shop%3A1"));
        let fake = Fake::answering(move |line| match line {
            "mn" => Answer::BytesThenClose(reply.as_bytes()[..length].to_vec()),
            _ => answer("1.6.38", &dump, line),
        });
        clear(&fake).fails(fake.address(), &["lost", "protocol", "incomplete"]).claims_nothing();
    }
}

// The connection is lost once, then all is well: that is what retries are for.

/// Does what `misbehave` says on the first connection, and serves well on the others.
fn bad_at_first(misbehave: &'static str) -> (Fake, Arc<AtomicUsize>) {
    let times = Arc::new(AtomicUsize::new(0));
    let fake = Fake::answering({
        let times = Arc::clone(&times);
        let dump = format!("{}END\r\n", dump_line("shop%3A1"));
        move |line| {
            if line == misbehave && times.fetch_add(1, Ordering::SeqCst) == 0 {
                Answer::BytesThenClose(Vec::new())
            } else {
                answer("1.6.38", &dump, line)
            }
        }
    });
    (fake, times)
}

#[test]
fn a_lost_connection_is_tried_again() {
    let cases: [(&str, &[&str]); 6] = [
        ("flush_all", &["--all"]),
        ("stats", &["--all"]),
        ("stats", &["stats"]),
        ("version", &["--prefix", "shop:"]),
        (HASH_DUMP, &["--prefix", "shop:"]),
        ("mn", &["--prefix", "shop:"]),
    ];
    for (at, command) in cases {
        let (fake, times) = bad_at_first(at);
        let run = mcflush(command.iter().copied().chain([fake.address()])).run();
        run.exits(0);
        if command[0] == "--prefix" {
            run.is_complete();
            assert!(deletes(&fake).iter().any(|l| l.starts_with("md shop:1 ")), "{run}");
        }
        assert!(times.load(Ordering::SeqCst) >= 1, "{at} was never sent {run}");
    }
}

#[test]
fn retries_are_counted() {
    // Each connection is closed before the first command, so only connecting can be tried again.
    let fake = Fake::start(|_| {});
    let run = mcflush(["stats", "-v", "--retries", "3", fake.address()]).run();
    run.fails(fake.address(), &["lost", "protocol"]);
    assert_eq!(run.stderr.matches(": trying again in ").count(), 3, "{run}");
}

// Dumps with wrong content.

#[test]
fn dialects_of_a_dump() {
    let usual = dump_line("shop%3A1");
    for dump in [
        format!("{usual}END\r\n"),
        format!("OK\r\n{usual}END\r\n"),
        format!("OK\r\n{}END\r\n", usual.replace('\n', " \n")),
        "key=shop%3A1 exp=-1\nEND\r\n".to_owned(),
        "key=shop%3a1\nEND\r\n".to_owned(),
        "exp=-1 ext_page=1 key=shop%3A1 from_the_future=yes la=0 \nEND\r\n".to_owned(),
        "key=shop:1 exp=0 la=0 cas=0 fetch=yes cls=1 size=0\nEND\r\n".to_owned(),
    ] {
        let fake = with_dump(dump);
        clear(&fake).is_complete().counts(1);
        let deletes = deletes(&fake);
        assert_eq!(deletes.len(), 1, "{deletes:?}");
        assert!(deletes[0].starts_with("md shop:1 "), "{deletes:?}");
    }
}

#[test]
fn the_version_decides_the_dump() {
    for (version, dump, other) in [
        ("1.6.19", HASH_DUMP, LRU_DUMP),
        ("1.6.45", HASH_DUMP, LRU_DUMP),
        ("1.10.0", HASH_DUMP, LRU_DUMP),
        ("2.0.0", HASH_DUMP, LRU_DUMP),
        ("1.6.18", LRU_DUMP, HASH_DUMP),
        ("1.6.9", LRU_DUMP, HASH_DUMP),
        ("1.5.22", LRU_DUMP, HASH_DUMP),
        // If a hash walk is not known to be harmless, mcflush does not ask for one.
        ("unknown", LRU_DUMP, HASH_DUMP),
        ("", LRU_DUMP, HASH_DUMP),
    ] {
        let fake = Fake::answering(move |line| answer(version, "END\r\n", line));
        let run = clear(&fake);
        assert!(!fake.has_line(other), "{version}: {:?}{run}", fake.lines());
        if version.starts_with(['1', '2']) {
            run.is_complete();
            assert!(fake.has_line(dump), "{version}: {:?}", fake.lines());
        }
    }
}

#[test]
fn keys_out_of_scope_in_a_dump() {
    let fake =
        with_dump(["blog%3A1", "shop", "shop%253A1", "Shop%3A1", "xshop%3A1"].map(dump_line).concat() + "END\r\n");
    clear(&fake).is_complete().counts(0);
    assert_eq!(deletes(&fake), Vec::<String>::new());
}

#[test]
fn keys_that_carry_commands() {
    for key in ["shop%3A%0D%0Aflush_all", "shop%3A%0Aflush_all", "shop%3A%00", "shop%3A%20q"] {
        let fake = with_dump(dump_line(key) + "END\r\n");
        clear(&fake).is_complete().counts(1);
        let lines = fake.lines();
        assert!(!lines.iter().any(|line| line.contains("flush_all")), "{lines:?}");
        let deletes = deletes(&fake);
        assert_eq!(deletes.len(), 1, "{deletes:?}");
        let flags: Vec<&str> = deletes[0].split(' ').skip(2).collect();
        assert!(flags.contains(&"b"), "{deletes:?}");
    }
}

#[test]
fn bad_dump_lines() {
    let long = "k".repeat(10_000);
    let bad_lines = [
        "key=shop%3A%G1 exp=-1\n".to_owned(),
        "key=shop%3A1% exp=-1\n".to_owned(),
        "key=shop%3A1%4 exp=-1\n".to_owned(),
        "key= exp=-1\n".to_owned(),
        "exp=-1 la=0\n".to_owned(),
        "shop:1\n".to_owned(),
        "STAT shop:1 1\r\n".to_owned(),
        "key=shop%3A\u{1b}[2J exp=-1\n\u{1b}]0;owned\u{7}\n".to_owned(),
        format!("key=shop%3A{long} exp=-1\n"),
        format!("key=shop%3A{} exp=-1\n", "%41".repeat(300)),
    ];
    for bad in bad_lines {
        // A good key comes before the bad line; it may be deleted or not.
        let fake = with_dump(format!("{}{bad}END\r\n", dump_line("shop%3Agood")));
        clear(&fake).fails(fake.address(), &["protocol", "limit", "incomplete"]).claims_nothing();
        let deletes = deletes(&fake);
        assert!(deletes.iter().all(|line| line.starts_with("md shop:good ")), "{bad:?}: {deletes:?}");
    }
}

#[test]
fn an_error_in_place_of_the_end() {
    for end in [
        "ERROR\r\n",
        "SERVER_ERROR out of memory\r\n",
        "ERROR locked try again later\r\n",
        "BUSY currently processing crawler request\r\n",
    ] {
        let times = AtomicUsize::new(0);
        let fake = Fake::answering(move |line| {
            let bad = line == HASH_DUMP && times.fetch_add(1, Ordering::SeqCst) == 0;
            let end = if bad { end } else { "END\r\n" };
            answer("1.6.38", &(dump_line("shop%3A1") + end), line)
        });
        let run = clear(&fake);
        // Another walk may wait for an error that goes away.
        if fake.count_lines(HASH_DUMP) > 1 {
            run.is_complete();
        } else {
            run.exits(1).claims_nothing();
        }
    }
}

#[test]
fn a_busy_crawler_is_waited_for() {
    for busy in ["BUSY currently processing crawler request\r\n", "ERROR locked try again later\r\n"] {
        let times = AtomicUsize::new(0);
        let fake = Fake::answering(move |line| {
            if line == HASH_DUMP && times.fetch_add(1, Ordering::SeqCst) < 3 {
                Answer::text(busy)
            } else {
                answer("1.6.38", &(dump_line("shop%3A1") + "END\r\n"), line)
            }
        });
        clear(&fake).is_complete().counts(1);
        assert_eq!(fake.count_lines(HASH_DUMP), 4);
    }
}

// Deletes that fail.

#[test]
fn a_key_that_was_gone_is_not_counted() {
    let dump = dump_line("shop%3A1") + &dump_line("shop%3A2") + "END\r\n";
    let fake = Fake::answering(move |line| {
        if line.starts_with("md shop:1 ") { Answer::text("NF\r\n") } else { answer("1.6.38", &dump, line) }
    });
    clear(&fake).is_complete().counts(1);
}

#[test]
fn a_delete_that_fails_is_not_complete() {
    for error in
        ["SERVER_ERROR out of memory\r\n", "CLIENT_ERROR bad command line format\r\n", "ERROR\r\n", "NONSENSE\r\n"]
    {
        let dump = dump_line("shop%3A1") + &dump_line("shop%3A2") + "END\r\n";
        let fake = Fake::answering(move |line| {
            if line.starts_with("md shop:1 ") { Answer::text(error) } else { answer("1.6.38", &dump, line) }
        });
        clear(&fake).exits(1).claims_nothing();
    }
}

// Answers that are too large.

#[test]
fn an_endless_line() {
    const FAR_TOO_MUCH: usize = 256 << 20;
    for command in [&["--all"][..], &["--prefix", "shop:"], &["stats"]] {
        let taken = Arc::new(AtomicUsize::new(0));
        let fake = Fake::start({
            let taken = Arc::clone(&taken);
            move |peer| {
                let piece = [b'a'; 1 << 16];
                while taken.load(Ordering::SeqCst) < FAR_TOO_MUCH && peer.try_send(piece) {
                    taken.fetch_add(piece.len(), Ordering::SeqCst);
                }
            }
        });
        once(command, fake.address()).fails(fake.address(), &["limit", "protocol"]);
        // Socket buffers alone take a few megabytes.
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken < FAR_TOO_MUCH / 4, "it took {taken} bytes of one line");
    }
}

#[test]
fn an_endless_dump_line() {
    let fake = Fake::start(|peer| {
        while let Some(line) = peer.line() {
            if line == HASH_DUMP {
                while peer.try_send([b'k'; 1 << 16]) {}
                return;
            }
            if let Answer::Bytes(bytes) = answer("1.6.38", "", &line) {
                peer.send(bytes);
            }
        }
    });
    clear(&fake).fails(fake.address(), &["limit", "protocol"]).claims_nothing();
}

#[test]
fn a_byte_now_and_then_is_no_silence_and_ends_at_the_deadline() {
    let fake = Fake::start(|peer| {
        while let Some(line) = peer.line() {
            if line == HASH_DUMP {
                while peer.try_send(b"k") {
                    std::thread::sleep(Duration::from_millis(20));
                }
                return;
            }
            if let Answer::Bytes(bytes) = answer("1.6.38", "", &line) {
                peer.send(bytes);
            }
        }
    });
    let options = ["--timeout", LONG, "--deadline", "1", "--prefix", "shop:", fake.address()];
    mcflush(options).run().fails(fake.address(), &["deadline"]).claims_nothing();
}

#[test]
fn an_endless_dump_of_made_up_keys_takes_no_memory() {
    // These keys together take some 60 MB.
    const MANY: u64 = 300_000;
    let sent = Arc::new(AtomicU64::new(0));
    let (listed, long) = (Arc::clone(&sent), "k".repeat(195));
    let fake = Fake::start(move |peer| {
        while let Some(line) = peer.line() {
            if line == HASH_DUMP {
                loop {
                    let from = listed.load(Ordering::SeqCst);
                    let line = |n| dump_line(&format!("shop%3A{long}{n}"));
                    if !peer.try_send((from..from + 500).map(line).collect::<String>()) {
                        return;
                    }
                    listed.fetch_add(500, Ordering::SeqCst);
                }
            }
            if let Answer::Bytes(bytes) = answer("1.6.38", "", &line) {
                peer.send(bytes);
            }
        }
    });
    let clear = mcflush(["--prefix", "shop:", fake.address()]).spawn();
    wait_for("a long listing", || (sent.load(Ordering::SeqCst) > MANY).then_some(()));
    let peak = clear.peak_memory();
    clear.signal("TERM");
    clear.wait().exits(143).claims_nothing();
    assert!((1..32 * 1024).contains(&peak), "{peak} KiB");
}

// Commands that a real server may have switched off.

fn dumps_forbidden(version: Version) {
    let server = Server::start(version, &["-X"]);
    server.store(["shop:1"]);
    once(&["--prefix", "shop:"], server.address()).fails(server.address(), &["disabled"]).claims_nothing().warns("-X");
    assert!(server.has("shop:1"));
}

fn crawler_off(version: Version) {
    let server = Server::start(version, &["-o", "no_lru_crawler"]);
    server.store(["shop:1", "blog:1"]);
    // The clear is never complete. What mcflush deletes beyond that is tested elsewhere.
    once(&["--prefix", "shop:"], server.address())
        .fails(server.address(), &["disabled", "incomplete"])
        .claims_nothing();
    assert!(server.has("blog:1"));
}

#[test]
fn a_socket_without_permission() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::process::Command;

    let folder = tempfile::TempDir::with_prefix("mcflush-socket-").unwrap();
    let socket = folder.path().join("memcached.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o0)).unwrap();
    let mcflush = env!("CARGO_BIN_EXE_mcflush");
    // A user without permission limits (root) runs the command without that power.
    let mut command = if UnixStream::connect(&socket).is_ok() {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-dac_override", mcflush]);
        command
    } else {
        Command::new(mcflush)
    };
    let run = command.args(["--all", "--retries", "0"]).arg(&socket).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains(": refused: no permission to connect (Permission denied"), "{said}");
    assert!(said.contains("run as the socket's group, or start memcached with -a 0770"), "{said}");
}
