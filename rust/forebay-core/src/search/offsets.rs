//! Sets of a partition's offsets.

use std::ops::Range;

use crate::ids::Offset;

/// Offsets as ranges, in their order and apart from each other. There are few: a range more where the ring and segments
/// meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offsets(Vec<Range<u64>>);

impl Offsets {
    /// Returns the offsets of a range.
    pub(super) fn new(range: Range<Offset>) -> Self {
        Self(std::iter::once(range.start.0..range.end.0).collect())
    }

    /// Returns whether an offset is among them.
    #[inline]
    pub(super) fn has(&self, offset: Offset) -> bool {
        self.0.iter().any(|range| range.contains(&offset.0))
    }

    /// Returns how many of a range are among them.
    pub(super) fn count(&self, range: &Range<Offset>) -> u64 {
        let common = |own: &Range<u64>| own.end.min(range.end.0).saturating_sub(own.start.max(range.start.0));
        self.0.iter().map(common).sum()
    }

    /// Takes a range out of them.
    pub(super) fn remove(&mut self, range: Range<Offset>) {
        let rest = |own: Range<u64>| [own.start..own.end.min(range.start.0), own.start.max(range.end.0)..own.end];
        self.0 = std::mem::take(&mut self.0).into_iter().flat_map(rest).filter(|range| !range.is_empty()).collect();
    }

    /// Gives each range to `to`.
    pub(super) fn each(&self, to: impl FnMut(Range<Offset>)) {
        self.0.iter().map(|range| Offset(range.start)..Offset(range.end)).for_each(to);
    }

    /// Returns those of them that are in a range.
    pub(super) fn within(&self, range: &Range<Offset>) -> Self {
        let common = |own: &Range<u64>| own.start.max(range.start.0)..own.end.min(range.end.0);
        Self(self.0.iter().map(common).filter(|range| !range.is_empty()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: u64, to: u64) -> Range<Offset> {
        Offset(from)..Offset(to)
    }

    #[test]
    fn what_is_taken_out_is_gone_and_nothing_else() {
        let mut offsets = Offsets::new(range(10, 100));
        for (from, to) in [(0, 5), (20, 30), (25, 40), (90, 200), (50, 51)] {
            offsets.remove(range(from, to));
        }
        let wanted: Vec<u64> = (10..20).chain(40..50).chain(51..90).collect();
        assert_eq!((0..200).filter(|offset| offsets.has(Offset(*offset))).collect::<Vec<_>>(), wanted);
        assert_eq!(offsets.count(&range(0, 200)), wanted.len() as u64);
        assert_eq!(offsets.count(&range(15, 45)), 10);
        assert_eq!(offsets.within(&range(15, 45)), Offsets(vec![15..20, 40..45]));
        offsets.remove(range(0, 200));
        assert_eq!(offsets, Offsets::default());
    }
}
