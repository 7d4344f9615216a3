//! Thousands of servers, scripted, all of them in this process.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use mcflush::codec::{Asked, ServerCodec};
use mcflush::protocol::{Request, crawler::CrawlTarget};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::codec::Framed;

use crate::support::run::mcflush;

const SERVERS: usize = 5_000;

/// What a server was told.
#[derive(Default)]
struct Told {
    flushes: AtomicU64,
    deletes: AtomicU64,
}

/// Connections to all servers together.
#[derive(Default)]
struct Connections {
    open: AtomicU64,
    most: AtomicU64,
}

struct Fleet {
    addresses: Vec<String>,
    told: Vec<Arc<Told>>,
    connections: Arc<Connections>,
    /// The servers end with it.
    _runtime: Runtime,
}

impl Fleet {
    fn start() -> Fleet {
        // A listening socket each, which is more than a shell's usual 1,024 open files.
        let pid = std::process::id().to_string();
        let raised = Command::new("prlimit").args(["--pid", &pid, "--nofile=16384:"]).status().unwrap();
        assert!(raised.success(), "this test needs 16384 open files: raise the hard limit (ulimit -Hn)");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (mut addresses, mut told) = (Vec::new(), Vec::new());
        let connections = Arc::new(Connections::default());
        for _ in 0..SERVERS {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            addresses.push(listener.local_addr().unwrap().to_string());
            let hears = Arc::new(Told::default());
            told.push(Arc::clone(&hears));
            let connections = Arc::clone(&connections);
            runtime.spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (hears, connections) = (Arc::clone(&hears), Arc::clone(&connections));
                    tokio::spawn(async move {
                        let open = connections.open.fetch_add(1, SeqCst) + 1;
                        connections.most.fetch_max(open, SeqCst);
                        talk(stream, &hears).await;
                        connections.open.fetch_sub(1, SeqCst);
                    });
                }
            });
        }
        Fleet { addresses, told, connections, _runtime: runtime }
    }

    fn sum(&self, of: impl Fn(&Told) -> &AtomicU64) -> (u64, u64) {
        let counts = self.told.iter().map(|told| of(told).load(SeqCst));
        (counts.clone().sum(), counts.max().unwrap())
    }
}

/// A server of three keys, of which two begin with `shop:`.
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
            Request::Metadump(dump) if dump.target == CrawlTarget::Hash => {
                b"OK\r\nkey=shop%3A1 exp=-1 cas=1 size=66\nkey=blog%3A1 exp=-1 cas=2 size=66\nkey=shop%3A2 exp=-1 cas=3 size=66\nEND\r\n"
            }
            Request::MetaDelete(delete) => {
                assert!(delete.quiet && delete.key.as_bytes().starts_with(b"shop:"), "{delete:?}");
                told.deletes.fetch_add(1, SeqCst);
                b""
            }
            Request::Stats(_) => b"STAT curr_items 3\r\nEND\r\n",
            _ => b"ERROR\r\n",
        };
        if requests.get_mut().write_all(answer).await.is_err() {
            return;
        }
    }
}

#[test]
// The figures are for docs/PERFORMANCE.md: `cargo test --test e2e five_thousand -- --nocapture`.
#[allow(clippy::print_stdout)]
fn five_thousand_servers_in_one_run() {
    let fleet = Fleet::start();
    let folder = tempfile::TempDir::with_prefix("mcflush-fleet-").unwrap();
    let list = folder.path().join("servers");
    std::fs::write(&list, fleet.addresses.join("\n")).unwrap();
    for command in [&["--prefix", "shop:"][..], &["--all"], &["stats"]] {
        let options = ["--json", "--servers-from", list.to_str().unwrap()];
        let running = mcflush(command.iter().copied().chain(options)).spawn();
        let mut peak = 0;
        let last_look = Instant::now() + Duration::from_secs(100);
        while Instant::now() < last_look {
            match running.peak_memory() {
                0 => break,
                memory => peak = peak.max(memory),
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let run = running.wait();
        let document: Value = serde_json::from_str(&run.exits(0).stdout).unwrap();
        let results = document["servers"].as_array().unwrap();
        let order: Vec<_> = results.iter().map(|result| result["server"].as_str().unwrap()).collect();
        assert_eq!(order, fleet.addresses, "in the order they were named");
        println!("{command:?} on {SERVERS} servers: {:.1} s, {} MiB at most", run.took.as_secs_f64(), peak / 1024);
        // Sixteen at a time, of which each has its buffers; the rest is the document.
        assert!(peak > 0 && peak < 64 * 1024, "{peak} KiB");
    }
    // A listing's and a deleter's, and those that the servers have not seen closed yet.
    let most = fleet.connections.most.load(SeqCst);
    assert!(most <= 4 * 16, "{most} connections at once");
    assert_eq!(fleet.sum(|told| &told.deletes), (2 * SERVERS as u64, 2));
    assert_eq!(fleet.sum(|told| &told.flushes), (SERVERS as u64, 1));
}
