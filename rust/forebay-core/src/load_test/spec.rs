use crate::error::Result;
use crate::options::check_range;

/// The contract's limit. It is also what the schedule can carry: [`super::schedule::REQUESTS_PER_SECOND`] bodies of
/// 1000 events, the most that one body of the events API may have.
pub const MAX_EVENTS_PER_SECOND: u64 = 1_000_000;
/// The contract's limit.
pub const MAX_SECONDS: u64 = 3600;

/// What a load test offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadTestSpec {
    /// Events that are due in each second.
    pub events_per_second: u64,
    /// For how many seconds.
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
}
