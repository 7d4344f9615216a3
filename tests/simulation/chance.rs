//! The random numbers of a run. All come from its seed, so that the run can be repeated.

use std::time::Duration;

/// Random numbers (splitmix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    pub fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x6a09_e667_f3bc_c909)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A separate sequence for one part of the run, so that the numbers it draws do not change those of other parts.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// True in this many of a thousand cases.
    pub fn permille(&mut self, part: u64) -> bool {
        self.below(1000) < part
    }

    pub fn percent(&mut self, part: u64) -> bool {
        self.permille(part * 10)
    }

    /// A number up to `most`; small numbers are as frequent as large ones.
    pub fn of_any_size(&mut self, most: u64) -> u64 {
        let bits = self.below(u64::from(64 - most.leading_zeros())) + 1;
        self.below((1 << bits).min(most))
    }

    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.within(least, most))
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
