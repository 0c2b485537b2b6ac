//! Reproducible choices.

/// SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`; 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True in `numerator` of `denominator` cases.
    pub(super) fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }
}

/// The share of unsynced changes that is kept, in percent. Drawn once for a file and a crash: with one rate for all,
/// "everything of this file is lost, everything of that one kept" would practically never come up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odds(u64);

impl Odds {
    pub(super) fn draw(random: &mut Random) -> Self {
        Self([0, 0, 10, 50, 50, 90, 100, 100][random.below(8) as usize])
    }

    pub(super) fn keeps(self, random: &mut Random) -> bool {
        random.chance(self.0, 100)
    }

    /// Returns how many of `count` ordered changes are kept: none, all, or a prefix.
    pub(super) fn prefix(self, random: &mut Random, count: u64) -> u64 {
        if self.keeps(random) {
            count
        } else if self.0 == 0 {
            0
        } else {
            random.below(count + 1)
        }
    }

    /// Returns whether sectors may end inside of a write: not when this crash keeps everything or nothing of the file.
    pub(super) fn tears(self) -> bool {
        self.0 > 0 && self.0 < 100
    }
}
