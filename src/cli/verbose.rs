//! `-v`: what is tried, on stderr.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use mcflush::address::ServerAddr;
use mcflush::ops::{Event, Events};

use super::complain;

/// Prints events on a thread of its own, so that a stalled terminal never holds up an operation.
pub struct Verbose {
    printer: Option<(Sender<String>, JoinHandle<()>)>,
}

impl Verbose {
    pub fn start(wanted: bool) -> Self {
        Self {
            printer: wanted.then(|| {
                let (sender, lines) = channel::<String>();
                (sender, std::thread::spawn(move || lines.iter().for_each(|line| complain(&line))))
            }),
        }
    }

    /// Where a server's events go.
    pub fn events(&self, server: &ServerAddr) -> Events {
        let Some((sender, _)) = &self.printer else { return Events::default() };
        let (sender, server) = (sender.clone(), server.clone());
        Events::to(move |event| {
            // A printer that is gone prints nothing.
            let _ = sender.send(line(&server, event));
        })
    }

    /// Waits until everything is printed.
    pub fn finish(self) {
        if let Some((sender, printer)) = self.printer {
            drop(sender);
            // It ends when the last sender does; that it ended badly says no more than that stderr is gone.
            let _ = printer.join();
        }
    }
}

fn line(server: &ServerAddr, event: Event) -> String {
    match event {
        Event::Retry { error, after } => format!("{error}: trying again in {:.1} s", after.as_secs_f64()),
        Event::Strategy { strategy, why } => format!("{server}: listing by {strategy}: {why}"),
        Event::Pass(pass) => format!("{server}: pass {pass}"),
        Event::Spool(trouble) => {
            format!("{server}: no temporary file ({trouble}): the walk is given up and made again after the deletes")
        }
        Event::Waiting { why, after } => format!("{server}: waiting {:.1} s: {why}", after.as_secs_f64()),
        event => format!("{server}: {event:?}"),
    }
}
