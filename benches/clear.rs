//! How fast a clear is compared with the server's own limit, what it costs, and how fast other tools are: `make bench`, or
//! `cargo bench --bench clear -- debian sid choose hot memory others fleet flush start` for some of the parts.
//!
//! The limit is a bare hash walk with its output thrown away. The contestants are measured in turn, in one run. If BENCH_WRITE is
//! set, the tables go into docs/PERFORMANCE.md.

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

mod page;
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use page::{Spread, Table};
use support::other_clients::{OtherClients, numbered};
use support::run::mcflush;
use support::server::{Server, Version};
use support::traffic::{Reader, get};
use support::{program, wait_for};

const MILLION: usize = 1_000_000;
const FEW: usize = 20_000;
const ROUNDS: usize = 5;

fn main() {
    let parts: [(&str, fn() -> Table); 10] = [
        ("machine", machine),
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
            page::show(part, &run());
        }
    }
}

/// What the other tables were measured on.
fn machine() -> Table {
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").expect("Linux has it");
    let models: Vec<&str> = cpu.lines().filter_map(|line| line.strip_prefix("model name\t: ")).collect();
    let load = std::fs::read_to_string("/proc/loadavg").expect("Linux has it");
    let servers = [Version::Debian, Version::Sid].map(name).join(" and ");
    let mut table = Table::new(&["what", ""]);
    table.row(&["processors", &format!("{} × {}", models.len(), models.first().unwrap_or(&"unknown"))]);
    table.row(&["system", &output("uname", &["-sr"])]);
    table.row(&["compiler", &output("rustc", &["--version"])]);
    table.row(&["memcached", &servers]);
    table.row(&["date", &output("date", &["-u", "+%Y-%m-%d"])]);
    table.row(&["load of the last minute before", load.split(' ').next().unwrap_or_default()]);
    table
}

/// The ways to choose one million keys of two million, compared with a prefix; and the first hundred keys of an order,
/// compared with a bare walk.
fn choose() -> Table {
    let server = Server::start(Version::Sid, &["-m", "2048"]);
    server.store((0..MILLION).map(|n| format!("blog:{n}")));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("keys");
    let lines: Vec<String> = (0..MILLION).map(|n| shop(n) + "\n").collect();
    std::fs::write(&file, lines.concat()).expect("it can be written");
    let file = file.to_str().expect("it is text");
    let ways: [(&str, &[&str]); 6] = [
        ("`--prefix shop:`", &["--prefix", "shop:"]),
        ("`--match 'shop:*'`", &["--match", "shop:*"]),
        ("`--match '*hop:*[0-9]'`", &["--match", "*hop:*[0-9]"]),
        ("`--prefix shop: --larger 1` (deletes by compare)", &["--prefix", "shop:", "--larger", "1"]),
        ("`--keys-from FILE`", &["--keys-from", file]),
        ("`keys --top 100`", &["keys", "--top", "100"]),
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
    let mut table = Table::new(&["what", "seconds", "×", "best × best"]);
    let (walk, prefix) = (Spread::of(&walks), Spread::of(&times[0]));
    table.row(&["bare walk", &walk.to_string(), "", ""]);
    for ((way, arguments), times) in ways.iter().zip(&times) {
        let spread = Spread::of(times);
        let (beside, base) = if arguments[0] == "keys" { ("the walk", &walk) } else { ("`--prefix`", &prefix) };
        table.row(&[
            way.to_string(),
            spread.to_string(),
            format!("{:.2} × {beside}", spread.median / base.median),
            format!("{:.2}", spread.least / base.least),
        ]);
    }
    table
}

/// What it costs a server when mcflush reads its log: a server with clients that send as fast as they can, and one with
/// little load.
fn hot() -> Table {
    const KEYS: usize = 100_000;
    let mut table = Table::new(&["memcached", "clients", "without", "with", "×", "log lines left out"]);
    for version in [Version::Debian, Version::Sid] {
        let (server, name) = (Server::start(version, &[]), name(version));
        server.store((0..KEYS).map(|n| format!("shop:{n}")));
        for (role, connections) in [("one, a key at a time", 0), ("four, 50 keys at a time", 4)] {
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
            let [without, with, skipped] = [without, with, skipped].map(|figures| Spread::of(&figures).median);
            let [rate, rate_with, skipped] = [without, with, skipped].map(|figure| format!("{figure:.0}"));
            table.row(&[&name, role, &rate, &rate_with, &format!("{:.2}", with / without), &skipped]);
        }
    }
    table
}

/// A flush of 200 servers, compared with the usual loop of nc.
fn fleet() -> Table {
    const SERVERS: usize = 200;
    let servers: Vec<Server> = (0..SERVERS).map(|_| Server::start(Version::Sid, &["-t", "1", "-m", "8"])).collect();
    let addresses: Vec<&str> = servers.iter().map(Server::address).collect();
    let script = "for server; do printf 'flush_all\\r\\nquit\\r\\n' | nc \"${server%:*}\" \"${server##*:}\" | grep -q OK || exit 1; done";
    let flush = |options: &[&str]| {
        mcflush(options.iter().chain(&addresses)).run().exits(0);
    };
    let ways: [(&str, &dyn Fn()); 4] = [
        ("a shell's loop of `printf`, `nc` and `grep`", &|| {
            let looped = Command::new("sh").args(["-c", script, "sh"]).args(&addresses).status();
            assert!(looped.expect("sh runs").success(), "nc is needed: install netcat-openbsd");
        }),
        ("`mcflush --all --once`, sixteen at a time", &|| flush(&["--all", "--once"])),
        ("`mcflush --all`, sixteen at a time", &|| flush(&["--all"])),
        ("`mcflush --all --jobs 200`", &|| flush(&["--all", "--jobs", "200"])),
    ];
    let mut times = ways.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((_, flush), times) in ways.iter().zip(&mut times) {
            let start = Instant::now();
            flush();
            times.push(start.elapsed().as_secs_f64() * 1000.0 / SERVERS as f64);
        }
    }
    for server in &servers {
        assert_eq!(server.stat("cmd_flush"), (ways.len() * ROUNDS) as u64);
    }
    let times = times.map(|times| Spread::of(&times));
    let mut table = Table::new(&["flush of 200 servers", "ms a server", "× the loop"]);
    for ((way, _), spread) in ways.iter().zip(&times) {
        table.row(&[*way, &spread.to_string(), &format!("{:.2}", spread.median / times[0].median)]);
    }
    table
}

/// `--all`, compared with memcflush and a bare walk after it; and the number of keys under reads that each leaves.
fn flush() -> Table {
    const READ: usize = 20_000;
    const LEFT_ROUNDS: usize = 10;
    let ways: [(&str, fn(&Server)); 4] = [
        ("memcflush", memcflush),
        ("memcflush, then a bare walk", |server| {
            memcflush(server);
            // The server's own crawl, which frees the flushed items, comes first, as it does with mcflush.
            wait_for("the walk", || try_dump(server, "hash").then_some(()));
        }),
        ("`mcflush --all --once`", |server| {
            mcflush(["--all", "--once", server.address()]).run().exits(0);
        }),
        ("`mcflush --all`", |server| {
            mcflush(["--all", server.address()]).run().succeeds();
        }),
    ];
    let mut rows = ways.map(|(way, _)| vec![way.to_owned()]);
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
        for ((row, times), (rounds, most)) in rows.iter_mut().zip(&times).zip(left) {
            let left = if most == 0 { "0".to_owned() } else { format!("{most}, in {rounds}") };
            row.extend([format!("{:.3}", Spread::of(times)), left]);
        }
    }
    let [debian, sid] = [Version::Debian, Version::Sid].map(|version| format!("{}: seconds", name(version)));
    let mut table = Table::new(&["way", &debian, "left", &sid, "left"]);
    rows.iter().for_each(|row| table.row(row));
    table
}

/// The time to start and to send a `flush_all`, compared with memcflush and nc.
fn start() -> Table {
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
        ours.push(began.elapsed().as_secs_f64() * 1000.0);
        let began = Instant::now();
        memcflush(&server);
        theirs.push(began.elapsed().as_secs_f64() * 1000.0);
        let began = Instant::now();
        let mut nc = Command::new("nc").args([host, port]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let nc = nc.as_mut().expect("nc is needed: install netcat-openbsd");
        nc.stdin.take().expect("it is piped").write_all(b"flush_all\r\nquit\r\n").expect("nc reads");
        assert!(nc.wait().expect("nc ends").success());
        ncs.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let mut table = Table::new(&["start, and a `flush_all`", "ms, median of 200", "× memcflush"]);
    let memcflush = Spread::of(&theirs).median;
    for (way, times) in [("`mcflush --all --once`", &ours), ("memcflush", &theirs), ("nc", &ncs)] {
        let median = Spread::of(times).median;
        table.row(&[way, &format!("{median:.2}"), &format!("{:.2}", median / memcflush)]);
    }
    table
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

/// The version that a memcached names.
fn name(version: Version) -> String {
    let server = Server::start(version, &[]);
    let mut connection = server.connect();
    connection.send(b"version\r\n");
    let line = connection.line().expect("the server answers");
    line.trim_start_matches("VERSION ").to_owned()
}

/// The key with this number. There are ten thousand groups, so that ten thousand prefixes cover all keys.
fn shop(n: usize) -> String {
    format!("shop:{}:{}", n % 10_000, n / 10_000)
}

fn speed(version: Version) -> Table {
    let server = Server::start(version, &["-m", "2048"]);
    server.store((0..MILLION).map(|n| format!("blog:{n}")));
    let mut found: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let (mut ours, mut servers) = (0, 0);
    let prefixes: Vec<String> = (0..10_000).flat_map(|n| ["--prefix".to_owned(), format!("shop:{n}:")]).collect();
    let one = ["--prefix".to_owned(), "shop:".to_owned()];
    for _ in 0..ROUNDS {
        let mut note = |what, took: Duration| found.entry(what).or_default().push(took.as_secs_f64());
        let store = |count| server.store((0..count).map(shop));
        store(MILLION);
        settle(&server);
        note("walk", dump(&server, "hash"));
        note("lru dump", dump(&server, "all"));
        let before = (children_cpu(), process_cpu(server.pid()));
        note("1M of 2M", clear(&server, "hash", &one));
        ours += children_cpu() - before.0;
        servers += process_cpu(server.pid()) - before.1;
        store(MILLION);
        settle(&server);
        note("10,000 prefixes", clear(&server, "hash", &prefixes));
        store(MILLION);
        if version == Version::Debian {
            settle(&server);
            note("1M of 2M by default", clear(&server, "auto", &one));
            store(MILLION);
        }
        // The other million keys belong to a third app, so that the hash table is as large as before.
        mcflush(["--strategy", "hash", "--prefix", "shop:", server.address()]).run().exits(0);
        server.store((0..MILLION - FEW).map(|n| format!("news:{n}")));
        store(FEW);
        settle(&server);
        note("20,000 of 2M", clear(&server, "hash", &one));
        mcflush(["--strategy", "hash", "--prefix", "news:", server.address()]).run().exits(0);
    }
    let spread = |what: &str| Spread::of(&found[what]);
    let (walk, one, many) = (spread("walk"), spread("1M of 2M"), spread("10,000 prefixes"));
    let mut table = Table::new(&["what", "seconds", "× walk", "best × best walk", "goal"]);
    let several = format!("2 × one prefix; it is {:.2} ×", many.median / one.median);
    let strategy = if version == Version::Debian { ", `--strategy hash`" } else { "" };
    for (what, name, goal) in [
        ("walk", "bare walk", ""),
        ("lru dump", "bare LRU dump", ""),
        ("1M of 2M", &format!("clear of 1,000,000{strategy}"), "1.1"),
        ("20,000 of 2M", &format!("clear of 20,000{strategy}"), "1.05"),
        ("10,000 prefixes", &format!("clear of 1,000,000 by 10,000 prefixes{strategy}"), &several),
        ("1M of 2M by default", "clear of 1,000,000 by default (LRU passes)", "3 LRU dumps and the pauses"),
    ] {
        if found.contains_key(what) {
            let times = spread(what);
            // On a shared machine, the best time of each says more than the median.
            let (median, best) = (times.median / walk.median, times.least / walk.least);
            table.row(&[name, &times.to_string(), &format!("{median:.2}"), &format!("{best:.2}"), goal]);
        }
    }
    if version == Version::Debian {
        let dumps = spread("1M of 2M by default").median / spread("lru dump").median;
        table.note(&format!("By default a clear takes {dumps:.2} LRU dumps, with the pauses between its passes."));
    }
    let cpu = ours as f64 / servers as f64;
    table.note(&format!(
        "Processor time of mcflush beside memcached's in the clears of 1,000,000: {cpu:.2} (goal: 0.5)."
    ));
    table
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

/// The time of a clear.
fn clear(server: &Server, strategy: &str, more: &[String]) -> Duration {
    let mut arguments = ["--strategy", strategy, server.address()].map(str::to_owned).to_vec();
    arguments.extend_from_slice(more);
    let began = Instant::now();
    let run = mcflush(&arguments).run();
    let took = began.elapsed();
    run.exits(0).says("complete");
    took
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

fn memory() -> Table {
    let mut table = Table::new(&["keys on the server", "rate", "MB", "seconds"]);
    let available = std::fs::read_to_string("/proc/meminfo").unwrap();
    let available = available
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().split(' ').next()?.parse::<u64>().ok());
    for count in [MILLION, 10 * MILLION] {
        if count > MILLION && available.unwrap_or(0) < 4 << 20 {
            table.note(&format!("{count} keys: left out, because this machine does not have the memory."));
            continue;
        }
        for rate in [None, Some("500000")] {
            let server = Server::start(Version::Sid, &["-m", "3000"]);
            server.store((0..count).map(|n| format!("{}:{n}", ["shop", "blog"][n % 2])));
            let mut arguments = vec!["--prefix".to_owned(), "shop:".to_owned()];
            arguments.extend(rate.map(|rate| format!("--rate={rate}")));
            let began = Instant::now();
            let peak = peak_memory(&server, &arguments) * 1024.0 / 1e6;
            table.row(&[
                count.to_string(),
                rate.map_or("none".to_owned(), |rate| format!("{rate} a second")),
                format!("{peak:.1}"),
                format!("{:.2}", began.elapsed().as_secs_f64()),
            ]);
        }
    }
    table
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
fn others() -> Table {
    const EACH: usize = 100_000;
    const READ: usize = 5_000;
    let ways: [(&str, fn(&Server)); 6] = [
        ("`mcflush --prefix shop:`", |server| {
            mcflush(["--prefix", "shop:", server.address()]).run().is_complete();
        }),
        ("`memcdump`, `grep`, `memcrm`", memcrm),
        ("`metadump`, `sed` and `nc`, keys not decoded", recipe),
        ("decoded `metadump`, until nothing is listed", until_none),
        ("20 lines of pymemcache (cachedump)", pymemcache),
        ("`flush_all`", |server| {
            let mut connection = server.connect();
            connection.send(b"flush_all\r\n");
            connection.line();
        }),
    ];
    let mut rows = ways.map(|(way, _)| vec![way.to_owned()]);
    for version in [Version::Debian, Version::Sid] {
        for (row, (_, clear)) in rows.iter_mut().zip(ways) {
            let mut figures = Vec::new();
            for (count, read) in [(EACH, false), (READ, true)] {
                let server = Server::start(version, &[]);
                server.store((0..count).flat_map(|n| [format!("shop:{n}"), format!("blog:{n}")]));
                if read {
                    read_three_times(&server, count);
                }
                clear(&server);
                let mut connection = server.connect();
                let mut there = |app: &str| (0..count).filter(|n| get(&mut connection, &format!("{app}:{n}"))).count();
                figures.push(format!("{}, {}", there("shop"), count - there("blog")));
            }
            row.append(&mut figures);
        }
    }
    let [debian, sid] = [Version::Debian, Version::Sid].map(|version| format!("{}: left, taken", name(version)));
    let mut table = Table::new(&["way", &debian, "after reads", &sid, "after reads"]);
    rows.iter().for_each(|row| table.row(row));
    table
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
