//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use mcflush::ops::Stop;

/// The signal caught so far, if any.
#[derive(Debug, Clone)]
pub struct Signal(Arc<AtomicU8>);

impl Signal {
    /// The exit status for it: 130 after SIGINT, 143 after SIGTERM.
    pub fn caught(&self) -> Option<u8> {
        Some(self.0.load(Ordering::Relaxed)).filter(|status| *status > 0)
    }
}

/// Cancels `stop` at the first signal, and ends the process at the second.
///
/// # Errors
/// The system does not let mcflush listen for signals.
pub fn watch(stop: Stop) -> io::Result<Signal> {
    let signal = Signal(Arc::default());
    let caught = Arc::clone(&signal.0);
    let mut signals = Signals::listen()?;
    tokio::spawn(async move {
        let status = signals.next().await;
        caught.store(status, Ordering::Relaxed);
        stop.cancel();
        std::process::exit(signals.next().await.into());
    });
    Ok(signal)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> u8 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 130,
            Err(_) => std::future::pending().await,
        }
    }
}
