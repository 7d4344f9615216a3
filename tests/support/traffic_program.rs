//! Other clients of a server, in a separate process, until it is killed: `traffic ADDRESS ROLE PREFIXES COUNT CONNECTIONS
//! PAUSE`.
//!
//! Each connection pauses for PAUSE milliseconds after each batch of fifty commands.
//! The keys are each of PREFIXES (with commas between) followed by a number below COUNT. ROLE is one of
//!
//! - `read`: gets, fifty keys at a time;
//! - `mixed`: the same, and between them stores of keys of its own, `PREFIXnew:N`;
//! - `incr`, `append`, `touch`: changes each key in place; one that is not there is made anew, as 0 or as `new`;
//! - `hog`: no traffic at all, only as many busy threads as CONNECTIONS.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a client of a test may panic: the test sees that it is gone"
)]

use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The number of keys in one batch.
const BATCH: usize = 50;

/// The number of keys that `mixed` stores of each prefix.
const OWN_KEYS: usize = 2_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, role, prefixes, count, connections, pause] = arguments.as_slice() else {
        panic!("usage: traffic ADDRESS ROLE PREFIXES COUNT CONNECTIONS PAUSE");
    };
    let prefixes: Vec<&str> = prefixes.split(',').collect();
    let count: usize = count.parse().expect("COUNT is a number");
    let connections: usize = connections.parse().expect("CONNECTIONS is a number");
    let pause = Duration::from_millis(pause.parse().expect("PAUSE is a number"));
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                if role == "hog" {
                    spin();
                }
                // If the server is gone, the work is over.
                let _ = Client::open(address).and_then(|mut client| client.work(role, &prefixes, count, pause));
            });
        }
    });
}

fn spin() -> ! {
    let mut number = 1_u64;
    loop {
        number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

struct Client {
    input: BufReader<TcpStream>,
    output: TcpStream,
    random: u64,
    line: String,
}

impl Client {
    fn open(address: &str) -> io::Result<Client> {
        let output = TcpStream::connect(address)?;
        output.set_nodelay(true)?;
        let input = BufReader::with_capacity(1 << 16, output.try_clone()?);
        Ok(Client { input, output, random: RandomState::new().hash_one(0) | 1, line: String::new() })
    }

    fn work(&mut self, role: &str, prefixes: &[&str], count: usize, pause: Duration) -> io::Result<()> {
        for turn in 0_u64.. {
            match role {
                "mixed" if turn % 10 == 9 => self.store(prefixes)?,
                "read" | "mixed" => self.read(prefixes, count)?,
                "incr" => self.change(prefixes, count, "incr KEY 1\r\n", "NOT_FOUND", "0")?,
                "append" => self.change(prefixes, count, "append KEY 0 0 1\r\nx\r\n", "NOT_STORED", "new")?,
                "touch" => self.change(prefixes, count, "touch KEY 0\r\n", "NOT_FOUND", "new")?,
                role => panic!("no role {role}"),
            }
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
        Ok(())
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % limit as u64) as usize
    }

    fn key(&mut self, prefixes: &[&str], count: usize) -> String {
        let prefix = prefixes[self.below(prefixes.len())];
        format!("{prefix}{}", self.below(count))
    }

    /// The next line of the server, without its end.
    fn answer(&mut self) -> io::Result<&str> {
        self.line.clear();
        if self.input.read_line(&mut self.line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.line.trim_end())
    }

    fn read(&mut self, prefixes: &[&str], count: usize) -> io::Result<()> {
        let keys: Vec<String> = (0..BATCH).map(|_| self.key(prefixes, count)).collect();
        self.output.write_all(format!("get {}\r\n", keys.join(" ")).as_bytes())?;
        while self.answer()? != "END" {}
        Ok(())
    }

    fn store(&mut self, prefixes: &[&str]) -> io::Result<()> {
        let mut commands = String::new();
        for _ in 0..BATCH {
            let prefix = prefixes[self.below(prefixes.len())];
            commands.push_str(&format!("set {prefix}new:{} 0 0 3\r\nnew\r\n", self.below(OWN_KEYS)));
        }
        self.output.write_all(commands.as_bytes())?;
        for _ in 0..BATCH {
            self.answer()?;
        }
        Ok(())
    }

    /// Changes some keys by `command`, and stores those anew that the server reports as `missing`.
    fn change(&mut self, prefixes: &[&str], count: usize, command: &str, missing: &str, value: &str) -> io::Result<()> {
        let keys: Vec<String> = (0..BATCH).map(|_| self.key(prefixes, count)).collect();
        let commands: String = keys.iter().map(|key| command.replace("KEY", key)).collect();
        self.output.write_all(commands.as_bytes())?;
        let mut anew = Vec::new();
        for key in &keys {
            if self.answer()? == missing {
                anew.push(format!("add {key} 0 0 {}\r\n{value}\r\n", value.len()));
            }
        }
        self.output.write_all(anew.concat().as_bytes())?;
        for _ in anew {
            self.answer()?;
        }
        Ok(())
    }
}
