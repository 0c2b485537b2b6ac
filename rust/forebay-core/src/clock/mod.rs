//! Time that nobody sets. Ages and windows are counted on the machine's boot clock and go on over restarts; the wall
//! clock decides only how long the machine was off, and where its answer is not believable, nothing is deleted by it.

mod anchor;
mod log_clock;
mod moment;
#[cfg(test)]
mod tests;

use crate::engine::Engine;

pub use anchor::CLOCK_FILE;
pub use log_clock::{ClockDoubt, DOUBT_LIMIT, LogClock, LogTime, MOST_UNPROVEN};
pub use moment::{Boot, Moment};

impl Engine {
    /// Believes the wall clock about how long the machine was off: what is too old by it is deleted from now on. `false`
    /// when that is not in doubt.
    pub fn release_clock(&self) -> bool {
        self.clock.release(self.status.refuse_change().is_ok())
    }
}
