//! The counts of `/api/metrics`: the events of the events API and of load tests.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::duration::millis;
use crate::error::ErrorKind;
use crate::ids::Timestamp;
use crate::telemetry::counters::Counter;
use crate::telemetry::histogram::{Histogram, Snapshot};
use crate::telemetry::in_flight::InFlight;
use crate::telemetry::metrics::{Errors, ErrorsByType, Health, HealthStatus, Latency, Metrics, System, Throughput};
use crate::telemetry::usage_sampler::UsageSampler;
use crate::telemetry::window::{Sums, WINDOW, Window};

/// The reasons why events were not stored, as `/api/metrics` tells failures apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// The request holds no event, or not the one that its key stands for.
    Validation,
    /// The log could not take it.
    Storage,
    /// It was refused for another reason: no room, no quota, a server that stops.
    Processing,
}

impl ErrorType {
    /// Number of kinds.
    pub const COUNT: usize = Self::Processing as usize + 1;

    /// Returns the kind of failure that an error is.
    #[must_use]
    pub const fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Malformed
            | ErrorKind::PayloadTooLarge
            | ErrorKind::InvalidRequest
            | ErrorKind::IdempotencyMismatch
            | ErrorKind::UnsupportedEncoding => Self::Validation,
            ErrorKind::StorageUnavailable | ErrorKind::Timeout => Self::Storage,
            ErrorKind::StreamNotFound
            | ErrorKind::InvalidOffset
            | ErrorKind::ConsumerGroupNotFound
            | ErrorKind::Saturated
            | ErrorKind::StreamAlreadyExists
            | ErrorKind::StreamLimitReached
            | ErrorKind::ProcessorAlreadyExists
            | ErrorKind::ProcessorNotFound
            | ErrorKind::JobNotFound
            | ErrorKind::JobConflict
            | ErrorKind::QueueNotFound
            | ErrorKind::LeaseLost
            | ErrorKind::Unauthorized
            | ErrorKind::Forbidden
            | ErrorKind::FencedMember
            | ErrorKind::Internal
            | ErrorKind::NotFound
            | ErrorKind::MethodNotAllowed
            | ErrorKind::RequestTimeout
            | ErrorKind::DirectoryLocked
            | ErrorKind::Conflict
            | ErrorKind::Closed => Self::Processing,
        }
    }
}

/// Counts what `/api/metrics` shows.
///
/// Counting takes a look at the clock and a few relaxed atomic operations, whatever the number of events. Rates are of
/// the last [`WINDOW`] by a clock that only goes forward; totals and latencies are since the start or the last reset.
#[derive(Debug)]
pub struct Live {
    started: Instant,
    events: Counter,
    failures: [Counter; ErrorType::COUNT],
    latency: Histogram,
    window: Window,
    /// Counts up to the last reset.
    base: Mutex<Tally>,
    in_flight: InFlight,
    instances: AtomicUsize,
    health: AtomicU8,
    sampler: UsageSampler,
}

/// Counts between two moments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events stored.
    pub events: u64,
    /// Events not stored, by [`ErrorType`].
    pub failures: [u64; ErrorType::COUNT],
    /// A latency for each request that stored something.
    pub latency: Snapshot,
}

impl Tally {
    /// Events not stored.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }

    /// Returns what was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let failures = std::array::from_fn(|index| self.failures[index].saturating_sub(earlier.failures[index]));
        Self {
            events: self.events.saturating_sub(earlier.events),
            failures,
            latency: self.latency.subtract(&earlier.latency),
        }
    }
}

impl Default for Live {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            events: Counter::default(),
            failures: std::array::from_fn(|_| Counter::default()),
            latency: Histogram::default(),
            window: Window::default(),
            base: Mutex::default(),
            in_flight: InFlight::default(),
            instances: AtomicUsize::new(0),
            health: AtomicU8::new(HealthStatus::default() as u8),
            sampler: UsageSampler::default(),
        }
    }
}

impl Live {
    /// Counts a request whose `events` good events are on stable storage, `latency` after it was taken in (or, of a load
    /// test, after it was due).
    pub fn stored(&self, events: u64, latency: Duration) {
        self.stored_at(self.started.elapsed(), events, latency);
    }

    /// Counts events that were not stored.
    pub fn failed(&self, failure: ErrorType, events: u64) {
        self.failed_at(self.started.elapsed(), failure, events);
    }

    fn stored_at(&self, now: Duration, events: u64, latency: Duration) {
        self.events.add(events);
        self.latency.record(latency);
        self.window.add(now, Sums { events, requests: 1, failed: 0 });
    }

    fn failed_at(&self, now: Duration, failure: ErrorType, events: u64) {
        self.failures[failure as usize].add(events);
        self.window.add(now, Sums { failed: events, ..Sums::default() });
    }

    /// Requests from their admission to their answer.
    #[must_use]
    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Says how many threads are to decode and process requests.
    pub fn set_instances(&self, instances: usize) {
        self.instances.store(instances, Relaxed);
    }

    /// Says how the server is.
    pub fn set_health(&self, status: HealthStatus) {
        self.health.store(status as u8, Relaxed);
    }

    /// Everything counted since the start, resets or not.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            events: self.events.get(),
            failures: std::array::from_fn(|index| self.failures[index].get()),
            latency: self.latency.snapshot(),
        }
    }

    /// Returns what was counted since the start or the last reset, given [`Live::tally`].
    #[must_use]
    pub(crate) fn since_reset(&self, tally: &Tally) -> Tally {
        tally.since(&self.base.lock())
    }

    /// Begins anew: totals, latencies and rates. What is counted meanwhile counts before or after it, each number on its
    /// own.
    pub fn reset(&self) {
        let mut base = self.base.lock();
        *base = self.tally();
        self.window.clear();
    }

    /// Everything, now. Of the totals, each is of its own moment while others count.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.metrics_at(self.started.elapsed(), Timestamp::now())
    }

    fn metrics_at(&self, now: Duration, wall: Timestamp) -> Metrics {
        let sums = self.window.sums(now);
        let total = self.since_reset(&self.tally());
        Metrics {
            timestamp: wall.millis(),
            throughput: Throughput {
                events_per_second: per_second(sums.events, WINDOW),
                batches_per_second: per_second(sums.requests, WINDOW),
                total_events: total.events,
            },
            latency: latency(total.latency.mean(), total.latency.percentiles()),
            errors: Errors {
                error_rate: error_rate(sums.events, sums.failed),
                total_errors: total.failed(),
                errors_by_type: by_type(total.failures),
            },
            system: self.system(),
            health: self.health(now),
        }
    }

    /// Resources that the engine uses now.
    pub(crate) fn system(&self) -> System {
        let usage = self.sampler.at(Instant::now());
        System {
            processing_instances: self.instances.load(Relaxed) as u64,
            queue_depth: self.in_flight.count(),
            memory_usage: usage.memory_mib,
            cpu_usage: usage.cpu_percent,
        }
    }

    fn health(&self, now: Duration) -> Health {
        Health { status: self.health_status().name(), uptime: millis(now) }
    }

    pub(crate) fn health_status(&self) -> HealthStatus {
        HealthStatus::numbered(self.health.load(Relaxed).into()).unwrap_or_default()
    }

    /// Returns the time since the engine's start.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Returns the rate a second; 0 over no time.
pub(crate) fn per_second(count: u64, span: Duration) -> f64 {
    if span.is_zero() { 0.0 } else { count as f64 / span.as_secs_f64() }
}

/// Returns the share of failed ones: 0 to 1, and 0 when there are none.
pub(crate) fn error_rate(stored: u64, failed: u64) -> f64 {
    if failed == 0 { 0.0 } else { failed as f64 / (stored + failed) as f64 }
}

pub(crate) fn by_type([validation_error, storage_error, processing_error]: [u64; ErrorType::COUNT]) -> ErrorsByType {
    ErrorsByType { validation_error, storage_error, processing_error }
}

/// Latencies of [`Snapshot::mean`] and [`Snapshot::percentiles`].
pub(crate) fn latency(mean: f64, percentiles: [u64; 3]) -> Latency {
    let [p50, p95, p99] = percentiles.map(|micros| micros as f64 / MICROS_PER_MILLI);
    Latency { avg: mean / MICROS_PER_MILLI, p50, p95, p99 }
}

const MICROS_PER_MILLI: f64 = 1000.0;

#[cfg(test)]
mod tests;
