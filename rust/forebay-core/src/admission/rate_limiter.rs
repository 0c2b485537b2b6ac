//! The limits of a token, and what it has taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::budget::add_within;
use super::quota::{Cost, Quota};
use crate::error::{Error, Result};
use crate::telemetry::Counter;

/// One token's quota and usage. It outlives the requests that are charged to it, so that limits and counts go on when
/// the tokens are read anew.
#[derive(Debug)]
pub struct RateLimiter {
    name: String,
    number: u32,
    /// Its limits.
    pub quota: Quota,
    /// Events that were let in.
    pub events: Counter,
    /// Bytes of decompressed bodies that were let in.
    pub bytes: Counter,
    /// Requests that were refused for a quota, its own or a stream's.
    pub refusals: Counter,
    /// Bytes of its bodies that are being received.
    pub reading: AtomicU64,
    /// Bytes of the ring that its requests hold, until their records are sealed.
    held: AtomicU64,
}

/// The number of the next limiter; 0 is nobody's.
static NEXT: AtomicU32 = AtomicU32::new(1);

impl RateLimiter {
    /// Makes a limiter without limits.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            quota: Quota::default(),
            events: Counter::default(),
            bytes: Counter::default(),
            refusals: Counter::default(),
            reading: AtomicU64::new(0),
            held: AtomicU64::new(0),
        })
    }

    /// Tells it from all others of the process.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns the token's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns bytes of the ring that its requests hold.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Acquire)
    }

    pub(super) fn hold(&self, bytes: u64, limit: u64) -> bool {
        add_within(&self.held, bytes, limit)
    }

    /// Holds more, whatever it holds already.
    pub(super) fn force(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(super) fn release(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// A request that is charged to its sender and to its stream; both get it back when this is dropped without
/// [`Reservation::settle`].
#[derive(Debug)]
#[must_use]
pub struct Reservation<'a> {
    limiter: Option<&'a RateLimiter>,
    stream: &'a Quota,
    cost: Cost,
}

impl<'a> Reservation<'a> {
    /// Charges both, or neither.
    ///
    /// # Errors
    /// `Saturated` with the time until the request fits; `PayloadTooLarge` when it never does.
    pub fn acquire(limiter: Option<&'a RateLimiter>, stream: &'a Quota, stream_name: &str, cost: Cost) -> Result<Self> {
        let refused = |error: Error| {
            if let Some(limiter) = limiter {
                limiter.refusals.increment();
            }
            error
        };
        if let Some(limiter) = limiter {
            let taken = limiter.quota.take(cost);
            taken.map_err(|short| refused(short.refusal(&format!("the token {:?}", limiter.name))))?;
        }
        stream.take(cost).map_err(|short| {
            if let Some(limiter) = limiter {
                limiter.quota.give_back(cost);
            }
            refused(short.refusal(&format!("the stream {stream_name:?}")))
        })?;
        Ok(Self { limiter, stream, cost })
    }

    /// The request is on its way to the log: what was charged stays charged, and counts as used.
    pub fn confirm(self) {
        if let Some(limiter) = self.limiter {
            limiter.events.add(self.cost.events);
            limiter.bytes.add(self.cost.bytes);
        }
        std::mem::forget(self);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Some(limiter) = self.limiter {
            limiter.quota.give_back(self.cost);
        }
        self.stream.give_back(self.cost);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::quota::{QuotaRates, Rate};
    use super::*;
    use crate::error::ErrorKind;

    fn limited(per_second: u64, burst: u64) -> QuotaRates {
        QuotaRates { events: Some(Rate::new(per_second, burst).unwrap()), bytes: None }
    }

    fn usage(limiter: &RateLimiter) -> (u64, u64, u64) {
        (limiter.events.get(), limiter.bytes.get(), limiter.refusals.get())
    }

    const COST: Cost = Cost { events: 10, bytes: 100 };

    #[test]
    fn a_charge_counts_when_it_is_settled_and_is_given_back_when_not() {
        let (limiter, stream) = (RateLimiter::new("shop"), Quota::new(limited(1, 10)));
        limiter.quota.set(limited(1, 10));
        drop(Reservation::acquire(Some(&limiter), &stream, "logs", COST).unwrap());
        assert_eq!(usage(&limiter), (0, 0, 0));
        Reservation::acquire(Some(&limiter), &stream, "logs", COST).unwrap().confirm();
        assert_eq!(usage(&limiter), (10, 100, 0));
        let refused = Reservation::acquire(Some(&limiter), &stream, "logs", COST).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Saturated);
        assert!(refused.detail().starts_with("the token \"shop\" may take 1 events a second and 10 at once"));
        assert!(refused.retry_after().unwrap().as_secs_f64() > 9.0);
        assert_eq!(usage(&limiter), (10, 100, 1));
    }

    #[test]
    fn what_the_stream_refuses_costs_the_token_nothing() {
        let (limiter, stream) = (RateLimiter::new("shop"), Quota::new(limited(1, 5)));
        limiter.quota.set(limited(1, 10));
        let refused = Reservation::acquire(Some(&limiter), &stream, "orders", COST).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PayloadTooLarge);
        assert!(refused.detail().contains("more than the burst of 5 that the stream \"orders\" may take at once"));
        assert_eq!(usage(&limiter), (0, 0, 1));
        assert!(limiter.quota.take(COST).is_ok());
    }
}
