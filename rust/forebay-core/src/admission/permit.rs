//! Bytes of the ring that one request holds.

use std::sync::Arc;

use super::budget::Budget;
use super::rate_limiter::RateLimiter;
use crate::error::{Error, ErrorKind, Result};

/// The ring's budget, one stream's share of it, and the token whose share it is as well, if any.
///
/// The ring never holds more than the streams together, or than the tokens, at any moment: what is taken is taken of the
/// shares first, and what is given back is given back to the ring first. So a stream has no more of the ring than its
/// share also while other threads take what this one gives back: whoever reads the share's new level (acquire) sees the
/// ring's (release).
#[derive(Debug)]
struct Shares {
    ring: Arc<Budget>,
    stream: Arc<Budget>,
    limiter: Option<Arc<RateLimiter>>,
}

impl Shares {
    /// Takes of all, or of none; `between` is called whenever some are changed and others are not.
    fn take(&self, bytes: u64, between: impl Fn()) -> Result<()> {
        self.take_of_token(bytes)?;
        between();
        if self.stream.take(bytes) {
            between();
            if self.ring.take(bytes) {
                return Ok(());
            }
            self.stream.give_back(bytes);
        }
        self.give_back_to_token(bytes);
        Err(Error::new(ErrorKind::Saturated, "server saturated"))
    }

    /// A token holds at most half while others ask; what it took before they did stays its own until it is sealed. No
    /// request needs more than that half, which is a stream's share, too: who holds nothing is never refused for it.
    fn take_of_token(&self, bytes: u64) -> Result<()> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let others_ask = self.ring.askers().has_others(limiter.number());
        let limit = if others_ask { self.ring.limit() / 2 } else { u64::MAX };
        if limiter.hold(bytes, limit) {
            return Ok(());
        }
        let detail = format!(
            "what the token {:?} sent and what is not sealed yet of it would take more than its share, half of the ring, \
             while others ask for theirs",
            limiter.name()
        );
        Err(Error::new(ErrorKind::Saturated, detail))
    }

    fn force(&self, bytes: u64) {
        if let Some(limiter) = &self.limiter {
            limiter.force(bytes);
        }
        self.stream.force(bytes);
        self.ring.force(bytes);
    }

    fn give_back(&self, bytes: u64, between: impl Fn()) {
        self.ring.give_back(bytes);
        between();
        self.stream.give_back(bytes);
        between();
        self.give_back_to_token(bytes);
    }

    fn give_back_to_token(&self, bytes: u64) {
        if let Some(limiter) = &self.limiter {
            limiter.release(bytes);
        }
    }
}

/// Bytes reserved on the ring's budget, on one stream's share of it and on one token's; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    of: Shares,
    bytes: u64,
}

impl Permit {
    /// Reserves `bytes` on all of them, or on none.
    ///
    /// # Errors
    /// `Saturated`, which names the token when it is its share that is used up.
    pub fn reserve(
        ring: &Arc<Budget>,
        stream: &Arc<Budget>,
        limiter: Option<&Arc<RateLimiter>>,
        bytes: u64,
    ) -> Result<Self> {
        if let Some(limiter) = limiter {
            ring.askers().note(limiter.number());
        }
        let of = Shares { ring: Arc::clone(ring), stream: Arc::clone(stream), limiter: limiter.map(Arc::clone) };
        of.take(bytes, || ())?;
        Ok(Self { of, bytes })
    }

    /// Reserves `bytes` even beyond the limits: recovery has to hold what the journal holds, and what was acknowledged
    /// is remembered.
    #[must_use]
    pub fn force(ring: &Arc<Budget>, stream: &Arc<Budget>, limiter: Option<&Arc<RateLimiter>>, bytes: u64) -> Self {
        let of = Shares { ring: Arc::clone(ring), stream: Arc::clone(stream), limiter: limiter.map(Arc::clone) };
        of.force(bytes);
        Self { of, bytes }
    }

    /// Returns the bytes that are reserved.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reserves `more` bytes beside what is reserved.
    ///
    /// # Errors
    /// Fails as [`Permit::reserve`] does; nothing is changed then.
    pub fn grow(&mut self, more: u64) -> Result<()> {
        self.resize(self.bytes.saturating_add(more))
    }

    /// Changes the reservation to `bytes`.
    ///
    /// # Errors
    /// Fails as [`Permit::reserve`] does, when it is to grow; nothing is changed then.
    pub fn resize(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.bytes {
            self.of.take(bytes - self.bytes, || ())?;
        } else {
            self.of.give_back(self.bytes - bytes, || ());
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of.give_back(self.bytes, || ());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_permit_is_all_or_nothing_and_gives_back() {
        let (ring, stream) = (Budget::new(100), Budget::new(60));
        let permit = Permit::reserve(&ring, &stream, None, 50).unwrap();
        assert_eq!((ring.used(), stream.used()), (50, 50));
        assert!(Permit::reserve(&ring, &stream, None, 11).is_err(), "the stream's share is used up");
        let other = Budget::new(100);
        assert!(Permit::reserve(&ring, &other, None, 51).is_err(), "the ring is used up");
        assert_eq!((ring.used(), stream.used(), other.used()), (50, 50, 0));
        drop(permit);
        assert_eq!((ring.used(), stream.used()), (0, 0));
    }

    /// Between the two steps of every change, which is where another thread may look and take.
    #[test]
    fn the_ring_never_has_more_than_the_share() {
        let of = Shares { ring: Budget::new(100), stream: Budget::new(60), limiter: Some(RateLimiter::new("shop")) };
        let held = || of.limiter.as_ref().map_or(0, |limiter| limiter.held());
        let looks = || assert!(of.ring.used() <= of.stream.used() && of.stream.used() <= held(), "{of:?}");
        of.take(40, looks).unwrap();
        of.take(20, looks).unwrap();
        of.give_back(50, looks);
        assert_eq!((of.ring.used(), of.stream.used(), held()), (10, 10, 10));
    }

    /// Holds also while permits grow, shrink, are refused and are dropped.
    #[test]
    fn a_stream_has_no_more_of_the_ring_than_its_share_at_any_moment() {
        const SHARE: u64 = 100;
        let (ring, stream) = (Budget::new(2 * SHARE), Budget::new(SHARE));
        let looks = |held: &Permit| {
            let used = ring.used();
            assert!(used <= SHARE, "the ring has {used} of a stream whose share is {SHARE}; one permit is {held:?}");
        };
        // All threads begin together, and only a permit that was had counts: threads that took turns would prove
        // nothing.
        let together = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut permits = 0;
                    together.wait();
                    while permits < 100_000 {
                        let Ok(mut permit) = Permit::reserve(&ring, &stream, None, SHARE - 1) else { continue };
                        permits += 1;
                        looks(&permit);
                        permit.resize(1).unwrap();
                        let _may_have_no_room = permit.resize(SHARE / 2);
                        looks(&permit);
                    }
                });
            }
        });
        assert_eq!((ring.used(), stream.used()), (0, 0));
    }

    #[test]
    fn resizing_never_exceeds_the_limit() {
        let (ring, stream) = (Budget::new(100), Budget::new(60));
        let mut permit = Permit::reserve(&ring, &stream, None, 10).unwrap();
        permit.resize(60).unwrap();
        assert!(permit.resize(61).is_err());
        assert_eq!((ring.used(), stream.used()), (60, 60));
        permit.resize(5).unwrap();
        assert_eq!((ring.used(), stream.used()), (5, 5));
    }

    #[test]
    fn a_token_holds_half_over_all_streams_while_others_ask() {
        let (ring, streams) = (Budget::new(100), [(); 2].map(|()| Budget::new(50)));
        let (greedy, modest) = (RateLimiter::new("greedy"), RateLimiter::new("modest"));
        let ask = |stream: usize, limiter: &Arc<RateLimiter>, bytes| {
            Permit::reserve(&ring, &streams[stream], Some(limiter), bytes)
        };
        let held = [ask(0, &greedy, 40).unwrap(), ask(1, &greedy, 40).unwrap()];
        let refused = ask(0, &modest, 30).unwrap_err();
        assert_eq!(refused.detail(), "server saturated", "what was taken before another asked stays");
        assert_eq!((modest.held(), greedy.held()), (0, 80), "what is refused takes nothing");
        let [mut one, other] = held;
        let refused = one.grow(1).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Saturated);
        assert!(refused.detail().contains("the token \"greedy\""), "{}", refused.detail());
        one.resize(5).unwrap();
        assert!(one.grow(6).is_err() && ask(0, &greedy, 6).is_err(), "40 and 5 leave 5 of its half");
        one.grow(5).unwrap();
        assert!(ask(0, &modest, 40).is_ok(), "which others have the rest of");
        drop((one, other));
        assert_eq!((ring.used(), greedy.held(), modest.held()), (0, 0, 0));
        assert!(ask(0, &greedy, 50).is_ok(), "the most that a request of any stream may need");
    }
}
