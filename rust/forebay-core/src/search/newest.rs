//! The newest of the records that match: their places, and nothing else of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::columns::{Broken, Found};
use super::place::Place;
use super::scan::Sink;
use crate::ids::Timestamp;
use crate::record::Record;

/// Matching records are counted exactly up to this many: beyond it, only what is needed for the page is still read.
pub const MAX_EXACT_TOTAL: u64 = 100_000;

/// The places of the newest matching records, and how many match.
#[derive(Debug)]
pub(super) struct Newest {
    /// The oldest on top, which gives way.
    places: BinaryHeap<Reverse<Place>>,
    wanted: usize,
    /// Only what is before it is wanted.
    before: Option<Place>,
    counts: bool,
    total: u64,
}

impl Newest {
    /// Begins with nothing: `wanted` places before that one, and the count of all that match if `counts`.
    pub(super) fn new(wanted: usize, before: Option<Place>, counts: bool) -> Self {
        Self { places: BinaryHeap::new(), wanted, before, counts, total: 0 }
    }

    /// Returns the places, newest first, and how many records match: `None` when they were not counted.
    pub(super) fn finish(self) -> (Vec<Place>, Option<u64>) {
        let places = self.places.into_sorted_vec().into_iter().map(|Reverse(place)| place).collect();
        (places, self.counts.then_some(self.total))
    }

    /// Takes a place, which is counted by then.
    fn offer(&mut self, place: Place) {
        if self.before.is_some_and(|before| place >= before) {
            return;
        }
        if self.places.len() < self.wanted {
            self.places.push(Reverse(place));
        } else if let Some(mut oldest) = self.places.peek_mut().filter(|oldest| oldest.0 < place) {
            *oldest = Reverse(place);
        }
    }

    /// Returns whether a record from `min` to `max` may be among the newest.
    fn has_room_for(&self, min: Timestamp, max: Timestamp) -> bool {
        let is_full = self.places.len() >= self.wanted;
        let is_newer = !is_full || self.places.peek().is_none_or(|oldest| oldest.0.time <= max);
        is_newer && self.before.is_none_or(|before| min <= before.time)
    }

    fn counts_on(&self) -> bool {
        self.counts && self.total <= MAX_EXACT_TOTAL
    }
}

impl Sink for Newest {
    fn take(&mut self, place: Place, _record: &Record<'_>) {
        self.total += 1;
        self.offer(place);
    }

    fn take_block(&mut self, found: &mut Found<'_, '_>) -> Result<(), Broken> {
        let (row, set) = (found.row, found.set);
        if self.has_room_for(row.min_time, row.max_time) {
            let times = found.times()?;
            set.each(|index| {
                if let Some(time) = times.get(index) {
                    self.offer(Place::in_block(&row, index, *time));
                }
            });
        }
        self.total += set.count() as u64;
        Ok(())
    }

    fn wants(&self, min: Timestamp, max: Timestamp) -> bool {
        if self.counts_on() {
            return true;
        }
        self.has_room_for(min, max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Offset, PartitionId};

    fn place(time: i64) -> Place {
        Place { time: Timestamp(time), partition: PartitionId(0), offset: Offset(0) }
    }

    fn take(newest: &mut Newest, times: impl IntoIterator<Item = i64>) {
        let record = Record { timestamp: Timestamp(0), key: None, headers: b"", value: b"" };
        times.into_iter().for_each(|time| newest.take(place(time), &record));
    }

    #[test]
    fn the_newest_are_kept_whatever_the_order() {
        let mut newest = Newest::new(3, None, true);
        take(&mut newest, [5, 1, 9, 7, 3, 8]);
        assert_eq!(newest.finish(), (vec![place(9), place(8), place(7)], Some(6)));
        let mut newest = Newest::new(3, Some(place(8)), false);
        take(&mut newest, [5, 1, 9, 7, 3, 8]);
        assert_eq!(newest.finish(), (vec![place(7), place(5), place(3)], None));
    }

    #[test]
    fn what_is_older_is_wanted_only_to_be_counted() {
        let wants = |newest: &Newest, time| newest.wants(Timestamp(time), Timestamp(time));
        let mut newest = Newest::new(2, Some(place(100)), false);
        take(&mut newest, [5]);
        assert!(wants(&newest, -9) && !wants(&newest, 101), "there is room");
        take(&mut newest, [7]);
        assert!(wants(&newest, 5) && !wants(&newest, 4) && newest.wants(Timestamp(0), Timestamp(9)));
        let mut counting = Newest::new(1, None, true);
        take(&mut counting, 0..MAX_EXACT_TOTAL as i64);
        assert!(wants(&counting, -9));
        take(&mut counting, [0]);
        assert!(!wants(&counting, -9) && wants(&counting, i64::MAX), "more are not counted");
    }
}
