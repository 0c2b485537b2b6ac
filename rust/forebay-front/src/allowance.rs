use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of request bodies that may be under way at once, over all connections, here and behind.
#[derive(Debug)]
pub struct Allowance {
    limit: u64,
    used: AtomicU64,
}

impl Allowance {
    /// Nothing is under way.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0) }
    }

    /// The most that may be under way.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// What is.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Reserves `bytes`; false, and nothing reserved, when they are not free.
    #[must_use]
    pub fn take(&self, bytes: u64) -> bool {
        let room = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Relaxed, Relaxed, room).is_ok()
    }

    /// Gives back what was reserved.
    pub fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

/// Bytes taken for as long as it lives.
#[derive(Debug)]
pub(crate) struct Reserved(Arc<Allowance>, u64);

impl Reserved {
    /// `None` when they are not free.
    pub(crate) fn take(allowance: &Arc<Allowance>, bytes: u64) -> Option<Self> {
        allowance.take(bytes).then(|| Self(Arc::clone(allowance), bytes))
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.give(self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_limit_is_refused_and_takes_nothing() {
        let allowance = Allowance::new(10);
        assert!(allowance.take(6));
        assert!(!allowance.take(5) && !allowance.take(u64::MAX));
        assert_eq!(allowance.used(), 6);
        assert!(allowance.take(4));
        allowance.give(10);
        assert_eq!(allowance.used(), 0);
    }
}
