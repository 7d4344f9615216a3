//! Rounds of `--all` while other processes read and change values: a few in `tests/e2e/flush_exact.rs`, many in `make
//! torture`. A value stored before the flush begins with `old`, or is a counter above [`OLD_COUNTER`]. If the other
//! clients find a value gone, they store it anew as `new`, or from 0.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::other_clients::{OtherClients, count_values, numbered};
use super::run::{Run, mcflush};
use super::server::Server;
use super::traffic::StopAtEnd;
use super::wait_for;

/// Keys that are read all the time.
const READ: usize = 20_000;

/// Keys of each kind that are changed all the time.
const CHANGED: usize = 200;

/// Keys that are stored right before and right after mcflush runs.
const AROUND: usize = 1_000;

/// The value of counters before the flush.
const OLD_COUNTER: u64 = 1_000_000_000;

/// When the clients that read at full speed stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadUntil {
    /// Right before mcflush runs.
    Before,
    /// The server counts the flush.
    TheFlush,
    /// mcflush has ended.
    After,
}

impl ReadUntil {
    pub const ALL: [ReadUntil; 3] = [ReadUntil::Before, ReadUntil::TheFlush, ReadUntil::After];
}

/// Old values that could still be read after mcflush ended, by the way in which clients used them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub read: usize,
    pub stored_last: usize,
    pub incremented: usize,
    pub appended: usize,
    pub touched: usize,
}

impl Left {
    pub fn sum(self) -> usize {
        self.read + self.stored_last + self.incremented + self.appended + self.touched
    }
}

/// How a round ended.
#[derive(Debug)]
pub struct Round {
    pub run: Run,
    pub left: Left,
    /// Values that are gone although they were stored after mcflush ended or, if it keeps new ones, after the server
    /// counted the flush.
    pub lost: usize,
    /// How many values were checked for that.
    pub new: usize,
}

/// How other clients change values in place meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// By incr, append and touch.
    All,
    /// By touch alone.
    Touch,
    None,
}

/// Stores the old values, `age` seconds before the others begin. The server notes a read of an older item, which makes
/// it look younger than the flush.
fn load(server: &Server, age: u64) {
    let mut loader = server.loader();
    for prefix in ["shop:", "append:", "touch:"] {
        for key in numbered(prefix, if prefix == "shop:" { READ } else { CHANGED }) {
            loader.set(key.as_bytes(), b"old");
        }
    }
    for key in numbered("incr:", CHANGED) {
        loader.set(key.as_bytes(), OLD_COUNTER.to_string().as_bytes());
    }
    loader.finish();
    pass_time(server, age);
}

/// Waits until the server's clock has advanced by this many seconds.
fn pass_time(server: &Server, seconds: u64) {
    let now = server.stat("uptime");
    wait_for("the server's clock", || (server.stat("uptime") >= now + seconds).then_some(()));
}

fn store(server: &Server, keys: &[String], value: &[u8]) {
    let mut loader = server.loader();
    keys.iter().for_each(|key| loader.set(key.as_bytes(), value));
    loader.finish();
}

fn readers(server: &Server) -> OtherClients {
    let before = server.stat("get_hits");
    let readers = OtherClients::start(server, "read", "shop:", READ, 6);
    wait_for("the readers to have read", || (server.stat("get_hits") > before + 2 * READ as u64).then_some(()));
    readers
}

fn changers(server: &Server, changes: Changes) -> Vec<OtherClients> {
    let roles: &[&str] = match changes {
        Changes::All => &["incr", "append", "touch"],
        Changes::Touch => &["touch"],
        Changes::None => &[],
    };
    let started = roles.iter().map(|role| OtherClients::start(server, role, &format!("{role}:"), CHANGED, 2)).collect();
    for (role, counter) in [("incr", "incr_hits"), ("append", "cmd_set"), ("touch", "touch_hits")] {
        if roles.contains(&role) {
            let before = server.stat(counter);
            wait_for("the changes to go on", || (server.stat(counter) > before + CHANGED as u64).then_some(()));
        }
    }
    started
}

/// Runs mcflush while the readers read until the given moment.
fn run_under_reads(server: &Server, until: ReadUntil, arguments: &[&str]) -> Run {
    let mut readers = Some(readers(server));
    store(server, &numbered("last:", AROUND), b"old");
    if until == ReadUntil::Before {
        readers = None;
    }
    let flushes = server.stat("cmd_flush");
    let mut running = mcflush(arguments.iter().copied().chain([server.address()])).spawn();
    if until == ReadUntil::TheFlush {
        wait_for("the flush", || (server.stat("cmd_flush") > flushes || !running.is_running()).then_some(()));
        readers = None;
    }
    let run = running.wait();
    drop(readers);
    run
}

fn left(server: &Server) -> Left {
    let old = |prefix, count| count_values(server, &numbered(prefix, count), |value| value.starts_with("old"));
    let is_old_counter = |value: &str| value.trim().parse::<u64>().expect("a counter") >= OLD_COUNTER;
    Left {
        read: old("shop:", READ),
        stored_last: old("last:", AROUND),
        incremented: count_values(server, &numbered("incr:", CHANGED), is_old_counter),
        appended: old("append:", CHANGED),
        touched: old("touch:", CHANGED),
    }
}

/// Runs `--all`, and counts what it left; `age` is in seconds. Values stored after it has ended must stay.
pub fn round(server: &Server, until: ReadUntil, changes: Changes, age: u64, arguments: &[&str]) -> Round {
    load(server, age);
    let changers = changers(server, changes);
    let run = run_under_reads(server, until, arguments);
    let after = numbered("after:", AROUND);
    store(server, &after, b"new");
    let left = left(server);
    drop(changers);
    // A flush by time may still hide items until its second has passed.
    pass_time(server, 2);
    let lost = AROUND - count_values(server, &after, |value| value == "new");
    Round { run, left, lost, new: AROUND }
}

/// As [`round`], with `--keep-new`, on all keys or on a prefix; it only keeps items that no client changes in place. Clients
/// store all the time; items whose stores began after the server counted a flush, or the first delete, must stay.
pub fn round_that_keeps_new(server: &Server, until: ReadUntil, age: u64, scope: &[&str]) -> Round {
    let is_clear = scope.contains(&"--prefix");
    // Before 1.6.13 a delete that compares CAS is a store by `cas`.
    let counters: &[&str] = if is_clear { &["delete_hits", "cas_hits"] } else { &["cmd_flush"] };
    let count = || counters.iter().map(|counter| server.stat(counter)).sum::<u64>();
    load(server, age);
    let changers = changers(server, Changes::Touch);
    let before = count();
    let (stop, new) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let run = std::thread::scope(|scope_of_threads| {
        let stops = StopAtEnd(&stop);
        for writer in 0..2 {
            let (stop, new, count) = (&stop, &new, &count);
            scope_of_threads.spawn(move || {
                let mut connection = server.connect();
                let mut number = 0;
                while !stop.load(Relaxed) {
                    let is_surely_new = count() > before;
                    let key = format!("shop:fresh:{writer}:{number}");
                    number += 1;
                    connection.send(format!("set {key} 0 0 3\r\nnew\r\n").as_bytes());
                    assert_eq!(connection.line().as_deref(), Some("STORED"));
                    if is_surely_new {
                        new.lock().expect("no writer failed").push(key);
                    }
                }
            });
        }
        let run = run_under_reads(server, until, &[scope, &["--keep-new"]].concat());
        // A busy machine may have run no writer since then.
        wait_for("a store behind the flush", || {
            (count() == before || !new.lock().expect("no writer failed").is_empty()).then_some(())
        });
        drop(stops);
        run
    });
    let mut left = left(server);
    if is_clear {
        // These keys are not in its scope.
        left = Left { read: left.read, ..Left::default() };
    } else {
        // No client changed them, so they are as old as the others.
        assert_eq!(changers.len(), 1);
    }
    drop(changers);
    pass_time(server, 2);
    let new = new.into_inner().expect("no writer failed");
    let lost = new.len() - count_values(server, &new, |value| value == "new");
    Round { run, left, lost, new: new.len() }
}
