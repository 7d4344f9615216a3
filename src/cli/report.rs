//! Passes results on, prints failures and doubts on stderr, and determines the exit status.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;

use mcflush::address::ServerAddr;
use mcflush::error::{Error, FailureKind};
use mcflush::ops::Strategy;
use mcflush::ops::clear::{Cleared, Deleted, Survey, Uncertainty};
use mcflush::ops::flush::Flushed;
use mcflush::ops::hot::Seen;
use mcflush::ops::keys::Shown;
use mcflush::ops::namespaces::{Counted, Namespaces};
use mcflush::scope::Scope;

use super::advice;
use super::config::similar;
use super::hot::{self, FleetTraffic};
use super::json::Document;
use super::lines::{Lines, deleted_of_named};
use super::namespaces::{self, Gaps, Sighting};
use super::screen::{complain, warn};
use super::sink::Sink;
use super::stats::{GroupStats, ServerStats, Since, StatsFormat};
use super::text::{count, grouped, one_line};
use super::unmatched::{Hint, Unmatched};

/// Passes results to a sink as they come, prints on stderr what failed or is in doubt, and counts servers.
#[derive(Debug)]
pub struct Report {
    servers: usize,
    quiet: bool,
    /// Receives the results.
    sink: Box<dyn Sink>,
    done: usize,
    failed: Vec<ServerAddr>,
    /// Why stdout takes no more output.
    broken: Option<io::Error>,
    /// Whether a page could not be written.
    unwritten: bool,
    /// Whether a listing may have missed keys.
    in_part: bool,
    /// Hosts in the config file, one of which a misspelt host may have meant.
    hosts: Vec<String>,
    /// Whether any key was in scope.
    unmatched: Unmatched,
    /// Whether prefixes are typed with --escaped, so that none is meant as a pattern.
    is_literal: bool,
}

impl Report {
    /// A report into a JSON document, or as lines.
    pub fn new(servers: usize, quiet: bool, document: Option<Document>, hosts: Vec<String>) -> Self {
        let sink: Box<dyn Sink> = match document {
            Some(document) => Box::new(document),
            None => Box::new(Lines::new(quiet)),
        };
        Self {
            servers,
            quiet,
            sink,
            hosts,
            done: 0,
            failed: Vec::new(),
            broken: None,
            unwritten: false,
            in_part: false,
            unmatched: Unmatched::default(),
            is_literal: false,
        }
    }

    /// Notes which keys are asked for.
    pub fn asks_for(&mut self, scope: &Scope) {
        self.unmatched = Unmatched::of(scope);
    }

    /// With --escaped, a prefix that looks like a pattern is meant literally.
    pub fn take_prefixes_literally(&mut self) {
        self.is_literal = true;
    }

    pub fn flushed(&mut self, server: &ServerAddr, result: Result<Flushed, Error>) {
        self.sink.flushed(server, &result);
        self.note(server, result.as_ref().err());
    }

    pub fn cleared(&mut self, server: &ServerAddr, cleared: Cleared) {
        self.sink.cleared(server, &cleared);
        let Cleared { matched, deleted, passes, nearest, error, .. } = cleared;
        if error.is_none() || matched > 0 {
            self.unmatched.note(matched, nearest);
        }
        let so_far = || {
            let (deleted, matched, passes) = (count(deleted, "key"), grouped(matched), count(passes.into(), "pass"));
            format!("{deleted} deleted of {matched} found in scope, in {passes}")
        };
        self.note_after(server, error.as_ref(), so_far);
    }

    pub fn deleted(&mut self, server: &ServerAddr, deleted: Deleted) {
        self.sink.deleted(server, &deleted);
        self.note_after(server, deleted.error.as_ref(), || deleted_of_named(&deleted));
    }

    /// Reports what a clear would delete.
    pub fn surveyed(&mut self, server: &ServerAddr, scope: &Scope, result: Result<Survey, Error>) {
        if let Ok(Survey { strategy, uncertainty: Some(uncertainty), .. }) = &result {
            self.listed_in_part(server, *strategy, *uncertainty);
        }
        self.sink.surveyed(server, scope, &result);
        self.note(server, result.as_ref().err());
        if let Ok(Survey { found, nearest, .. }) = result {
            self.unmatched.note(found.iter().map(|it| it.keys).sum(), nearest);
        }
    }

    /// Reports a server's statistics; [`Self::all_stats`] prints those of all servers together.
    pub fn stats(
        &mut self,
        server: &ServerAddr,
        result: Result<GroupStats, Error>,
        since: Option<&Since>,
    ) -> Option<GroupStats> {
        self.sink.stats(server, &result, since);
        self.note(server, result.as_ref().err());
        result.ok()
    }

    /// Reports the statistics of all servers that answered.
    pub fn all_stats(&mut self, servers: &[ServerStats], format: StatsFormat) {
        self.sink.all_stats(servers, &self.failed, format);
    }

    /// Ends this round of statistics. Returns false if stdout is closed, so that another round would be useless.
    pub fn end_of_round(&mut self) -> bool {
        self.end();
        self.broken.is_none()
    }

    /// Begins another round, without the counts of the last one.
    pub fn begin_round(&mut self, document: Option<Document>) {
        if let Some(document) = document {
            self.sink = Box::new(document);
        }
        self.done = 0;
        self.failed.clear();
    }

    /// Reports a listing whose keys have already been printed.
    pub fn listed(&mut self, server: &ServerAddr, result: Result<Shown, Error>) {
        self.note(server, result.as_ref().err());
        let Ok(Shown { strategy, taken, matched, nearest, uncertainty }) = result else { return };
        self.unmatched.note(matched, nearest);
        if taken && strategy != Strategy::Hash {
            let off = uncertainty.map_or_else(|| "recently read keys may be missing".into(), uncertain);
            warn(&format!("{server}: listing by {strategy}: {off}"));
        }
    }

    /// Notes that stdout takes no more output.
    pub fn broke(&mut self, error: io::Error) {
        self.broken = Some(error);
    }

    /// Reports how a server's keys were counted; [`Self::namespaces`] prints the counts of all servers together.
    pub fn counted(&mut self, server: &ServerAddr, result: &Result<Counted, Error>, seen: Option<&Seen>) {
        self.sink.counted(server, result, seen);
        if let Some(seen) = seen {
            seen_in_part(server, seen);
        }
        self.note(server, result.as_ref().err());
        if let Ok(Counted { strategy, uncertainty: Some(uncertainty), .. }) = result {
            self.listed_in_part(server, *strategy, *uncertainty);
        }
    }

    /// Reports the prefixes on the servers that were counted.
    pub fn namespaces(
        &mut self,
        servers: &[ServerAddr],
        namespaces: &Namespaces,
        sighting: Option<&Sighting>,
        top: Option<NonZeroUsize>,
    ) {
        let rows = namespaces::rows(namespaces, sighting, top);
        if namespaces.others().keys > 0 {
            let most = grouped(Namespaces::PREFIXES_MAX as u64);
            warn(&format!(
                "more than {most} prefixes: the keys of the rest are counted as (others); give a smaller --depth or another \
                 --separator"
            ));
        }
        self.sink.namespaces(servers, &rows, sighting);
    }

    /// Writes the same as a page to a file.
    pub fn page(
        &mut self,
        file: &Path,
        servers: &[ServerAddr],
        namespaces: &Namespaces,
        sighting: Option<&Sighting>,
        top: Option<NonZeroUsize>,
    ) {
        if servers.is_empty() {
            return;
        }
        let gaps = Gaps { failed: &self.failed, in_part: self.in_part };
        let top = top.map_or(usize::MAX, NonZeroUsize::get);
        let page = namespaces::page(servers, gaps, namespaces, sighting, top);
        self.write(file, &page);
    }

    /// Reports the reading of a server's log; [`Self::used`] prints the uses on all servers together.
    pub fn seen(&mut self, server: &ServerAddr, result: &Result<Seen, Error>) {
        self.sink.seen(server, result);
        if let Ok(seen) = result {
            seen_in_part(server, seen);
        }
        self.note(server, result.as_ref().err());
    }

    /// Reports the reads and writes on the servers whose log was read.
    pub fn used(&mut self, together: &FleetTraffic, most: usize, top: Option<NonZeroUsize>) {
        let rows = hot::rows(&together.sighting.traffic, top);
        self.sink.used(together, &rows, most);
    }

    /// Writes the same as a page to a file.
    pub fn page_of_uses(&mut self, file: &Path, together: &FleetTraffic, top: Option<NonZeroUsize>) {
        if !together.servers.is_empty() {
            let page = hot::page(together, &self.failed, top.map_or(usize::MAX, NonZeroUsize::get));
            self.write(file, &page);
        }
    }

    fn write(&mut self, file: &Path, page: &str) {
        if let Err(error) = std::fs::write(file, page) {
            let name = file.display();
            complain(&one_line(&format!("io: {name}: {error}: give --html a file that can be written")));
            self.unwritten = true;
        }
    }

    /// Prints the hint about unmatched prefixes on stderr: [`Self::finish`] would print it on stdout, where it would
    /// look like a key.
    pub fn hint_aside(&mut self) {
        if let (false, Some(Hint::Nearest(hint))) = (self.quiet, self.unmatched.hint()) {
            warn(&hint);
            self.unmatched = Unmatched::default();
        }
    }

    /// Prints the last lines, and returns the exit status.
    pub fn finish(mut self, signal: Option<u8>) -> ExitCode {
        match self.unmatched.hint() {
            Some(Hint::Pattern(hint)) if !self.is_literal => warn(&hint),
            Some(Hint::Nearest(hint)) if self.broken.is_none() => self.sink.remark(&hint),
            _ => {}
        }
        self.end();
        if self.servers > 1 && !self.failed.is_empty() {
            let failed: Vec<_> = self.failed.iter().map(ToString::to_string).collect();
            complain(&format!("done on {} of {} servers, not on {}", self.done, self.servers, failed.join(", ")));
        }
        let broken = self.broken.filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
        if let Some(error) = &broken {
            complain(&one_line(&format!(
                "io: the result could not be written ({error}): check where stdout goes, and run it again"
            )));
        }
        ExitCode::from(exit_status(signal, broken.is_some() || self.unwritten, self.done, self.failed.len()))
    }

    /// Reports that there was no server to work on.
    pub fn nothing(&mut self, text: &str) {
        self.sink.remark(text);
    }

    fn end(&mut self) {
        if let Err(error) = self.sink.end() {
            self.broken = Some(error);
        }
    }

    fn listed_in_part(&mut self, server: &ServerAddr, strategy: Strategy, uncertainty: Uncertainty) {
        warn(&format!("{server}: listing by {strategy}: {}", uncertain(uncertainty)));
        self.in_part = true;
    }

    /// Counts a server as done or failed, and prints its error.
    fn note(&mut self, server: &ServerAddr, error: Option<&Error>) {
        match error {
            None => self.done += 1,
            Some(error) => {
                complain(&format!("{}{}", advice::line(error), self.meant(error)));
                self.failed.push(server.clone());
            }
        }
    }

    /// As [`Self::note`], with what was done before the failure.
    fn note_after(&mut self, server: &ServerAddr, error: Option<&Error>, so_far: impl FnOnce() -> String) {
        let Some(error) = error else { return self.note(server, None) };
        let (kind, problem, advice, meant) = (error.kind(), &error.problem, advice::of(error), self.meant(error));
        complain(&format!("{server}: {kind}: {problem} ({}): {advice}{meant}", so_far()));
        self.failed.push(server.clone());
    }

    /// The host that a host that does not resolve was probably meant to be, as a question.
    fn meant(&self, error: &Error) -> String {
        let (ServerAddr::Tcp { host, .. }, FailureKind::Name) = (&error.server, error.kind()) else {
            return String::new();
        };
        let known = self.hosts.iter().map(String::as_str).filter(|known| known != host);
        similar(host, known).map(|meant| format!(": did you mean {meant}?")).unwrap_or_default()
    }
}

/// What a run says by its exit status: a signal's own, 0 for done on every server, 1 for none, 3 for some. It is 1 too where
/// the result could not be written.
const fn exit_status(signal: Option<u8>, is_unwritten: bool, done: usize, failed: usize) -> u8 {
    match (signal, done, failed) {
        (Some(status), ..) => status,
        _ if is_unwritten => 1,
        (None, _, 0) => 0,
        (None, 0, _) => 1,
        (None, ..) => 3,
    }
}

/// Warns if a server's log left lines out, or logs deletes as gets.
fn seen_in_part(server: &ServerAddr, seen: &Seen) {
    if seen.skipped > 0 {
        let (skipped, lines) = (count(seen.skipped, "log line"), grouped(seen.lines));
        warn(&format!("{server}: the server sent {lines} log lines and left out {skipped}: all figures are too low"));
    }
    if !seen.logs_deletes {
        warn(&format!("{server}: a server before 1.6.22 logs deletes as gets, and mcflush counts them as gets"));
    }
}

/// How far the figures of a listing may be off, in words.
fn uncertain(uncertainty: Uncertainty) -> String {
    let Uncertainty { missing, repeated } = uncertainty;
    let missing = match missing {
        0 => "recently read keys may be missing".into(),
        missing => format!("recently read keys may be missing, at most {}", grouped(missing)),
    };
    match repeated {
        0 => missing,
        1 => format!("{missing}, and about 1 is listed twice"),
        repeated => format!("{missing}, and about {} are listed twice", grouped(repeated)),
    }
}

#[cfg(test)]
mod tests {
    use super::exit_status;

    #[test]
    fn exit_statuses() {
        for (done, failed, status) in
            [(0, 0, 0), (1, 0, 0), (7, 0, 0), (0, 1, 1), (0, 7, 1), (1, 1, 3), (7, 1, 3), (1, 7, 3)]
        {
            assert_eq!(exit_status(None, false, done, failed), status, "{done} done, {failed} failed");
            assert_eq!(exit_status(None, true, done, failed), 1, "{done} done, {failed} failed, not written");
            for signal in [130, 143] {
                for is_unwritten in [false, true] {
                    assert_eq!(exit_status(Some(signal), is_unwritten, done, failed), signal);
                }
            }
        }
    }
}
