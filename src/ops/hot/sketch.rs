//! Finds the most used of any number of keys, in bounded memory.

use std::collections::{BTreeSet, HashMap};

/// A much used key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotKey {
    /// The key, decoded: any bytes.
    pub key: Vec<u8>,
    /// An upper bound of its gets, stores and deletes.
    pub uses: u64,
    /// How many of these may belong to another key.
    pub surplus: u64,
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    uses: u64,
    surplus: u64,
}

/// The space-saving algorithm (Metwally, Agrawal and El Abbadi) with n counters. A key without a counter takes over the
/// lowest one, and keeps its count as `surplus`. A key with more than one in n of all uses always has a counter.
#[derive(Debug, Default)]
pub(super) struct Sketch {
    counters: HashMap<Vec<u8>, Counter>,
    /// The same counters, by count.
    by_uses: BTreeSet<(u64, Vec<u8>)>,
}

impl Sketch {
    const COUNTERS: usize = 1_000;

    pub(super) fn note(&mut self, key: &[u8]) {
        if let Some(counter) = self.counters.get_mut(key) {
            // The bytes of the key are moved to its next place.
            if let Some((uses, key)) = self.by_uses.take(&(counter.uses, key.to_vec())) {
                self.by_uses.insert((uses + 1, key));
            }
            counter.uses += 1;
            return;
        }
        let mut counter = Counter { uses: 1, surplus: 0 };
        if self.counters.len() >= Self::COUNTERS
            && let Some((uses, lowest)) = self.by_uses.pop_first()
        {
            self.counters.remove(&lowest);
            counter = Counter { uses: uses + 1, surplus: uses };
        }
        self.counters.insert(key.to_vec(), counter);
        self.by_uses.insert((counter.uses, key.to_vec()));
    }

    /// The most used keys first. Leaves out keys that may be used no more than others.
    pub(super) fn first(&self, most: usize) -> Vec<HotKey> {
        let of = |(uses, key): &(u64, Vec<u8>)| {
            let surplus = self.counters.get(key).map_or(0, |counter| counter.surplus);
            HotKey { key: key.clone(), uses: *uses, surplus }
        };
        // Only the uses above the surplus are certainly the key's own.
        let is_certain = |key: &HotKey| key.surplus * 2 <= key.uses;
        self.by_uses.iter().rev().map(of).filter(is_certain).take(most).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_keys_are_counted_exactly() {
        let mut sketch = Sketch::default();
        for (key, times) in [("a", 3), ("b", 5), ("c", 1)] {
            (0..times).for_each(|_| sketch.note(key.as_bytes()));
        }
        let found: Vec<_> = sketch.first(2).into_iter().map(|key| (key.key, key.uses, key.surplus)).collect();
        assert_eq!(found, [(b"b".to_vec(), 5, 0), (b"a".to_vec(), 3, 0)]);
    }

    #[test]
    fn a_key_that_may_owe_more_than_half_of_its_uses_to_others_is_left_out() {
        let mut sketch = Sketch::default();
        for n in 0..Sketch::COUNTERS {
            (0..5).for_each(|_| sketch.note(format!("{n:04}").as_bytes()));
        }
        for (uses, is_certain) in [(8, false), (9, false), (10, true)] {
            let note_until = |sketch: &mut Sketch| {
                while sketch.by_uses.last().is_none_or(|(most, _)| *most < uses) {
                    sketch.note(b"late");
                }
            };
            note_until(&mut sketch);
            let found = sketch.first(1).into_iter().map(|key| (key.key, key.uses, key.surplus)).next().unwrap();
            let expected = if is_certain { (b"late".to_vec(), 10, 5) } else { (b"0999".to_vec(), 5, 0) };
            assert_eq!(found, expected, "{uses}");
        }
    }

    #[test]
    fn of_many_keys_the_hot_ones_are_found_and_memory_is_bounded() {
        let mut sketch = Sketch::default();
        for n in 0..200_000_u32 {
            sketch.note(format!("cold:{n}").as_bytes());
            if n % 20 == 0 {
                sketch.note(b"hot:1");
            }
            if n % 50 == 0 {
                sketch.note(b"hot:2");
            }
        }
        assert_eq!((sketch.counters.len(), sketch.by_uses.len()), (Sketch::COUNTERS, Sketch::COUNTERS));
        let found = sketch.first(10);
        assert_eq!(found.iter().map(|key| &key.key[..]).collect::<Vec<_>>(), [b"hot:1", b"hot:2"]);
        for (key, times) in found.iter().zip([10_000, 4_000]) {
            assert!(key.uses >= times && key.uses - key.surplus <= times, "{key:?}");
        }
    }
}
