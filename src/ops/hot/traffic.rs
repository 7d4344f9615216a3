//! Counts log lines by prefix: gets, stores, deletes and evictions.

use std::collections::{HashMap, VecDeque};

use bytes::BytesMut;

use super::sketch::{HotKey, Sketch};
use crate::ops::namespaces::Division;
use crate::protocol::watch::LogLine;

/// What clients and the server did with some keys.
///
/// ```
/// use mcflush::ops::hot::Uses;
/// let mut uses = Uses { gets: 3, hits: 2, ..Uses::default() };
/// uses.add(&Uses { gets: 1, sets: 1, ..Uses::default() });
/// assert_eq!((uses.gets, uses.hit_ratio(), uses.total()), (4, Some(0.5), 5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Uses {
    /// Keys that clients asked for. The server also logs incr, decr and touch as gets, and deletes of missing keys;
    /// before 1.6.22, all deletes.
    pub gets: u64,
    /// How many of the gets found an item.
    pub hits: u64,
    /// Items that clients stored.
    pub sets: u64,
    /// Items that clients deleted; 0 before 1.6.22, which does not log them.
    pub deletes: u64,
    /// Items that the server evicted to make room.
    pub evictions: u64,
}

impl Uses {
    /// Adds the counts of `other` to these.
    pub const fn add(&mut self, other: &Self) {
        self.gets += other.gets;
        self.hits += other.hits;
        self.sets += other.sets;
        self.deletes += other.deletes;
        self.evictions += other.evictions;
    }

    /// The part of the gets that were hits; none if there were no gets.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        (self.gets > 0).then(|| self.hits as f64 / self.gets as f64)
    }

    /// The sum of gets, stores and deletes.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.gets + self.sets + self.deletes
    }
}

/// Uses by prefix, for a limited number of prefixes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traffic {
    by_prefix: HashMap<Box<[u8]>, Uses>,
    none: Uses,
    others: Uses,
}

impl Traffic {
    /// How many prefixes are counted separately. Uses of any further prefix are summed as [`Self::others`].
    pub const PREFIXES_MAX: usize = 20_000;

    fn count(&mut self, prefix: &[u8], uses: &Uses) {
        if prefix.is_empty() {
            self.none.add(uses);
        } else if let Some(known) = self.by_prefix.get_mut(prefix) {
            known.add(uses);
        } else if self.by_prefix.len() < Self::PREFIXES_MAX {
            self.by_prefix.insert(prefix.into(), *uses);
        } else {
            self.others.add(uses);
        }
    }

    /// Adds the traffic of another server.
    pub fn add(&mut self, other: &Self) {
        for (prefix, uses) in &other.by_prefix {
            self.count(prefix, uses);
        }
        self.none.add(&other.none);
        self.others.add(&other.others);
    }

    /// The uses of one prefix; none if it was not met.
    #[must_use]
    pub fn of(&self, prefix: &[u8]) -> Option<&Uses> {
        self.by_prefix.get(prefix)
    }

    /// All prefixes, the most used first.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&[u8], &Uses)> {
        let mut rows: Vec<_> = self.by_prefix.iter().map(|(prefix, uses)| (&prefix[..], uses)).collect();
        rows.sort_unstable_by_key(|(prefix, uses)| (std::cmp::Reverse((uses.total(), uses.evictions)), *prefix));
        rows
    }

    /// The uses of keys without a separator.
    #[must_use]
    pub const fn none(&self) -> &Uses {
        &self.none
    }

    /// The uses of prefixes beyond [`Self::PREFIXES_MAX`].
    #[must_use]
    pub const fn others(&self) -> &Uses {
        &self.others
    }

    /// The uses of all keys.
    #[must_use]
    pub fn total(&self) -> Uses {
        let mut total = self.none;
        self.by_prefix.values().chain([&self.others]).for_each(|uses| total.add(uses));
        total
    }
}

/// A look-up in the log. It may be the first step of a store or delete that follows.
#[derive(Debug)]
struct LookUp {
    key: Vec<u8>,
    /// The connection, if the line names it.
    by: Option<u64>,
    is_hit: bool,
}

/// Turns log lines into counts.
///
/// The server looks an item up right before it stores or deletes it, and logs that look-up like a get. So a look-up
/// counts as a get only after so many further look-ups that it can belong to no store or delete.
#[derive(Debug)]
pub(super) struct Counter<'a> {
    division: &'a Division,
    pub(super) traffic: Traffic,
    sketch: Sketch,
    waiting: VecDeque<LookUp>,
    key: BytesMut,
    pub(super) lines: u64,
    /// Lines that the server left out because its log was read too slowly.
    pub(super) skipped: u64,
}

/// A look-up counts as a get if this many others come between it and its store or delete.
const BETWEEN: usize = 64;

impl<'a> Counter<'a> {
    pub(super) fn new(division: &'a Division) -> Self {
        Self {
            division,
            traffic: Traffic::default(),
            sketch: Sketch::default(),
            waiting: VecDeque::with_capacity(BETWEEN + 1),
            key: BytesMut::new(),
            lines: 0,
            skipped: 0,
        }
    }

    pub(super) fn take(&mut self, line: &LogLine) {
        if let Some(skipped) = line.number("skipped") {
            self.skipped += skipped;
            return;
        }
        self.key.clear();
        let Some(Ok(())) = line.decode_key(&mut self.key) else { return };
        self.lines += 1;
        let is = |name: &str, value: &[u8]| line.field(name) == Some(value);
        let by = line.number("cfd");
        match line.field("type") {
            Some(b"item_get") => {
                self.waiting.push_back(LookUp { key: self.key.to_vec(), by, is_hit: is("status", b"found") });
                if self.waiting.len() > BETWEEN
                    && let Some(look_up) = self.waiting.pop_front()
                {
                    self.count_get(look_up);
                }
            }
            Some(b"item_store") => {
                self.forget_look_up(by);
                if is("status", b"stored") {
                    self.count(&Uses { sets: 1, ..Uses::default() });
                }
            }
            Some(b"deleted") => {
                self.forget_look_up(by);
                self.count(&Uses { deletes: 1, ..Uses::default() });
            }
            Some(b"eviction") => {
                let prefix = self.division.prefix(&self.key);
                self.traffic.count(prefix, &Uses { evictions: 1, ..Uses::default() });
            }
            _ => {}
        }
    }

    /// Counts the last look-ups, after the end of the log.
    pub(super) fn finish(&mut self) {
        while let Some(look_up) = self.waiting.pop_front() {
            self.count_get(look_up);
        }
    }

    pub(super) fn hot_keys(&self, most: usize) -> Vec<HotKey> {
        self.sketch.first(most)
    }

    fn count(&mut self, uses: &Uses) {
        self.traffic.count(self.division.prefix(&self.key), uses);
        self.sketch.note(&self.key);
    }

    fn count_get(&mut self, look_up: LookUp) {
        let uses = Uses { gets: 1, hits: look_up.is_hit.into(), ..Uses::default() };
        self.traffic.count(self.division.prefix(&look_up.key), &uses);
        self.sketch.note(&look_up.key);
    }

    /// Drops the last look-up of this key (by connection `by`, if the line names it), since it was no get.
    fn forget_look_up(&mut self, by: Option<u64>) {
        let is_its = |look_up: &LookUp| look_up.key == self.key && (by.is_none() || look_up.by == by);
        if let Some(at) = self.waiting.iter().rposition(is_its) {
            self.waiting.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lines: &[&'static str]) -> Traffic {
        let division = Division::default();
        let mut counter = Counter::new(&division);
        lines.iter().for_each(|line| counter.take(&LogLine::new(*line).unwrap()));
        counter.finish();
        counter.traffic
    }

    #[test]
    fn a_look_up_before_a_store_or_delete_is_no_get() {
        let traffic = counted(&[
            // A miss, and the store that fills the cache, with a line of another connection between them.
            "ts=1.1 gid=1 type=item_get key=a%3A1 status=not_found clsid=0 cfd=27 size=0",
            "ts=1.1 gid=2 type=item_get key=a%3A1 status=not_found clsid=0 cfd=27 size=0",
            "ts=1.1 gid=3 type=item_get key=a%3A1 status=found clsid=1 cfd=28 size=3",
            "ts=1.1 gid=4 type=item_store key=a%3A1 status=stored cmd=set ttl=0 clsid=1 cfd=27 size=3",
            "ts=1.1 gid=5 type=item_get key=a%3A1 status=found clsid=1 cfd=27 size=3",
            "ts=1.1 gid=6 type=deleted key=a%3A1 cmd=delete clsid=1 size=3",
            "ts=1.1 gid=7 type=item_get key=b status=found clsid=1 cfd=27 size=3",
            "ts=1.1 gid=8 type=item_store key=b status=not_stored cmd=add ttl=0 clsid=1 cfd=27 size=1",
            "ts=1.1 gid=9 type=eviction key=b%3A2 fetch=no ttl=-1 la=0 clsid=12 size=1000",
            "ts=1.1 gid=10 type=eviction key=b%3A3 fetch=no ttl=-1 la=0 clsid=12 size=1000",
            "ts=1.1 gid=11 type=conn_new rip=127.0.0.1",
            "ts=1.1 gid=12 type=item_get key=c status=found clsid=1 cfd=27 size=3",
        ]);
        assert_eq!(traffic.of(b"a:"), Some(&Uses { gets: 2, hits: 1, sets: 1, deletes: 1, evictions: 0 }));
        assert_eq!(traffic.of(b"a:").and_then(Uses::hit_ratio), Some(0.5));
        assert_eq!(traffic.of(b"b:"), Some(&Uses { evictions: 2, ..Uses::default() }));
        assert_eq!(traffic.of(b"b:").and_then(Uses::hit_ratio), None);
        assert_eq!(*traffic.none(), Uses { gets: 1, hits: 1, ..Uses::default() });
        assert_eq!(traffic.total().total(), 5);
    }

    #[test]
    fn a_look_up_long_before_a_store_is_a_get() {
        for (between, gets) in [(BETWEEN - 1, 0), (BETWEEN, 1)] {
            let line = |what: &'static str| std::iter::once(what);
            let lines: Vec<_> = line("ts=1.1 gid=1 type=item_get key=a%3A1 status=found cfd=27")
                .chain(std::iter::repeat_n("ts=1.1 gid=2 type=item_get key=b%3A1 status=found cfd=28", between))
                .chain(line("ts=1.1 gid=3 type=item_store key=a%3A1 status=stored cfd=27"))
                .collect();
            assert_eq!(counted(&lines).of(b"a:"), Some(&Uses { gets, hits: gets, sets: 1, ..Uses::default() }));
        }
    }

    #[test]
    fn what_was_skipped_is_counted() {
        let division = Division::default();
        let mut counter = Counter::new(&division);
        for line in ["skipped=5", "ts=1.1 gid=9 type=item_get key=a status=found", "skipped=7"] {
            counter.take(&LogLine::new(line).unwrap());
        }
        assert_eq!((counter.skipped, counter.lines), (12, 1));
    }

    #[test]
    fn prefixes_beyond_the_limit_are_summed() {
        let one = Uses { gets: 1, ..Uses::default() };
        let mut traffic = Traffic::default();
        (0..Traffic::PREFIXES_MAX + 5).for_each(|n| traffic.count(format!("{n}:").as_bytes(), &one));
        assert_eq!((traffic.others().gets, traffic.sorted().len()), (5, Traffic::PREFIXES_MAX));
        let mut both = traffic.clone();
        both.add(&traffic);
        assert_eq!(both.total().gets, 2 * traffic.total().gets);
    }
}
