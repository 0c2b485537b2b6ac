//! The shape of `GET /api/metrics`.

use serde::Serialize;

/// The figures of `/api/metrics`. In JSON the names are those of the API.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// Rates and totals of events.
    pub throughput: Throughput,
    /// Latencies.
    pub latency: Latency,
    /// Errors and rejected events.
    pub errors: Errors,
    /// Resources in use.
    pub system: System,
    /// Health of the server.
    pub health: Health,
}

/// Rates and totals of events.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throughput {
    /// Events stored, a second.
    pub events_per_second: f64,
    /// Requests that stored something, a second.
    pub batches_per_second: f64,
    /// Events stored since start or reset.
    pub total_events: u64,
}

/// Milliseconds from a request's admission (in a load test: from when it was due) to its durable acknowledgement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// The mean.
    #[serde(rename = "avgProcessingTime")]
    pub avg: f64,
    /// Half of the requests took at most this.
    #[serde(rename = "p50ProcessingTime")]
    pub p50: f64,
    /// 95 % did.
    #[serde(rename = "p95ProcessingTime")]
    pub p95: f64,
    /// 99 % did.
    #[serde(rename = "p99ProcessingTime")]
    pub p99: f64,
}

/// Errors and rejected events.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Errors {
    /// Events not stored, of all: 0 to 1, and 0 when there were none.
    pub error_rate: f64,
    /// Events not stored since start or reset.
    pub total_errors: u64,
    /// Errors by reason.
    pub errors_by_type: ErrorsByType,
}

/// Events not stored since start or reset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorsByType {
    /// The request holds no event.
    pub validation_error: u64,
    /// The log could not take it.
    pub storage_error: u64,
    /// It was refused for another reason.
    pub processing_error: u64,
}

/// Resources in use.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct System {
    /// Threads that decode and process requests.
    pub processing_instances: u64,
    /// Ingest requests, of every API, that were admitted and are not answered yet.
    pub queue_depth: u64,
    /// Resident memory of the process in MiB.
    pub memory_usage: u64,
    /// Percent of the whole machine's processor time.
    pub cpu_usage: f64,
}

/// Health of the server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// The status of `/api/health`.
    pub status: &'static str,
    /// Milliseconds since the engine's start.
    pub uptime: u64,
}

/// The health of the server, as the health checks report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthStatus {
    /// Everything is as it should be.
    #[default]
    Healthy,
    /// It works, but something is not as it should be.
    Degraded,
    /// It does not do its work.
    Unhealthy,
}

impl HealthStatus {
    /// Every status, by its number.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Degraded, Self::Unhealthy];

    /// Returns the API's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// Returns the status of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Returns the status of that number.
    #[must_use]
    pub fn numbered(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as u32 == number)
    }
}
