use std::time::Duration;

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Load is sent, nothing is measured yet.
    Warmup,
    /// The load that the report covers is sent.
    Measuring,
    /// No new request is sent. The run waits, for a bounded time, for the last answers.
    Draining,
}

/// The figures that a progress callback gets. Counts cover the measured time so far.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub phase: Phase,
    /// The time since the run began, warm-up included.
    pub elapsed: Duration,
    pub acknowledged_events: u64,
    /// Requests answered other than 2xx.
    pub refused_requests: u64,
}
