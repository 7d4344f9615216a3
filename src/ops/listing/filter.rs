//! Conditions on what a listing gives of an item beside its key.

use std::time::Duration;

use super::ListedItem;
use crate::address::ServerAddr;
use crate::error::{Error, Problem};
use crate::ops::Context;
use crate::ops::retry::Retries;
use crate::protocol::stats::{Stat, StatsGroup};

/// Which items are selected, of those whose key is in scope: those that meet every condition.
///
/// ```
/// use std::time::Duration;
/// use mcflush::ops::Filter;
/// let large_and_idle = Filter { larger: Some(100 << 10), idle: Some(Duration::from_secs(86_400)), ..Filter::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filter {
    /// Items that take more than this many bytes on the server: header, key and value (only the value if a cachedump
    /// lists them).
    pub larger: Option<u64>,
    /// Items whose last access, as the server notes it, is at least this long ago by the server's clock. The server
    /// does not note the first read after a store, and notes later ones with delay.
    pub idle: Option<Duration>,
    /// Items that never expire.
    pub no_expiry: bool,
}

impl Filter {
    /// Whether every item meets the filter.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A filter, prepared for the items of one server.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::ops) struct Sieve {
    larger: Option<u64>,
    /// The latest last access of an idle item, as a Unix time by the server's clock.
    last_access: Option<u64>,
    no_expiry: bool,
}

impl Sieve {
    /// Prepares a filter for a listing.
    ///
    /// # Errors
    /// The server could not be reached, or does not report its time and the filter needs it.
    pub(in crate::ops) async fn learn(filter: &Filter, server: &ServerAddr, context: &Context) -> Result<Self, Error> {
        if filter.idle.is_none() {
            return Self::of(filter, server, &[]);
        }
        let ask = || async { context.connect(server).await?.stats(StatsGroup::General).await };
        Self::of(filter, server, &Retries::new(context).until_done(server, ask).await?)
    }

    /// Prepares a filter by the server's statistics, which report its time.
    ///
    /// # Errors
    /// The statistics lack the time and the filter needs it.
    pub(in crate::ops) fn of(filter: &Filter, server: &ServerAddr, stats: &[Stat]) -> Result<Self, Error> {
        let time = stats.iter().find(|stat| stat.name() == "time");
        let time = time.and_then(|stat| std::str::from_utf8(stat.value()).ok()?.parse::<u64>().ok());
        let last_access = match (filter.idle, time) {
            (None, _) => None,
            (Some(idle), Some(time)) => Some(time.saturating_sub(idle.as_secs())),
            (Some(_), None) => return Err(unreported(server, "its time")),
        };
        Ok(Self { larger: filter.larger, last_access, no_expiry: filter.no_expiry })
    }

    /// Whether an item meets the filter.
    ///
    /// # Errors
    /// The listing does not give a figure that the filter needs.
    pub(in crate::ops) fn admits(&self, item: ListedItem<'_>, server: &ServerAddr) -> Result<bool, Error> {
        if let Some(larger) = self.larger {
            let size = item.known_size().ok_or_else(|| unreported(server, "how large an item is"))?;
            if size <= larger {
                return Ok(false);
            }
        }
        if let Some(latest) = self.last_access {
            let access = item.last_access().ok_or_else(|| unreported(server, "when an item was last read"))?;
            if access > latest {
                return Ok(false);
            }
        }
        Ok(!self.no_expiry || item.expires().is_none())
    }
}

/// The error of a server that does not report what the filter needs.
fn unreported(server: &ServerAddr, what: &'static str) -> Error {
    Error { server: server.clone(), problem: Problem::Unreported { what } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::scripted::{address, server, text};
    use crate::protocol::crawler::MetadumpLine;

    fn admits(filter: Filter, line: &str) -> Result<bool, String> {
        let stats = [Stat::new("time", "1000").unwrap()];
        let sieve = Sieve::of(&filter, &address(), &stats).unwrap();
        let line = MetadumpLine::new(line.as_bytes()).unwrap();
        sieve.admits(ListedItem::Metadump(line), &address()).map_err(|error| error.to_string())
    }

    #[test]
    fn conditions() {
        let item = "key=a exp=-1 la=900 cas=7 fetch=no cls=1 size=66";
        let larger = |larger| Filter { larger: Some(larger), ..Filter::default() };
        let idle = |seconds| Filter { idle: Some(Duration::from_secs(seconds)), ..Filter::default() };
        let no_expiry = Filter { no_expiry: true, ..Filter::default() };
        assert_eq!(admits(Filter::default(), item), Ok(true));
        assert_eq!([larger(65), larger(66)].map(|filter| admits(filter, item)), [Ok(true), Ok(false)]);
        assert_eq!([idle(100), idle(101)].map(|filter| admits(filter, item)), [Ok(true), Ok(false)]);
        assert_eq!(admits(idle(5_000), "key=a exp=-1 la=0 cas=7"), Ok(true));
        assert_eq!(admits(no_expiry, item), Ok(true));
        assert_eq!(admits(no_expiry, "key=a exp=2000 la=900 cas=7 size=66"), Ok(false));
        let both = Filter { larger: Some(60), ..no_expiry };
        assert_eq!(admits(both, "key=a exp=2000 la=900 cas=7 size=66"), Ok(false));
        assert!(admits(larger(1), "key=a exp=-1 la=900 cas=7").unwrap_err().contains("how large"));
        assert!(admits(idle(1), "key=a exp=-1 cas=7").unwrap_err().contains("last read"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_is_asked_for_its_time_if_the_filter_needs_it() {
        let (context, heard) = server(|_| text("STAT time 1000\r\nEND\r\n"));
        let item = |access| MetadumpLine::new(access).map(ListedItem::Metadump).unwrap();
        let (old, recent) = (item(b"key=a exp=-1 la=900 size=66"), item(b"key=a exp=-1 la=901 size=66"));
        for (idle, asked, admitted) in [(None, 0, [true, true]), (Some(100), 1, [true, false])] {
            let filter = Filter { larger: Some(65), idle: idle.map(Duration::from_secs), no_expiry: false };
            let sieve = Sieve::learn(&filter, &address(), &context).await.unwrap();
            assert_eq!([old, recent].map(|item| sieve.admits(item, &address()).unwrap()), admitted, "{idle:?}");
            assert!(!sieve.admits(item(b"key=a exp=-1 la=0 size=65"), &address()).unwrap(), "{idle:?}");
            assert_eq!(heard.count("stats"), asked);
        }
    }

    #[test]
    fn without_the_servers_time_nothing_is_idle() {
        let filter = Filter { idle: Some(Duration::from_secs(1)), ..Filter::default() };
        assert!(Sieve::of(&filter, &address(), &[]).is_err());
        assert!(Sieve::of(&Filter::default(), &address(), &[]).is_ok());
    }
}
