use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use forebay_core::admission::Askers;
use forebay_core::{Error, ErrorKind, RateLimiter};

/// Bounds the bytes of request bodies in memory, over all connections, in the front and in the server behind.
///
/// A body is charged as its bytes come. While another token has asked within the last minute, one token holds at most
/// half of the budget. A body that is the only one of its token is exempt: otherwise no body above that half could ever
/// be sent.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: u64,
    used: AtomicU64,
    askers: Askers,
}

impl MemoryBudget {
    /// An unused budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0), askers: Askers::default() }
    }

    /// The most bytes that may be reserved.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes currently reserved.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        add(&self.used, bytes, self.limit)
    }
}

fn add(to: &AtomicU64, bytes: u64, limit: u64) -> bool {
    to.fetch_update(Relaxed, Relaxed, |used| used.checked_add(bytes).filter(|sum| *sum <= limit)).is_ok()
}

/// The bytes reserved for one body; dropping it releases them.
#[derive(Debug)]
pub struct Reserved {
    memory_budget: Arc<MemoryBudget>,
    limiter: Option<Arc<RateLimiter>>,
    bytes: u64,
}

impl Reserved {
    /// An empty reservation of the token's `limiter`, or of nobody when authentication is off.
    #[must_use]
    pub fn new(memory_budget: &Arc<MemoryBudget>, limiter: Option<&Arc<RateLimiter>>) -> Self {
        if let Some(limiter) = limiter {
            memory_budget.askers.note(limiter.number());
        }
        Self { memory_budget: Arc::clone(memory_budget), limiter: limiter.map(Arc::clone), bytes: 0 }
    }

    /// Bytes reserved for this body.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Grows the reservation to `bytes`. On an error it stays as it was.
    ///
    /// # Errors
    /// `Saturated` when the budget is used up, or the rest of it is the share of other tokens.
    pub fn grow_to(&mut self, bytes: u64) -> Result<(), Error> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        if let Some(limiter) = &self.limiter {
            let memory_budget = &self.memory_budget;
            let alone = limiter.reading.load(Relaxed) == self.bytes;
            let shared = !alone && memory_budget.askers.has_others(limiter.number());
            if !add(&limiter.reading, more, if shared { memory_budget.limit / 2 } else { u64::MAX }) {
                let detail = format!(
                    "the bodies under way of the token {:?} hold half of the memory for all, and others ask for theirs",
                    limiter.name()
                );
                return Err(Error::new(ErrorKind::Saturated, detail));
            }
        }
        if !self.memory_budget.take(more) {
            if let Some(limiter) = &self.limiter {
                limiter.reading.fetch_sub(more, Relaxed);
            }
            return Err(Error::new(ErrorKind::Saturated, "too many bytes of request bodies are under way"));
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.memory_budget.used.fetch_sub(self.bytes, Relaxed);
        if let Some(limiter) = &self.limiter {
            limiter.reading.fetch_sub(self.bytes, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(memory_budget: &Arc<MemoryBudget>, limiter: Option<&Arc<RateLimiter>>, bytes: u64) -> Option<Reserved> {
        let mut reserved = Reserved::new(memory_budget, limiter);
        reserved.grow_to(bytes).is_ok().then_some(reserved)
    }

    #[test]
    fn what_is_beyond_the_limit_is_refused_and_takes_nothing() {
        let memory_budget = Arc::new(MemoryBudget::new(10));
        let mut one = Reserved::new(&memory_budget, None);
        assert!(one.grow_to(2).is_ok() && one.grow_to(6).is_ok());
        assert!(body(&memory_budget, None, 5).is_none() && body(&memory_budget, None, u64::MAX).is_none());
        assert!(one.grow_to(11).is_err());
        assert_eq!((memory_budget.used(), one.bytes()), (6, 6));
        let other = body(&memory_budget, None, 4);
        assert_eq!(memory_budget.used(), 10);
        drop((one, other));
        assert_eq!(memory_budget.used(), 0);
    }

    #[test]
    fn one_token_holds_half_while_another_asks_and_all_while_none_does() {
        let memory_budget = Arc::new(MemoryBudget::new(100));
        let (greedy, modest) = (RateLimiter::new("greedy"), RateLimiter::new("modest"));
        let held: Vec<_> = (0..10).filter_map(|_| body(&memory_budget, Some(&greedy), 10)).collect();
        assert_eq!(held.len(), 10, "alone it may have everything");
        assert!(body(&memory_budget, Some(&modest), 10).is_none(), "what it has stays its own");
        drop(held);
        let held: Vec<_> = (0..10).filter_map(|_| body(&memory_budget, Some(&greedy), 10)).collect();
        assert_eq!((held.len(), memory_budget.used()), (5, 50));
        let other: Vec<_> = (0..10).filter_map(|_| body(&memory_budget, Some(&modest), 10)).collect();
        assert_eq!((other.len(), memory_budget.used()), (5, 100));
        drop((held, other));
        assert!(body(&memory_budget, Some(&greedy), 80).is_some(), "a body that is its only one");
        assert_eq!((memory_budget.used(), greedy.reading.load(Relaxed)), (0, 0));
    }
}
