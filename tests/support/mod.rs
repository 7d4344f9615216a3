//! The support code of the tests: real servers, a scripted fake one, and a way to run the binary.

// The end-to-end tests and the benches share this; none of them uses all of it.
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

/// The limit for anything that should take no time at all. It is generous, because CI machines are slow and loaded; no
/// test depends on being near it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Whether this is the binary of the end-to-end tests. Tests run beside each other, so their clients pause; benches measure
/// at full speed. `cfg!(test)` does not tell them apart: Cargo sets it for benches too.
pub const IS_TEST: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"e2e");

/// A timeout in seconds that no test waits for: a run with this `--timeout` that ends has ended for another reason.
pub const LONG: &str = "1000";

/// The built command: the one that MCFLUSH names, or else the one that Cargo gives to tests and benches; for an example
/// it is in the folder above.
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

/// Waits until `condition` yields a value, and fails with `what` if it does not in time.
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
    // The shell's own kill, because a minimal Debian has no other.
    let status = std::process::Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid.to_string()])
        .status()
        .expect("sh runs");
    assert!(status.success(), "cannot send SIG{signal} to {pid}");
}
