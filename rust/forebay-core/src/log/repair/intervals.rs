//! A set of offsets or positions, kept as disjoint half-open ranges.

use std::collections::BTreeMap;

/// Disjoint ranges that do not touch, by start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Intervals {
    ranges: BTreeMap<u64, u64>,
}

impl Intervals {
    /// Adds `start..end`; what is there already stays.
    pub(crate) fn insert(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        while let Some((&from, &to)) = self.ranges.range(..=end).next_back().filter(|(_, to)| **to >= start) {
            self.ranges.remove(&from);
            start = start.min(from);
            end = end.max(to);
        }
        self.ranges.insert(start, end);
    }

    /// Returns the parts of `start..end` that are not in the set.
    pub(crate) fn missing(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mut missing = Vec::new();
        let mut at = start;
        let before = self.ranges.range(..=start).next_back();
        for (&from, &to) in before.into_iter().chain(self.ranges.range((start + 1).min(end)..end)) {
            if from > at {
                missing.push((at, from));
            }
            at = at.max(to);
        }
        if at < end {
            missing.push((at, end));
        }
        missing
    }

    /// Returns how many numbers of `start..end` are in the set.
    pub(crate) fn count(&self, start: u64, end: u64) -> u64 {
        let missing: u64 = self.missing(start, end).iter().map(|(from, to)| to - from).sum();
        end.saturating_sub(start) - missing
    }

    /// Returns whether any number of `start..end` is in the set.
    pub(crate) fn touches(&self, start: u64, end: u64) -> bool {
        self.count(start, end) > 0
    }

    /// Returns the ranges, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(from, to)| (*from, *to))
    }

    /// Returns the number after the largest one.
    pub(crate) fn end(&self) -> Option<u64> {
        self.ranges.values().next_back().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_agrees_with_a_plain_set() {
        let mut seed = 7_u64;
        let mut next = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % bound
        };
        for _ in 0..200 {
            let (mut intervals, mut plain) = (Intervals::default(), BTreeSet::new());
            for _ in 0..next(12) {
                let start = next(40);
                let end = start + next(9);
                intervals.insert(start, end);
                plain.extend(start..end);
            }
            let members: Vec<u64> = intervals.iter().flat_map(|(from, to)| from..to).collect();
            assert_eq!(members, plain.iter().copied().collect::<Vec<_>>());
            assert_eq!(intervals.end(), plain.last().map(|last| last + 1));
            let (start, end) = (next(30), 30 + next(30));
            let missing: Vec<u64> = intervals.missing(start, end).into_iter().flat_map(|(from, to)| from..to).collect();
            assert_eq!(missing, (start..end).filter(|at| !plain.contains(at)).collect::<Vec<_>>());
            assert_eq!(intervals.count(start, end), plain.range(start..end).count() as u64);
            assert_eq!(intervals.missing(5, 5), []);
        }
    }
}
