//! Progress: live lines on a terminal; without one, if the user asks for them, a plain line now and then.
//!
//! Operations only update counts. A separate thread reads the counts and draws, so that a stalled terminal never delays
//! an operation. What waits for the terminal is at most one row for each server.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::{Term, measure_text_width, truncate_str};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mcflush::address::ServerAddr;
use mcflush::ops::Event;

use super::screen;
use super::text::{aligned, clock, grouped, one_line, short};
use super::when::When;

/// A run that ends sooner shows nothing.
const FIRST: Duration = Duration::from_millis(300);
/// The time between two redraws on a terminal.
const TICK: Duration = Duration::from_millis(100);
/// The longest time between two plain lines; the first ones come sooner.
const PLAIN_MAX: Duration = Duration::from_secs(30);
/// The most live lines: a person cannot follow more while they change.
const ROWS_MAX: usize = 8;

/// Shows the progress until it is told to stop.
pub struct Progress(Option<Drawing>);

struct Drawing {
    counts: Arc<Mutex<Counts>>,
    stop: Sender<()>,
    drawer: JoinHandle<()>,
}

impl Progress {
    /// Starts to draw the progress on this many servers. `deletes` says whether the command deletes keys or only lists
    /// them.
    pub fn start(when: When, servers: usize, deletes: bool) -> Self {
        let draw = match (when, screen::is_drawable()) {
            (When::Never, _) | (When::Auto, false) => return Self(None),
            (_, true) => live,
            (When::Always, false) => plain,
        };
        let counts = Arc::new(Mutex::new(Counts::new(servers, deletes)));
        let (stop, stopped) = channel();
        let drawer = std::thread::spawn({
            let counts = Arc::clone(&counts);
            move || draw(&counts, &stopped)
        });
        Self(Some(Drawing { counts, stop, drawer }))
    }

    /// A row for a server, which is shown until the returned value is dropped.
    pub fn row(&self, server: &ServerAddr) -> ServerProgress {
        ServerProgress(self.0.as_ref().map(|drawing| {
            let place = lock(&drawing.counts).begin(server);
            (Arc::clone(&drawing.counts), place)
        }))
    }

    /// Removes the drawn lines.
    pub fn finish(self) {
        if let Some(Drawing { stop, drawer, .. }) = self.0 {
            drop(stop);
            // A failure of the drawing thread only means that the terminal is gone.
            let _ = drawer.join();
        }
    }
}

/// The row of a server in progress.
pub struct ServerProgress(Option<(Arc<Mutex<Counts>>, usize)>);

impl ServerProgress {
    /// Updates the counts by an event.
    pub fn note(&self, event: &Event) {
        if let Some((counts, place)) = &self.0 {
            lock(counts).note(*place, event);
        }
    }
}

impl Drop for ServerProgress {
    fn drop(&mut self) {
        if let Some((counts, place)) = &self.0 {
            lock(counts).end(*place);
        }
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn live(counts: &Mutex<Counts>, stop: &Receiver<()>) {
    let lines = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        lines.set_style(style);
    }
    screen::share_with(lines.clone());
    let terminal = Term::stderr();
    let mut wait = FIRST;
    while stop.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        wait = TICK;
        let (height, width) = terminal.size_checked().unwrap_or((24, 80));
        // The last column stays free, because some terminals begin a new line after writing to it.
        let width = usize::from(width).saturating_sub(1);
        let rows = usize::from(height).saturating_sub(2).min(ROWS_MAX);
        // Copied, so that no operation waits for the terminal.
        let copy = lock(counts).clone();
        lines.set_message(copy.lines(Instant::now(), width, rows).join("\n"));
    }
    lines.finish_and_clear();
}

fn plain(counts: &Mutex<Counts>, stop: &Receiver<()>) {
    let mut wait = Duration::from_secs(1);
    while stop.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        wait = (wait * 2).min(PLAIN_MAX);
        let copy = lock(counts).clone();
        if let Some(line) = copy.lines(Instant::now(), usize::MAX, 1).last() {
            screen::tell(line);
        }
    }
}

/// The counts so far.
#[derive(Debug, Clone)]
struct Counts {
    since: Instant,
    servers: usize,
    /// If false, keys are only listed, and the rate is that of the listing.
    deletes: bool,
    begun: usize,
    /// In the order in which they began, so that no row jumps.
    active: BTreeMap<usize, Server>,
    listed: u64,
    deleted: u64,
}

#[derive(Debug, Clone)]
struct Server {
    name: String,
    since: Instant,
    pass: u32,
    /// Keys listed in this pass.
    listed: u64,
    deleted: u64,
    is_waiting: bool,
}

impl Counts {
    fn new(servers: usize, deletes: bool) -> Self {
        Self { since: Instant::now(), servers, deletes, begun: 0, active: BTreeMap::new(), listed: 0, deleted: 0 }
    }

    fn begin(&mut self, server: &ServerAddr) -> usize {
        let name = one_line(&server.to_string());
        let since = Instant::now();
        self.begun += 1;
        self.active.insert(self.begun, Server { name, since, pass: 0, listed: 0, deleted: 0, is_waiting: false });
        self.begun
    }

    fn note(&mut self, place: usize, event: &Event) {
        let Some(server) = self.active.get_mut(&place) else { return };
        server.is_waiting = matches!(event, Event::Waiting { .. } | Event::Retry { .. });
        match event {
            Event::Listed { keys, .. } => {
                server.listed += keys;
                self.listed += keys;
            }
            Event::Deleted(keys) => {
                server.deleted += keys;
                self.deleted += keys;
            }
            Event::Pass(pass) => {
                server.pass = *pass;
                server.listed = 0;
            }
            // A retry lists the same keys again.
            Event::Retry { .. } => server.listed = 0,
            _ => {}
        }
    }

    fn end(&mut self, place: usize) {
        self.active.remove(&place);
    }

    /// One line for each of the servers that have been in progress longest, and a total if there are several servers.
    /// All lines have the fullest form in which every line fits.
    fn lines(&self, now: Instant, width: usize, rows: usize) -> Vec<String> {
        let shown: Vec<_> = self.active.values().take(rows).collect();
        let forms = [Detail::Exact, Detail::Short, Detail::Sparse, Detail::Tight, Detail::Least].map(|form| {
            let mut table: Vec<_> = shown.iter().map(|server| server.cells(now, form, self.deletes)).collect();
            if self.servers > 1 {
                table.push(self.cells(now, form, shown.len()));
            }
            aligned(&table)
        });
        let fits = |lines: &Vec<String>| lines.iter().all(|line| measure_text_width(line) <= width);
        let [.., least] = &forms;
        let lines = forms.iter().find(|lines| fits(lines)).unwrap_or(least);
        lines.iter().map(|line| truncate_str(line, width, "…").into_owned()).collect()
    }

    fn cells(&self, now: Instant, form: Detail, shown: usize) -> Vec<String> {
        let over = self.begun - self.active.len();
        let mut name = format!("{over} of {} servers done", self.servers);
        if form != Detail::Exact {
            name = format!("{over} of {} done", self.servers);
        }
        let more = self.active.len() - shown;
        if more > 0 && form == Detail::Exact {
            name.push_str(&format!(", {} more at work", grouped(more as u64)));
        }
        let time = now.saturating_duration_since(self.since);
        let mut cells = vec![name];
        if self.deletes || self.listed > 0 {
            cells.extend(form.figures(self.listed, self.deletes.then_some(self.deleted), time, "", None));
        } else {
            // A flush lists no keys.
            cells.extend(std::iter::repeat_n(String::new(), form.columns()));
        }
        cells.push(clock(time));
        cells
    }
}

impl Server {
    fn cells(&self, now: Instant, form: Detail, deletes: bool) -> Vec<String> {
        let time = now.saturating_duration_since(self.since);
        let mut cells = vec![self.name.clone()];
        if self.pass == 0 && self.listed == 0 {
            // The text stands in the column of the rate, so that no column comes and goes.
            let figures = if matches!(form, Detail::Exact | Detail::Short) { 2 } else { 0 };
            cells.extend(std::iter::repeat_n(String::new(), figures));
            cells.push(if self.is_waiting { "waiting" } else { "no answer yet" }.to_owned());
            cells.extend(std::iter::repeat_n(String::new(), form.columns() - figures - 1));
        } else {
            let waits = if self.is_waiting { "waiting" } else { "" };
            let (deleted, pass) = (deletes.then_some(self.deleted), (self.pass > 0).then_some(self.pass));
            cells.extend(form.figures(self.listed, deleted, time, waits, pass));
        }
        cells.push(clock(time));
        cells
    }
}

/// How much detail a line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// All figures, exact.
    Exact,
    /// All figures, in thousands and millions.
    Short,
    /// Keys deleted of keys listed, and the pass.
    Sparse,
    /// Keys deleted of keys listed.
    Tight,
    /// Keys deleted, or keys listed if the command deletes none.
    Least,
}

impl Detail {
    /// The number of columns with figures.
    const fn columns(self) -> usize {
        match self {
            Self::Exact | Self::Short => 4,
            Self::Sparse => 2,
            Self::Tight | Self::Least => 1,
        }
    }

    fn figures(self, listed: u64, deleted: Option<u64>, time: Duration, waits: &str, pass: Option<u32>) -> Vec<String> {
        let number = if self == Self::Exact { grouped } else { short };
        let seconds = time.as_secs_f64().max(0.1);
        // The rate is far below 2^64.
        let rate = (deleted.unwrap_or(listed) as f64 / seconds) as u64;
        let rate = if waits.is_empty() { format!("{}/s", number(rate)) } else { waits.to_owned() };
        let pass = pass.map(|pass| format!("pass {pass}")).unwrap_or_default();
        let listed_in_words = format!("{} listed", number(listed));
        let of_all = match deleted {
            Some(deleted) => format!("{} of {}", number(deleted), number(listed)),
            None => listed_in_words.clone(),
        };
        match self {
            Self::Exact | Self::Short => {
                let deleted = deleted.map(|deleted| format!("{} deleted", number(deleted)));
                vec![listed_in_words, deleted.unwrap_or_default(), rate, pass]
            }
            Self::Sparse => vec![of_all, pass],
            Self::Tight => vec![of_all],
            Self::Least => vec![number(deleted.unwrap_or(listed))],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> ServerAddr {
        name.parse().unwrap()
    }

    /// Two servers in progress; one of them has listed many keys.
    fn counts() -> Counts {
        let mut counts = Counts::new(12, true);
        let (first, second) = (counts.begin(&server("cache1")), counts.begin(&server("cache2:11311")));
        let over = counts.begin(&server("cache3"));
        for event in [
            Event::Started,
            Event::Pass(1),
            Event::Listed { keys: 5_000_000, in_scope: 0 },
            Event::Pass(2),
            Event::Listed { keys: 1_234_567, in_scope: 600_000 },
            Event::Deleted(412_345),
        ] {
            counts.note(first, &event);
        }
        counts.note(second, &Event::Waiting { why: "it is busy", after: TICK });
        counts.end(over);
        // A busy machine may take long between the two.
        counts.active.values_mut().for_each(|server| server.since = counts.since);
        counts
    }

    fn after_ten_seconds(counts: &Counts, width: usize, rows: usize) -> Vec<String> {
        let mut counts = counts.clone();
        // A busy machine may take long between two lines of a test.
        for active in counts.active.values_mut() {
            active.since = counts.since;
        }
        counts.lines(counts.since + Duration::from_millis(10_500), width, rows)
    }

    #[test]
    fn wide_lines_say_everything() {
        let lines = after_ten_seconds(&counts(), 199, 8);
        assert_eq!(
            lines,
            [
                "cache1:11211          1,234,567 listed  412,345 deleted  39,270/s  pass 2  0:10",
                "cache2:11311                                              waiting          0:10",
                "1 of 12 servers done  6,234,567 listed  412,345 deleted  39,270/s          0:10",
            ]
        );
    }

    #[test]
    fn a_listing_shows_no_deletes() {
        let mut counts = Counts::new(1, false);
        let place = counts.begin(&server("cache1"));
        counts.note(place, &Event::Listed { keys: 1_234_567, in_scope: 1 });
        let line = |width| after_ten_seconds(&counts, width, 8).concat();
        assert_eq!(line(80), "cache1:11211  1,234,567 listed  117,577/s  0:10");
        assert_eq!(line(40), "cache1:11211  1.2M listed  117k/s  0:10");
        assert_eq!(line(33), "cache1:11211  1.2M listed  0:10");
        counts.note(place, &Event::Retry { error: "lost".into(), after: TICK });
        counts.note(place, &Event::Listed { keys: 4096, in_scope: 1 });
        let again = after_ten_seconds(&counts, 80, 8).concat();
        assert!(again.contains(" 4,096 listed "), "{again}");
    }

    #[test]
    fn an_operation_that_lists_nothing_has_no_figures() {
        let mut counts = Counts::new(2, false);
        counts.begin(&server("cache1"));
        let lines = after_ten_seconds(&counts, 80, 8);
        assert_eq!(lines[1], "0 of 2 servers done                 0:10");
    }

    #[test]
    fn every_line_fits() {
        for width in 1..120 {
            for line in after_ten_seconds(&counts(), width, 8) {
                assert!(measure_text_width(&line) <= width, "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn no_more_rows_than_asked_for() {
        let mut counts = Counts::new(50, true);
        for n in 0..16 {
            counts.begin(&server(&format!("cache{n}")));
        }
        let lines = after_ten_seconds(&counts, 199, 8);
        assert_eq!(lines.len(), 9);
        assert!(lines[8].contains("0 of 50 servers done, 8 more at work"), "{lines:?}");
        // A single server needs no total.
        let mut counts = Counts::new(1, true);
        counts.begin(&server("cache1"));
        assert_eq!(after_ten_seconds(&counts, 199, 8).len(), 1);
    }
}
