//! A sample of the keys out of scope, listed pass after pass: those that were there all the time tell how many keys a pass
//! misses.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Trials below which an estimate is worth little.
pub(in crate::ops) const ENOUGH: u64 = 100;

/// What a probability is taken for where hardly anything could be counted: twice the worst that was ever seen (22 %).
pub(in crate::ops) const UNKNOWN_RATE: f64 = 0.5;

/// Standard deviations between an estimate and the upper bound that is used: one estimate in a hundred is worse.
const MARGIN: f64 = 2.33;

/// Of keys that were there all the time, how many a pass listed and how many it missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::ops) struct Recapture {
    pub(in crate::ops) there: u64,
    pub(in crate::ops) missed: u64,
}

impl Recapture {
    /// The part that was missed. Not a number where nothing was counted.
    pub(in crate::ops) fn ratio(self) -> f64 {
        self.missed as f64 / self.there as f64
    }

    /// An upper bound of the probability that a key is missed (of a Poisson mean by its normal approximation, which holds
    /// where nothing was missed too). A small sample bounds nothing; then it is the worst that can be expected.
    pub(in crate::ops) fn upper_bound(self) -> f64 {
        let missed = self.missed as f64;
        let square = MARGIN * MARGIN;
        let bound = (missed + square / 2.0 + MARGIN * (missed + square / 4.0).sqrt()) / self.there as f64;
        let most = if self.there < ENOUGH { UNKNOWN_RATE.max(self.ratio()) } else { 1.0 };
        bound.min(most)
    }
}

/// Keys in the sample: two megabytes.
const KEYS_MAX: usize = 1 << 16;

/// What is known of a key.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// None where the listing does not say it.
    cas: Option<u64>,
    /// The last pass that listed it, from 1.
    pass: u32,
}

/// The keys whose hash is low enough, so that each pass takes the same ones.
#[derive(Debug)]
pub(in crate::ops) struct Sample {
    hasher: RandomState,
    /// Keys with a hash above this are none of the sample. It falls when there are too many.
    highest: u64,
    keys: HashMap<u64, Seen>,
    pass: u32,
    /// Of the pass before this one.
    recapture: Recapture,
    /// Lines of this pass that list a key of the sample again, unchanged.
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

    /// Takes note of a key, in whatever form the server lists it. `watermark` is the CAS up to which items were stored
    /// before the first pass ended, where that is known.
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
            // Stored again in between: whether it was there is not known.
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

    /// Of the keys that this pass listed and that were there during the pass before, how many that one missed.
    pub(in crate::ops) const fn recapture(&self) -> Recapture {
        self.recapture
    }

    /// How many lines of this pass say again what another line of it said, and how many keys of the sample it listed.
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
        assert!((bound(0, 1_000) - 0.005_43).abs() < 0.000_1);
        assert!((bound(100, 1_000) - 0.126).abs() < 0.001);
        assert!(bound(4_200, 30_000) < 0.146);
        assert!((bound(0, 3) - UNKNOWN_RATE).abs() < f64::EPSILON && (bound(3, 3) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_key_with_its_cas_was_there_all_the_time() {
        let mut sample = Sample::new();
        assert_eq!(pass(&mut sample, [(1, 1), (2, 2), (3, 3)], None), (0, 0));
        // The third is missed, or gone: nobody knows yet.
        assert_eq!(pass(&mut sample, [(1, 1), (2, 2)], None), (2, 0));
        // It was missed. The second was stored again, a fourth is new.
        assert_eq!(pass(&mut sample, [(1, 1), (2, 9), (3, 3), (4, 10)], None), (2, 1));
    }

    #[test]
    fn a_key_below_the_watermark_was_there_before() {
        let mut sample = Sample::new();
        pass(&mut sample, [(1, 1)], Some(5));
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
