//! Bytes of one budget that somebody holds.

use std::sync::Arc;

use super::budget::Budget;

/// Bytes reserved on a budget that no stream has a share of; given back when dropped.
#[derive(Debug)]
pub struct Hold {
    of: Arc<Budget>,
    bytes: u64,
}

impl Hold {
    /// Reserves `bytes`, or nothing when there is no room.
    #[must_use]
    pub fn reserve(of: &Arc<Budget>, bytes: u64) -> Option<Self> {
        of.take(bytes).then(|| Self { of: Arc::clone(of), bytes })
    }

    /// Reserves `bytes` even beyond the limit: for what is in memory already, and for what must not be refused.
    #[must_use]
    pub fn force(of: &Arc<Budget>, bytes: u64) -> Self {
        of.force(bytes);
        Self { of: Arc::clone(of), bytes }
    }

    /// Reserves `more` bytes beside what is reserved; `false` (and no change) when there is no room.
    #[must_use]
    pub fn grow(&mut self, more: u64) -> bool {
        let taken = self.of.take(more);
        self.bytes += if taken { more } else { 0 };
        taken
    }

    /// Returns the budget.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.of
    }

    /// Changes the reservation, also beyond the limit.
    pub fn set(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.of.force(bytes - self.bytes);
        } else {
            self.of.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.of.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_hold_is_given_back_as_it_was_last_set() {
        let budget = Budget::new(100);
        let mut held = Hold::reserve(&budget, 60).unwrap();
        assert!(Hold::reserve(&budget, 41).is_none());
        held.set(120);
        assert_eq!(budget.used(), 120, "what is there counts, also beyond the limit");
        held.set(10);
        assert!(held.grow(5) && !held.grow(86), "in steps, too");
        let forced = Hold::force(&budget, 95);
        assert_eq!(budget.used(), 110);
        drop((held, forced));
        assert_eq!(budget.used(), 0);
    }
}
