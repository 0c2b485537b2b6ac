//! A byte budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::askers::Askers;

/// A bound on bytes held in memory. Reservations never wait: there is room, or there is not.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: AtomicU64,
    askers: Askers,
}

impl Budget {
    /// Returns a budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0), askers: Askers::default() })
    }

    /// Returns bytes that are reserved now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Returns the most that can be reserved.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the share that is reserved, in percent.
    #[must_use]
    pub fn used_percent(&self) -> u64 {
        self.used().saturating_mul(100) / self.limit.max(1)
    }

    /// Returns the tokens that ask for some of it, as far as that matters to their shares.
    #[must_use]
    pub fn askers(&self) -> &Askers {
        &self.askers
    }

    pub(super) fn take(&self, bytes: u64) -> bool {
        add_within(&self.used, bytes, self.limit)
    }

    /// Takes, also beyond the limit.
    pub(super) fn force(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// Adds to what is used, unless that passes the limit: in one step, as adding first and giving back would refuse small
/// requests beside a large one that is refused.
pub(super) fn add_within(used: &AtomicU64, bytes: u64, limit: u64) -> bool {
    let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
    used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fits).is_ok()
}
