//! How the time of a clear grows with the number of items, and what TLS, many prefixes and distance cost: `make bench`, or
//! `cargo bench --bench scale -- growth beside calls` for some of the parts.
//!
//! If BENCH_WRITE is set, the tables go into docs/PERFORMANCE.md, and `beside` draws docs/speed.svg. The contestants are
//! measured in turn, in one run.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench that meets a surprise should stop there, and its table is its result"
)]

mod page;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use page::{Spread, Table};
use support::server::{Server, Version};
use support::{program, wait_for};

const MILLION: usize = 1_000_000;
const ROUNDS: usize = 5;
const PREFIXES: usize = 16_000;

/// The name of a part, and the function that makes its table.
type Part = (&'static str, fn() -> Table);

fn main() {
    let parts: [Part; 3] = [("growth", growth), ("beside", beside), ("calls", calls)];
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (part, run) in parts {
        if named.is_empty() || named.iter().any(|name| name == part) {
            page::show(part, &run());
        }
    }
}

fn shop(n: usize) -> String {
    format!("shop:{}:{}", n % PREFIXES, n / PREFIXES)
}

/// Waits until the server has finished its housekeeping after many stores, which the bench does not measure.
fn settle(server: &Server) {
    wait_for("the hash table to rest", || (server.stat("hash_is_expanding") == 0).then_some(()));
    let before = server.stat("uptime");
    wait_for("the lists to rest", || (server.stat("uptime") > before + 1).then_some(()));
}

/// Reads a walk of the hash table and throws it away. Tries again while the server runs its own crawl.
fn walk(server: &Server) -> f64 {
    loop {
        let began = Instant::now();
        let mut connection = server.connect();
        connection.send(b"lru_crawler metadump hash\r\n");
        if connection.skip_past(&[b"END\r\n", b"later\r\n", b"request\r\n"]) == 0 {
            return began.elapsed().as_secs_f64();
        }
        settle(server);
    }
}

/// The seconds, and the peak memory in MB, of a run that must succeed.
fn run(arguments: &[&str]) -> (f64, f64) {
    let began = Instant::now();
    let mut command = Command::new("/usr/bin/time");
    let output = command.args(["-f", "%M"]).arg(program()).args(arguments).arg("--quiet").env_clear().output();
    let took = began.elapsed().as_secs_f64();
    let output = output.expect("GNU time is needed: install time");
    assert!(output.status.success(), "{output:?}");
    let kib: f64 = String::from_utf8_lossy(&output.stderr).trim().parse().expect("nothing else on stderr");
    (took, kib * 1024.0 / 1e6)
}

/// A clear of half of the keys, with 0.1, 1 and 10 million keys on the server.
fn growth() -> Table {
    let mut table = Table::new(&[
        "keys on the server",
        "bare walk, s",
        "clear of half of them, s",
        "× walk",
        "µs a listed key",
        "peak memory, MB",
    ]);
    for count in [MILLION / 10, MILLION, 10 * MILLION] {
        let server = Server::start(Version::Sid, &["-m", "3000"]);
        let (mut walks, mut times, mut memory) = (Vec::new(), Vec::new(), Vec::new());
        server.store((0..count / 2).map(|n| format!("blog:{n}")));
        // A round of the largest takes minutes.
        for _ in 0..if count > MILLION { 3 } else { ROUNDS } {
            server.store((0..count / 2).map(|n| format!("shop:{n}")));
            settle(&server);
            walks.push(walk(&server));
            let (took, peak) = run(&["--prefix", "shop:", server.address()]);
            times.push(took);
            memory.push(peak);
            assert_eq!(server.stat("curr_items"), count as u64 / 2);
        }
        println!("{count} keys: seconds {times:.3?}, memory {memory:.1?} MB");
        let (walks, times, memory) = (Spread::of(&walks), Spread::of(&times), Spread::of(&memory));
        table.row(&[
            count.to_string(),
            format!("{walks:.3}"),
            format!("{times:.3}"),
            format!("{:.2}", times.median / walks.median),
            format!("{:.2}", times.median * 1e6 / count as f64),
            format!("{memory:.1}"),
        ]);
    }
    table.note("Medians of 5 (least to most); of 3 with 10,000,000 keys.");
    table
}

/// A clear of half a million keys of a million: plain, by many prefixes, over TLS, and with a delay on the network.
fn beside() -> Table {
    const EACH: usize = MILLION / 2;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(&certificate, made.cert.pem()).expect("it can be written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("it can be written");
    let certificate = certificate.to_str().expect("it is text");
    let ssl = format!("ssl_chain_cert={certificate},ssl_key={}", key.display());
    let plain = Server::start(Version::Sid, &["-m", "1024"]);
    // The TLS server has a second port without TLS, over which the keys are stored.
    let open = free_port();
    let tls = Server::start(Version::Sid, &["-m", "1024", "-Z", "-o", &ssl, "-l", &format!("notls:127.0.0.1:{open}")]);
    let tls_port = tls.address().to_owned();
    let url = format!("memcacheds://{tls_port}");
    let target: SocketAddr = plain.address().parse().expect("an address");
    let near = delayed(target, Duration::from_millis(1)).to_string();
    let far = delayed(target, Duration::from_millis(20)).to_string();
    let direct = delayed(target, Duration::ZERO).to_string();
    let many: Vec<String> = (0..PREFIXES).flat_map(|n| ["--prefix".to_owned(), format!("shop:{n}:")]).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain([plain.address()]).collect();
    let one = |address| vec!["--prefix", "shop:", address];
    let over_tls = vec!["--prefix", "shop:", "--tls-ca", certificate, &url];
    let ways: [(&str, Vec<&str>); 6] = [
        ("clear by one prefix", one(plain.address())),
        ("by 16,000 prefixes", many),
        ("over TLS", over_tls),
        ("through a relay", one(&direct)),
        ("relay, 1 ms there and back", one(&near)),
        ("relay, 20 ms there and back", one(&far)),
    ];
    let store_plain = |keys: &mut dyn Iterator<Item = String>| plain.store(keys);
    let stored_over = |keys: &mut dyn Iterator<Item = String>| store_at(open, keys);
    store_plain(&mut (0..EACH).map(|n| format!("blog:{n}")));
    stored_over(&mut (0..EACH).map(|n| format!("blog:{n}")));
    let (mut times, mut walks) = (vec![Vec::new(); ways.len()], Vec::new());
    for round in 0..ROUNDS {
        for at in 0..ways.len() {
            // In turn, each way runs after each other way.
            let way = (round + at) % ways.len();
            let is_tls = ways[way].0 == "over TLS";
            let mut keys = (0..EACH).map(shop);
            if is_tls {
                stored_over(&mut keys)
            } else {
                store_plain(&mut keys)
            }
            settle(&plain);
            if way == 0 {
                walks.push(walk(&plain));
            }
            times[way].push(run(&ways[way].1).0);
            if !is_tls {
                assert_eq!(plain.stat("curr_items"), EACH as u64);
            }
        }
    }
    let walk = Spread::of(&walks);
    let spreads: Vec<Spread> = times.iter().map(|times| Spread::of(times)).collect();
    let mut table = Table::new(&["way", "seconds", "×"]);
    table.row(&["bare walk".to_owned(), walk.to_string(), String::new()]);
    let mut bars = vec![("a bare walk", walk.median)];
    for ((way, _), figures) in ways.iter().zip(&spreads) {
        // A relay itself takes time, so a relay with a delay is compared with a relay without one.
        let (base, beside) = match *way {
            "clear by one prefix" => (walk.median, "the walk"),
            way if way.starts_with("relay, ") => (spreads[3].median, "the relay"),
            _ => (spreads[0].median, "one prefix"),
        };
        table.row(&[way.to_string(), figures.to_string(), format!("{:.2} × {beside}", figures.median / base)]);
        bars.push((way, figures.median));
    }
    if page::writes() {
        let picture = picture("500,000 of 1,000,000 keys, memcached 1.6.45, seconds", &bars);
        std::fs::write(page::repository().join("docs/speed.svg"), picture).expect("it is written");
    }
    table
}

/// The system calls and bytes of a clear of 100,000 keys of 200,000, minus those of a clear that finds no key.
fn calls() -> Table {
    const EACH: usize = 100_000;
    let server = Server::start(Version::Sid, &[]);
    server.store((0..EACH).map(|n| format!("blog:{n}")));
    let report = tempfile::NamedTempFile::new().expect("a temporary file");
    let counted = |prefix: &str| {
        let before = server.stat("bytes_read");
        let status = Command::new("strace")
            .args(["-f", "-c", "-U", "name,calls", "-o"])
            .arg(report.path())
            .arg(program())
            .args(["--prefix", prefix, "--quiet", server.address()])
            .status();
        assert!(status.expect("strace is needed: install strace").success());
        let bytes = server.stat("bytes_read") - before;
        let report = std::fs::read_to_string(report.path()).expect("it wrote a report");
        let calls = report.lines().filter_map(|line| {
            let (name, calls) = line.trim().split_once(char::is_whitespace)?;
            Some((name.to_owned(), calls.trim().parse::<u64>().ok()?))
        });
        (calls.filter(|(name, _)| name != "total").map(|(_, calls)| calls).sum::<u64>(), bytes)
    };
    let (mut system, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (calls_of_none, _) = counted("news:");
        server.store((0..EACH).map(|n| format!("shop:{n}")));
        settle(&server);
        let (calls, sent) = counted("shop:");
        system.push(calls.saturating_sub(calls_of_none) as f64 * 1000.0 / EACH as f64);
        bytes.push(sent as f64 / EACH as f64);
    }
    let key = (0..EACH).map(|n| format!("shop:{n}").len()).sum::<usize>() as f64 / EACH as f64;
    let mut table = Table::new(&["what", "median of 5 (least to most)"]);
    let system = Spread::of(&system);
    table.row(&[
        "system calls for 1,000 deleted keys, and 1,000 more that are listed".to_owned(),
        format!("{system:.1}"),
    ]);
    let bytes = Spread::of(&bytes);
    table.row(&[format!("bytes to the server for a delete of a key of {key:.1} bytes"), format!("{bytes:.1}")]);
    table
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn store_at(port: u16, keys: &mut dyn Iterator<Item = String>) {
    let connection = TcpStream::connect(("127.0.0.1", port)).expect("the server takes connections");
    let mut out = std::io::BufWriter::with_capacity(1 << 16, &connection);
    for key in keys {
        write!(out, "set {key} 0 0 1 noreply\r\nx\r\n").expect("the server reads");
    }
    out.write_all(b"mn\r\n").expect("the server reads");
    drop(out);
    let mut answer = String::new();
    BufReader::new(&connection).read_line(&mut answer).expect("the server answers");
    assert_eq!(answer, "MN\r\n");
}

/// A relay on the loopback that delays what it passes on. The delay is the sum of both directions.
fn delayed(to: SocketAddr, delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(to) else { continue };
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (from, to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
                to.set_nodelay(true).expect("a connection has it");
                pass(from, to, delay / 2);
            }
        }
    });
    address
}

fn pass(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, pieces) = channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 18];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, piece) in pieces {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                return;
            }
        }
        // The connection is already closed if the other end closed it first.
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// A bar chart of names and figures, in colours for light and dark pages.
fn picture(title: &str, bars: &[(&str, f64)]) -> String {
    const ROW: usize = 30;
    let most = bars.iter().map(|(_, figure)| *figure).fold(f64::MIN_POSITIVE, f64::max);
    let height = 46 + ROW * bars.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"{height}\" viewBox=\"0 0 720 {height}\" \
         font-family=\"sans-serif\" font-size=\"14\" fill=\"#7d8590\">\n<title>{title}</title>\n<text x=\"8\" y=\"24\">{title}</text>\n"
    );
    for (at, (name, figure)) in bars.iter().enumerate() {
        let (y, width) = (40 + ROW * at, figure / most * 420.0);
        writeln!(
            svg,
            "<text x=\"212\" y=\"{}\" text-anchor=\"end\">{name}</text><rect x=\"220\" y=\"{y}\" width=\"{width:.0}\" height=\"20\" \
             fill=\"#3b82d4\"/><text x=\"{:.0}\" y=\"{}\">{figure:.2}</text>",
            y + 15,
            226.0 + width,
            y + 15
        )
        .unwrap();
    }
    svg + "</svg>\n"
}
