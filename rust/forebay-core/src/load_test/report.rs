use std::time::Duration;

use super::spec::LoadTestSpec;
use crate::ids::Timestamp;

/// What a load test is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadTestState {
    /// There was none since the start.
    #[default]
    Idle,
    /// It sends, or waits for its last answers.
    Running,
    /// It sent everything, and was answered as far as the report says.
    Finished,
    /// It was ended before that.
    Stopped,
}

impl LoadTestState {
    /// The state's name.
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

/// What a load test did until now, and how it went. Each event that was due is counted once:
/// offered = accepted + rejected + failed + not sent + in flight.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadTestReport {
    /// What it is doing.
    pub state: LoadTestState,
    /// What was asked for; `None` when idle, as is the next.
    pub spec: Option<LoadTestSpec>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// How long it runs, or ran, until its end or its last answer, whichever came later.
    pub elapsed: Duration,
    /// Events that were due.
    pub offered: u64,
    /// Events that were acknowledged.
    pub accepted: u64,
    /// Events that were refused for want of memory or quota, as a sender sees it by status 429.
    pub rejected: u64,
    /// Events that were refused, or got lost, for another reason.
    pub failed: u64,
    /// Events that were due while too many requests were under way, and never sent.
    pub not_sent: u64,
    /// Events that were sent, and are not answered yet.
    pub in_flight: u64,
    /// Events that were due, by second of sending.
    pub offered_per_second: f64,
    /// Events that were acknowledged, by second of `elapsed`.
    pub achieved_per_second: f64,
    /// Microseconds from the time when a request was due to its acknowledgement: of half of the acknowledged requests
    /// at most this,
    pub p50_micros: u64,
    /// of 95 %,
    pub p95_micros: u64,
    /// of 99 %,
    pub p99_micros: u64,
    /// and of all.
    pub max_micros: u64,
    /// The latest reason why events failed.
    pub failure: Option<String>,
}
