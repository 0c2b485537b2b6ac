//! The one histogram: log-linear, lock-free, three significant digits.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::duration::micros;

/// The largest value that is told apart, in microseconds: one hour. Nothing here waits longer; larger ones count as it.
pub const MAX_MICROS: u64 = 3_600_000_000;

/// Every octave (a power of two to the next) has 2⁹ buckets of one width, so a bucket is at most 1/512 of its values
/// wide, and its middle is at most 1/1024 (< 0.1 %) away from each of them.
const OCTAVE_BITS: u32 = 9;
const OCTAVE: usize = 1 << OCTAVE_BITS;

/// The widths that a bucket may have, each twice that of the one before: 1 µs below 1024, and one for each octave
/// above.
pub const VALUE_BUCKETS: usize = BUCKETS.div_ceil(OCTAVE) - 1;
/// The buckets of the smallest width; each larger width has half as many.
pub const SUB_BUCKETS: usize = 2 * OCTAVE;

/// The buckets of 0..=[`MAX_MICROS`].
const BUCKETS: usize = index(MAX_MICROS) + 1;

/// Returns the bucket of a value: below 1024 its own, above by its octave and the nine bits behind the highest one.
const fn index(value: u64) -> usize {
    let shift = (u64::BITS - 1 - (value | 1).leading_zeros()).saturating_sub(OCTAVE_BITS);
    shift as usize * OCTAVE + (value >> shift) as usize
}

/// Returns the value that stands for all of a bucket: its middle.
const fn middle(index: usize) -> u64 {
    if index < 2 * OCTAVE {
        return index as u64;
    }
    let shift = index / OCTAVE - 1;
    let lowest = ((index - shift * OCTAVE) as u64) << shift;
    lowest + (1 << shift) / 2
}

/// Counts durations in whole microseconds, from 0 to one hour: exactly below 1024 µs, and to within 0.1 % above.
///
/// The layout is HdrHistogram's (<https://hdrhistogram.github.io/HdrHistogram/>) with its unit buckets halved, since
/// the middle of a bucket is reported and not its end. It has 12,123 buckets of 8 bytes: 95 KiB, allocated once;
/// recording is three relaxed atomic operations and never waits or allocates. A snapshot is as large; taken while
/// others record, it may hold a value whose sum it lacks.
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
    max: AtomicU64,
    clamped: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

impl Histogram {
    /// Returns an empty histogram.
    #[must_use]
    pub fn new() -> Self {
        let zero = || AtomicU64::new(0);
        let buckets = (0..BUCKETS).map(|_| zero()).collect();
        Self { buckets, sum: zero(), max: zero(), clamped: zero() }
    }

    /// Counts a duration, cut to whole microseconds.
    pub fn record(&self, duration: Duration) {
        self.record_micros(micros(duration));
    }

    /// Counts a duration in microseconds. One above [`MAX_MICROS`] counts as that, and as clamped.
    #[inline]
    pub fn record_micros(&self, micros: u64) {
        let value = micros.min(MAX_MICROS);
        if micros > MAX_MICROS {
            self.clamped.fetch_add(1, Relaxed);
        }
        self.buckets[index(value)].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
        if value > self.max.load(Relaxed) {
            self.max.fetch_max(value, Relaxed);
        }
    }

    /// Returns what was counted until now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let buckets: Box<[u64]> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        Snapshot {
            count: buckets.iter().sum(),
            buckets,
            sum: self.sum.load(Relaxed),
            max: self.max.load(Relaxed),
            clamped: self.clamped.load(Relaxed),
        }
    }
}

/// The counts of a histogram at one time. All values are microseconds.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    buckets: Box<[u64]>,
    count: u64,
    sum: u64,
    max: u64,
    clamped: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into(), count: 0, sum: 0, max: 0, clamped: 0 }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Snapshot");
        shown.field("count", &self.count).field("sum", &self.sum).field("max", &self.max);
        shown.field("p50", &self.percentile(50.0)).field("p99", &self.percentile(99.0)).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Returns the number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the sum of the values, each clamped to [`MAX_MICROS`].
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Returns the largest value: exact, but for the result of [`Snapshot::subtract`], where it is within 0.1 %. 0 when
    /// empty.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Returns the number of values above [`MAX_MICROS`].
    #[must_use]
    pub fn clamped(&self) -> u64 {
        self.clamped
    }

    /// Returns the mean; 0 when empty.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// The standard deviation, with each value as the middle of its bucket; 0 when empty.
    #[must_use]
    pub fn standard_deviation(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let mean = self.mean();
        let mut squares = 0.0;
        for (index, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            squares += (middle(index) as f64 - mean).powi(2) * *count as f64;
        }
        (squares / self.count as f64).sqrt()
    }

    /// The smallest value that is at least as large as `percent` % of all (nearest rank), within 0.1 %; 0 when empty.
    /// `percent` is taken as 0 to 100.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> u64 {
        let rank = (percent.clamp(0.0, 100.0) / 100.0 * self.count as f64).ceil() as u64;
        let rank = rank.clamp(1, self.count.max(1));
        let mut counted = 0;
        let reached = self.buckets.iter().position(|bucket| {
            counted += bucket;
            counted >= rank
        });
        reached.map_or(0, |index| middle(index).min(self.max))
    }

    /// [`Snapshot::percentile`] of the three that are shown: 50, 95 and 99 %.
    #[must_use]
    pub fn percentiles(&self) -> [u64; 3] {
        [50.0, 95.0, 99.0].map(|percent| self.percentile(percent))
    }

    /// Adds what another histogram counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, other) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += other;
        }
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
        self.max = self.max.max(other.max);
        self.clamped += other.clamped;
    }

    /// Returns what was counted since `earlier`, a snapshot of the same histogram.
    #[must_use]
    pub fn subtract(&self, earlier: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&earlier.buckets);
        let buckets: Box<[u64]> = pairs.map(|(now, then)| now.saturating_sub(*then)).collect();
        let highest = buckets.iter().rposition(|count| *count > 0);
        Self {
            count: buckets.iter().sum(),
            sum: self.sum.saturating_sub(earlier.sum),
            max: highest.map_or(0, |index| middle(index).min(self.max)),
            clamped: self.clamped.saturating_sub(earlier.clamped),
            buckets,
        }
    }

    /// Returns for each of the ascending `bounds` how many values are at most that: Prometheus's `le` buckets, without
    /// `+Inf`, which is [`Snapshot::count`]. A value counts as the middle of its bucket, so one within 0.1 % of a bound
    /// may be on its other side.
    #[must_use]
    pub fn cumulative(&self, bounds: &[u64]) -> Vec<u64> {
        let (mut counted, mut next) = (0, 0);
        let mut up_to = |bound: &u64| {
            while next < BUCKETS && middle(next) <= *bound {
                counted += self.buckets[next];
                next += 1;
            }
            counted
        };
        bounds.iter().map(&mut up_to).collect()
    }
}

#[cfg(test)]
mod tests;
