//! One point, in memory and as bytes.

use std::time::Duration;

use crate::bytes::{u32_at, u64_at};
use crate::duration::micros;
use crate::ids::Timestamp;
use crate::storage::{Boot, ClockReading};
use crate::telemetry::{
    ErrorType, Errors, Health, HealthStatus, Metrics, System, Throughput, by_type, error_rate, latency, per_second,
};

/// Bytes of one point on the disk.
pub(super) const POINT_BYTES: usize = 192;

const MAGIC: &[u8; 4] = b"FBH1";

/// The first of the bytes that the CRC covers.
const CHECKED: usize = 8;

/// The figures of one interval.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// Consecutive in its series.
    pub(super) number: u64,
    /// The end of the interval.
    pub(super) moment: ClockReading,
    pub(super) interval: Duration,
    pub(super) uptime_ms: u64,
    /// Counts of the interval: events and requests stored, events not stored.
    pub(super) events: u64,
    pub(super) requests: u64,
    pub(super) failed: u64,
    /// Latencies in the interval, in microseconds.
    pub(super) mean: f64,
    pub(super) percentiles: [u64; 3],
    /// Totals since start or reset, at the end of the interval.
    pub(super) total_events: u64,
    pub(super) total_failures: [u64; ErrorType::COUNT],
    /// State at the end of the interval.
    pub(super) system: System,
    pub(super) health: HealthStatus,
}

impl Point {
    /// Encodes the point as docs/format.md describes it.
    pub(super) fn encode(&self) -> [u8; POINT_BYTES] {
        let [p50, p95, p99] = self.percentiles;
        let [validation, storage, processing] = self.total_failures;
        let words = [
            self.number,
            self.moment.wall.0.cast_unsigned(),
            self.moment.boot.0,
            self.moment.clock,
            micros(self.interval),
            self.uptime_ms,
            self.events,
            self.requests,
            self.failed,
            self.mean.to_bits(),
            p50,
            p95,
            p99,
            self.total_events,
            validation,
            storage,
            processing,
            self.system.processing_instances,
            self.system.queue_depth,
            self.system.memory_usage,
            self.system.cpu_usage.to_bits(),
            self.health as u64,
        ];
        let mut bytes = [0; POINT_BYTES];
        for (place, word) in bytes[CHECKED..].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[CHECKED..]);
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..CHECKED].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` for bytes that are not the point of that number.
    pub(super) fn decode(bytes: &[u8], number: u64) -> Option<Self> {
        let bytes: &[u8; POINT_BYTES] = bytes.try_into().ok()?;
        let sound = bytes.starts_with(MAGIC) && u32_at(bytes, 4)? == crc32c::crc32c(&bytes[CHECKED..]);
        let word = |index: usize| u64_at(bytes, CHECKED + 8 * index);
        if !sound || word(0)? != number {
            return None;
        }
        Some(Self {
            number,
            moment: ClockReading { wall: Timestamp(word(1)?.cast_signed()), boot: Boot(word(2)?), clock: word(3)? },
            interval: Duration::from_micros(word(4)?),
            uptime_ms: word(5)?,
            events: word(6)?,
            requests: word(7)?,
            failed: word(8)?,
            mean: f64::from_bits(word(9)?),
            percentiles: [word(10)?, word(11)?, word(12)?],
            total_events: word(13)?,
            total_failures: [word(14)?, word(15)?, word(16)?],
            system: System {
                processing_instances: word(17)?,
                queue_depth: word(18)?,
                memory_usage: word(19)?,
                cpu_usage: f64::from_bits(word(20)?),
            },
            health: HealthStatus::numbered(u32_at(bytes, CHECKED + 8 * 21)?)?,
        })
    }

    /// Returns the point with the names of `/api/metrics`, at `time`.
    pub(super) fn shown(self, time: Timestamp) -> Metrics {
        Metrics {
            timestamp: time.millis(),
            throughput: Throughput {
                events_per_second: per_second(self.events, self.interval),
                batches_per_second: per_second(self.requests, self.interval),
                total_events: self.total_events,
            },
            latency: latency(self.mean, self.percentiles),
            errors: Errors {
                error_rate: error_rate(self.events, self.failed),
                total_errors: self.total_failures.iter().sum(),
                errors_by_type: by_type(self.total_failures),
            },
            system: self.system,
            health: Health { status: self.health.name(), uptime: self.uptime_ms },
        }
    }
}
