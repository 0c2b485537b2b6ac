//! How much a crash keeps.

use crate::random::Random;

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
