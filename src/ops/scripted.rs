//! A server in memory that answers each line as a test defines, on tokio's paused clock: waits of minutes take no time.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::time::Instant;

use super::{Connector, Context, Event, Events, Queue, Spool};
use crate::address::ServerAddr;
use crate::connection::Connection;

pub(super) const HASH_DUMP: &str = "lru_crawler metadump hash";
pub(super) const LRU_DUMP: &str = "lru_crawler metadump all";

/// The answer to a line.
pub(super) enum Say {
    Text(String),
    /// The answer comes after this time.
    Later(Duration, String),
    /// The lines of the answer come one by one, each after this time.
    Slowly(Duration, String),
    /// The server closes the connection after this answer.
    Last(String),
    /// No answer, now or later, on this connection.
    Silence,
}

pub(super) fn text(text: &str) -> Say {
    Say::Text(text.to_owned())
}

/// The lines that the server received, over all connections, and when.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<(Instant, String)>>>);

/// Placeholders for the counters that the server derives from the received lines.
const HITS: &str = "@HITS";
const SETS: &str = "@SETS";
const CAS_HITS: &str = "@CAS";

impl Heard {
    pub(super) fn count(&self, line: &str) -> usize {
        self.times(line).len()
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, line)| line.clone()).collect()
    }

    /// When the server received this line.
    pub(super) fn times(&self, line: &str) -> Vec<Instant> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|(_, heard)| heard == line).map(|(time, _)| *time).collect()
    }
}

pub(super) fn address() -> ServerAddr {
    "in-memory:11211".parse().unwrap()
}

/// A context whose connections lead to a server that answers each line by a function; without retries.
pub(super) fn server(answer: impl FnMut(&str) -> Say + Send + 'static) -> (Context, Heard) {
    server_over(1 << 20, answer)
}

/// The same over a connection that buffers this many bytes each way; a server with more to write waits until the client
/// reads.
pub(super) fn server_over(bytes: usize, answer: impl FnMut(&str) -> Say + Send + 'static) -> (Context, Heard) {
    let (heard, answer) = (Heard::default(), Arc::new(Mutex::new(answer)));
    let lines = heard.clone();
    let connector = Connector::by(move |_| {
        let (near, far) = duplex(bytes);
        let (answer, lines) = (Arc::clone(&answer), lines.clone());
        tokio::spawn(talk(far, lines, move |line| (answer.lock().unwrap_or_else(PoisonError::into_inner))(line)));
        async { Ok(Box::new(near) as Connection) }
    });
    let mut context = Context { connector, ..Context::default() };
    context.patience.retries = 0;
    (context, heard)
}

async fn talk(stream: DuplexStream, heard: Heard, answer: impl Fn(&str) -> Say) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await.is_ok_and(|length| length == 0) {
            return;
        }
        let words = line.trim_end();
        heard.0.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), words.to_owned()));
        let mut parts = words.split(' ');
        if let Some("set" | "append" | "cas") = parts.next() {
            let length: usize = parts.nth(3).unwrap().parse().unwrap();
            stream.read_exact(&mut vec![0; length + 2]).await.unwrap();
        }
        let mut said = match answer(words) {
            Say::Text(said) => said,
            Say::Later(time, said) => {
                tokio::time::sleep(time).await;
                said
            }
            Say::Slowly(time, said) => {
                for line in said.split_inclusive('\n') {
                    tokio::time::sleep(time).await;
                    if stream.write_all(line.as_bytes()).await.is_err() {
                        return;
                    }
                }
                continue;
            }
            Say::Last(said) => {
                // The client may already have closed the connection.
                let _ = stream.write_all(said.as_bytes()).await;
                return;
            }
            Say::Silence => return std::future::pending().await,
        };
        let beginning = |words: [&str; 2]| {
            let lines = heard.all();
            let count = lines.iter().filter(|line| words.iter().any(|word| line.starts_with(word))).count();
            count.to_string()
        };
        // Counting looks at every line, which takes long after thousands of deletes.
        if said.contains('@') {
            said = said.replace(HITS, &beginning(["mg ", "gets "])).replace(SETS, &beginning(["append ", "cas "]));
            said = said.replace(CAS_HITS, &beginning(["cas ", "cas "]));
        }
        if stream.write_all(said.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What a function makes of the context's events from now on.
pub(super) fn collect<T: Send + 'static>(
    context: &mut Context,
    of_event: impl Fn(Event) -> Option<T> + Send + Sync + 'static,
) -> Arc<Mutex<Vec<T>>> {
    let collected = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&collected);
    context.events = Events::to(move |event| listener.lock().unwrap().extend(of_event(event)));
    collected
}

/// How many listed keys the context's events tell of from now on, and how many of them are in scope.
pub(super) fn told(context: &mut Context) -> Arc<Mutex<(u64, u64)>> {
    let told = Arc::new(Mutex::new((0, 0)));
    let listener = Arc::clone(&told);
    context.events = Events::to(move |event| {
        if let Event::Listed { keys, in_scope } = event {
            let mut told = listener.lock().unwrap();
            *told = (told.0 + keys, told.1 + in_scope);
        }
    });
    told
}

/// Stops the operation after this time.
pub(super) fn stop_in(context: &Context, time: Duration) {
    let stop = context.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        stop.cancel();
    });
}

/// A line of a metadump.
pub(super) fn item(key: &str, cas: u64) -> String {
    format!("key={} exp=-1 la=1764000000 cas={cas} fetch=no cls=1 size=64\n", key.replace(':', "%3A"))
}

/// The `stats` of a server without other clients.
pub(super) fn stats(pid: u32, more: &str) -> String {
    stats_of_flushed(pid, 0, more)
}

/// The `stats` of a server without other clients that was flushed this many times.
pub(super) fn stats_of_flushed(pid: u32, flushes: u32, more: &str) -> String {
    format!(
        "STAT pid {pid}\r\nSTAT uptime 100\r\nSTAT time 1764000100\r\nSTAT get_hits {HITS}\r\nSTAT cmd_set {SETS}\r\n\
         STAT cmd_flush {flushes}\r\nSTAT cas_hits {CAS_HITS}\r\n{more}END\r\n"
    )
}

/// A disk in memory.
#[derive(Clone)]
pub(super) struct Disk {
    /// How many batches it has room for.
    room: usize,
    /// How many batches can be read back.
    readable: usize,
    batches: VecDeque<Bytes>,
}

impl Disk {
    pub(super) fn of(room: usize) -> Self {
        Self { room, readable: usize::MAX, batches: VecDeque::new() }
    }

    pub(super) fn with_readable(self, readable: usize) -> Self {
        Self { readable, ..self }
    }

    /// A spool whose queues are disks such as this one.
    pub(super) fn spool(self) -> Spool {
        Spool::by(move || Ok(Box::new(self.clone())))
    }
}

impl Queue for Disk {
    fn put(&mut self, batch: Bytes) -> io::Result<()> {
        if self.batches.len() == self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.batches.push_back(batch);
        Ok(())
    }

    fn take(&mut self) -> io::Result<Bytes> {
        self.readable = self.readable.checked_sub(1).ok_or(io::ErrorKind::InvalidData)?;
        self.batches.pop_front().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
