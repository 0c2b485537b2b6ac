use std::time::Duration;

use super::spec::LoadTestSpec;
use crate::ids::Timestamp;

/// The state of a load test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadTestState {
    /// There was no load test since the start.
    #[default]
    Idle,
    /// It sends, or waits for its last answers.
    Running,
    /// It sent everything; the report counts the answers.
    Finished,
    /// It was stopped before that.
    Stopped,
}

impl LoadTestState {
    /// Returns the state's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
        }
    }
}

/// The figures of a load test until now. Each event that was due is counted once:
/// offered = accepted + rejected + failed + not sent + in flight.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadTestReport {
    /// The state.
    pub state: LoadTestState,
    /// The load that was asked for; `None` when idle.
    pub spec: Option<LoadTestSpec>,
    /// When it began; `None` when idle.
    pub started: Option<Timestamp>,
    /// The time until now, or until its end or its last answer, whichever came later.
    pub elapsed: Duration,
    /// Events that were due.
    pub offered: u64,
    /// Events that were acknowledged.
    pub accepted: u64,
    /// Events that were refused because memory or quota was used up, which a client sees as status 429.
    pub rejected: u64,
    /// Events that were refused or lost for another reason.
    pub failed: u64,
    /// Events that were due while too many requests were in flight, and never sent.
    pub not_sent: u64,
    /// Events that were sent and are not answered yet.
    pub in_flight: u64,
    /// Events that were due, per second of sending.
    pub offered_per_second: f64,
    /// Events that were acknowledged, per second of `elapsed`.
    pub achieved_per_second: f64,
    /// Median of the latencies of acknowledged requests, each in microseconds from when it was due.
    pub p50_micros: u64,
    /// 95th percentile of these latencies.
    pub p95_micros: u64,
    /// 99th percentile of these latencies.
    pub p99_micros: u64,
    /// The largest of these latencies.
    pub max_micros: u64,
    /// The latest reason why events failed.
    pub failure: Option<String>,
}
