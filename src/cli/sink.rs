//! Where results go: to [lines](super::lines) of text, or into the [document](super::json) of --json.

use std::fmt;
use std::io;

use mcflush::address::ServerAddr;
use mcflush::error::Error;
use mcflush::ops::clear::{Cleared, Deleted, Survey};
use mcflush::ops::flush::Flushed;
use mcflush::ops::hot::Seen;
use mcflush::ops::namespaces::Counted;
use mcflush::scope::Scope;

use super::hot::{self, FleetTraffic};
use super::namespaces::{NamespaceRow, Sighting};
use super::stats::{GroupStats, ServerStats, Since, StatsFormat};

/// Receives results as they come. The [report](super::report) prints the failures; here they are only part of a
/// document.
pub trait Sink: fmt::Debug {
    fn flushed(&mut self, server: &ServerAddr, result: &Result<Flushed, Error>);

    fn cleared(&mut self, server: &ServerAddr, cleared: &Cleared);

    /// The result of deleting named keys.
    fn deleted(&mut self, server: &ServerAddr, deleted: &Deleted);

    /// The result of a dry run.
    fn surveyed(&mut self, server: &ServerAddr, scope: &Scope, result: &Result<Survey, Error>);

    /// A server's statistics and, with --watch, the changes since it was last asked.
    fn stats(&mut self, server: &ServerAddr, result: &Result<GroupStats, Error>, since: Option<&Since>);

    /// The statistics of all servers that answered, and the names of those that did not.
    fn all_stats(&mut self, servers: &[ServerStats], failed: &[ServerAddr], format: StatsFormat);

    /// How a server's keys were counted.
    fn counted(&mut self, server: &ServerAddr, result: &Result<Counted, Error>, seen: Option<&Seen>);

    /// The prefixes of all counted servers.
    fn namespaces(&mut self, servers: &[ServerAddr], rows: &[NamespaceRow], sighting: Option<&Sighting>);

    /// The reading of a server's log.
    fn seen(&mut self, server: &ServerAddr, result: &Result<Seen, Error>);

    /// The uses on all servers whose log was read.
    fn used(&mut self, together: &FleetTraffic, rows: &[hot::HotRow], most: usize);

    /// A remark for people.
    fn remark(&mut self, text: &str);

    /// Ends the output.
    ///
    /// # Errors
    /// Stdout did not take all of the output. The error is returned only once.
    fn end(&mut self) -> io::Result<()>;
}
