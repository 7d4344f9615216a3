//! A server's other clients, in separate processes, and the values that they find on it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::IS_TEST;
use super::server::Server;

/// The pause of each client after fifty commands, in milliseconds: with clients at full speed each test takes several times
/// as long.
const PAUSE: u32 = if IS_TEST { 2 } else { 0 };

/// A process of clients (`tests/support/traffic_program.rs`), killed when this is dropped.
///
/// It also dies with the *thread* that started it, so start it from a thread that outlives it.
pub struct OtherClients(Child);

impl OtherClients {
    /// Starts `connections` clients that play `role` with each of `prefixes` followed by a number below `count`.
    pub fn start(server: &Server, role: &str, prefixes: &str, count: usize, connections: usize) -> OtherClients {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program())
            .args([server.address(), role, prefixes, &count.to_string()])
            .args([connections.to_string(), PAUSE.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("setpriv (of util-linux) runs");
        OtherClients(child)
    }
}

impl Drop for OtherClients {
    fn drop(&mut self) {
        // It may have ended already; in both cases nothing is left to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Cargo puts examples into `examples`, beside the folder of the tests and benches.
fn program() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    let program = this.ancestors().nth(2).expect("it is in a folder of the target folder").join("examples/traffic");
    assert!(
        program.exists(),
        "there is no {}: build it by cargo build --example traffic (with --release for a bench)",
        program.display()
    );
    program
}

/// How many of `keys` a client finds with a value for which `is_meant` is true.
pub fn count_values(server: &Server, keys: &[String], is_meant: impl Fn(&str) -> bool) -> usize {
    let mut found = 0;
    // Few at once, so that neither side waits for the other to read.
    for some in keys.chunks(2_000) {
        let mut connection = server.connect();
        let commands = some.chunks(100).map(|keys| format!("get {}\r\n", keys.join(" ")));
        connection.send(commands.collect::<String>().as_bytes());
        let (mut ends, mut is_value) = (some.len().div_ceil(100), false);
        connection.each_line(|line| {
            if std::mem::take(&mut is_value) {
                found += usize::from(is_meant(line));
            } else if line == "END" {
                ends -= 1;
            } else {
                assert!(line.starts_with("VALUE "), "an answer to get: {line}");
                is_value = true;
            }
            ends > 0
        });
    }
    found
}

/// `PREFIX0`, `PREFIX1`, …
pub fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}
