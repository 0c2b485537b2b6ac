//! Quotas: how much may come in a second, and how much at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// The largest rate and burst: a petabyte. A bucket's arithmetic stays far within 128 bits.
pub const MAX_QUOTA: u64 = 1 << 50;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A rate: so much a second on average, so much at once. Stored as that pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u64, u64)", into = "(u64, u64)")]
pub struct Rate {
    per_second: u64,
    burst: u64,
}

impl Rate {
    /// Returns a rate.
    ///
    /// # Errors
    /// `InvalidRequest` when one of them is 0 or beyond [`MAX_QUOTA`].
    pub fn new(per_second: u64, burst: u64) -> Result<Self> {
        let valid = 1..=MAX_QUOTA;
        if valid.contains(&per_second) && valid.contains(&burst) {
            return Ok(Self { per_second, burst });
        }
        let detail = format!("a quota is {per_second} a second and {burst} at once; both may be 1 to {MAX_QUOTA}");
        Err(Error::new(ErrorKind::InvalidRequest, detail))
    }

    /// Returns the average a second.
    #[must_use]
    pub fn per_second(self) -> u64 {
        self.per_second
    }

    /// Returns the burst.
    #[must_use]
    pub fn burst(self) -> u64 {
        self.burst
    }
}

impl TryFrom<(u64, u64)> for Rate {
    type Error = Error;

    fn try_from((per_second, burst): (u64, u64)) -> Result<Self> {
        Self::new(per_second, burst)
    }
}

impl From<Rate> for (u64, u64) {
    fn from(rate: Rate) -> Self {
        (rate.per_second, rate.burst)
    }
}

/// The rates of a quota; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaRates {
    /// Events.
    pub events: Option<Rate>,
    /// Bytes of decompressed bodies.
    pub bytes: Option<Rate>,
}

impl QuotaRates {
    /// Returns whether it limits nothing.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

/// The cost of a request on a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Its events.
    pub events: u64,
    /// The bytes of its decompressed body.
    pub bytes: u64,
}

/// The reason why a request does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// `events` or `bytes`.
    pub unit: &'static str,
    /// The rate that it is limited to.
    pub rate: Rate,
    /// Number that the request takes.
    pub wanted: u64,
    /// Time until it would fit if nobody else came; `None` when it never fits.
    pub wait: Option<Duration>,
}

impl Shortage {
    /// Returns the refusal; `whose` begins the sentence.
    #[must_use]
    pub fn refusal(&self, whose: &str) -> Error {
        let Self { unit, rate: Rate { per_second, burst }, wanted, wait } = self;
        match wait {
            Some(wait) => {
                let detail = format!(
                    "{whose} may take {per_second} {unit} a second and {burst} at once; the request's {wanted} fit in \
                     {:.3} seconds",
                    wait.as_secs_f64()
                );
                Error::new(ErrorKind::Saturated, detail).with_retry_after(*wait)
            }
            None => {
                let detail = format!(
                    "the request has {wanted} {unit}, more than the burst of {burst} that {whose} may take at once; send \
                     smaller ones"
                );
                Error::new(ErrorKind::PayloadTooLarge, detail)
            }
        }
    }
}

/// A token bucket: full with `burst`, refilled with `per_second`. Its level is kept in units times nanoseconds, so that
/// nothing is ever rounded, however often it is looked at.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    rate: Rate,
    level: u128,
    at: Duration,
}

impl Bucket {
    fn full(rate: Rate, at: Duration) -> Self {
        Self { rate, level: Self::capacity(rate), at }
    }

    fn capacity(rate: Rate) -> u128 {
        u128::from(rate.burst) * NANOS_PER_SECOND
    }

    fn refill(&mut self, now: Duration) {
        // Threads read the clock before they take the lock, so that it may seem to go back a little.
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        let more = passed.as_nanos().saturating_mul(u128::from(self.rate.per_second));
        self.level = self.level.saturating_add(more).min(Self::capacity(self.rate));
    }

    /// `Ok` when so many are there now; nothing is taken.
    fn look(&self, unit: &'static str, wanted: u64) -> std::result::Result<(), Shortage> {
        let needed = u128::from(wanted) * NANOS_PER_SECOND;
        if needed <= self.level {
            return Ok(());
        }
        let wait = (wanted <= self.rate.burst).then(|| {
            let nanos = (needed - self.level).div_ceil(u128::from(self.rate.per_second));
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        });
        Err(Shortage { unit, rate: self.rate, wanted, wait })
    }

    fn take(&mut self, wanted: u64) {
        self.level = self.level.saturating_sub(u128::from(wanted) * NANOS_PER_SECOND);
    }

    fn give_back(&mut self, taken: u64) {
        let level = self.level.saturating_add(u128::from(taken) * NANOS_PER_SECOND);
        self.level = level.min(Self::capacity(self.rate));
    }
}

#[derive(Debug, Default)]
struct Buckets {
    events: Option<Bucket>,
    bytes: Option<Bucket>,
}

/// The quota of one token or one stream. Without a limit it costs one atomic load a request.
#[derive(Debug)]
pub struct Quota {
    limited: AtomicBool,
    buckets: Mutex<Buckets>,
    began: Instant,
}

impl Default for Quota {
    fn default() -> Self {
        Self { limited: AtomicBool::new(false), buckets: Mutex::default(), began: Instant::now() }
    }
}

impl Quota {
    /// Returns a quota whose buckets are full.
    #[must_use]
    pub fn new(rates: QuotaRates) -> Self {
        let quota = Self::default();
        quota.set(rates);
        quota
    }

    /// Changes the limits. A bucket whose rate stays the same keeps its level; a new one is full.
    pub fn set(&self, rates: QuotaRates) {
        let now = self.began.elapsed();
        let renewed = |rate: Option<Rate>, old: Option<Bucket>| match (rate, old) {
            (Some(rate), Some(old)) if old.rate == rate => Some(old),
            (Some(rate), Some(_) | None) => Some(Bucket::full(rate, now)),
            (None, _) => None,
        };
        let mut buckets = self.buckets.lock();
        buckets.events = renewed(rates.events, buckets.events);
        buckets.bytes = renewed(rates.bytes, buckets.bytes);
        self.limited.store(buckets.events.is_some() || buckets.bytes.is_some(), Ordering::Release);
    }

    /// Returns the limits as they are.
    #[must_use]
    pub fn rates(&self) -> QuotaRates {
        let buckets = self.buckets.lock();
        QuotaRates { events: buckets.events.map(|bucket| bucket.rate), bytes: buckets.bytes.map(|bucket| bucket.rate) }
    }

    /// Takes all of `cost`, or nothing.
    ///
    /// # Errors
    /// Which limit it is beyond; of two the one that takes longer.
    pub fn take(&self, cost: Cost) -> std::result::Result<(), Shortage> {
        if !self.limited.load(Ordering::Acquire) {
            return Ok(());
        }
        self.take_at(cost, self.began.elapsed())
    }

    fn take_at(&self, cost: Cost, now: Duration) -> std::result::Result<(), Shortage> {
        let Buckets { events, bytes } = &mut *self.buckets.lock();
        let mut short: Option<Shortage> = None;
        for (bucket, unit, wanted) in [(&mut *events, "events", cost.events), (&mut *bytes, "bytes", cost.bytes)] {
            let Some(bucket) = bucket else { continue };
            bucket.refill(now);
            if let Err(found) = bucket.look(unit, wanted) {
                let wait = |shortage: Shortage| shortage.wait.unwrap_or(Duration::MAX);
                short = short.filter(|known| wait(*known) >= wait(found)).or(Some(found));
            }
        }
        if let Some(short) = short {
            return Err(short);
        }
        if let Some(bucket) = events {
            bucket.take(cost.events);
        }
        if let Some(bucket) = bytes {
            bucket.take(cost.bytes);
        }
        Ok(())
    }

    /// Gives back what was taken, when the request was refused for another reason.
    pub fn give_back(&self, cost: Cost) {
        if !self.limited.load(Ordering::Acquire) {
            return;
        }
        let mut buckets = self.buckets.lock();
        if let Some(bucket) = &mut buckets.events {
            bucket.give_back(cost.events);
        }
        if let Some(bucket) = &mut buckets.bytes {
            bucket.give_back(cost.bytes);
        }
    }
}

#[cfg(test)]
mod tests;
