//! Lines on stderr during a run: warnings, and with `-v` each step.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mcflush::address::ServerAddr;
use mcflush::ops::Event;

use super::screen::{tell, warn};
use super::text::count;

/// A line, and the function that prints it.
type Line = (fn(&str), String);

/// Prints events on a separate thread, so that a stalled terminal never delays an operation. The thread starts with the
/// first line: most runs have none.
pub struct Verbose {
    everything: bool,
    printer: Arc<Mutex<Option<Printer>>>,
}

type Printer = (Sender<Line>, JoinHandle<()>);

fn start() -> Printer {
    let (sender, lines) = channel::<Line>();
    (sender, std::thread::spawn(move || lines.iter().for_each(|(say, line)| say(&line))))
}

impl Verbose {
    /// Prints all events, or only warnings.
    pub fn new(everything: bool) -> Self {
        Self { everything, printer: Arc::default() }
    }

    /// Returns a function that takes a server's events.
    pub fn listener(&self, server: &ServerAddr) -> impl Fn(Event) + Send + Sync + 'static {
        let (printer, server, everything) = (Arc::clone(&self.printer), server.clone(), self.everything);
        move |event| {
            if let Some(line) = line(&server, event, everything) {
                let mut printer = printer.lock().unwrap_or_else(PoisonError::into_inner);
                // Without a printer, the line is lost.
                let _ = printer.get_or_insert_with(start).0.send(line);
            }
        }
    }

    /// Waits until all lines are printed.
    pub fn finish(self) {
        let printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((sender, printer)) = printer else { return };
        drop(sender);
        // The thread ends with its sender; a failure only means that stderr is gone.
        let _ = printer.join();
    }
}

fn line(server: &ServerAddr, event: Event, everything: bool) -> Option<Line> {
    let told = match event {
        Event::Warning(warning) => return Some((warn, format!("{server}: warning: {warning}"))),
        _ if !everything => return None,
        Event::Retry { error, after } => format!("{error}: trying again in {:.1} s", after.as_secs_f64()),
        Event::Strategy { strategy, why } => format!("{server}: listing by {strategy}: {why}"),
        Event::Pass(pass) => format!("{server}: pass {pass}"),
        Event::Evidence { old, miss_rate, doubt } => {
            let estimate = match (miss_rate, doubt) {
                (Some(rate), Some(doubt)) => {
                    format!(
                        ": a pass misses at most {:.2} % of the keys, {doubt:.1e} old keys are expected to be left",
                        rate * 100.0
                    )
                }
                _ => String::new(),
            };
            format!("{server}: the pass found {}{estimate}", count(old, "old key"))
        }
        Event::Spool(trouble) => {
            format!("{server}: listed keys could not be kept ({trouble}): mcflush gave up the walk, and walks again")
        }
        Event::Waiting { why, after } => format!("{server}: waiting {:.1} s: {why}", after.as_secs_f64()),
        _ => return None,
    };
    Some((tell, told))
}
