//! How fast the client is, compared with a bare loop over a blocking socket (the limit) and with two other clients, on one
//! memcached, in turns: `make bench`. Compare the ratios of one run, not the times.

// A bench may print, and may panic.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_memcached::AsciiProtocol;
use mcflush::client::{Call, Client, NewItem};
use mcflush::protocol::Key;
use mcflush::protocol::retrieval::Keys;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The number of turns of each contestant, which give its best and its median.
const TURNS: usize = 15;
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

fn key(n: usize) -> Key {
    Key::new(name(n)).unwrap()
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

/// The limit for clients on an async runtime: [`Bare`], with a wait for readiness in each read.
struct Waiting(tokio::net::TcpStream, Vec<u8>);

impl Waiting {
    fn connect(address: &str, runtime: &tokio::runtime::Runtime) -> Self {
        let stream = runtime.block_on(tokio::net::TcpStream::connect(address)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream, vec![0; 1 << 20])
    }

    async fn exchange(&mut self, request: &[u8], answer: usize) {
        self.0.write_all(request).await.unwrap();
        let mut came = 0;
        while came < answer {
            let length = self.0.read(&mut self.1).await.unwrap();
            assert!(length > 0, "it was closed");
            came += length;
        }
        assert_eq!(came, answer);
    }
}

/// The length of the answer to a get of one key that exists, in bytes.
fn value_len() -> usize {
    format!("VALUE {} 0 {}\r\n", name(0), DATA.len()).len() + DATA.len() + 2
}

/// A contestant: its name, and a function that makes all calls of one turn.
type Contestant<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// Runs the contestants in turn, so that other load on the machine affects all alike. The first is the limit.
fn race(title: &str, calls: usize, mut contestants: Vec<Contestant<'_>>) {
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
    let limit = median(&times[0]);
    for ((name, _), times) in contestants.iter().zip(&times) {
        let time = median(times);
        println!("{title}: {name}: {:.0} a second, {:.2} of the bare loop", calls as f64 / time, limit / time);
    }
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    // `cargo test --benches` only checks that the bench builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    const CALLS: usize = 4_000;
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let wait = &runtime;
    let connect = || {
        let stream = TcpStream::connect(&server.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let _inside = wait.enter();
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        Client::new(stream, server.address.parse().unwrap(), Duration::from_secs(5))
    };
    let peer = || wait.block_on(async_memcached::Client::new(format!("tcp://{}", server.address))).unwrap();
    let other = || memcache::connect(format!("memcache://{}?protocol=ascii&tcp_nodelay=true", server.address)).unwrap();
    let (mut bare, mut ours, mut theirs, blocking) = (Bare::connect(&server.address), connect(), peer(), other());

    let set = format!("set {} 0 0 {}\r\n{}\r\n", name(7), DATA.len(), "x".repeat(DATA.len()));
    for n in 0..KEYS {
        wait.block_on(ours.set(NewItem::new(key(n), DATA.to_vec()))).unwrap();
    }

    race(
        "set",
        CALLS,
        vec![
            ("bare loop", Box::new(|| (0..CALLS).for_each(|_| bare.exchange(set.as_bytes(), 8)))),
            ("the same loop, by tokio", {
                let mut waiting = Waiting::connect(&server.address, wait);
                let set = set.clone();
                Box::new(move || {
                    wait.block_on(async {
                        for _ in 0..CALLS {
                            waiting.exchange(set.as_bytes(), 8).await;
                        }
                    });
                })
            }),
            (
                "mcflush",
                Box::new(|| {
                    wait.block_on(async {
                        for _ in 0..CALLS {
                            ours.set(NewItem::new(key(7), &DATA[..])).await.unwrap();
                        }
                    });
                }),
            ),
            (
                "async-memcached",
                Box::new(|| {
                    wait.block_on(async {
                        for _ in 0..CALLS {
                            theirs.set(name(7), &DATA[..], None, None).await.unwrap();
                        }
                    });
                }),
            ),
            ("memcache", Box::new(|| (0..CALLS).for_each(|_| blocking.set(&name(7), &DATA[..], 0).unwrap()))),
        ],
    );

    let get = format!("get {}\r\n", name(7));
    let answer = value_len() + 5;
    race(
        "get",
        CALLS,
        vec![
            ("bare loop", Box::new(|| (0..CALLS).for_each(|_| bare.exchange(get.as_bytes(), answer)))),
            ("the same loop, by tokio", {
                let mut waiting = Waiting::connect(&server.address, wait);
                let get = get.clone();
                Box::new(move || {
                    wait.block_on(async {
                        for _ in 0..CALLS {
                            waiting.exchange(get.as_bytes(), answer).await;
                        }
                    });
                })
            }),
            (
                "mcflush",
                Box::new(|| {
                    wait.block_on(async {
                        for _ in 0..CALLS {
                            black_box(ours.get(key(7)).await.unwrap().unwrap());
                        }
                    });
                }),
            ),
            (
                "async-memcached",
                Box::new(|| {
                    wait.block_on(async {
                        for _ in 0..CALLS {
                            black_box(theirs.get(name(7)).await.unwrap().unwrap());
                        }
                    });
                }),
            ),
            (
                "memcache",
                Box::new(|| {
                    (0..CALLS).for_each(|_| drop(black_box(blocking.get::<Vec<u8>>(&name(7)).unwrap().unwrap())));
                }),
            ),
        ],
    );

    const MANY: usize = 1_000;
    let names: Vec<_> = (0..KEYS).map(name).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let get = format!("get {}\r\n", names.join(" "));
    let answer = KEYS * value_len() + 5;
    race(
        "get of 100 keys",
        MANY,
        vec![
            ("bare loop", Box::new(|| (0..MANY).for_each(|_| bare.exchange(get.as_bytes(), answer)))),
            (
                "mcflush",
                Box::new(|| {
                    wait.block_on(async {
                        for _ in 0..MANY {
                            let keys = Keys::new((0..KEYS).map(key).collect()).unwrap();
                            assert_eq!(black_box(ours.get_many(keys).await.unwrap()).len(), KEYS);
                        }
                    });
                }),
            ),
            ("mcflush, keys made before", {
                let keys = Keys::new((0..KEYS).map(key).collect()).unwrap();
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
                    wait.block_on(async {
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
    );

    const BATCHES: usize = 20;
    let get: String = (0..PIPELINED).map(|n| format!("get {}\r\n", name(n % KEYS))).collect();
    let answer = PIPELINED * (value_len() + 5);
    race(
        "gets in pipelines of 1000",
        BATCHES * PIPELINED,
        vec![
            ("bare loop", Box::new(|| (0..BATCHES).for_each(|_| bare.exchange(get.as_bytes(), answer)))),
            (
                "mcflush",
                Box::new(|| {
                    wait.block_on(async {
                        for _ in 0..BATCHES {
                            let mut pipeline = ours.pipeline();
                            let tickets: Vec<_> =
                                (0..PIPELINED).map(|n| pipeline.push(Call::get(key(n % KEYS)))).collect();
                            let mut answers = pipeline.send().await.unwrap();
                            for ticket in tickets {
                                black_box(answers.take(ticket).unwrap().unwrap());
                            }
                        }
                    });
                }),
            ),
        ],
    );
}
