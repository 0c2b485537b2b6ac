//! A load generator for servers that take batches of JSON events over HTTP/1.1.
//!
//! It measures and does not adapt: a 429 is counted, not waited out. One thread sends one request at a time on each
//! connection, and request bytes are built before the clock starts, so that the generator takes little of a machine
//! that it shares with the server. Schedule, counts and loop are those of [`forebay_core::load`], which the load test
//! inside the engine runs too.

mod answer;
mod body;
mod connection;
mod distribution;
mod error;
mod options;
mod poller;
mod progress;
mod report;
mod run;
mod sender;
mod tally;
mod target;

pub use body::{BODY_VARIANTS, event_batch};
pub use error::LoadError;
pub use options::{Content, LoadOptions, MAX_BATCH, MAX_CONNECTIONS, MAX_REQUESTS_PER_SECOND, Pacing};
pub use progress::{Phase, Progress};
pub use report::{LatencySummary, LoadReport};

use std::ops::ControlFlow;

/// Runs one load as described by `options` and returns what was measured.
///
/// # Errors
/// [`LoadError::Invalid`] when an option is out of its range, [`LoadError::Unreachable`] when not every connection
/// could be opened before the start, [`LoadError::System`] when the system refuses a poller or a timer. Failures of
/// the server once the load runs are not errors: they are counted in the report.
pub fn run(options: &LoadOptions) -> Result<LoadReport, LoadError> {
    run_with_progress(options, &mut |_| ControlFlow::Continue(()))
}

/// Runs one load like [`run`], and calls `observe` at each change of phase and about ten times a second in between.
/// When it returns `Break`, the load ends there and the report covers the time until then.
///
/// # Errors
/// Those of [`run`].
pub fn run_with_progress(
    options: &LoadOptions,
    observe: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<LoadReport, LoadError> {
    run::run(options, observe)
}
