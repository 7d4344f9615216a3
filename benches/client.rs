//! How fast the client is, compared with a bare loop over a blocking socket (the limit), with that loop by tokio, without and
//! with a deadline, with a loop that takes keys and gives values, and with two other clients, on one memcached, in turns:
//! `make bench`. Compare the ratios of one run, not the times.

// A bench may print, and may panic.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod page;

use std::future::poll_fn;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_memcached::AsciiProtocol;
use mcflush::client::{Call, Client, NewItem};
use mcflush::protocol::Key;
use mcflush::protocol::retrieval::Keys;
use page::{Spread, Table};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::time::Sleep;

/// The number of turns of each contestant, of which the median counts.
const TURNS: usize = 45;
const KEYS: usize = 100;
/// The number of calls in a pipeline.
const PIPELINED: usize = 1000;
const DATA: [u8; 100] = [b'x'; 100];

/// A private memcached, stopped when the bench ends.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/memcached/sid/memcached");
        let port = std::env::temp_dir().join(format!("mcflush-bench-{}", std::process::id()));
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(["-u", "root", "-p", "-1", "-U", "0", "-l", "127.0.0.1", "-t", "1"])
            .env("MEMCACHED_PORT_FILENAME", &port)
            .stdout(Stdio::null())
            .spawn()
            .expect("scripts/fetch-memcached has brought it");
        let deadline = Instant::now() + Duration::from_secs(10);
        let address = loop {
            let text = std::fs::read_to_string(&port).unwrap_or_default();
            if let Some(number) = text.lines().find_map(|line| line.strip_prefix("TCP INET: ")) {
                break format!("127.0.0.1:{number}");
            }
            assert!(Instant::now() < deadline, "memcached does not start");
            std::thread::sleep(Duration::from_millis(5));
        };
        let _ = std::fs::remove_file(port);
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn name(n: usize) -> String {
    format!("shop:product:{n:06}")
}

fn key(name: &str) -> Key {
    Key::try_from(name).unwrap()
}

/// The limit: the request is encoded in advance, and only the length of the answer is checked.
struct Bare(TcpStream, Vec<u8>);

impl Bare {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream, vec![0; 1 << 20])
    }

    fn exchange(&mut self, request: &[u8], answer: usize) {
        self.0.write_all(request).unwrap();
        let mut came = 0;
        while came < answer {
            let length = self.0.read(&mut self.1).unwrap();
            assert!(length > 0, "it was closed");
            came += length;
        }
        assert_eq!(came, answer);
    }
}

/// What it costs to take keys and give values, and to copy both: [`Bare`], with requests made of the keys, which also looks for the
/// values in the answer and copies keys and data into memory of their own.
struct Copying(Bare);

impl Copying {
    /// Reads this many answers. Returns the number of values in them.
    fn exchange(&mut self, request: &[u8], answers: usize) -> usize {
        let Bare(stream, buffer) = &mut self.0;
        stream.write_all(request).unwrap();
        let mut values = Vec::new();
        let (mut at, mut came, mut ends) = (0, 0, 0);
        while ends < answers {
            let Some(line) = memchr::memchr(b'\n', &buffer[at..came]) else {
                came = read_on(stream, buffer, &mut at, came);
                continue;
            };
            if buffer[at] == b'E' {
                ends += 1;
                at += line + 1;
                continue;
            }
            let mut words = buffer[at..at + line - 1].split(|byte| *byte == b' ').skip(1);
            let (key, length) = (words.next().unwrap(), words.nth(1).unwrap());
            let length: usize = std::str::from_utf8(length).unwrap().parse().unwrap();
            let data = at + line + 1;
            if data + length + 2 > came {
                came = read_on(stream, buffer, &mut at, came);
                continue;
            }
            values.push((key.to_vec(), buffer[data..data + length].to_vec()));
            at = data + length + 2;
        }
        black_box(values).len()
    }
}

/// Reads more behind what is left from `at` on, which goes to the front. Returns where it ends.
fn read_on(stream: &mut TcpStream, buffer: &mut [u8], at: &mut usize, came: usize) -> usize {
    buffer.copy_within(*at..came, 0);
    let left = came - std::mem::take(at);
    let length = stream.read(&mut buffer[left..]).unwrap();
    assert!(length > 0, "it was closed");
    left + length
}

/// The limit for clients on an async runtime: [`Bare`], with a wait for readiness in each read.
struct Waiting {
    stream: tokio::net::TcpStream,
    buffer: Vec<u8>,
    /// A timer far ahead, set once. While it runs, each wait for readiness has an end, for which the system sets a timer
    /// and removes it.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Waiting {
    fn connect(address: &str, runtime: &Runtime, has_deadline: bool) -> Self {
        runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let deadline = has_deadline.then(|| Box::pin(tokio::time::sleep(Duration::from_secs(3_600))));
            Self { stream, buffer: vec![0; 1 << 20], deadline }
        })
    }

    async fn exchange(&mut self, request: &[u8], answer: usize) {
        let Self { stream, buffer, deadline } = self;
        if let Some(deadline) = deadline {
            let is_over = poll_fn(|context| Poll::Ready(deadline.as_mut().poll(context).is_ready())).await;
            assert!(!is_over, "it is an hour ahead");
        }
        stream.write_all(request).await.unwrap();
        let mut came = 0;
        while came < answer {
            let length = stream.read(buffer).await.unwrap();
            assert!(length > 0, "it was closed");
            came += length;
        }
        assert_eq!(came, answer);
    }
}

/// A runtime for one contestant: a timer of another one on the same runtime would give each of its waits an end.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The two contestants that are [`Waiting`]. In each turn, each of them makes `exchanges` exchanges.
fn by_tokio<'a>(address: &str, exchanges: usize, request: &'a str, answer: usize) -> [Contestant<'a>; 2] {
    [(BY_TOKIO, false), (WITH_DEADLINE, true)].map(|(column, has_deadline)| {
        let runtime = runtime();
        let mut waiting = Waiting::connect(address, &runtime, has_deadline);
        let work = move || {
            runtime.block_on(async {
                for _ in 0..exchanges {
                    waiting.exchange(request.as_bytes(), answer).await;
                }
            });
        };
        (column, Box::new(work) as Box<dyn FnMut() + 'a>)
    })
}

/// The length of the answer to a get of one key that exists, in bytes.
fn value_len() -> usize {
    format!("VALUE {} 0 {}\r\n", name(0), DATA.len()).len() + DATA.len() + 2
}

/// A contestant: its column, and a function that makes all calls of one turn.
type Contestant<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// The columns of the contestants after the limit.
const COLUMNS: [&str; 7] =
    [BY_TOKIO, WITH_DEADLINE, WITH_VALUES, "mcflush", "mcflush, keys made before", "async-memcached", "memcache"];
const BY_TOKIO: &str = "the same by tokio";
const WITH_DEADLINE: &str = "by tokio with a deadline";
const WITH_VALUES: &str = "a loop that takes keys and gives values";

/// Runs the contestants in turn, so that other load on the machine affects all alike. The first is the limit. Returns a
/// row of the table.
fn race<'a>(
    title: &str,
    goal: f64,
    calls: usize,
    by_tokio: [Contestant<'a>; 2],
    mut contestants: Vec<Contestant<'a>>,
) -> Vec<String> {
    contestants.extend(by_tokio);
    let mut times = vec![Vec::new(); contestants.len()];
    for turn in 0..=TURNS {
        for ((_, work), times) in contestants.iter_mut().zip(&mut times) {
            let start = Instant::now();
            work();
            // The first turn is a warm-up.
            if turn > 0 {
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    let medians: Vec<f64> = times.iter().map(|times| Spread::of(times).median).collect();
    let per_second = format!("{:.0}", calls as f64 / medians[0]);
    let ratios = COLUMNS.map(|column| {
        let at = contestants.iter().position(|(name, _)| *name == column);
        at.map_or(String::new(), |at| format!("{:.2}", medians[0] / medians[at]))
    });
    [title.to_owned(), per_second].into_iter().chain(ratios).chain([goal.to_string()]).collect()
}

/// Gets the keys, again and again, in one pipeline.
async fn get_pipelined(client: &mut Client<tokio::net::TcpStream>, keys: impl Iterator<Item = Key> + Clone) {
    let mut pipeline = client.pipeline();
    let tickets: Vec<_> = keys.cycle().take(PIPELINED).map(|key| pipeline.push(Call::get(key))).collect();
    let mut answers = pipeline.send().await.unwrap();
    for ticket in tickets {
        black_box(answers.take(ticket).unwrap().unwrap());
    }
}

fn main() {
    // `cargo test --benches` only checks that the bench builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    const CALLS: usize = 4_000;
    let server = Server::start();
    let (runtime, runtime_of_peer) = (runtime(), runtime());
    let (wait, wait_for_peer) = (&runtime, &runtime_of_peer);
    let connect = || {
        let stream = TcpStream::connect(&server.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let _inside = wait.enter();
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        Client::new(stream, server.address.parse().unwrap(), Duration::from_secs(5))
    };
    let peer = || wait_for_peer.block_on(async_memcached::Client::new(format!("tcp://{}", server.address))).unwrap();
    let other = || memcache::connect(format!("memcache://{}?protocol=ascii&tcp_nodelay=true", server.address)).unwrap();
    let (mut bare, mut ours, mut theirs, blocking) = (Bare::connect(&server.address), connect(), peer(), other());

    // Each contestant makes its keys from these.
    let names: Vec<_> = (0..KEYS).map(name).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let one = names[7];
    let set = format!("set {one} 0 0 {}\r\n{}\r\n", DATA.len(), "x".repeat(DATA.len()));
    for name in &names {
        wait.block_on(ours.set(NewItem::new(key(name), DATA.to_vec()))).unwrap();
    }

    let columns = [&["what", "bare loop, a second"][..], &COLUMNS, &["goal of mcflush"]].concat();
    let mut table = Table::new(&columns);
    table.row(&race(
        "set",
        0.95,
        CALLS,
        by_tokio(&server.address, CALLS, &set, 8),
        vec![
            ("bare loop", Box::new(|| (0..CALLS).for_each(|_| bare.exchange(set.as_bytes(), 8)))),
            (
                "mcflush",
                Box::new(|| {
                    wait.block_on(async {
                        for _ in 0..CALLS {
                            ours.set(NewItem::new(key(one), &DATA[..])).await.unwrap();
                        }
                    });
                }),
            ),
            (
                "async-memcached",
                Box::new(|| {
                    wait_for_peer.block_on(async {
                        for _ in 0..CALLS {
                            theirs.set(one, &DATA[..], None, None).await.unwrap();
                        }
                    });
                }),
            ),
            ("memcache", Box::new(|| (0..CALLS).for_each(|_| blocking.set(one, &DATA[..], 0).unwrap()))),
        ],
    ));

    let get = format!("get {one}\r\n");
    let answer = value_len() + 5;
    table.row(&race(
        "get",
        0.95,
        CALLS,
        by_tokio(&server.address, CALLS, &get, answer),
        vec![
            ("bare loop", Box::new(|| (0..CALLS).for_each(|_| bare.exchange(get.as_bytes(), answer)))),
            (
                "mcflush",
                Box::new(|| {
                    wait.block_on(async {
                        for _ in 0..CALLS {
                            black_box(ours.get(key(one)).await.unwrap().unwrap());
                        }
                    });
                }),
            ),
            (
                "async-memcached",
                Box::new(|| {
                    wait_for_peer.block_on(async {
                        for _ in 0..CALLS {
                            black_box(theirs.get(one).await.unwrap().unwrap());
                        }
                    });
                }),
            ),
            (
                "memcache",
                Box::new(|| {
                    (0..CALLS).for_each(|_| drop(black_box(blocking.get::<Vec<u8>>(one).unwrap().unwrap())));
                }),
            ),
        ],
    ));

    const MANY: usize = 1_000;
    let get = format!("get {}\r\n", names.join(" "));
    let answer = KEYS * value_len() + 5;
    table.row(&race(
        "get of 100 keys",
        0.9,
        MANY,
        by_tokio(&server.address, MANY, &get, answer),
        vec![
            ("bare loop", Box::new(|| (0..MANY).for_each(|_| bare.exchange(get.as_bytes(), answer)))),
            (WITH_VALUES, {
                let mut copying = Copying(Bare::connect(&server.address));
                let names = &names;
                Box::new(move || {
                    for _ in 0..MANY {
                        let mut get = "get".to_owned();
                        names.iter().for_each(|name| get.extend([" ", name]));
                        get.push_str("\r\n");
                        assert_eq!(copying.exchange(get.as_bytes(), 1), KEYS);
                    }
                })
            }),
            (
                "mcflush",
                Box::new(|| {
                    wait.block_on(async {
                        for _ in 0..MANY {
                            let keys = Keys::new(names.iter().copied().map(key).collect()).unwrap();
                            assert_eq!(black_box(ours.get_many(keys).await.unwrap()).len(), KEYS);
                        }
                    });
                }),
            ),
            ("mcflush, keys made before", {
                let keys = Keys::new(names.iter().copied().map(key).collect()).unwrap();
                let mut ours = connect();
                Box::new(move || {
                    wait.block_on(async {
                        for _ in 0..MANY {
                            assert_eq!(black_box(ours.get_many(keys.clone()).await.unwrap()).len(), KEYS);
                        }
                    });
                })
            }),
            (
                "async-memcached",
                Box::new(|| {
                    wait_for_peer.block_on(async {
                        for _ in 0..MANY {
                            assert_eq!(black_box(theirs.get_multi(&names).await.unwrap()).len(), KEYS);
                        }
                    });
                }),
            ),
            (
                "memcache",
                Box::new(|| {
                    for _ in 0..MANY {
                        assert_eq!(black_box(blocking.gets::<Vec<u8>>(&names).unwrap()).len(), KEYS);
                    }
                }),
            ),
        ],
    ));

    const BATCHES: usize = 20;
    let get: String = names.iter().cycle().take(PIPELINED).map(|name| format!("get {name}\r\n")).collect();
    let answer = PIPELINED * (value_len() + 5);
    table.row(&race(
        "gets in pipelines of 1,000",
        0.9,
        BATCHES * PIPELINED,
        by_tokio(&server.address, BATCHES, &get, answer),
        vec![
            ("bare loop", Box::new(|| (0..BATCHES).for_each(|_| bare.exchange(get.as_bytes(), answer)))),
            (WITH_VALUES, {
                let mut copying = Copying(Bare::connect(&server.address));
                let names = &names;
                Box::new(move || {
                    for _ in 0..BATCHES {
                        let mut gets = String::new();
                        names.iter().cycle().take(PIPELINED).for_each(|name| gets.extend(["get ", name, "\r\n"]));
                        assert_eq!(copying.exchange(gets.as_bytes(), PIPELINED), PIPELINED);
                    }
                })
            }),
            (
                "mcflush",
                Box::new(|| {
                    wait.block_on(async {
                        for _ in 0..BATCHES {
                            get_pipelined(&mut ours, names.iter().copied().map(key)).await;
                        }
                    });
                }),
            ),
            ("mcflush, keys made before", {
                let keys: Vec<_> = names.iter().copied().map(key).collect();
                let mut ours = connect();
                Box::new(move || {
                    wait.block_on(async {
                        for _ in 0..BATCHES {
                            get_pipelined(&mut ours, keys.iter().cloned()).await;
                        }
                    });
                })
            }),
        ],
    ));
    table.note(&format!("Ratios to the bare loop, by the medians of {TURNS} turns of thousands of calls."));
    page::show("client", &table);
}
