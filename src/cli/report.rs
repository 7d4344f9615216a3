//! What is printed of the results, and the exit status they make.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;

use console::style;
use mcflush::address::ServerAddr;
use mcflush::error::{Error, Kind};
use mcflush::ops::Strategy;
use mcflush::ops::clear::{Cleared, Deleted, Proof, Survey, Uncertainty};
use mcflush::ops::flush::{self, Flushed};
use mcflush::ops::hot::Seen;
use mcflush::ops::keys::Shown;
use mcflush::ops::namespaces::{Counted, Namespaces};
use mcflush::protocol::Escaped;
use mcflush::scope::{Glob, Prefix, Scope};

use super::advice;
use super::config::similar;
use super::hot::{self, Together};
use super::json::Document;
use super::namespaces::{self, Lacks, Sighting};
use super::screen::{aside, complain, warn};
use super::stats::{self, Format, Look, Said, Since};
use super::text::{self, bytes, count, grouped, one_line};
use super::unmatched::{Hint, Unmatched};

/// Prints results as they come and keeps count.
#[derive(Debug)]
pub struct Report {
    servers: usize,
    quiet: bool,
    /// In place of the lines, with --json.
    document: Option<Document>,
    done: usize,
    failed: Vec<ServerAddr>,
    /// Why stdout takes no more.
    broken: Option<io::Error>,
    /// A page could not be written.
    unwritten: bool,
    /// A listing may have missed keys.
    in_part: bool,
    /// Hosts that a misspelt one may have been.
    hosts: Vec<String>,
    /// Whether any key was in scope.
    unmatched: Unmatched,
    /// No prefix is meant as a pattern.
    is_literal: bool,
}

impl Report {
    pub fn new(servers: usize, quiet: bool, document: Option<Document>, hosts: Vec<String>) -> Self {
        Self {
            servers,
            quiet,
            hosts,
            document,
            done: 0,
            failed: Vec::new(),
            broken: None,
            unwritten: false,
            in_part: false,
            unmatched: Unmatched::default(),
            is_literal: false,
        }
    }

    /// Which keys are asked for.
    pub fn asks_for(&mut self, scope: &Scope) {
        self.unmatched = Unmatched::of(scope);
    }

    /// Whoever spells prefixes byte by byte means what looks like a pattern.
    pub fn take_prefixes_literally(&mut self) {
        self.is_literal = true;
    }

    pub fn flushed(&mut self, server: &ServerAddr, result: Result<Flushed, Error>) {
        if let Some(document) = &mut self.document {
            document.flushed(server, &result);
        }
        match result {
            Ok(flushed) => self.done(&format!("{server}: {}", flushed_line(&flushed))),
            Err(error) => self.failed(server, &error),
        }
    }

    pub fn cleared(&mut self, server: &ServerAddr, cleared: Cleared) {
        if let Some(document) = &mut self.document {
            document.cleared(server, &cleared);
        }
        if cleared.error.is_none() || cleared.matched > 0 {
            self.unmatched.note(cleared.matched, cleared.nearest);
        }
        let passes = count(cleared.passes.into(), "pass");
        let seconds = cleared.took.as_secs_f64();
        if let Some(error) = cleared.error {
            let (deleted, matched) = (count(cleared.deleted, "key"), grouped(cleared.matched));
            let so_far = format!("{deleted} deleted of {matched} found in scope, in {passes}");
            return self.failed_after(server, &error, &so_far);
        }
        let deleted = count(cleared.deleted, "key");
        // Over several passes more can be deleted than any of them listed.
        let listed = match cleared.passes {
            1 => format!("{} listed", grouped(cleared.listed)),
            _ => format!("{} found in scope", grouped(cleared.matched)),
        };
        let how = match (cleared.proof, cleared.strategy) {
            (Some(Proof::Walk), _) if cleared.passes == 1 => "one walk of the hash table".into(),
            (Some(Proof::Walk), _) => format!("{} of the hash table", count(cleared.passes.into(), "walk")),
            (_, Some(Strategy::Cachedump)) => format!("{passes} over the slab classes"),
            _ => format!("{passes} over the LRU lists"),
        };
        let kept = match cleared.kept_new {
            Some(kept @ 1..) => format!("; {} stored meanwhile left", count(kept, "key")),
            _ => String::new(),
        };
        let complete = style("complete").green();
        let size = if cleared.deleted > 0 { format!(", {}", text::binary(cleared.bytes)) } else { String::new() };
        self.done(&format!(
            "{server}: {complete}, {deleted} deleted of {listed}{size}, by {how} in {seconds:.1} s{kept}"
        ));
    }

    pub fn deleted(&mut self, server: &ServerAddr, result: Deleted) {
        if let Some(document) = &mut self.document {
            document.deleted(server, &result);
        }
        let Deleted { named, deleted, missing, took, error, .. } = result;
        let deleted = count(deleted, "key");
        let missing = match missing {
            0 => String::new(),
            1 => ", 1 was not there".into(),
            missing => format!(", {} were not there", grouped(missing)),
        };
        let done = format!("{deleted} deleted of {} named{missing}", grouped(named));
        if let Some(error) = error {
            return self.failed_after(server, &error, &done);
        }
        let complete = style("complete").green();
        self.done(&format!("{server}: {complete}, {done} in {:.1} s", took.as_secs_f64()));
    }

    /// What a clear would delete. That is the result: --quiet does not hide it.
    pub fn surveyed(&mut self, server: &ServerAddr, scope: &Scope, result: Result<Survey, Error>) {
        if let Some(document) = &mut self.document {
            document.surveyed(server, scope, &result);
        }
        let Survey { strategy, listed, found, nearest, uncertainty } = match result {
            Ok(survey) => survey,
            Err(error) => return self.failed(server, &error),
        };
        let about = if uncertainty.is_some() { "about " } else { "" };
        if let Some(uncertainty) = uncertainty {
            self.listed_in_part(server, strategy, uncertainty);
        }
        let (keys, size) = (found.iter().map(|it| it.keys).sum::<u64>(), found.iter().map(|it| it.bytes).sum());
        self.unmatched.note(keys, nearest);
        let (would, listed, size) = (count(keys, "key"), grouped(listed), bytes(size));
        let mut text = format!("{server}: would delete {about}{would} of {about}{listed} listed, {size}");
        if found.len() > 1 {
            let prefixes = scope.prefixes().iter().map(Prefix::as_bytes);
            for (name, found) in prefixes.chain(scope.globs().iter().map(Glob::as_bytes)).zip(found) {
                let (keys, size) = (count(found.keys, "key"), bytes(found.bytes));
                text.push_str(&format!("\n  {}  {keys}, {size}", Escaped(name)));
            }
        }
        self.done += 1;
        self.print(&text);
    }

    /// A look at a server's statistics; what it said comes [together](Self::looks) with the others'.
    pub fn look(&mut self, server: &ServerAddr, result: Result<Said, Error>, since: Option<&Since>) -> Option<Said> {
        if let Some(document) = &mut self.document {
            document.stats(server, &result, since);
        }
        match result {
            Ok(said) => {
                self.done += 1;
                if let Some(since) = since {
                    self.print(&since.text(server, &said));
                }
                Some(said)
            }
            Err(error) => {
                self.failed(server, &error);
                None
            }
        }
    }

    /// Statistics of all servers that answered.
    pub fn looks(&mut self, looks: &[Look], format: Format) {
        let text = match format {
            Format::Table if looks.is_empty() => return,
            Format::Table => stats::table(looks, text::terminal_width()),
            Format::Prometheus => stats::prometheus(looks, &self.failed),
            Format::Json => return,
        };
        self.print(&text);
    }

    /// This look is over; false when nobody reads on.
    pub fn end_of_look(&mut self) -> bool {
        if let Some(document) = self.document.take() {
            self.broken = document.print().err();
        }
        self.broken.is_none()
    }

    /// Another look begins, and what the last one counted is past.
    pub fn begin_look(&mut self, document: Option<Document>) {
        self.document = document;
        self.done = 0;
        self.failed.clear();
    }

    /// How a listing went whose keys are printed as they come.
    pub fn listed(&mut self, server: &ServerAddr, result: Result<Shown, Error>) {
        match result {
            Ok(Shown { strategy, taken, matched, nearest, uncertainty }) => {
                self.done += 1;
                self.unmatched.note(matched, nearest);
                if taken && strategy != Strategy::Hash {
                    let off = uncertainty.map_or_else(|| "recently read keys may be missing".into(), uncertain);
                    warn(&format!("{server}: listing by {strategy}: {off}"));
                }
            }
            Err(error) => self.failed(server, &error),
        }
    }

    /// Stdout takes no more.
    pub fn broke(&mut self, error: io::Error) {
        self.broken = Some(error);
    }

    /// How a server's keys were counted; the counts come [together](Self::namespaces).
    pub fn counted(&mut self, server: &ServerAddr, result: &Result<Counted, Error>, seen: Option<&Seen>) {
        if let Some(document) = &mut self.document {
            document.counted(server, result, seen);
        }
        if let Some(seen) = seen {
            self.seen_in_part(server, seen);
        }
        match result {
            Ok(counted) => {
                self.done += 1;
                if let Some(uncertainty) = counted.uncertainty {
                    self.listed_in_part(server, counted.strategy, uncertainty);
                }
            }
            Err(error) => self.failed(server, error),
        }
    }

    /// Who lives on the servers that were counted.
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
                "more than {most} prefixes: the keys of those that were met later are summed as (others); a smaller \
                 --depth or another --separator tells them apart"
            ));
        }
        if let Some(document) = &mut self.document {
            document.namespaces(&rows, sighting);
        }
        if servers.is_empty() {
            return;
        }
        self.print(&namespaces::table(servers, &rows, sighting, text::terminal_width()));
    }

    /// The same as a page in a file.
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
        let lacks = Lacks { failed: &self.failed, in_part: self.in_part };
        let top = top.map_or(usize::MAX, NonZeroUsize::get);
        let page = namespaces::page(servers, lacks, namespaces, sighting, top);
        self.write(file, &page);
    }

    /// What a server's log showed; what was seen comes [together](Self::used).
    pub fn seen(&mut self, server: &ServerAddr, result: &Result<Seen, Error>) {
        if let Some(document) = &mut self.document {
            document.seen(server, result);
        }
        match result {
            Ok(seen) => {
                self.done += 1;
                self.seen_in_part(server, seen);
            }
            Err(error) => self.failed(server, error),
        }
    }

    /// What is used on the servers whose log was read.
    pub fn used(&mut self, together: &Together, most: usize, top: Option<NonZeroUsize>) {
        let rows = hot::rows(&together.sighting.traffic, top);
        if let Some(document) = &mut self.document {
            document.used(together, &rows, most);
        }
        if !together.servers.is_empty() {
            self.print(&hot::table(together, &rows, most, text::terminal_width()));
        }
    }

    /// The same as a page in a file.
    pub fn page_of_uses(&mut self, file: &Path, together: &Together, top: Option<NonZeroUsize>) {
        if !together.servers.is_empty() {
            let page = hot::page(together, &self.failed, top.map_or(usize::MAX, NonZeroUsize::get));
            self.write(file, &page);
        }
    }

    fn seen_in_part(&self, server: &ServerAddr, seen: &Seen) {
        if seen.skipped > 0 {
            let (skipped, lines) = (count(seen.skipped, "log line"), grouped(seen.lines));
            warn(&format!(
                "{server}: the server left out {skipped} beside the {lines} that came: all figures are too low"
            ));
        }
        if !seen.logs_deletes {
            warn(&format!("{server}: before 1.6.22 the server logs deletes as gets: they are counted so"));
        }
    }

    fn write(&mut self, file: &Path, page: &str) {
        if let Err(error) = std::fs::write(file, page) {
            let name = file.display();
            complain(&one_line(&format!("io: {name}: {error}: give --html a file that can be written")));
            self.unwritten = true;
        }
    }

    /// Says on stderr what [`Self::finish`] would say on stdout of prefixes that no key has: there it would be taken for a key.
    pub fn hint_aside(&mut self) {
        if let (false, Some(Hint::Nearest(hint))) = (self.quiet, self.unmatched.hint()) {
            warn(&hint);
            self.unmatched = Unmatched::default();
        }
    }

    /// The last words, and the exit status.
    pub fn finish(mut self, signal: Option<u8>) -> ExitCode {
        match self.unmatched.hint() {
            Some(Hint::Pattern(hint)) if !self.is_literal => warn(&hint),
            Some(Hint::Nearest(hint)) if !self.quiet => self.print(&hint),
            _ => {}
        }
        if let Some(document) = self.document.take() {
            self.broken = document.print().err();
        }
        if self.servers > 1 && !self.failed.is_empty() {
            let failed: Vec<_> = self.failed.iter().map(ToString::to_string).collect();
            complain(&format!("done on {} of {} servers, not on {}", self.done, self.servers, failed.join(", ")));
        }
        let broken = self.broken.filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
        if let Some(error) = &broken {
            complain(&one_line(&format!(
                "io: the result could not be written ({error}): mend stdout and run it again"
            )));
        }
        ExitCode::from(match (signal, self.done, self.failed.len()) {
            (Some(status), ..) => status,
            _ if broken.is_some() || self.unwritten => 1,
            (None, _, 0) => 0,
            (None, 0, _) => 1,
            (None, ..) => 3,
        })
    }

    /// There was no server to work on.
    pub fn nothing(&mut self, text: &str) {
        if !self.quiet {
            self.print(text);
        }
    }

    fn listed_in_part(&mut self, server: &ServerAddr, strategy: Strategy, uncertainty: Uncertainty) {
        warn(&format!("{server}: listing by {strategy}: {}", uncertain(uncertainty)));
        self.in_part = true;
    }

    /// A server is done, and that it went well is all there is to say: --quiet does not want to hear it.
    fn done(&mut self, text: &str) {
        self.done += 1;
        if !self.quiet {
            self.print(text);
        }
    }

    /// Prints what was asked for, which --quiet does not hide.
    fn print(&mut self, text: &str) {
        if self.document.is_some() || self.broken.is_some() {
            return;
        }
        self.broken = aside(|| {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{text}").and_then(|()| stdout.flush()).err()
        });
    }

    fn failed_after(&mut self, server: &ServerAddr, error: &Error, so_far: &str) {
        let Error { problem, .. } = error;
        let meant = self.meant(error);
        complain(&format!("{server}: {}: {problem} ({so_far}): {}{meant}", error.kind(), advice::of(error)));
        self.failed.push(server.clone());
    }

    fn failed(&mut self, server: &ServerAddr, error: &Error) {
        complain(&format!("{}{}", advice::line(error), self.meant(error)));
        self.failed.push(server.clone());
    }

    /// What a host that does not resolve was likely meant to be, as a question.
    fn meant(&self, error: &Error) -> String {
        let (ServerAddr::Tcp { host, .. }, Kind::Name) = (&error.server, error.kind()) else { return String::new() };
        let known = self.hosts.iter().map(String::as_str).filter(|known| known != host);
        similar(host, known).map(|meant| format!(": did you mean {meant}?")).unwrap_or_default()
    }
}

/// What is said of a flush, behind the server's name.
fn flushed_line(flushed: &Flushed) -> String {
    let Flushed { items_before, delay, swept, kept_new, proof, walk_failed } = flushed;
    if *delay > 0 {
        let holds = items_before.map(|items| format!(", it holds {}", count(items, "item"))).unwrap_or_default();
        return format!("will flush in {}{holds}", count((*delay).into(), "second"));
    }
    let held = items_before.map(|items| format!(", it held {}", count(items, "item"))).unwrap_or_default();
    let mut line = format!("{}{held}", style("flushed").green());
    match (proof, swept) {
        (Some(flush::Proof::Walk), Some(1)) => line.push_str("; 1 that flush_all had left was deleted"),
        (Some(flush::Proof::Walk), Some(swept @ 2..)) => {
            line.push_str(&format!("; {} that flush_all had left were deleted", grouped(*swept)));
        }
        (Some(flush::Proof::Twice), _) => {
            let why = match walk_failed {
                Some(why) => format!("the hash table could not be walked ({})", one_line(why)),
                None => "what is left cannot be listed".into(),
            };
            line.push_str(&format!(
                "; {why}, so it was flushed twice, which is a strong hint that nothing old is left"
            ));
        }
        (None, _) => line.push_str("; not checked"),
        _ => {}
    }
    if let Some(kept @ 1..) = kept_new {
        line.push_str(&format!("; {} stored meanwhile left", count(*kept, "key")));
    }
    line
}

/// How far the figures of a listing may be off.
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
