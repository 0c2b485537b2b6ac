//! A load generator for servers that take batches of JSON events over HTTP/1.1.
//!
//! It measures and honours nothing: a 429 is counted, not waited out. One thread, one request in flight a connection,
//! request bytes built before the clock starts, so that on a machine shared with the server it takes little of it.

mod answer;
mod body;
mod connection;
mod distribution;
mod error;
mod generator;
mod options;
mod poller;
mod progress;
mod report;
mod schedule;
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

/// As [`run`], calling `observe` at each change of phase and about ten times a second in between. When it returns
/// `Break`, the load ends there and the report covers what was measured until then.
///
/// # Errors
/// As [`run`].
pub fn run_with_progress(
    options: &LoadOptions,
    observe: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<LoadReport, LoadError> {
    generator::Generator::new(options)?.run(observe)
}
