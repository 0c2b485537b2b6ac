//! The keys that are remembered, in memory that is bounded by their number and given back.

use std::collections::HashMap;

use super::{Key, Remembered};
use crate::ids::Timestamp;

/// A place's keys when the limit is reached. A table of so many has 8,192 slots of 49 bytes and is nearly full, so that a
/// key costs 64 bytes; and no table that grows holds a request up for more than some tens of microseconds.
const KEYS_OF_A_PLACE: usize = 6_250;
/// How long it takes until every place was looked at for keys whose window has passed, in microseconds.
const ROUND_MICROS: i64 = 10_000_000;

/// Acknowledged requests by their key.
#[derive(Debug)]
pub(super) struct Keys {
    places: Box<[HashMap<Key, Remembered>]>,
    remembered: usize,
    /// The place that is looked at next, and when the last one was.
    next: usize,
    looked: Timestamp,
}

impl Keys {
    pub(super) fn new(limit: usize) -> Self {
        let places = limit.div_ceil(KEYS_OF_A_PLACE).max(1);
        let places = (0..places).map(|_| HashMap::new()).collect();
        Self { places, remembered: 0, next: 0, looked: Timestamp(0) }
    }

    /// How many there are, those included that are past and were not looked at since.
    pub(super) fn len(&self) -> usize {
        self.remembered
    }

    /// For how many there is memory.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.places.iter().map(HashMap::capacity).sum()
    }

    /// What is remembered of the key's request at that time.
    pub(super) fn get(&self, key: Key, now: Timestamp) -> Option<&Remembered> {
        self.places[key.place(self.places.len())].get(&key).filter(|remembered| !remembered.is_past(now))
    }

    pub(super) fn insert(&mut self, key: Key, remembered: Remembered) {
        let place = key.place(self.places.len());
        if self.places[place].insert(key, remembered).is_none() {
            self.remembered += 1;
        }
    }

    /// Forgets some of the keys that are past: all of them within ten seconds of calls.
    pub(super) fn forget_past(&mut self, now: Timestamp) {
        let round = i64::try_from(self.places.len()).unwrap_or(i64::MAX);
        // A clock that was set back does not stop it.
        let passed = now.0.saturating_sub(self.looked.0).clamp(0, ROUND_MICROS);
        let due = if now < self.looked { 1 } else { passed.saturating_mul(round) / ROUND_MICROS };
        if due == 0 {
            return;
        }
        let step = ROUND_MICROS / round;
        self.looked =
            if passed < ROUND_MICROS && now > self.looked { Timestamp(self.looked.0 + due * step) } else { now };
        for _ in 0..due {
            let place = &mut self.places[self.next];
            let before = place.len();
            place.retain(|_, remembered| !remembered.is_past(now));
            self.remembered -= before - place.len();
            if place.len() * 4 < place.capacity() {
                place.shrink_to(place.len() * 2);
            }
            self.next = (self.next + 1) % self.places.len();
        }
    }
}
