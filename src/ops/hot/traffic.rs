//! What log lines come to: gets, stores, deletes and evictions by prefix.

use std::collections::{HashMap, VecDeque};

use bytes::BytesMut;

use super::sketch::{HotKey, Sketch};
use crate::ops::namespaces::Division;
use crate::protocol::watch::LogLine;

/// What was done with some keys.
///
/// ```
/// use mcflush::ops::hot::Uses;
/// let mut uses = Uses { gets: 3, hits: 2, ..Uses::default() };
/// uses.add(&Uses { gets: 1, sets: 1, ..Uses::default() });
/// assert_eq!((uses.gets, uses.hit_ratio(), uses.total()), (4, Some(0.5), 5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Uses {
    /// Keys that were asked for. The server logs incr, decr and touch so too, and deletes of what was not there; before
    /// 1.6.22 all deletes.
    pub gets: u64,
    /// Those of them that were there.
    pub hits: u64,
    /// Items that were stored.
    pub sets: u64,
    /// Items that were deleted; none where the server does not log them, before 1.6.22.
    pub deletes: u64,
    /// Items that had to make room.
    pub evictions: u64,
}

impl Uses {
    /// What both are together.
    pub const fn add(&mut self, other: &Self) {
        self.gets += other.gets;
        self.hits += other.hits;
        self.sets += other.sets;
        self.deletes += other.deletes;
        self.evictions += other.evictions;
    }

    /// The part of the gets that were hits; none where there were no gets.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        (self.gets > 0).then(|| self.hits as f64 / self.gets as f64)
    }

    /// Gets, stores and deletes.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.gets + self.sets + self.deletes
    }
}

/// What was done with the keys of each prefix, of as many prefixes as memory allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traffic {
    by_prefix: HashMap<Box<[u8]>, Uses>,
    none: Uses,
    others: Uses,
}

impl Traffic {
    /// How many prefixes are told apart; what is met beyond so many is summed as [`Self::others`].
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

    /// Adds that of another server.
    pub fn add(&mut self, other: &Self) {
        for (prefix, uses) in &other.by_prefix {
            self.count(prefix, uses);
        }
        self.none.add(&other.none);
        self.others.add(&other.others);
    }

    /// Of one prefix; none where it was not met.
    #[must_use]
    pub fn of(&self, prefix: &[u8]) -> Option<&Uses> {
        self.by_prefix.get(prefix)
    }

    /// Each prefix, the one that is used most first.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&[u8], &Uses)> {
        let mut rows: Vec<_> = self.by_prefix.iter().map(|(prefix, uses)| (&prefix[..], uses)).collect();
        rows.sort_unstable_by_key(|(prefix, uses)| (std::cmp::Reverse((uses.total(), uses.evictions)), *prefix));
        rows
    }

    /// Of keys without a separator.
    #[must_use]
    pub const fn none(&self) -> &Uses {
        &self.none
    }

    /// Of prefixes beyond [`Self::PREFIXES_MAX`].
    #[must_use]
    pub const fn others(&self) -> &Uses {
        &self.others
    }

    /// Of all keys.
    #[must_use]
    pub fn total(&self) -> Uses {
        let mut total = self.none;
        self.by_prefix.values().chain([&self.others]).for_each(|uses| total.add(uses));
        total
    }
}

/// A look-up that is in the log and may be a part of the store or delete that comes behind it.
#[derive(Debug)]
struct LookUp {
    key: Vec<u8>,
    /// The connection, as the line says it.
    by: Option<u64>,
    is_hit: bool,
}

/// Makes counts of log lines.
///
/// The server looks an item up before it stores or deletes it, and logs that as it logs a get, right before. So a look-up is
/// counted only when so many lines have come behind it that it is none of these.
#[derive(Debug)]
pub(super) struct Counter<'a> {
    division: &'a Division,
    pub(super) traffic: Traffic,
    sketch: Sketch,
    waiting: VecDeque<LookUp>,
    key: BytesMut,
    pub(super) lines: u64,
    /// Lines that the server did not send because they were not read fast enough.
    pub(super) skipped: u64,
}

/// The lines of other threads that may come between a look-up and what it belongs to.
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
        if let Some(skipped) = line.field("skipped").and_then(number) {
            self.skipped += skipped;
            return;
        }
        self.key.clear();
        let Some(Ok(())) = line.decode_key(&mut self.key) else { return };
        self.lines += 1;
        let is = |name: &str, value: &[u8]| line.field(name) == Some(value);
        let by = line.field("cfd").and_then(number);
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

    /// No line comes behind.
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

    /// The last look-up of this key, by that connection where the line says it, was no get.
    fn forget_look_up(&mut self, by: Option<u64>) {
        let is_its = |look_up: &LookUp| look_up.key == self.key && (by.is_none() || look_up.by == by);
        if let Some(at) = self.waiting.iter().rposition(is_its) {
            self.waiting.remove(at);
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
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
            // A miss, and the store that fills the cache; another connection's line comes between.
            "ts=1.1 gid=1 type=item_get key=a%3A1 status=not_found clsid=0 cfd=27 size=0",
            "ts=1.1 gid=2 type=item_get key=a%3A1 status=not_found clsid=0 cfd=27 size=0",
            "ts=1.1 gid=3 type=item_get key=a%3A1 status=found clsid=1 cfd=28 size=3",
            "ts=1.1 gid=4 type=item_store key=a%3A1 status=stored cmd=set ttl=0 clsid=1 cfd=27 size=3",
            "ts=1.1 gid=5 type=item_get key=a%3A1 status=found clsid=1 cfd=27 size=3",
            "ts=1.1 gid=6 type=deleted key=a%3A1 cmd=delete clsid=1 size=3",
            "ts=1.1 gid=7 type=item_get key=b status=found clsid=1 cfd=27 size=3",
            "ts=1.1 gid=8 type=item_store key=b status=not_stored cmd=add ttl=0 clsid=1 cfd=27 size=1",
            "ts=1.1 gid=9 type=eviction key=b%3A2 fetch=no ttl=-1 la=0 clsid=12 size=1000",
            "ts=1.1 gid=10 type=conn_new rip=127.0.0.1",
        ]);
        assert_eq!(traffic.of(b"a:"), Some(&Uses { gets: 2, hits: 1, sets: 1, deletes: 1, evictions: 0 }));
        assert_eq!(traffic.of(b"b:"), Some(&Uses { evictions: 1, ..Uses::default() }));
        assert_eq!((*traffic.none(), traffic.total().total()), (Uses::default(), 4));
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
