//! What each version of memcached can do: the only table that decides by version.

use super::listing::Strategy;
use crate::client::Client;
use crate::error::Error;
use crate::protocol::admin::ServerVersion;

/// A version as three numbers.
type Numbers = [u32; 3];

/// The commands that delete and mark keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// `delete`, `append`, `gets`, `cas`: every version knows them.
    Classic,
    /// `md`, `mg`, `mn` as they are today.
    Meta,
}

/// What `lru_crawler metadump` lists in a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dumps {
    /// The server has no metadump.
    Missing,
    /// A dump of the LRU lists, without an end line.
    WithoutEnd,
    /// A dump of the LRU lists that leaves out the newest entry of each list.
    WithoutHeads,
    /// A dump of the LRU lists. A dump of the hash table is missing, or can freeze other clients.
    Lru,
    /// A dump of the hash table, safe for other clients.
    Hash,
}

/// What `flush_all` compares to decide which items it hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlushBy {
    /// Times in whole seconds: items of the flush's own second may stay readable.
    Time,
    /// The CAS, unless the server keeps none.
    Cas,
}

/// The abilities of the versions from `since` on.
#[derive(Debug, Clone, Copy)]
struct Row {
    since: Numbers,
    language: Language,
    dumps: Dumps,
    flush: FlushBy,
}

/// Oldest first. The last row that is not newer than a version applies to it. docs/PROTOCOL.md, "Versions", has the
/// evidence for each row.
const ROWS: [Row; 9] = {
    use Dumps::{Hash, Lru, Missing, WithoutEnd, WithoutHeads};
    use FlushBy::{Cas, Time};
    use Language::{Classic, Meta};
    const fn row(since: Numbers, language: Language, dumps: Dumps, flush: FlushBy) -> Row {
        Row { since, language, dumps, flush }
    }
    [
        row([0, 0, 0], Classic, Missing, Time),
        row([1, 4, 23], Classic, Missing, Cas),
        row([1, 4, 31], Classic, WithoutEnd, Cas),
        row([1, 5, 4], Classic, Lru, Cas),
        row([1, 5, 5], Classic, WithoutHeads, Cas),
        row([1, 5, 7], Classic, Lru, Cas),
        row([1, 6, 10], Meta, Lru, Cas),
        row([1, 6, 19], Meta, Hash, Cas),
        row([1, 6, 25], Meta, Hash, Time),
    ]
};

/// A server whose version cannot be read: mcflush assumes as little as possible.
const UNKNOWN: Row = Row { since: [0, 0, 0], language: Language::Classic, dumps: Dumps::Lru, flush: FlushBy::Time };

/// What one server can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    numbers: Option<Numbers>,
    row: Row,
}

impl Dialect {
    /// The dialect of this version.
    pub(super) fn of(version: &ServerVersion) -> Self {
        let numbers = version.numbers();
        let row =
            numbers.and_then(|numbers| ROWS.iter().rev().find(|row| row.since <= numbers)).copied().unwrap_or(UNKNOWN);
        Self { numbers, row }
    }

    /// Asks the server for its version.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) async fn learn(client: &mut Client) -> Result<(ServerVersion, Self), Error> {
        let version = client.version().await?;
        let dialect = Self::of(&version);
        Ok((version, dialect))
    }

    /// The commands of this version. A server that is not memcached may give its own version and not know them.
    pub(super) const fn language(self) -> Language {
        self.row.language
    }

    pub(super) const fn dumps(self) -> Dumps {
        self.row.dumps
    }

    pub(super) const fn flush_by(self) -> FlushBy {
        self.row.flush
    }

    /// Whether `flush_all` decides by time which items it hides; a read can change that time.
    pub(super) fn flushes_by_time(self, has_cas: bool) -> bool {
        self.row.flush == FlushBy::Time || !has_cas
    }

    /// Whether `flush_all` also hides items stored after it in the same second.
    pub(super) fn flushes_whole_seconds(self, has_cas: bool) -> bool {
        self.flushes_by_time(has_cas) && self.numbers.is_none_or(|numbers| numbers < [1, 6, 25])
    }

    /// The most complete strategy that is harmless to other clients.
    pub(super) const fn strategy(self) -> Strategy {
        match self.row.dumps {
            Dumps::Missing => Strategy::Cachedump,
            Dumps::WithoutEnd | Dumps::WithoutHeads | Dumps::Lru => Strategy::Lru,
            Dumps::Hash => Strategy::Hash,
        }
    }

    /// Whether this version can list keys by a strategy. A version that cannot be read counts as able.
    pub(super) fn knows(self, strategy: Strategy) -> bool {
        let since = match strategy {
            Strategy::Hash => [1, 6, 9],
            Strategy::Lru => [1, 4, 31],
            Strategy::Cachedump => [0, 0, 0],
        };
        self.numbers.is_none_or(|numbers| numbers >= since)
    }

    /// Whether an item that the server moves to another slab page gets a new CAS, and so looks newer than it is.
    pub(super) fn moves_renew_cas(self) -> bool {
        self.numbers.is_none_or(|numbers| numbers < [1, 6, 24])
    }

    /// Whether `md KEY C<cas>` deletes an item with that CAS: until 1.6.12 the server compares another number.
    pub(super) fn meta_compares(self) -> bool {
        self.row.language == Language::Meta && self.numbers.is_some_and(|numbers| numbers >= [1, 6, 13])
    }

    /// Whether a dump can be garbled if its reader stalls, or, for a dump of the LRU lists, can write past the end of a
    /// buffer in the server.
    pub(super) fn stalls_garble(self) -> bool {
        self.is_within([1, 6, 19], [1, 6, 43])
    }

    /// Whether closing the connection while the server writes the last part of a dump can crash the server.
    pub(super) fn closing_crashes(self) -> bool {
        self.is_within([1, 6, 19], [1, 6, 25])
    }

    /// Whether `lru_crawler tocrawl N` also limits the dumps. A version that cannot be read counts as one that it limits.
    pub(super) fn obeys_tocrawl(self) -> bool {
        self.numbers.is_none_or(|numbers| numbers < [1, 5, 5])
    }

    /// Whether dumps leave out the fourth LRU list of each slab class.
    pub(super) fn skips_fourth_list(self) -> bool {
        self.numbers.is_none_or(|numbers| numbers < [1, 4, 37])
    }

    /// Whether `stats cachedump` leaves out keys that were stored as base64.
    pub(super) fn hides_base64(self) -> bool {
        self.numbers.is_none_or(|numbers| numbers >= [1, 6, 10])
    }

    fn is_within(self, first: Numbers, last: Numbers) -> bool {
        self.numbers.is_some_and(|numbers| (first..=last).contains(&numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Dialect {
        Dialect::of(&ServerVersion::new(version.to_owned()).unwrap())
    }

    #[test]
    fn the_rows_are_in_order() {
        assert!(ROWS.windows(2).all(|pair| pair[0].since < pair[1].since));
    }

    #[test]
    fn what_each_version_can_do() {
        use Dumps::{Hash, Lru, Missing, WithoutEnd, WithoutHeads};
        use FlushBy::{Cas, Time};
        use Language::{Classic, Meta};
        for (version, language, dumps, flush) in [
            ("1.2.8", Classic, Missing, Time),
            ("1.4.15", Classic, Missing, Time),
            ("1.4.22", Classic, Missing, Time),
            ("1.4.23", Classic, Missing, Cas),
            ("1.4.25", Classic, Missing, Cas),
            ("1.4.33", Classic, WithoutEnd, Cas),
            ("1.5.3", Classic, WithoutEnd, Cas),
            ("1.5.4", Classic, Lru, Cas),
            ("1.5.5", Classic, WithoutHeads, Cas),
            ("1.5.6", Classic, WithoutHeads, Cas),
            ("1.5.7", Classic, Lru, Cas),
            ("1.5.22", Classic, Lru, Cas),
            ("1.6.0", Classic, Lru, Cas),
            ("1.6.9", Classic, Lru, Cas),
            ("1.6.10", Meta, Lru, Cas),
            ("1.6.18", Meta, Lru, Cas),
            ("1.6.19", Meta, Hash, Cas),
            ("1.6.24", Meta, Hash, Cas),
            ("1.6.25", Meta, Hash, Time),
            ("1.6.45", Meta, Hash, Time),
            ("1.10.0", Meta, Hash, Time),
            ("2.0.0", Meta, Hash, Time),
            ("unknown", Classic, Lru, Time),
        ] {
            let dialect = of(version);
            let found = (dialect.language(), dialect.dumps(), dialect.flush_by());
            assert_eq!(found, (language, dumps, flush), "{version}");
        }
    }

    #[test]
    fn what_each_version_can_list() {
        let knows = |version| [Strategy::Hash, Strategy::Lru, Strategy::Cachedump].map(|way| of(version).knows(way));
        assert_eq!(knows("1.4.25"), [false, false, true]);
        assert_eq!(knows("1.4.31"), [false, true, true]);
        assert_eq!(knows("1.6.9"), [true, true, true]);
        assert_eq!(knows("unknown"), [true, true, true]);
    }

    #[test]
    fn a_limit_of_the_crawler_limits_dumps_until_1_5_4() {
        let obeys = |version| of(version).obeys_tocrawl();
        assert_eq!(["1.4.33", "1.5.4", "1.5.5", "unknown"].map(obeys), [true, true, false, true]);
    }

    #[test]
    fn the_fourth_list_is_in_dumps_since_1_4_37() {
        let skips = |version| of(version).skips_fourth_list();
        assert_eq!(["1.4.33", "1.4.36", "1.4.37", "unknown"].map(skips), [true, true, false, true]);
    }

    #[test]
    fn faults_of_some_versions() {
        let faults = |version| {
            let dialect = of(version);
            (dialect.stalls_garble(), dialect.closing_crashes(), dialect.moves_renew_cas(), dialect.meta_compares())
        };
        assert_eq!(faults("1.6.12"), (false, false, true, false));
        assert_eq!(faults("1.6.18"), (false, false, true, true));
        assert_eq!(faults("1.6.19"), (true, true, true, true));
        assert_eq!(faults("1.6.24"), (true, true, false, true));
        assert_eq!(faults("1.6.26"), (true, false, false, true));
        assert_eq!(faults("1.6.43"), (true, false, false, true));
        assert_eq!(faults("1.6.44"), (false, false, false, true));
    }
}
