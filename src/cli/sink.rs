//! Where results go: as [lines](super::lines) for people, or into the one [document](super::json) of --json.

use std::fmt;
use std::io;

use mcflush::address::ServerAddr;
use mcflush::error::Error;
use mcflush::ops::clear::{Cleared, Deleted, Survey};
use mcflush::ops::flush::Flushed;
use mcflush::ops::hot::Seen;
use mcflush::ops::namespaces::Counted;
use mcflush::scope::Scope;

use super::hot::{self, Together};
use super::namespaces::{NamespaceRow, Sighting};
use super::stats::{Said, ServerStats, Since, StatsFormat};

/// Takes results as they come. Failures are the [report](super::report)'s to tell; here they are part of a document.
pub trait Sink: fmt::Debug {
    fn flushed(&mut self, server: &ServerAddr, result: &Result<Flushed, Error>);

    fn cleared(&mut self, server: &ServerAddr, cleared: &Cleared);

    /// Named keys were deleted.
    fn deleted(&mut self, server: &ServerAddr, deleted: &Deleted);

    /// What a clear would delete.
    fn surveyed(&mut self, server: &ServerAddr, scope: &Scope, result: &Result<Survey, Error>);

    /// What a server said of its statistics, and when they are watched, what changed since it was last asked.
    fn stats(&mut self, server: &ServerAddr, result: &Result<Said, Error>, since: Option<&Since>);

    /// The statistics of all servers that answered, beside the names of those that did not.
    fn all_stats(&mut self, servers: &[ServerStats], failed: &[ServerAddr], format: StatsFormat);

    /// How a server's keys were counted.
    fn counted(&mut self, server: &ServerAddr, result: &Result<Counted, Error>, seen: Option<&Seen>);

    /// The prefixes of all servers that were counted.
    fn namespaces(&mut self, servers: &[ServerAddr], rows: &[NamespaceRow], sighting: Option<&Sighting>);

    /// What a server's log showed.
    fn seen(&mut self, server: &ServerAddr, result: &Result<Seen, Error>);

    /// What is used on all servers whose log was read.
    fn used(&mut self, together: &Together, rows: &[hot::HotRow], most: usize);

    /// A remark for people.
    fn remark(&mut self, text: &str);

    /// Everything has been said.
    ///
    /// # Errors
    /// Standard output did not take all of it. That is said once.
    fn end(&mut self) -> io::Result<()>;
}
