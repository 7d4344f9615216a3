//! How fast a clear is compared with the server's own limit, what it costs, and how fast other tools are: `make bench`, or
//! `cargo bench --bench clear -- debian sid choose hot memory others fleet flush start` for some of the parts.
//!
//! The limit is a bare hash walk with its output thrown away. The contestants are measured in turn, in one run.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::type_complexity,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a bench that meets a surprise should stop there, and its table is its result"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::other_clients::{OtherClients, numbered};
use support::run::mcflush;
use support::server::{Server, Version};
use support::traffic::{Reader, get};
use support::{program, wait_for};

const MILLION: usize = 1_000_000;
const FEW: usize = 20_000;
const ROUNDS: usize = 5;

/// The pause between two passes of LRU dumps.
const PAUSE: Duration = Duration::from_millis(1500);

fn main() {
    let parts: [(&str, fn()); 9] = [
        ("debian", || speed(Version::Debian)),
        ("sid", || speed(Version::Sid)),
        ("choose", choose),
        ("hot", hot),
        ("memory", memory),
        ("others", others),
        ("fleet", fleet),
        ("flush", flush),
        ("start", start),
    ];
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (part, run) in parts {
        if named.is_empty() || named.iter().any(|name| name == part) {
            run();
        }
    }
}

/// The ways to choose one million keys of two million, compared with a prefix; and the first hundred keys of an order,
/// compared with a bare walk.
fn choose() {
    let server = Server::start(Version::Sid, &["-m", "2048"]);
    server.store((0..MILLION).map(|n| format!("blog:{n}")));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("keys");
    let lines: Vec<String> = (0..MILLION).map(|n| shop(n) + "\n").collect();
    std::fs::write(&file, lines.concat()).expect("it can be written");
    let file = file.to_str().expect("it is text");
    let ways: [(&str, &[&str]); 6] = [
        ("--prefix shop:", &["--prefix", "shop:"]),
        ("--match 'shop:*'", &["--match", "shop:*"]),
        ("--match '*hop:*[0-9]'", &["--match", "*hop:*[0-9]"]),
        ("--larger 1", &["--prefix", "shop:", "--larger", "1"]),
        ("--keys-from", &["--keys-from", file]),
        ("keys --top 100", &["keys", "--top", "100"]),
    ];
    let (mut times, mut walks) = (vec![Vec::new(); ways.len()], Vec::new());
    for round in 0..ROUNDS {
        for at in 0..ways.len() {
            // In turn, each way runs after each other way.
            let way = (round + at) % ways.len();
            server.store((0..MILLION).map(shop));
            settle(&server);
            if ways[way].1[0] == "keys" {
                walks.push(dump(&server, "hash").as_secs_f64());
            }
            let began = Instant::now();
            let run = mcflush(ways[way].1.iter().chain(&[server.address()])).run();
            times[way].push(began.elapsed().as_secs_f64());
            run.exits(0);
            assert_eq!(server.stat("curr_items"), if ways[way].1[0] == "keys" { 2 } else { 1 } * MILLION as u64);
        }
    }
    let figures = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        (times[0], times[times.len() / 2])
    };
    let (walk_best, walk) = figures(&mut walks);
    let (prefix_best, prefix) = figures(&mut times[0]);
    println!(
        "\n1,000,000 of 2,000,000 keys on sid's memcached, seconds, medians of {ROUNDS}; best of each in brackets"
    );
    println!("{:24} {walk:>6.2} ({walk_best:.2})", "a bare walk");
    for ((way, arguments), times) in ways.iter().zip(&mut times) {
        let (best, median) = figures(times);
        let (beside, base, base_best) =
            if arguments[0] == "keys" { ("walk", walk, walk_best) } else { ("--prefix", prefix, prefix_best) };
        println!(
            "{way:24} {median:>6.2} ({best:.2})  {:>5.2} x {beside}, best {:>5.2}",
            median / base,
            best / base_best
        );
    }
}

/// What it costs a server when mcflush reads its log: a server with clients that send as fast as they can, and one with
/// little load.
fn hot() {
    const KEYS: usize = 100_000;
    println!("\ngets a second without and with mcflush hot, medians of {ROUNDS}; log lines left out");
    for version in [Version::Debian, Version::Sid] {
        let server = Server::start(version, &[]);
        server.store((0..KEYS).map(|n| format!("shop:{n}")));
        for (role, connections) in [("one client, a key at a time", 0), ("four clients, 50 keys at a time", 4)] {
            let (mut without, mut with, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
            let mut measure = || {
                let rate = |work: &mut dyn FnMut()| {
                    let (before, began) = (server.stat("cmd_get"), Instant::now());
                    work();
                    (server.stat("cmd_get") - before) as f64 / began.elapsed().as_secs_f64()
                };
                for _ in 0..ROUNDS {
                    without.push(rate(&mut || std::thread::sleep(Duration::from_secs(2))));
                    with.push(rate(&mut || {
                        let run = mcflush(["hot", "--seconds", "2", "--json", server.address()]).run();
                        let words = run.exits(0).stdout.split("\"skipped\":").nth(1).expect("it says so");
                        let digits: String = words.chars().take_while(char::is_ascii_digit).collect();
                        skipped.push(digits.parse::<f64>().expect("a number"));
                    }));
                }
            };
            if connections == 0 {
                Reader::during(&server, KEYS, |n| format!("shop:{n}"), |_| measure());
            } else {
                let _clients = OtherClients::start(&server, "read", "shop:", KEYS, connections);
                measure();
            }
            let median = |figures: &mut Vec<f64>| {
                figures.sort_by(f64::total_cmp);
                figures[figures.len() / 2]
            };
            let (without, with, skipped) = (median(&mut without), median(&mut with), median(&mut skipped));
            println!(
                "{:9} {role:32} {without:>9.0} {with:>9.0}: {:.2}; {skipped:.0} left out",
                name(version),
                with / without
            );
        }
    }
}

/// A flush of 200 servers, compared with the usual loop of nc.
fn fleet() {
    const SERVERS: usize = 200;
    let servers: Vec<Server> = (0..SERVERS).map(|_| Server::start(Version::Sid, &["-t", "1", "-m", "8"])).collect();
    let addresses: Vec<&str> = servers.iter().map(Server::address).collect();
    let script = "for server; do printf 'flush_all\\r\\nquit\\r\\n' | nc \"${server%:*}\" \"${server##*:}\" | grep -q OK || exit 1; done";
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        mcflush(["--all"].iter().chain(&addresses)).run().exits(0);
        ours.push(start.elapsed());
        let start = Instant::now();
        let looped = Command::new("sh").args(["-c", script, "sh"]).args(&addresses).status();
        assert!(looped.expect("sh runs").success(), "nc is needed: install netcat-openbsd");
        theirs.push(start.elapsed());
    }
    for server in &servers {
        assert_eq!(server.stat("cmd_flush"), 2 * ROUNDS as u64);
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1000.0 / SERVERS as f64
    };
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("\nflush of {SERVERS} servers, medians of {ROUNDS}, in ms a server");
    println!("mcflush --all (with the count of items) {ours:.2}, a loop of nc {theirs:.2}: {:.1} x", theirs / ours);
}

/// `--all`, compared with memcflush and a bare walk after it; and the number of keys under reads that each leaves.
fn flush() {
    const READ: usize = 20_000;
    const LEFT_ROUNDS: usize = 10;
    let ways: [(&str, fn(&Server)); 4] = [
        ("memcflush", memcflush),
        ("memcflush, a bare walk", |server| {
            memcflush(server);
            // The server's own crawl, which frees the flushed items, comes first, as it does with mcflush.
            wait_for("the walk", || try_dump(server, "hash").then_some(()));
        }),
        ("mcflush --all --once", |server| {
            mcflush(["--all", "--once", server.address()]).run().exits(0);
        }),
        ("mcflush --all", |server| {
            mcflush(["--all", server.address()]).run().succeeds();
        }),
    ];
    for version in [Version::Debian, Version::Sid] {
        let server = Server::start(version, &["-m", "2048"]);
        let mut times: [Vec<f64>; 4] = Default::default();
        for round in 0..ROUNDS {
            for at in 0..ways.len() {
                // In turn, each way runs after each other way.
                let way = (round + at) % ways.len();
                server.store((0..2 * MILLION).map(shop));
                settle(&server);
                let began = Instant::now();
                ways[way].1(&server);
                times[way].push(began.elapsed().as_secs_f64());
            }
        }
        let server = Server::start(version, &[]);
        let left = ways.map(|(_, flush)| {
            let counts: Vec<usize> = (0..LEFT_ROUNDS).map(|_| left_under_reads(&server, READ, flush)).collect();
            (counts.iter().filter(|count| **count > 0).count(), counts.into_iter().max().unwrap_or(0))
        });
        println!(
            "\nflush of 2,000,000 keys on {} memcached, seconds, medians of {ROUNDS} (least to most);",
            name(version)
        );
        println!(
            "{READ} keys read at full speed until the flush: rounds of {LEFT_ROUNDS} that left some, and the most"
        );
        for (((way, _), times), (rounds, most)) in ways.iter().zip(&mut times).zip(left) {
            times.sort_by(f64::total_cmp);
            let (least, median, longest) = (times[0], times[times.len() / 2], times[times.len() - 1]);
            println!("{way:24} {median:>6.3} ({least:.3} to {longest:.3}) | {rounds:>3} {most:>6}");
        }
    }
}

/// The time to start and to send a `flush_all`, compared with memcflush and nc.
fn start() {
    const STARTS: usize = 200;
    let server = Server::start(Version::Sid, &[]);
    let (host, port) = server.address().split_once(':').expect("host and port");
    let (mut ours, mut theirs, mut ncs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let began = Instant::now();
        // Started as memcflush is below, so that the work of the test's own `run` counts for neither.
        let status =
            Command::new(program()).args(["--all", "--once", "--quiet", server.address()]).env_clear().status();
        assert!(status.expect("mcflush runs").success());
        ours.push(began.elapsed());
        let began = Instant::now();
        memcflush(&server);
        theirs.push(began.elapsed());
        let began = Instant::now();
        let mut nc = Command::new("nc").args([host, port]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let nc = nc.as_mut().expect("nc is needed: install netcat-openbsd");
        nc.stdin.take().expect("it is piped").write_all(b"flush_all\r\nquit\r\n").expect("nc reads");
        assert!(nc.wait().expect("nc ends").success());
        ncs.push(began.elapsed());
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1000.0
    };
    let (ours, theirs, ncs) = (median(&mut ours), median(&mut theirs), median(&mut ncs));
    println!("\nstart and flush_all, medians of {STARTS} in turn, in ms");
    println!(
        "mcflush --all --once {ours:.2}, memcflush {theirs:.2}: {:.2} x; nc {ncs:.2}: {:.2} x",
        ours / theirs,
        ours / ncs
    );
}

/// The number of keys that can be read after a flush, if other clients read them until the server counts the flush.
fn left_under_reads(server: &Server, count: usize, flush: fn(&Server)) -> usize {
    let keys = numbered("shop:", count);
    server.store(&keys);
    let (hits, flushes) = (server.stat("get_hits"), server.stat("cmd_flush"));
    let readers = OtherClients::start(server, "read", "shop:", count, 6);
    wait_for("the readers to have read", || (server.stat("get_hits") > hits + 2 * count as u64).then_some(()));
    std::thread::scope(|scope| {
        let flushing = scope.spawn(|| flush(server));
        wait_for("the flush", || (server.stat("cmd_flush") > flushes).then_some(()));
        drop(readers);
        flushing.join().expect("the flush ends");
    });
    // After these turns the server has noted every read.
    let turns = server.stat("lru_maintainer_juggles");
    wait_for("the LRU maintainer", || (server.stat("lru_maintainer_juggles") >= turns + 3).then_some(()));
    server.read_all(&keys)
}

fn memcflush(server: &Server) {
    let servers = format!("--servers={}", server.address());
    let status = Command::new("memcflush").arg(servers).status();
    assert!(status.expect("scripts/fetch-clients was run").success());
}

fn name(version: Version) -> &'static str {
    match version {
        Version::Bullseye => "bullseye's",
        Version::Debian => "Debian's",
        Version::Trixie => "trixie's",
        Version::Sid => "sid's",
    }
}

/// The key with this number. There are ten thousand groups, so that ten thousand prefixes cover all keys.
fn shop(n: usize) -> String {
    format!("shop:{}:{}", n % 10_000, n / 10_000)
}

fn speed(version: Version) {
    let server = Server::start(version, &["-m", "2048"]);
    server.store((0..MILLION).map(|n| format!("blog:{n}")));
    let mut found: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let (mut ours, mut servers) = (0, 0);
    let prefixes: Vec<String> = (0..10_000).flat_map(|n| ["--prefix".to_owned(), format!("shop:{n}:")]).collect();
    let one = ["--prefix".to_owned(), "shop:".to_owned()];
    for _ in 0..ROUNDS {
        let mut note = |what, took| found.entry(what).or_default().push(took);
        let store = |count| server.store((0..count).map(shop));
        store(MILLION);
        settle(&server);
        note("walk", dump(&server, "hash"));
        note("lru dump", dump(&server, "all"));
        let before = (children_cpu(), process_cpu(server.pid()));
        note("1M of 2M", clear(&server, "hash", &one).0);
        ours += children_cpu() - before.0;
        servers += process_cpu(server.pid()) - before.1;
        store(MILLION);
        settle(&server);
        note("10,000 prefixes", clear(&server, "hash", &prefixes).0);
        store(MILLION);
        if version == Version::Debian {
            settle(&server);
            let (took, waits) = clear(&server, "auto", &one);
            note("1M of 2M by default", took);
            note("waits by default", PAUSE * waits);
            store(MILLION);
        }
        // The other million keys belong to a third app, so that the hash table is as large as before.
        mcflush(["--strategy", "hash", "--prefix", "shop:", server.address()]).run().exits(0);
        server.store((0..MILLION - FEW).map(|n| format!("news:{n}")));
        store(FEW);
        settle(&server);
        note("20,000 of 2M", clear(&server, "hash", &one).0);
        mcflush(["--strategy", "hash", "--prefix", "news:", server.address()]).run().exits(0);
    }
    println!(
        "\nmemcached {}, medians of {ROUNDS}, in seconds; 2,000,000 keys, --strategy hash unless named",
        name(version)
    );
    let median = |what: &str| -> f64 {
        let mut times = found[what].clone();
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    let (walk, best) = (median("walk"), found["walk"].iter().min().unwrap().as_secs_f64());
    for (what, times) in &found {
        let (least, most) = (times.iter().min().unwrap().as_secs_f64(), times.iter().max().unwrap().as_secs_f64());
        let time = median(what);
        // On a shared machine, the best time of each says more than the median.
        println!(
            "{what:22} {time:>6.2} ({least:.2} to {most:.2})  {:>5.2} x walk, best {:>5.2}",
            time / walk,
            least / best
        );
    }
    println!("10,000 prefixes: {:.2} x one", median("10,000 prefixes") / median("1M of 2M"));
    if version == Version::Debian {
        let dumps = (median("1M of 2M by default") - median("waits by default")) / median("lru dump");
        println!("by default: {dumps:.2} LRU dumps and {:.1} s of waits", median("waits by default"));
    }
    println!(
        "processor time of a clear: mcflush {ours} ticks, memcached {servers}: {:.2}",
        ours as f64 / servers as f64
    );
}

/// Waits until the server has finished its housekeeping after many stores, which the bench does not measure.
fn settle(server: &Server) {
    support::wait_for("the hash table to rest", || (server.stat("hash_is_expanding") == 0).then_some(()));
    let before = server.stat("uptime");
    support::wait_for("the lists to rest", || (server.stat("uptime") > before + 1).then_some(()));
}

/// Reads a dump and throws it away. Tries again while the hash table grows or the server runs its own crawl.
fn dump(server: &Server, what: &str) -> Duration {
    loop {
        let began = Instant::now();
        if try_dump(server, what) {
            return began.elapsed();
        }
        settle(server);
    }
}

/// Whether the server made the dump.
fn try_dump(server: &Server, what: &str) -> bool {
    let mut connection = server.connect();
    connection.send(format!("lru_crawler metadump {what}\r\n").as_bytes());
    connection.skip_past(&[b"END\r\n", b"later\r\n", b"request\r\n"]) == 0
}

/// The time of a clear, and the number of pauses between its passes.
fn clear(server: &Server, strategy: &str, more: &[String]) -> (Duration, u32) {
    let mut arguments = ["-v", "--strategy", strategy, server.address()].map(str::to_owned).to_vec();
    arguments.extend_from_slice(more);
    let began = Instant::now();
    let run = mcflush(&arguments).run();
    let took = began.elapsed();
    run.exits(0).says("complete");
    (took, run.stderr.matches("waiting 1.5 s").count() as u32)
}

fn ticks(path: &str, fields: [usize; 2]) -> u64 {
    let stat = std::fs::read_to_string(path).unwrap();
    // Fields are counted after the name, which may contain spaces.
    let words: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields.iter().map(|field| words[field - 3].parse::<u64>().unwrap()).sum()
}

/// The CPU time of all children that have ended.
fn children_cpu() -> u64 {
    ticks("/proc/self/stat", [16, 17])
}

fn process_cpu(pid: u32) -> u64 {
    ticks(&format!("/proc/{pid}/stat"), [14, 15])
}

fn memory() {
    println!("\npeak memory of mcflush in MB (GNU time's %M), every second key in scope");
    let available = std::fs::read_to_string("/proc/meminfo").unwrap();
    let available = available
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().split(' ').next()?.parse::<u64>().ok());
    for count in [MILLION, 10 * MILLION] {
        if count > MILLION && available.unwrap_or(0) < 4 << 20 {
            println!("{count:>10} keys: left out, this machine has not the memory");
            continue;
        }
        for rate in [None, Some("500000")] {
            let server = Server::start(Version::Sid, &["-m", "3000"]);
            server.store((0..count).map(|n| format!("{}:{n}", ["shop", "blog"][n % 2])));
            let mut arguments = vec!["--prefix".to_owned(), "shop:".to_owned()];
            arguments.extend(rate.map(|rate| format!("--rate={rate}")));
            let began = Instant::now();
            println!(
                "{count:>10} keys, rate {:>8}: {:>5.1} MB, {:.2} s",
                rate.unwrap_or("none"),
                peak_memory(&server, &arguments) * 1024.0 / 1e6,
                began.elapsed().as_secs_f64()
            );
        }
    }
}

/// The peak memory of mcflush, in KiB.
fn peak_memory(server: &Server, arguments: &[String]) -> f64 {
    let mut command = Command::new("/usr/bin/time");
    command.args(["-f", "%M"]).arg(program()).arg(server.address()).args(arguments);
    let output = command.output().expect("scripts/fetch-clients was run");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap().trim().parse().expect("nothing else on stderr")
}

/// The recipes that people use today, as found on the web, and the number of keys that each leaves.
fn others() {
    const EACH: usize = 100_000;
    const READ: usize = 5_000;
    println!(
        "\nwhat people use, {EACH} shop: beside {EACH} blog:, and {READ} beside {READ} right after shop: was read three times, 4 s old"
    );
    println!(
        "{:9} {:34} {:>8} {:>8} {:>8} | {:>9} {:>8}",
        "memcached", "way", "seconds", "left", "taken", "read: left", "taken"
    );
    let ways: [(&str, fn(&Server)); 6] = [
        ("mcflush", |server| {
            mcflush(["--prefix", "shop:", server.address()]).run().is_complete();
        }),
        ("memcdump | memcrm", memcrm),
        ("metadump | sed | nc", recipe),
        ("decoded metadump, until none is left", until_none),
        ("20 lines of pymemcache", pymemcache),
        ("flush_all", |server| {
            let mut connection = server.connect();
            connection.send(b"flush_all\r\n");
            connection.line();
        }),
    ];
    for version in [Version::Debian, Version::Sid] {
        for (way, clear) in ways {
            let mut figures = Vec::new();
            for (count, read) in [(EACH, false), (READ, true)] {
                let server = Server::start(version, &[]);
                server.store((0..count).flat_map(|n| [format!("shop:{n}"), format!("blog:{n}")]));
                if read {
                    read_three_times(&server, count);
                }
                let began = Instant::now();
                clear(&server);
                let took = began.elapsed();
                let mut connection = server.connect();
                let mut there = |app: &str| (0..count).filter(|n| get(&mut connection, &format!("{app}:{n}"))).count();
                figures.push((took, there("shop"), count - there("blog")));
            }
            let [(took, left, taken), (_, read_left, read_taken)] = figures[..] else { unreachable!() };
            println!(
                "{:9} {way:34} {:>8.2} {left:>8} {taken:>8} | {read_left:>9} {read_taken:>8}",
                name(version),
                took.as_secs_f64()
            );
        }
    }
}

/// Reads all keys at once, some time after they were stored, as an app does that was just started.
fn read_three_times(server: &Server, count: usize) {
    let stored = server.stat("uptime");
    wait_for("the keys to age", || (server.stat("uptime") >= stored + 4).then_some(()));
    let keys: Vec<String> = (0..count).map(|n| format!("shop:{n}")).collect();
    (0..3).for_each(|_| assert_eq!(server.read_all(&keys), count));
}

/// Runs a shell script with the server's host and port as `$1 $2`.
fn shell(server: &Server, script: &str) {
    let (host, port) = server.address().split_once(':').unwrap();
    let status = Command::new("bash")
        .args(["-c", script, "bash", host, port])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    // The recipes' exit codes mean nothing.
    status.expect("bash runs");
}

fn memcrm(server: &Server) {
    shell(server, "memcdump --servers=$1:$2 | grep ^shop: | xargs -r memcrm --servers=$1:$2");
}

/// The recipe, with bash's own connection instead of nc.
fn recipe(server: &Server) {
    shell(
        server,
        r#"exec 3<>/dev/tcp/$1/$2
        printf 'lru_crawler metadump all\r\n' >&3
        keys=$(sed '/^END/q' <&3 | grep ^key=shop | sed 's/^key=\([^ ]*\) .*/delete \1 noreply\r/')
        { printf '%s\n' "$keys"; printf 'mn\r\n'; } >&3
        sed '/^MN/q' <&3"#,
    );
}

fn until_none(server: &Server) {
    loop {
        let mut connection = server.connect();
        connection.send(b"lru_crawler metadump all\r\n");
        let mut batch = Vec::new();
        connection.each_line(|line| {
            let Some(key) = line.strip_prefix("key=shop%3A") else { return line != "END" };
            let key = key.split(' ').next().unwrap();
            write!(batch, "delete shop:{key} noreply\r\n").unwrap();
            true
        });
        if batch.is_empty() {
            return;
        }
        batch.extend_from_slice(b"mn\r\n");
        let mut connection = server.connect();
        connection.send(&batch);
        while connection.line().expect("the server answers") != "MN" {}
    }
}

fn pymemcache(server: &Server) {
    const SCRIPT: &str = r#"
import sys
from pymemcache.client.base import Client

client = Client((sys.argv[1], int(sys.argv[2])))
classes = {name.split(b":")[1] for name in client.stats("items")}
keys = []
for number in classes:
    for key in client.stats("cachedump", number.decode(), "0"):
        if key.startswith(b"shop:"):
            keys.append(key)
for start in range(0, len(keys), 1000):
    client.delete_many(keys[start:start + 1000], noreply=False)
"#;
    let (host, port) = server.address().split_once(':').unwrap();
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/clients/python/bin/python");
    let status = Command::new(python).args(["-c", SCRIPT, host, port]).status().expect("scripts/fetch-clients was run");
    assert!(status.success(), "the script failed");
}
