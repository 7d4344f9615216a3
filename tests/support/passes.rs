//! One round of a clear by passes while other processes read and write: a few in `tests/e2e/passes.rs`, many in `make
//! torture`.

use serde_json::Value;

use super::other_clients::{OtherClients, count_values, numbered};
use super::run::mcflush;
use super::server::Server;
use super::wait_for;

/// The number of keys of each of the two apps, in `make torture`.
#[allow(dead_code, reason = "of the benches")]
pub const MANY: usize = 30_000;

/// Few keys, so that passes follow each other faster than the server notes reads.
#[allow(dead_code, reason = "of the benches")]
pub const FEW: usize = 200;

/// The number of keys of each app in `make test`.
#[allow(dead_code, reason = "of the tests")]
pub const SOME: usize = 8_000;

const READING_PROCESSES: usize = 3;

/// Busy threads in addition, in a round with busy processors.
pub const HOGS: usize = 6;

/// The clear's report, and the keys that it left.
#[derive(Debug)]
pub struct Round {
    pub status: Option<i32>,
    /// Why the clear is incomplete, if it is.
    pub error: Option<String>,
    pub passes: u64,
    pub seconds: f64,
    pub miss_rate: f64,
    pub doubt: f64,
    /// Keys of the cleared app that could be read after the clear, while the other clients went on.
    pub left: usize,
    /// Keys of the other app that could no longer be read.
    pub taken: usize,
}

impl Round {
    pub fn is_complete(&self) -> bool {
        self.status == Some(0)
    }

    /// Whether the report is true: if the clear is called complete it is, and in any case the other app has all its
    /// keys.
    pub fn is_true(&self) -> bool {
        self.taken == 0 && (self.left == 0 || !self.is_complete())
    }
}

/// Stores both apps. The server needs room for all of it: evictions would prove nothing.
pub fn load(server: &Server, each: usize) {
    server.store(numbered("shop:", each).into_iter().chain(numbered("blog:", each)));
}

pub fn round(server: &Server, each: usize, hogs: usize) -> Round {
    load(server, each);
    let before = server.stat("get_hits");
    let _others: Vec<_> = (0..READING_PROCESSES)
        .map(|_| OtherClients::start(server, "mixed", "shop:,blog:", each, 2))
        .chain((hogs > 0).then(|| OtherClients::start(server, "hog", "", 0, hogs)))
        .collect();
    // By then clients have read each key several times, and the server has begun to move keys between its lists.
    let enough = before + 6 * each as u64;
    wait_for("the other clients to be at work", || (server.stat("get_hits") > enough).then_some(()));
    let run = mcflush(["--json", "--prefix", "shop:", server.address()]).run();
    let (left, there) = (
        count_values(server, &numbered("shop:", each), |_| true),
        count_values(server, &numbered("blog:", each), |_| true),
    );
    let document: Value = serde_json::from_str(&run.stdout).expect("a JSON document");
    let row = &document["servers"][0];
    assert_eq!(row["complete"].as_bool(), Some(run.status.code() == Some(0)), "what it says and how it exits:{run}");
    Round {
        status: run.status.code(),
        error: row["error"]["message"].as_str().map(str::to_owned),
        passes: row["passes"].as_u64().expect("a number of passes"),
        seconds: run.took.as_secs_f64(),
        miss_rate: row["miss_rate"].as_f64().unwrap_or(f64::NAN),
        doubt: row["doubt"].as_f64().unwrap_or(f64::NAN),
        left,
        taken: each - there,
    }
}
