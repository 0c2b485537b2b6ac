use std::time::Duration;

use crate::ids::Timestamp;

/// The times at which a number of records came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrivals {
    count: u32,
    sum: i128,
}

impl Arrivals {
    pub(super) fn add(&mut self, time: Timestamp) {
        self.count += 1;
        self.sum += i128::from(time.0);
    }

    /// Returns how many records there were, and how long they have all together been here by `now`; forgets them.
    pub(super) fn take(&mut self, now: Timestamp) -> (u32, Duration) {
        let Self { count, sum } = std::mem::take(self);
        let waited = i128::from(now.0) * i128::from(count) - sum;
        (count, Duration::from_micros(u64::try_from(waited).unwrap_or(0)))
    }
}
