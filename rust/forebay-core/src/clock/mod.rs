//! Time that nobody sets. Ages and windows are counted on the machine's boot clock and go on over restarts; the wall
//! clock decides only how long the machine was off, and where its answer is not believable, nothing is deleted by it.

mod anchor;
mod log_clock;
mod log_time;
#[cfg(test)]
mod tests;

pub use anchor::CLOCK_FILE;
pub use log_clock::{ClockDoubt, DOUBT_LIMIT, LogClock, MOST_UNPROVEN};
pub use log_time::{Leap, LogTime};
