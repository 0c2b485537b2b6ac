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

    fn take(&self, bytes: u64) -> bool {
        // In one step: adding first and giving back would refuse small requests beside a large one that is refused.
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes reserved on the ring's budget and on one stream's share of it; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    ring: Arc<Budget>,
    stream: Arc<Budget>,
    bytes: u64,
}

impl Permit {
    /// Reserves `bytes` on both budgets, or on neither.
    #[must_use]
    pub fn reserve(ring: &Arc<Budget>, stream: &Arc<Budget>, bytes: u64) -> Option<Self> {
        if !stream.take(bytes) {
            return None;
        }
        if !ring.take(bytes) {
            stream.give_back(bytes);
            return None;
        }
        Some(Self { ring: Arc::clone(ring), stream: Arc::clone(stream), bytes })
    }

    /// Reserves `bytes` even beyond the limit: recovery has to hold what the journal holds.
    #[must_use]
    pub fn force(ring: &Arc<Budget>, stream: &Arc<Budget>, bytes: u64) -> Self {
        ring.used.fetch_add(bytes, Ordering::Relaxed);
        stream.used.fetch_add(bytes, Ordering::Relaxed);
        Self { ring: Arc::clone(ring), stream: Arc::clone(stream), bytes }
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
            let more = bytes - self.bytes;
            if !self.stream.take(more) {
                return false;
            }
            if !self.ring.take(more) {
                self.stream.give_back(more);
                return false;
            }
        } else {
            self.stream.give_back(self.bytes - bytes);
            self.ring.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.ring.give_back(self.bytes);
        self.stream.give_back(self.bytes);
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
