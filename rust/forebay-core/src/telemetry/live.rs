//! What `/api/metrics` counts: the events of the events API and of load tests.

use std::time::Duration;

use super::counters::Counter;
use super::histogram::Histogram;
use crate::error::ErrorKind;

/// Why events were not stored, as `/api/metrics` tells failures apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// What was sent is not an event.
    Validation,
    /// The log could not take it.
    Storage,
    /// It was refused for another reason: no room, no quota, a server that stops.
    Processing,
}

impl Failure {
    /// The kind of failure that an error is.
    #[must_use]
    pub const fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Malformed | ErrorKind::PayloadTooLarge | ErrorKind::InvalidRequest => Self::Validation,
            ErrorKind::StorageUnavailable | ErrorKind::Timeout => Self::Storage,
            ErrorKind::StreamNotFound
            | ErrorKind::InvalidOffset
            | ErrorKind::ConsumerGroupNotFound
            | ErrorKind::Saturated
            | ErrorKind::StreamAlreadyExists
            | ErrorKind::Unauthorized
            | ErrorKind::Forbidden
            | ErrorKind::FencedMember
            | ErrorKind::IdempotencyMismatch
            | ErrorKind::Internal
            | ErrorKind::NotFound
            | ErrorKind::MethodNotAllowed
            | ErrorKind::UnsupportedEncoding
            | ErrorKind::RequestTimeout
            | ErrorKind::DirectoryLocked
            | ErrorKind::Conflict
            | ErrorKind::Closed => Self::Processing,
        }
    }
}

/// Counts what `/api/metrics` shows. Counting is a few relaxed atomic additions.
#[derive(Debug, Default)]
pub struct Live {
    events: Counter,
    requests: Counter,
    failures: [Counter; 3],
    latency: Histogram,
}

impl Live {
    /// Counts a request whose `events` good events are on stable storage, `latency` after it was taken in (or, of a load
    /// test, after it was due).
    pub fn stored(&self, events: u64, latency: Duration) {
        self.events.add(events);
        self.requests.increment();
        self.latency.record(latency);
    }

    /// Counts events that were not stored.
    pub fn failed(&self, failure: Failure, events: u64) {
        if let Some(counter) = self.failures.get(failure as usize) {
            counter.add(events);
        }
    }
}
