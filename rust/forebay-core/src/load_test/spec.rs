use crate::error::{Error, ErrorKind, Result};

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
    /// Every event of the run.
    #[must_use]
    pub fn events(self) -> u64 {
        self.events_per_second * self.seconds
    }

    /// Checks both ranges.
    ///
    /// # Errors
    /// `InvalidRequest` naming what is out of its range.
    pub fn validated(self) -> Result<Self> {
        let check = |name: &str, value: u64, high: u64| match (1..=high).contains(&value) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::InvalidRequest, format!("{name} is {value}, must be from 1 to {high}"))),
        };
        check("eventsPerSecond", self.events_per_second, MAX_EVENTS_PER_SECOND)?;
        check("durationSeconds", self.seconds, MAX_SECONDS)?;
        Ok(self)
    }
}
