//! Thousands of scripted servers, all in this process.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use futures_util::StreamExt;
use mcflush::codec::{Asked, ServerCodec};
use mcflush::protocol::{Request, crawler::CrawlTarget};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::codec::Framed;

use crate::support::run::mcflush;

/// The number of servers: enough to show what grows with it. `FLEET_SERVERS` sets another number.
fn size() -> usize {
    std::env::var("FLEET_SERVERS").map_or(1_000, |servers| servers.parse().unwrap())
}

/// The commands that a server received.
#[derive(Default)]
struct Told {
    flushes: AtomicU64,
    deletes: AtomicU64,
}

struct Fleet {
    addresses: Vec<String>,
    told: Vec<Arc<Told>>,
    /// Dropping it stops the servers.
    _runtime: Runtime,
}

impl Fleet {
    fn start() -> Fleet {
        // Each server has a listening socket, which together exceeds a shell's usual limit of 1,024 open files.
        assert!(
            allow_files(std::process::id(), "16384:"),
            "it needs 16384 open files: raise the hard limit (ulimit -Hn)"
        );
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (mut addresses, mut told) = (Vec::new(), Vec::new());
        for _ in 0..size() {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            addresses.push(listener.local_addr().unwrap().to_string());
            let hears = Arc::new(Told::default());
            told.push(Arc::clone(&hears));
            runtime.spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let hears = Arc::clone(&hears);
                    tokio::spawn(async move { talk(stream, &hears).await });
                }
            });
        }
        Fleet { addresses, told, _runtime: runtime }
    }

    fn sum(&self, of: impl Fn(&Told) -> &AtomicU64) -> (u64, u64) {
        let counts = self.told.iter().map(|told| of(told).load(SeqCst));
        (counts.clone().sum(), counts.max().unwrap())
    }
}

/// Sets the soft and the hard limit of a process's open files.
fn allow_files(pid: u32, limits: &str) -> bool {
    let arguments = ["--pid", &pid.to_string(), &format!("--nofile={limits}")];
    Command::new("prlimit").args(arguments).status().unwrap().success()
}

/// A server with three keys, of which two begin with `shop:`, until it is flushed.
async fn talk(stream: TcpStream, told: &Told) {
    let mut requests = Framed::new(stream, ServerCodec::default());
    while let Some(Ok(Asked { request, .. })) = requests.next().await {
        let answer: &[u8] = match request {
            Request::Version => b"VERSION 1.6.45\r\n",
            Request::MetaNoop => b"MN\r\n",
            Request::FlushAll(_) => {
                told.flushes.fetch_add(1, SeqCst);
                b"OK\r\n"
            }
            Request::Metadump(_) if told.flushes.load(SeqCst) > 0 => b"OK\r\nEND\r\n",
            Request::Metadump(dump) if dump.target == CrawlTarget::Hash => {
                b"OK\r\nkey=shop%3A1 exp=-1 cas=1 size=66\nkey=blog%3A1 exp=-1 cas=2 size=66\nkey=shop%3A2 exp=-1 cas=3 size=66\nEND\r\n"
            }
            Request::MetaDelete(delete) => {
                assert!(delete.quiet && delete.key.as_bytes().starts_with(b"shop:"), "{delete:?}");
                told.deletes.fetch_add(1, SeqCst);
                b""
            }
            Request::Stats(_) => b"STAT curr_items 3\r\nSTAT get_hits 0\r\nSTAT cmd_set 3\r\nSTAT cmd_flush 0\r\nEND\r\n",
            _ => b"ERROR\r\n",
        };
        if requests.get_mut().write_all(answer).await.is_err() {
            return;
        }
    }
}

#[test]
// The figures are for docs/PERFORMANCE.md: `FLEET_SERVERS=5000 cargo test --test e2e thousands_of_servers -- --nocapture`.
#[allow(clippy::print_stdout)]
fn thousands_of_servers_in_one_run() {
    let fleet = Fleet::start();
    let folder = tempfile::TempDir::with_prefix("mcflush-fleet-").unwrap();
    let list = folder.path().join("servers");
    std::fs::write(&list, fleet.addresses.join("\n")).unwrap();
    for command in [&["--prefix", "shop:"][..], &["--all"], &["stats"]] {
        // All servers are in this process, which has other work on a busy machine.
        let options = ["--json", "--timeout", "60", "--servers-from", list.to_str().unwrap()];
        let mut running = mcflush(command.iter().copied().chain(options)).spawn();
        // Two connections, for the listing and the deletes, to each of sixteen servers, and a few files that any
        // program has open.
        assert!(allow_files(running.pid(), "64:64"));
        let mut peak = 0;
        running.watch(|running| peak = peak.max(running.peak_memory()));
        let run = running.wait();
        let document: Value = serde_json::from_str(&run.exits(0).stdout).unwrap();
        let results = document["servers"].as_array().unwrap();
        let order: Vec<_> = results.iter().map(|result| result["server"].as_str().unwrap()).collect();
        assert_eq!(order, fleet.addresses, "in the order they were named");
        println!("{command:?} on {} servers: {:.1} s, {} MiB at most", size(), run.took.as_secs_f64(), peak / 1024);
        // Sixteen servers at a time, each with its buffers; the rest is the JSON document.
        assert!(peak > 0 && peak < 64 * 1024, "{peak} KiB");
    }
    assert_eq!(fleet.sum(|told| &told.deletes), (2 * size() as u64, 2));
    assert_eq!(fleet.sum(|told| &told.flushes), (size() as u64, 1));
}
