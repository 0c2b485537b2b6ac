use super::codec::{Reader, put, put_signed};
use super::spec::EventTime;

/// The most spans that are kept apart: they are written with every step.
const MAX_SPANS: usize = 64;

/// The spans of time of which records are missing. The windows that reach into them are incomplete, whether they have
/// begun or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IncompleteSpans {
    /// In order, and apart.
    spans: Vec<(EventTime, EventTime)>,
}

impl IncompleteSpans {
    /// Adds `[from, to)`. When there are too many spans, the two oldest become one: their windows are over first.
    pub(super) fn add(&mut self, from: EventTime, to: EventTime) {
        if from >= to {
            return;
        }
        let begin = self.spans.partition_point(|span| span.1 < from);
        let end = self.spans.partition_point(|span| span.0 <= to).max(begin);
        let joined = self.spans[begin..end].iter().fold((from, to), |one, span| (one.0.min(span.0), one.1.max(span.1)));
        self.spans.splice(begin..end, [joined]);
        if self.spans.len() > MAX_SPANS {
            let oldest = self.spans.remove(0);
            self.spans[0].0 = oldest.0;
        }
    }

    /// Returns whether a window reaches into one of them.
    pub(super) fn overlap(&self, start: EventTime, end: EventTime) -> bool {
        self.spans.iter().any(|span| span.0 < end && start < span.1)
    }

    /// Drops the spans that no window reaches that starts at `start` or later.
    pub(super) fn forget_before(&mut self, start: EventTime) {
        self.spans.retain(|span| span.1 > start);
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put(out, self.spans.len() as u64);
        for (from, to) in &self.spans {
            put_signed(out, from.millis());
            put_signed(out, to.millis());
        }
    }

    /// Reads what was written here. Spans of which there are more than this release keeps, or in another order, are taken
    /// up as if they were added.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut spans = Self::default();
        for _ in 0..reader.count(2)? {
            spans.add(EventTime::of_bound(reader.signed()?)?, EventTime::of_bound(reader.signed()?)?);
        }
        Some(spans)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> EventTime {
        EventTime::new(millis).unwrap()
    }

    proptest! {
        #[test]
        fn they_are_a_set_of_milliseconds(
            added in prop::collection::vec((-50_i64..50, 0_i64..10), 0..20), start in -60_i64..60, size in 1_i64..20
        ) {
            let mut spans = IncompleteSpans::default();
            added.iter().for_each(|(from, length)| spans.add(at(*from), at(from + length)));
            let is_in = |time: i64| added.iter().any(|(from, length)| (*from..from + length).contains(&time));
            prop_assert_eq!(spans.overlap(at(start), at(start + size)), (start..start + size).any(is_in));
            prop_assert!(spans.spans.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", spans);
            let mut bytes = Vec::new();
            spans.write(&mut bytes);
            prop_assert_eq!(IncompleteSpans::read(&mut Reader(&bytes)), Some(spans.clone()));
            let mut later = spans.clone();
            later.forget_before(at(start));
            prop_assert_eq!(later.overlap(at(start), at(100)), spans.overlap(at(start), at(100)));
            prop_assert!(later.spans.iter().all(|span| span.1 > at(start)));
        }
    }

    #[test]
    fn of_too_many_the_oldest_become_one() {
        let mut spans = IncompleteSpans::default();
        for number in 0..MAX_SPANS as i64 + 2 {
            spans.add(at(10 * number), at(10 * number + 1));
        }
        assert_eq!(spans.spans.len(), MAX_SPANS);
        assert_eq!(spans.spans[..2], [(at(0), at(21)), (at(30), at(31))]);
    }
}
