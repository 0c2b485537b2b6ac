//! A byte budget, and the permits drawn on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bound on bytes held in memory. Reservations never wait: there is room, or there is not.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0) })
    }

    /// Bytes that are reserved now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The most that can be reserved.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// How much of it is reserved, in percent.
    #[must_use]
    pub fn used_percent(&self) -> u64 {
        self.used().saturating_mul(100) / self.limit.max(1)
    }

    pub(super) fn take(&self, bytes: u64) -> bool {
        // In one step: adding first and giving back would refuse small requests beside a large one that is refused.
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fits).is_ok()
    }

    /// Takes, also beyond the limit.
    pub(super) fn force(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// The ring's budget and one stream's share of it.
///
/// The ring never holds more than the streams together, at any moment: what is taken is taken of the share first, and
/// what is given back is given back to the ring first. So a stream has no more of the ring than its share also while
/// other threads take what this one gives back: whoever reads the share's new level (acquire) sees the ring's (release).
#[derive(Debug)]
struct Both {
    ring: Arc<Budget>,
    stream: Arc<Budget>,
}

impl Both {
    /// Takes of both, or of neither; `between` is called when the one is changed and the other is not.
    fn take(&self, bytes: u64, between: impl FnOnce()) -> bool {
        if !self.stream.take(bytes) {
            return false;
        }
        between();
        let taken = self.ring.take(bytes);
        if !taken {
            self.stream.give_back(bytes);
        }
        taken
    }

    fn give_back(&self, bytes: u64, between: impl FnOnce()) {
        self.ring.give_back(bytes);
        between();
        self.stream.give_back(bytes);
    }
}

/// Bytes reserved on the ring's budget and on one stream's share of it; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    of: Both,
    bytes: u64,
}

impl Permit {
    /// Reserves `bytes` on both budgets, or on neither.
    #[must_use]
    pub fn reserve(ring: &Arc<Budget>, stream: &Arc<Budget>, bytes: u64) -> Option<Self> {
        let of = Both { ring: Arc::clone(ring), stream: Arc::clone(stream) };
        let taken = of.take(bytes, || ());
        taken.then(|| Self { of, bytes })
    }

    /// Reserves `bytes` even beyond the limit: recovery has to hold what the journal holds.
    #[must_use]
    pub fn force(ring: &Arc<Budget>, stream: &Arc<Budget>, bytes: u64) -> Self {
        stream.force(bytes);
        ring.force(bytes);
        Self { of: Both { ring: Arc::clone(ring), stream: Arc::clone(stream) }, bytes }
    }

    /// How much is reserved.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reserves `more` bytes beside what is reserved; `false` (and no change) when there is no room.
    #[must_use]
    pub fn grow(&mut self, more: u64) -> bool {
        self.resize(self.bytes.saturating_add(more))
    }

    /// Changes the reservation to `bytes`; `false` (and no change) when there is no room to grow.
    #[must_use]
    pub fn resize(&mut self, bytes: u64) -> bool {
        if bytes > self.bytes {
            if !self.of.take(bytes - self.bytes, || ()) {
                return false;
            }
        } else {
            self.of.give_back(self.bytes - bytes, || ());
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of.give_back(self.bytes, || ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_all_or_nothing_and_gives_back() {
        let (ring, stream) = (Budget::new(100), Budget::new(60));
        let permit = Permit::reserve(&ring, &stream, 50);
        assert_eq!((ring.used(), stream.used()), (50, 50));
        assert!(Permit::reserve(&ring, &stream, 11).is_none(), "the stream's share is used up");
        let other = Budget::new(100);
        assert!(Permit::reserve(&ring, &other, 51).is_none(), "the ring is used up");
        assert_eq!((ring.used(), stream.used(), other.used()), (50, 50, 0));
        drop(permit);
        assert_eq!((ring.used(), stream.used()), (0, 0));
    }

    /// Between the two steps of every change, which is where another thread may look and take.
    #[test]
    fn the_ring_never_has_more_than_the_share() {
        let of = Both { ring: Budget::new(100), stream: Budget::new(60) };
        let looks = || assert!(of.ring.used() <= of.stream.used(), "{of:?}");
        assert!(of.take(40, looks));
        assert!(of.take(20, looks));
        of.give_back(50, looks);
        assert_eq!((of.ring.used(), of.stream.used()), (10, 10));
    }

    /// The same, also while permits grow, shrink, are refused and are dropped.
    #[test]
    fn a_stream_has_no_more_of_the_ring_than_its_share_at_any_moment() {
        const SHARE: u64 = 100;
        let (ring, stream) = (Budget::new(2 * SHARE), Budget::new(SHARE));
        let looks = |held: &Permit| {
            let used = ring.used();
            assert!(used <= SHARE, "the ring has {used} of a stream whose share is {SHARE}; one permit is {held:?}");
        };
        // All begin together, and only a permit that was had counts: threads that took turns would prove nothing.
        let together = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut permits = 0;
                    together.wait();
                    while permits < 100_000 {
                        let Some(mut permit) = Permit::reserve(&ring, &stream, SHARE - 1) else { continue };
                        permits += 1;
                        looks(&permit);
                        assert!(permit.resize(1));
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
        let Some(mut permit) = Permit::reserve(&ring, &stream, 10) else { unreachable!("there is room") };
        assert!(permit.resize(60));
        assert!(!permit.resize(61));
        assert_eq!((ring.used(), stream.used()), (60, 60));
        assert!(permit.resize(5));
        assert_eq!((ring.used(), stream.used()), (5, 5));
    }
}
