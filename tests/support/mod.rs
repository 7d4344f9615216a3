//! What the tests stand on: real servers, a scripted fake one, and a way to run the binary.

// The end-to-end tests and the benches share this; neither uses all of it.
#![allow(dead_code)]

pub mod dns;
pub mod fake;
pub mod flushes;
pub mod old;
pub mod other_clients;
pub mod passes;
pub mod run;
pub mod server;
pub mod terminal;
pub mod traffic;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long anything may take that should take no time at all. Generous, because CI machines are slow and loaded;
/// no test passes or fails by being near it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A silence, in seconds, that no test waits for: a run that ends under this `--timeout` ended for another reason.
pub const LONG: &str = "1000";

/// The built command: what MCFLUSH names, or else what Cargo tells tests and benches; to an example it is in the folder above.
pub fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("MCFLUSH") {
        return program.into();
    }
    match option_env!("CARGO_BIN_EXE_mcflush") {
        Some(program) => program.into(),
        None => {
            let mut folder = std::env::current_exe().expect("this program has a path");
            folder.pop();
            folder.with_file_name("mcflush")
        }
    }
}

/// Waits until `condition` yields something, and fails with `what` if it does not in time.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends `signal` (a name without SIG) to a process that this test started.
pub fn signal(pid: u32, signal: &str) {
    // The shell's own kill, since a minimal Debian has no other.
    let status = std::process::Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid.to_string()])
        .status()
        .expect("sh runs");
    assert!(status.success(), "cannot send SIG{signal} to {pid}");
}
