//! What a server's other clients do meanwhile, and how long they have to wait.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::IS_TEST;
use super::server::{Connection, Server};

/// Numbers that look random and are the same in every run.
pub struct Numbers(u64);

impl Numbers {
    pub fn from(seed: u64) -> Numbers {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("below a usize")
    }
}

/// The pause of a reader of a test after each get. Without it, the readers of the tests that run at the same time keep all
/// processors busy, and everything takes twice as long.
const PAUSE: Duration = Duration::from_micros(200);

/// A client that reads one random key after another.
#[derive(Default)]
pub struct Reader {
    gets: AtomicU64,
    /// In microseconds.
    worst: AtomicU64,
    stop: AtomicBool,
}

impl Reader {
    /// The number of gets so far.
    pub fn gets(&self) -> u64 {
        self.gets.load(Relaxed)
    }

    /// The longest time that a get took.
    pub fn worst(&self) -> Duration {
        Duration::from_micros(self.worst.load(Relaxed))
    }

    fn read(&self, server: &Server, seed: u64, key: &(impl Fn(usize) -> String + ?Sized), keys: usize) {
        let mut numbers = Numbers::from(seed);
        let mut connection = server.connect();
        while !self.stop.load(Relaxed) {
            let key = key(numbers.below(keys));
            let began = Instant::now();
            get(&mut connection, &key);
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.worst.fetch_max(took, Relaxed);
            self.gets.fetch_add(1, Relaxed);
            if IS_TEST {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Runs `work` while a client reads keys, `key(0)` to `key(keys - 1)`. A get that hangs fails the test.
    pub fn during<T>(
        server: &Server,
        keys: usize,
        key: impl Fn(usize) -> String + Sync,
        work: impl FnOnce(&Reader) -> T,
    ) -> T {
        let reader = Reader::default();
        std::thread::scope(|scope| {
            let stop = StopAtEnd(&reader.stop);
            scope.spawn(|| reader.read(server, 1, &key, keys));
            super::wait_for("the first get", || (reader.gets() > 0).then_some(()));
            let result = work(&reader);
            drop(stop);
            result
        })
    }
}

/// Sets the flag also if the work fails, because its thread scope waits for the other threads.
pub struct StopAtEnd<'a>(pub &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Whether another client finds a key.
pub fn get(connection: &mut Connection, key: &str) -> bool {
    connection.send(format!("get {key}\r\n").as_bytes());
    let mut found = false;
    loop {
        match connection.line().expect("the server answers").as_str() {
            "END" => return found,
            _ => found = true,
        }
    }
}
