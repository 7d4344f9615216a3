//! What a terminal shows while mcflush reads the logs: the most used prefixes so far, redrawn twice a second.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::{Term, truncate_str};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mcflush::address::ServerAddr;
use mcflush::ops::hot::Traffic;

use super::{lines, rows, summary};
use crate::cli::namespaces::Sighting;
use crate::cli::screen;
use crate::cli::text::clock;
use crate::cli::when::When;

const TICK: Duration = Duration::from_millis(500);

/// The traffic of each server so far.
type Shown = Arc<Mutex<BTreeMap<ServerAddr, Traffic>>>;

/// Redraws until it is told to stop. Without a terminal, it draws nothing.
pub struct Live(Option<(Shown, Sender<()>, JoinHandle<()>)>);

impl Live {
    /// Starts to draw, for a run of this time.
    pub fn start(when: When, time: Duration) -> Self {
        if when == When::Never || !screen::is_drawable() {
            return Self(None);
        }
        let shown = Shown::default();
        let (stop, stopped) = channel();
        let of_drawer = Arc::clone(&shown);
        let drawer = std::thread::spawn(move || {
            let began = Instant::now();
            let area = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                area.set_style(style);
            }
            screen::share_with(area.clone());
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                area.set_message(text(&of_drawer, began.elapsed(), time));
            }
            area.finish_and_clear();
        });
        Self(Some((shown, stop, drawer)))
    }

    /// Returns a function that notes a server's traffic so far. The code that reads the log calls it, so it does not
    /// wait for the terminal.
    pub fn note(&self, server: &ServerAddr) -> impl Fn(&Traffic) + Send + use<> {
        let shown = self.0.as_ref().map(|(shown, ..)| Arc::clone(shown));
        let server = server.clone();
        move |traffic| {
            if let Some(shown) = &shown {
                let traffic = traffic.clone();
                shown.lock().unwrap_or_else(PoisonError::into_inner).insert(server.clone(), traffic);
            }
        }
    }

    /// Removes the drawn lines.
    pub fn finish(self) {
        if let Some((_, stop, drawer)) = self.0 {
            drop(stop);
            // A failure of the drawing thread only means that the terminal is gone.
            let _ = drawer.join();
        }
    }
}

fn text(shown: &Shown, passed: Duration, time: Duration) -> String {
    let (height, width) = Term::stderr().size_checked().unwrap_or((24, 80));
    // The last column stays free, because some terminals begin a new line after writing to it.
    let width = usize::from(width).saturating_sub(1);
    let most = usize::from(height).saturating_sub(4).min(15);
    let mut traffic = Traffic::default();
    let of_servers = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
    of_servers.values().for_each(|of_server| traffic.add(of_server));
    let first = format!("{} of {}: {}", clock(passed), clock(time), summary(&traffic.total()));
    let sighting = Sighting { traffic, time: passed };
    let rows = rows(&sighting.traffic, most.try_into().ok());
    let lines = std::iter::once(first).chain(lines(&rows, &sighting, Some(width)));
    lines.map(|line| truncate_str(line.trim_end(), width, "…").into_owned()).collect::<Vec<_>>().join("\n")
}
