//! A sample of the keys out of scope, listed by pass after pass: those that existed all the time show how many keys a
//! pass misses.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Below this many keys, an estimate is worth little.
pub(in crate::ops) const ENOUGH: u64 = 100;

/// The assumed miss rate if hardly any key could be counted: twice the worst rate ever measured (22 %).
pub(in crate::ops) const UNKNOWN_RATE: f64 = 0.5;

/// Standard deviations between an estimate and its upper bound: one estimate in a hundred is worse than its bound.
const MARGIN: f64 = 2.33;

/// How many keys existed all the time, and how many of these a pass missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::ops) struct Recapture {
    pub(in crate::ops) there: u64,
    pub(in crate::ops) missed: u64,
}

impl Recapture {
    /// The part that the pass missed. NaN if no key was counted.
    pub(in crate::ops) fn ratio(self) -> f64 {
        self.missed as f64 / self.there as f64
    }

    /// An upper bound of the probability that a pass misses a key (for a Poisson mean, by its normal approximation,
    /// which also holds if no key was missed). For a small sample, at most the worst rate to be expected.
    pub(in crate::ops) fn upper_bound(self) -> f64 {
        let missed = self.missed as f64;
        let square = MARGIN * MARGIN;
        let bound = (missed + square / 2.0 + MARGIN * (missed + square / 4.0).sqrt()) / self.there as f64;
        let most = if self.there < ENOUGH { UNKNOWN_RATE.max(self.ratio()) } else { 1.0 };
        bound.min(most)
    }
}

/// The greatest number of keys in the sample: two megabytes.
const KEYS_MAX: usize = 1 << 16;

/// What the sample knows of a key.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// None if the listing does not give the CAS.
    cas: Option<u64>,
    /// The last pass that listed the key, counted from 1.
    pass: u32,
}

/// The keys with the lowest hashes, so that each pass samples the same keys.
#[derive(Debug)]
pub(in crate::ops) struct Sample {
    hasher: RandomState,
    /// Keys with a hash above this are not in the sample. It is lowered when the sample is too large.
    highest: u64,
    keys: HashMap<u64, Seen>,
    pass: u32,
    /// For the pass before this one.
    recapture: Recapture,
    /// How many lines of this pass repeat an unchanged key of the sample.
    repeated: u64,
}

impl Sample {
    pub(in crate::ops) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            highest: u64::MAX,
            keys: HashMap::new(),
            pass: 0,
            recapture: Recapture::default(),
            repeated: 0,
        }
    }

    pub(in crate::ops) fn begin_pass(&mut self) {
        self.pass += 1;
        self.recapture = Recapture::default();
        self.repeated = 0;
    }

    /// Adds a key, in the form in which the server lists it. `watermark`, if known, is the CAS up to which items were
    /// stored before the first pass ended.
    pub(in crate::ops) fn note(&mut self, key: &[u8], cas: Option<u64>, watermark: Option<u64>) {
        let hash = self.hasher.hash_one(key);
        if hash > self.highest {
            return;
        }
        let was_there_before_all = self.pass > 1 && watermark.is_some_and(|mark| cas.is_some_and(|cas| cas <= mark));
        let seen = Seen { cas, pass: self.pass };
        match self.keys.insert(hash, seen) {
            // One dump can list a key twice.
            Some(before) if before.pass == self.pass => self.repeated += u64::from(before.cas == cas),
            Some(before) if before.cas == cas || was_there_before_all => {
                self.recapture.there += 1;
                self.recapture.missed += u64::from(before.pass + 1 < self.pass);
            }
            // The key was stored again meanwhile, so it may have been missing before.
            Some(_) => {}
            None if was_there_before_all => {
                self.recapture.there += 1;
                self.recapture.missed += 1;
            }
            None => {}
        }
        if self.keys.len() > KEYS_MAX {
            self.highest /= 2;
            let highest = self.highest;
            self.keys.retain(|hash, _| *hash <= highest);
        }
    }

    /// How many of the keys that this pass listed existed during the pass before, and how many of these that pass
    /// missed.
    pub(in crate::ops) const fn recapture(&self) -> Recapture {
        self.recapture
    }

    /// How many lines of this pass repeat another line of it, and how many keys of the sample it listed.
    pub(in crate::ops) fn repeated(&self) -> (u64, u64) {
        let listed = self.keys.values().filter(|seen| seen.pass == self.pass).count();
        (self.repeated, listed as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(sample: &mut Sample, keys: impl IntoIterator<Item = (u32, u64)>, watermark: Option<u64>) -> (u64, u64) {
        sample.begin_pass();
        for (key, cas) in keys {
            sample.note(&key.to_be_bytes(), Some(cas), watermark);
        }
        let Recapture { there, missed } = sample.recapture();
        (there, missed)
    }

    #[test]
    fn bounds() {
        let bound = |missed, there| Recapture { there, missed }.upper_bound();
        assert!((bound(0, 1_000) - 0.005_428_9).abs() < 0.000_001);
        assert!((bound(100, 1_000) - 0.126).abs() < 0.001);
        assert!(bound(4_200, 30_000) < 0.146);
        assert!((bound(0, 3) - UNKNOWN_RATE).abs() < f64::EPSILON && (bound(3, 3) - 1.0).abs() < f64::EPSILON);
        assert!(
            (bound(49, 99) - UNKNOWN_RATE).abs() < f64::EPSILON && bound(49, 100) > 0.6,
            "as soon as there are enough"
        );
    }

    #[test]
    fn a_key_with_its_cas_was_there_all_the_time() {
        let mut sample = Sample::new();
        assert_eq!(pass(&mut sample, [(1, 1), (2, 2), (3, 3)], None), (0, 0));
        // The third key was missed or is gone, which is not known yet.
        assert_eq!(pass(&mut sample, [(1, 1), (2, 2)], None), (2, 0));
        // The third key was missed. The second was stored again, and a fourth is new.
        assert_eq!(pass(&mut sample, [(1, 1), (2, 9), (3, 3), (4, 10)], None), (2, 1));
    }

    #[test]
    fn a_key_below_the_watermark_was_there_before() {
        let mut sample = Sample::new();
        assert_eq!(pass(&mut sample, [(1, 1)], Some(5)), (0, 0), "there was no pass before the first");
        assert_eq!(pass(&mut sample, [(1, 1), (2, 2), (3, 6)], Some(5)), (2, 1));
    }

    #[test]
    fn a_key_that_a_dump_lists_twice_counts_once() {
        let mut sample = Sample::new();
        pass(&mut sample, [(1, 1), (1, 1), (2, 2)], None);
        assert_eq!(sample.repeated(), (1, 2));
        assert_eq!(pass(&mut sample, [(1, 1), (1, 1), (2, 2)], None), (2, 0));
    }

    #[test]
    fn it_stays_small_and_takes_the_same_keys_each_time() {
        let mut sample = Sample::new();
        let all = || (0..400_000).map(|n| (n, 1));
        pass(&mut sample, all(), None);
        assert!((KEYS_MAX / 3..=KEYS_MAX).contains(&sample.keys.len()), "{}", sample.keys.len());
        let (there, missed) = pass(&mut sample, all().filter(|(n, _)| n % 7 != 0), None);
        assert!(there > 20_000 && missed == 0, "{there} {missed}");
        let (there, missed) = pass(&mut sample, all(), None);
        let rate = missed as f64 / there as f64;
        assert!((rate - 1.0 / 7.0).abs() < 0.01, "{rate}");
    }
}
