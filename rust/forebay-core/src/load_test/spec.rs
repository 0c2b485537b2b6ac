use std::time::{Duration, Instant};

use crate::error::Result;
use crate::load::{EventRatio, Schedule};
use crate::options::check_range;

/// The most requests that are due in a second. From this many events a second on, those of one millisecond are due
/// together, as one body; below, each is a request of its own.
const REQUESTS_PER_SECOND: u64 = 1000;
/// The contract's limit. It is also what the schedule can carry: [`REQUESTS_PER_SECOND`] bodies of 1000 events, the
/// most that one body of the events API may have.
pub const MAX_EVENTS_PER_SECOND: u64 = 1_000_000;
/// The contract's limit.
pub const MAX_SECONDS: u64 = 3600;

/// The load that a load test offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadTestSpec {
    /// Events that are due in each second.
    pub events_per_second: u64,
    /// The length of the load.
    pub seconds: u64,
}

impl LoadTestSpec {
    /// Checks both ranges.
    ///
    /// # Errors
    /// `InvalidRequest` naming what is out of its range.
    pub fn validated(self) -> Result<Self> {
        check_range("eventsPerSecond", self.events_per_second, 1, MAX_EVENTS_PER_SECOND)?;
        check_range("durationSeconds", self.seconds, 1, MAX_SECONDS)?;
        Ok(self)
    }

    /// The time that is asked for.
    pub(super) const fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn requests_per_second(self) -> u64 {
        self.events_per_second.min(REQUESTS_PER_SECOND)
    }

    /// The events of each request.
    pub(super) fn ratio(self) -> EventRatio {
        EventRatio { events: self.events_per_second, requests: self.requests_per_second() }
    }

    /// When each request of a run that begins at `start` is due.
    pub(super) fn schedule(self, start: Instant) -> Schedule {
        Schedule::new(start, start + self.duration(), self.requests_per_second() as f64, self.ratio())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_at_most_one_a_millisecond() {
        let requests = |events_per_second| {
            let mut schedule = LoadTestSpec { events_per_second, seconds: 2 }.schedule(Instant::now());
            let mut events = Vec::new();
            while let Some(due) = schedule.upcoming().and_then(|due| schedule.take_due(due.at)) {
                events.push(due.events);
            }
            (events.len(), events.iter().sum::<u64>(), events.iter().max().copied())
        };
        assert_eq!(requests(999), (1998, 1998, Some(1)));
        assert_eq!(requests(1000), (2000, 2000, Some(1)));
        assert_eq!(requests(1001), (2000, 2002, Some(2)));
        assert_eq!(requests(MAX_EVENTS_PER_SECOND), (2000, 2_000_000, Some(1000)));
    }
}
