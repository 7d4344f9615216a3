//! Results as lines of text.

use std::io::{self, Write};

use console::style;
use mcflush::address::ServerAddr;
use mcflush::error::Error;
use mcflush::ops::Strategy;
use mcflush::ops::clear::{ClearProof, Cleared, Deleted, Survey};
use mcflush::ops::flush::{self, Flushed};
use mcflush::ops::hot::Seen;
use mcflush::ops::namespaces::Counted;
use mcflush::protocol::Escaped;
use mcflush::scope::{Glob, Prefix, Scope};

use super::hot::{self, FleetTraffic};
use super::namespaces::{self, NamespaceRow, Sighting};
use super::screen::aside;
use super::sink::Sink;
use super::stats::{self, GroupStats, ServerStats, Since, StatsFormat};
use super::text::{self, bytes, count, grouped, one_line};

/// Prints a line, or a table, for each result.
#[derive(Debug)]
pub struct Lines {
    quiet: bool,
    /// Why stdout takes no more output.
    broken: Option<io::Error>,
}

impl Lines {
    pub const fn new(quiet: bool) -> Self {
        Self { quiet, broken: None }
    }

    /// Prints a success, which --quiet hides.
    fn done(&mut self, text: &str) {
        if !self.quiet {
            self.print(text);
        }
    }

    /// Prints a result that was asked for, which --quiet does not hide.
    fn print(&mut self, text: &str) {
        if self.broken.is_some() {
            return;
        }
        self.broken = aside(|| {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{text}").and_then(|()| stdout.flush()).err()
        });
    }
}

impl Sink for Lines {
    fn flushed(&mut self, server: &ServerAddr, result: &Result<Flushed, Error>) {
        if let Ok(flushed) = result {
            self.done(&format!("{server}: {}", flushed_line(flushed)));
        }
    }

    fn cleared(&mut self, server: &ServerAddr, cleared: &Cleared) {
        if cleared.error.is_some() {
            return;
        }
        let passes = count(cleared.passes.into(), "pass");
        let deleted = count(cleared.deleted, "key");
        // Over several passes, more keys can be deleted than any single pass listed.
        let listed = match cleared.passes {
            1 => format!("{} listed", grouped(cleared.listed)),
            _ => format!("{} found in scope", grouped(cleared.matched)),
        };
        let how = match (cleared.proof, cleared.strategy) {
            (Some(ClearProof::Walk), _) if cleared.passes == 1 => "one walk of the hash table".into(),
            (Some(ClearProof::Walk), _) => format!("{} of the hash table", count(cleared.passes.into(), "walk")),
            (_, Some(Strategy::Cachedump)) => format!("{passes} over the slab classes"),
            _ => format!("{passes} over the LRU lists"),
        };
        let kept = match cleared.kept_new {
            Some(kept @ 1..) => format!("; kept {} stored meanwhile", count(kept, "key")),
            _ => String::new(),
        };
        let complete = style("complete").green();
        let size = if cleared.deleted > 0 { format!(", {}", text::binary(cleared.bytes)) } else { String::new() };
        let seconds = cleared.took.as_secs_f64();
        self.done(&format!(
            "{server}: {complete}, {deleted} deleted of {listed}{size}, by {how} in {seconds:.1} s{kept}"
        ));
    }

    fn deleted(&mut self, server: &ServerAddr, deleted: &Deleted) {
        if deleted.error.is_none() {
            let complete = style("complete").green();
            let seconds = deleted.took.as_secs_f64();
            self.done(&format!("{server}: {complete}, {} in {seconds:.1} s", deleted_of_named(deleted)));
        }
    }

    fn surveyed(&mut self, server: &ServerAddr, scope: &Scope, result: &Result<Survey, Error>) {
        let Ok(Survey { listed, found, uncertainty, .. }) = result else { return };
        let about = if uncertainty.is_some() { "about " } else { "" };
        let (keys, size) = (found.iter().map(|it| it.keys).sum::<u64>(), found.iter().map(|it| it.bytes).sum());
        let (would, listed, size) = (count(keys, "key"), grouped(*listed), bytes(size));
        let mut text = format!("{server}: would delete {about}{would} of {about}{listed} listed, {size}");
        if found.len() > 1 {
            let prefixes = scope.prefixes().iter().map(Prefix::as_bytes);
            for (name, found) in prefixes.chain(scope.globs().iter().map(Glob::as_bytes)).zip(found) {
                let (keys, size) = (count(found.keys, "key"), bytes(found.bytes));
                text.push_str(&format!("\n  {}  {keys}, {size}", Escaped(name)));
            }
        }
        self.print(&text);
    }

    fn stats(&mut self, server: &ServerAddr, result: &Result<GroupStats, Error>, since: Option<&Since>) {
        if let (Ok(said), Some(since)) = (result, since) {
            self.print(&since.text(server, said));
        }
    }

    fn all_stats(&mut self, servers: &[ServerStats], failed: &[ServerAddr], format: StatsFormat) {
        let text = match format {
            StatsFormat::Table if servers.is_empty() => return,
            StatsFormat::Table => stats::table(servers, text::terminal_width()),
            StatsFormat::Prometheus => stats::prometheus(servers, failed),
            StatsFormat::Json => return,
        };
        self.print(&text);
    }

    fn counted(&mut self, _: &ServerAddr, _: &Result<Counted, Error>, _: Option<&Seen>) {}

    fn namespaces(&mut self, servers: &[ServerAddr], rows: &[NamespaceRow], sighting: Option<&Sighting>) {
        if !servers.is_empty() {
            self.print(&namespaces::table(servers, rows, sighting, text::terminal_width()));
        }
    }

    fn seen(&mut self, _: &ServerAddr, _: &Result<Seen, Error>) {}

    fn used(&mut self, together: &FleetTraffic, rows: &[hot::HotRow], most: usize) {
        if !together.servers.is_empty() {
            self.print(&hot::table(together, rows, most, text::terminal_width()));
        }
    }

    fn remark(&mut self, text: &str) {
        self.done(text);
    }

    fn end(&mut self) -> io::Result<()> {
        self.broken.take().map_or(Ok(()), Err)
    }
}

/// How many of the named keys were deleted, and how many were not there.
pub fn deleted_of_named(deleted: &Deleted) -> String {
    let missing = match deleted.missing {
        0 => String::new(),
        1 => ", 1 was not there".into(),
        missing => format!(", {} were not there", grouped(missing)),
    };
    format!("{} deleted of {} named{missing}", count(deleted.deleted, "key"), grouped(deleted.named))
}

/// The line for a flush, without the server's name.
fn flushed_line(flushed: &Flushed) -> String {
    let Flushed { items_before, delay, swept, kept_new, proof, walk_failed } = flushed;
    if *delay > 0 {
        let holds = items_before.map(|items| format!(", it holds {}", count(items, "item"))).unwrap_or_default();
        return format!("will flush in {}{holds}", count((*delay).into(), "second"));
    }
    let held = items_before.map(|items| format!(", it held {}", count(items, "item"))).unwrap_or_default();
    let mut line = format!("{}{held}", style("flushed").green());
    match (proof, swept) {
        (Some(flush::FlushProof::Walk), Some(1)) => line.push_str("; 1 that flush_all had left was deleted"),
        (Some(flush::FlushProof::Walk), Some(swept @ 2..)) => {
            line.push_str(&format!("; {} that flush_all had left were deleted", grouped(*swept)));
        }
        (Some(flush::FlushProof::Twice), _) => {
            let why = match walk_failed {
                Some(why) => format!("the hash table could not be walked ({})", one_line(why)),
                None => "what is left cannot be listed".into(),
            };
            line.push_str(&format!(
                "; {why}, so mcflush flushed twice, which is a strong hint that nothing old is left"
            ));
        }
        (None, _) => line.push_str("; not checked"),
        _ => {}
    }
    if let Some(kept @ 1..) = kept_new {
        line.push_str(&format!("; kept {} stored meanwhile", count(*kept, "key")));
    }
    line
}
