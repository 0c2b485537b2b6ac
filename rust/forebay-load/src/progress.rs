use std::time::Duration;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Load is sent, nothing is measured yet.
    Warmup,
    /// What the report covers.
    Measuring,
    /// No new requests; an open loop still waits, for a bounded time, for the answers to what was due.
    Draining,
}

/// What a progress callback sees. Counts cover the measured interval so far.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub phase: Phase,
    /// Since the run began, warm-up included.
    pub elapsed: Duration,
    pub acknowledged_events: u64,
    /// Answers other than 2xx.
    pub refused_requests: u64,
}
