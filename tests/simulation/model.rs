//! The items of a memcached: their CAS, times and LRU lists, and which of them `flush_all` deletes in each version. The
//! model has no connections and no protocol.

use std::collections::BTreeMap;

pub type Key = Vec<u8>;

/// An LRU list of a slab class. If a server has only one list for each class, it is the cold one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    Hot,
    Warm,
    Cold,
}

#[derive(Debug, Clone)]
pub struct Item {
    pub value: Vec<u8>,
    pub flags: u32,
    /// The time of expiry, in seconds; None for never.
    pub expires: Option<u64>,
    pub cas: u64,
    /// When the item was stored, or when the server last noted a read, in seconds.
    pub time: u64,
    pub is_fetched: bool,
    is_active: bool,
    /// The LRU maintainer has yet to note a read of this item. Until then a dump of the LRU lists skips the item.
    is_noted_later: bool,
    pub is_stale: bool,
    list: List,
    pub class: u32,
    /// The item's place in its list; the lowest is the tail.
    place: u64,
    /// When the value was stored, and when the item was last changed, as [`Model::stamp`] counts.
    pub born: u64,
    pub changed: u64,
    /// The item has survived a flush in the middle of a change. This happens to an item at most once.
    was_in_the_middle: bool,
    /// A client that reads slowly holds the item until this time, in milliseconds.
    held_until: u64,
    /// A client held the item longer than the passes over the LRU lists allow for.
    pub was_held_long: bool,
}

/// Milliseconds. An item that is held for a shorter time is not hidden from two passes in a row.
const HELD_LONG: u64 = 1_000;

/// The counters that `stats` shows.
#[derive(Debug, Default, Clone)]
pub struct Counters {
    pub cmd_set: u64,
    pub get_hits: u64,
    pub get_misses: u64,
    pub touch_hits: u64,
    pub incr_hits: u64,
    pub decr_hits: u64,
    pub cas_hits: u64,
    pub delete_hits: u64,
    pub evictions: u64,
    pub moves_to_cold: u64,
    pub moves_to_warm: u64,
    pub moves_within_lru: u64,
    pub juggles: u64,
    pub flushes: u64,
    pub rescues: u64,
}

/// The items that a `flush_all` deletes.
#[derive(Debug, Clone, Copy)]
struct FlushMark {
    /// Items that were stored in this second or before.
    live: u64,
    /// Items with a CAS below this; 0 if the server compares only times.
    cas: u64,
}

/// The command of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Set,
    Add,
    Replace,
    Append,
    Prepend,
    Cas(u64),
}

/// The outcome of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    NotDone,
    Exists,
    NotFound,
}

#[derive(Debug)]
pub struct Model {
    pub version: [u32; 3],
    pub has_cas: bool,
    /// Whether the server can dump its LRU lists: by default from 1.5.0 on, with an option from 1.4.31 on.
    pub has_crawler: bool,
    /// Whether the server moves slab pages: by default from 1.5.0 on, before that with an option.
    pub moves_pages: bool,
    /// The number of slab classes that items are in.
    pub classes: u64,
    /// The items, in the order of the hash table.
    pub items: BTreeMap<(u64, Key), Item>,
    lists: BTreeMap<(u32, List), BTreeMap<u64, Key>>,
    pub counters: Counters,
    pub pid: u64,
    /// The time, in milliseconds since the epoch.
    pub now: u64,
    pub started: u64,
    last_cas: u64,
    last_place: u64,
    /// Counts all changes of items, by any client.
    pub stamp: u64,
    flushed: Option<FlushMark>,
    /// The reads that the LRU maintainer has yet to note, in two parts. Each turn notes one part.
    notes: [Vec<Key>; 2],
    /// The part that the next turn notes.
    next_notes: usize,
    pub is_moving_pages: bool,
    /// The hash table has 2^this buckets.
    pub hash_power: u32,
    pub is_growing: bool,
}

fn hash(key: &[u8]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn slot(key: &[u8]) -> (u64, Key) {
    (hash(key).rotate_left(32), key.to_vec())
}

impl Model {
    pub fn new(version: [u32; 3], has_cas: bool, now: u64) -> Self {
        Self {
            version,
            has_cas,
            has_crawler: version >= [1, 5, 0],
            moves_pages: version >= [1, 5, 0],
            classes: 2,
            items: BTreeMap::new(),
            lists: BTreeMap::new(),
            counters: Counters::default(),
            pid: 7,
            now,
            started: now,
            last_cas: 0,
            last_place: 0,
            stamp: 0,
            flushed: None,
            notes: [Vec::new(), Vec::new()],
            next_notes: 0,
            is_moving_pages: false,
            hash_power: 16,
            is_growing: false,
        }
    }

    /// Whether the server is about to enlarge its hash table.
    pub fn is_table_full(&self) -> bool {
        self.items.len() * 2 > 3 << self.hash_power
    }

    /// A client begins to read an item's value, and is slow.
    pub fn hold(&mut self, key: &[u8], time: u64) {
        let until = self.now + time;
        if let Some(item) = self.find(key) {
            item.held_until = item.held_until.max(until);
            item.was_held_long |= time > HELD_LONG;
        }
    }

    /// Whether a slab class has several LRU lists.
    pub fn is_segmented(&self) -> bool {
        self.version >= [1, 5, 0]
    }

    /// The server's clock, in whole seconds.
    pub const fn time(&self) -> u64 {
        self.now / 1000
    }

    /// The server starts again, empty, and counts its CAS from the beginning.
    pub fn restart(&mut self, pid: u64) {
        let (stamp, now) = (self.stamp, self.now);
        let (has_crawler, moves_pages, classes) = (self.has_crawler, self.moves_pages, self.classes);
        *self = Self { pid, stamp, has_crawler, moves_pages, classes, ..Self::new(self.version, self.has_cas, now) };
    }

    fn fresh_cas(&mut self) -> u64 {
        if !self.has_cas {
            return 0;
        }
        self.last_cas += 1;
        self.last_cas
    }

    fn is_gone(&self, item: &Item) -> bool {
        let is_flushed = self
            .flushed
            .is_some_and(|mark| item.time <= mark.live || (mark.cas > 0 && item.cas > 0 && item.cas < mark.cas));
        is_flushed || item.expires.is_some_and(|time| time <= self.time())
    }

    /// An item that a client would get now.
    pub fn peek(&self, key: &[u8]) -> Option<&Item> {
        self.items.get(&slot(key)).filter(|item| !self.is_gone(item))
    }

    /// Every item that a client would get now.
    pub fn readable(&self) -> impl Iterator<Item = (&Key, &Item)> {
        self.items.iter().filter(|(_, item)| !self.is_gone(item)).map(|((_, key), item)| (key, item))
    }

    fn unlink(&mut self, key: &[u8]) -> Option<Item> {
        let item = self.items.remove(&slot(key))?;
        self.lists.entry((item.class, item.list)).or_default().remove(&item.place);
        Some(item)
    }

    fn link(&mut self, key: &[u8], mut item: Item) {
        self.last_place += 1;
        item.place = self.last_place;
        self.lists.entry((item.class, item.list)).or_default().insert(item.place, key.to_vec());
        self.items.insert(slot(key), item);
    }

    /// Moves an item to the head of a list.
    fn move_to(&mut self, key: &[u8], list: List) {
        if let Some(item) = self.unlink(key) {
            self.link(key, Item { list, ..item });
        }
    }

    /// Looks up an item as the server does: an expired or flushed item is removed.
    pub fn find(&mut self, key: &[u8]) -> Option<&mut Item> {
        if self.items.get(&slot(key)).is_some_and(|item| self.is_gone(item)) {
            self.unlink(key);
        }
        self.items.get_mut(&slot(key))
    }

    fn note_read(&mut self, key: &[u8]) {
        let (is_segmented, time, stamp) = (self.is_segmented(), self.time(), self.stamp);
        let Some(item) = self.items.get_mut(&slot(key)) else { return };
        if !is_segmented {
            item.is_fetched = true;
            if item.time + 60 < time {
                item.time = time;
                self.move_to(key, List::Cold);
            }
            return;
        }
        if item.is_active {
            return;
        }
        if !std::mem::replace(&mut item.is_fetched, true) {
            return;
        }
        item.is_active = true;
        if item.list == List::Cold {
            item.is_noted_later = true;
            self.notes[(stamp % 2) as usize].push(key.to_vec());
        } else {
            item.time = time;
        }
    }

    pub fn get(&mut self, key: &[u8], notes: bool) -> Option<Item> {
        let Some(item) = self.find(key).cloned() else {
            self.counters.get_misses += 1;
            return None;
        };
        self.counters.get_hits += 1;
        if notes {
            self.stamp += 1;
            self.note_read(key);
        }
        Some(item)
    }

    /// The time at which an item that is stored now expires.
    pub fn expiry(&self, seconds: i64) -> Option<u64> {
        match seconds {
            0 => None,
            1.. => Some(self.time() + seconds as u64),
            _ => Some(self.time().saturating_sub(1)),
        }
    }

    pub fn store(&mut self, verb: Verb, key: &[u8], value: &[u8], flags: u32, seconds: i64) -> Outcome {
        self.counters.cmd_set += 1;
        let before = self.find(key).cloned();
        match (verb, &before) {
            (Verb::Add, Some(_)) => {
                self.note_read(key);
                return Outcome::NotDone;
            }
            (Verb::Replace | Verb::Append | Verb::Prepend, None) => return Outcome::NotDone,
            (Verb::Cas(_), None) => return Outcome::NotFound,
            (Verb::Cas(cas), Some(item)) if item.cas != cas => return Outcome::Exists,
            (Verb::Cas(_), Some(_)) => self.counters.cas_hits += 1,
            _ => {}
        }
        self.stamp += 1;
        let mut item = Item {
            value: value.to_vec(),
            flags,
            expires: self.expiry(seconds),
            cas: self.fresh_cas(),
            time: self.time(),
            is_fetched: false,
            is_active: false,
            is_noted_later: false,
            is_stale: false,
            list: if self.is_segmented() { List::Hot } else { List::Cold },
            class: 1 + (hash(key) % self.classes) as u32,
            place: 0,
            born: self.stamp,
            changed: self.stamp,
            was_in_the_middle: false,
            held_until: 0,
            was_held_long: false,
        };
        if let (Verb::Append | Verb::Prepend, Some(before)) = (verb, before) {
            let parts = if verb == Verb::Append { [&before.value[..], value] } else { [value, &before.value[..]] };
            item.value = parts.concat();
            (item.expires, item.flags, item.born) = (before.expires, before.flags, before.born);
            item.was_in_the_middle = before.was_in_the_middle;
        }
        self.unlink(key);
        self.link(key, item);
        Outcome::Done
    }

    pub fn delete(&mut self, key: &[u8]) -> bool {
        let is_there = self.find(key).is_some();
        if is_there {
            self.counters.delete_hits += 1;
            self.stamp += 1;
            self.unlink(key);
        }
        is_there
    }

    /// Returns the new value. None if the key does not exist; an error if the value is not a number.
    pub fn add(&mut self, key: &[u8], delta: u64, is_incr: bool) -> Result<Option<u64>, ()> {
        let (time, has_cas) = (self.time(), self.has_cas);
        let cas = self.last_cas + 1;
        self.stamp += 1;
        let stamp = self.stamp;
        let Some(item) = self.find(key) else { return Ok(None) };
        let number: u64 =
            std::str::from_utf8(&item.value).ok().and_then(|value| value.trim_end().parse().ok()).ok_or(())?;
        let number = if is_incr { number.wrapping_add(delta) } else { number.saturating_sub(delta) };
        let digits = number.to_string();
        item.value = if is_incr { digits } else { format!("{digits:width$}", width = item.value.len()) }.into_bytes();
        (item.time, item.changed) = (time, stamp);
        if has_cas {
            item.cas = cas;
            self.last_cas = cas;
        }
        *(if is_incr { &mut self.counters.incr_hits } else { &mut self.counters.decr_hits }) += 1;
        Ok(Some(number))
    }

    pub fn touch(&mut self, key: &[u8], seconds: i64) -> bool {
        let expires = self.expiry(seconds);
        let Some(item) = self.find(key) else { return false };
        item.expires = expires;
        self.counters.touch_hits += 1;
        self.stamp += 1;
        self.note_read(key);
        true
    }

    /// `md KEY I`: marks the item as stale, with a new CAS.
    pub fn invalidate(&mut self, key: &[u8]) {
        let cas = self.fresh_cas();
        if let Some(item) = self.find(key) {
            (item.cas, item.is_stale) = (cas, true);
        }
    }

    /// Undoes the change of age: when mcflush appends nothing to an item, the value does not change.
    pub fn keep_age(&mut self, key: &[u8], before: &Item) {
        if let Some(item) = self.items.get_mut(&slot(key)) {
            (item.born, item.changed) = (before.born, before.changed);
        }
    }

    /// Whether `flush_all` compares CAS: from 1.4.23 to 1.6.24.
    fn flushes_by_cas(&self) -> bool {
        self.has_cas && (self.version >= [1, 4, 23]) && self.version < [1, 6, 25]
    }

    pub fn flush_all(&mut self) {
        self.stamp += 1;
        self.counters.flushes += 1;
        let time = self.time();
        let mark = if self.version >= [1, 6, 25] {
            FlushMark { live: time - 1, cas: 0 }
        } else if self.flushes_by_cas() {
            FlushMark { live: time - 2, cas: self.fresh_cas() }
        } else {
            FlushMark { live: time, cas: 0 }
        };
        self.flushed = Some(mark);
        // From the head of each list, the server removes items until it meets an older one.
        let lists: Vec<_> = self.lists.keys().copied().collect();
        for list in lists {
            while let Some(key) = self.lists[&list].values().next_back().cloned() {
                if self.items[&slot(&key)].time < mark.live {
                    break;
                }
                self.unlink(&key);
            }
        }
    }

    /// Flushes in the middle of a client's `incr` or `append`: the server finds the item before the flush, and links the
    /// changed item after it.
    pub fn flush_in_the_middle_of(&mut self, key: &[u8]) {
        let before = self.peek(key).filter(|item| !item.was_in_the_middle).cloned();
        self.flush_all();
        let Some(item) = before else { return };
        self.stamp += 1;
        self.unlink(key);
        let (cas, time, stamp) = (self.fresh_cas(), self.time(), self.stamp);
        self.link(key, Item { cas, time, changed: stamp, was_in_the_middle: true, ..item });
    }

    /// A turn of the LRU maintainer. Returns whether there was anything to do.
    pub fn maintain(&mut self) -> bool {
        if !self.is_segmented() {
            return false;
        }
        self.counters.juggles += 1;
        let time = self.time();
        // The parts take turns, like the two regions of a ring buffer.
        let part = if self.notes[self.next_notes].is_empty() { 1 - self.next_notes } else { self.next_notes };
        self.next_notes = 1 - part;
        let noted = std::mem::take(&mut self.notes[part]);
        let mut any = !noted.is_empty();
        for key in noted {
            // No item is left to note if the key was deleted, or stored again, since the read.
            let Some(item) = self.items.get_mut(&slot(&key)).filter(|item| item.is_noted_later) else { continue };
            (item.is_noted_later, item.is_active, item.time) = (false, false, time);
            self.counters.moves_to_warm += 1;
            self.move_to(&key, List::Warm);
        }
        let classes: Vec<_> = self.lists.keys().map(|(class, _)| *class).collect();
        for class in classes {
            let length = |model: &Self, list| model.lists.get(&(class, list)).map_or(0, BTreeMap::len);
            let all = length(self, List::Hot) + length(self, List::Warm) + length(self, List::Cold);
            for (list, part) in [(List::Hot, 20), (List::Warm, 40)] {
                for _ in 0..500 {
                    if length(self, list) * 100 <= all * part {
                        break;
                    }
                    any = true;
                    let Some(key) = self.lists[&(class, list)].values().next().cloned() else { break };
                    let Some(item) = self.items.get_mut(&slot(&key)) else { break };
                    match (std::mem::take(&mut item.is_active), list) {
                        (true, List::Warm) => {
                            self.counters.moves_within_lru += 1;
                            self.move_to(&key, List::Warm);
                        }
                        (true, _) => {
                            self.counters.moves_to_warm += 1;
                            self.move_to(&key, List::Warm);
                        }
                        (false, _) => {
                            self.counters.moves_to_cold += 1;
                            self.move_to(&key, List::Cold);
                        }
                    }
                }
            }
        }
        any
    }

    /// Evicts the oldest item of a cold list, as a full server does.
    pub fn evict(&mut self, class: u32) {
        let is_free = |key: &&Key| self.items[&slot(key)].held_until <= self.now;
        let tail = self.lists.get(&(class, List::Cold)).and_then(|list| list.values().find(is_free).cloned());
        if let Some(key) = tail {
            self.counters.evictions += 1;
            self.stamp += 1;
            self.unlink(&key);
        }
    }

    /// Moves an item to another slab page; before 1.6.24 it gets a new CAS. An expired or flushed item is removed instead.
    pub fn move_page(&mut self, key: &[u8]) -> bool {
        if self.items.get(&slot(key)).is_some_and(|item| item.held_until > self.now) {
            return false;
        }
        let Some(mut item) = self.unlink(key).filter(|item| !self.is_gone(item)) else { return false };
        if self.version < [1, 6, 24] {
            item.cas = self.fresh_cas();
        }
        self.link(key, item);
        true
    }

    /// The number of items in each list.
    pub fn lengths(&self) -> BTreeMap<(u32, List), usize> {
        self.lists.iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| (*name, list.len())).collect()
    }

    /// Every linked item of a list, newest first.
    pub fn newest_first(&self, class: u32, list: List) -> impl Iterator<Item = (&Key, &Item)> {
        let keys = self.lists.get(&(class, list)).into_iter().flat_map(|list| list.values().rev());
        keys.map(|key| (key, &self.items[&slot(key)]))
    }

    /// The next item of a list after a place, with its place.
    fn next_in(&self, list: (u32, List), behind: u64) -> Option<(u64, Key)> {
        let (place, key) = self.lists.get(&list)?.range(behind + 1..).next()?;
        Some((*place, key.clone()))
    }
}

/// A dump while it runs.
#[derive(Debug)]
pub enum Dump {
    /// The last slot that was visited.
    Hash(Option<(u64, Key)>),
    /// For each list: the last visited place, and how many of the items that it had at the start are left.
    Lru(Vec<((u32, List), u64, usize)>),
}

impl Dump {
    pub fn of_lists(model: &Model) -> Self {
        // 1.5.5 and 1.5.6 end one item too early.
        let left_out = usize::from(matches!(model.version, [1, 5, 5 | 6]));
        Self::Lru(model.lengths().into_iter().map(|(list, length)| (list, 0, length - left_out)).collect())
    }

    /// Visits some items. Returns false at the end.
    pub fn visit(&mut self, model: &Model, at_most: usize, mut show: impl FnMut(&Key, &Item)) -> bool {
        for _ in 0..at_most {
            let (key, is_of_lists) = match self {
                Self::Hash(last) => {
                    use std::ops::Bound::{Excluded, Unbounded};
                    let from = last.clone().map_or(Unbounded, Excluded);
                    let Some((next, _)) = model.items.range((from, Unbounded)).next() else { return false };
                    *last = Some(next.clone());
                    (next.1.clone(), false)
                }
                Self::Lru(lists) => {
                    if lists.is_empty() {
                        return false;
                    }
                    // Visit one item of each list in turn.
                    let (list, last, left) = lists.remove(0);
                    let Some((place, key)) = model.next_in(list, last).filter(|_| left > 0) else { continue };
                    lists.push((list, place, left - 1));
                    (key, true)
                }
            };
            // A flushed item stays linked: a read that the server notes late can bring it back.
            let item = &model.items[&slot(&key)];
            let is_held = item.is_noted_later || item.held_until > model.now;
            let is_hidden = model.is_gone(item) || (is_of_lists && is_held);
            if !is_hidden {
                show(&key, item);
            }
        }
        true
    }
}
