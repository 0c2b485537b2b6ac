use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use forebay_core::admission::Askers;
use forebay_core::{Account, Error, ErrorKind};

/// Bytes of request bodies that may be under way at once, over all connections, here and behind.
///
/// A body is charged as its bytes come. While another token has asked within the last minute, one token holds at most
/// half; but a body that is its only one may be as large as any, or a limit of bodies above that half could never be met.
#[derive(Debug)]
pub struct Allowance {
    limit: u64,
    used: AtomicU64,
    askers: Askers,
}

impl Allowance {
    /// Nothing is under way.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0), askers: Askers::default() }
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

    fn take(&self, bytes: u64) -> bool {
        add(&self.used, bytes, self.limit)
    }
}

fn add(to: &AtomicU64, bytes: u64, limit: u64) -> bool {
    to.fetch_update(Relaxed, Relaxed, |used| used.checked_add(bytes).filter(|sum| *sum <= limit)).is_ok()
}

/// Bytes taken for one body, for as long as it lives.
#[derive(Debug)]
pub struct Reserved {
    allowance: Arc<Allowance>,
    account: Option<Arc<Account>>,
    bytes: u64,
}

impl Reserved {
    /// Nothing yet, of a sender that has a token, or of one without when nobody has any.
    #[must_use]
    pub fn new(allowance: &Arc<Allowance>, account: Option<&Arc<Account>>) -> Self {
        if let Some(account) = account {
            allowance.askers.note(account.number());
        }
        Self { allowance: Arc::clone(allowance), account: account.map(Arc::clone), bytes: 0 }
    }

    /// How many are taken.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes more, until so many are taken; on an error, what was taken stays so.
    ///
    /// # Errors
    /// `Saturated` when they are not free, or are the share of others.
    pub fn grow_to(&mut self, bytes: u64) -> Result<(), Error> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        if let Some(account) = &self.account {
            let allowance = &self.allowance;
            let alone = account.reading.load(Relaxed) == self.bytes;
            let shared = !alone && allowance.askers.has_others(account.number());
            if !add(&account.reading, more, if shared { allowance.limit / 2 } else { u64::MAX }) {
                let detail = format!(
                    "the bodies under way of the token {:?} hold half of the memory for all, and others ask for theirs",
                    account.name()
                );
                return Err(Error::new(ErrorKind::Saturated, detail));
            }
        }
        if !self.allowance.take(more) {
            if let Some(account) = &self.account {
                account.reading.fetch_sub(more, Relaxed);
            }
            return Err(Error::new(ErrorKind::Saturated, "too many bytes of request bodies are under way"));
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.allowance.used.fetch_sub(self.bytes, Relaxed);
        if let Some(account) = &self.account {
            account.reading.fetch_sub(self.bytes, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(allowance: &Arc<Allowance>, account: Option<&Arc<Account>>, bytes: u64) -> Option<Reserved> {
        let mut reserved = Reserved::new(allowance, account);
        reserved.grow_to(bytes).is_ok().then_some(reserved)
    }

    #[test]
    fn what_is_beyond_the_limit_is_refused_and_takes_nothing() {
        let allowance = Arc::new(Allowance::new(10));
        let mut one = Reserved::new(&allowance, None);
        assert!(one.grow_to(2).is_ok() && one.grow_to(6).is_ok());
        assert!(body(&allowance, None, 5).is_none() && body(&allowance, None, u64::MAX).is_none());
        assert!(one.grow_to(11).is_err());
        assert_eq!((allowance.used(), one.bytes()), (6, 6));
        let other = body(&allowance, None, 4);
        assert_eq!(allowance.used(), 10);
        drop((one, other));
        assert_eq!(allowance.used(), 0);
    }

    #[test]
    fn one_token_holds_half_while_another_asks_and_all_while_none_does() {
        let allowance = Arc::new(Allowance::new(100));
        let (greedy, modest) = (Account::new("greedy"), Account::new("modest"));
        let held: Vec<_> = (0..10).filter_map(|_| body(&allowance, Some(&greedy), 10)).collect();
        assert_eq!(held.len(), 10, "alone it may have everything");
        assert!(body(&allowance, Some(&modest), 10).is_none(), "what it has stays its own");
        drop(held);
        let held: Vec<_> = (0..10).filter_map(|_| body(&allowance, Some(&greedy), 10)).collect();
        assert_eq!((held.len(), allowance.used()), (5, 50));
        let other: Vec<_> = (0..10).filter_map(|_| body(&allowance, Some(&modest), 10)).collect();
        assert_eq!((other.len(), allowance.used()), (5, 100));
        drop((held, other));
        assert!(body(&allowance, Some(&greedy), 80).is_some(), "a body that is its only one");
        assert_eq!((allowance.used(), greedy.reading.load(Relaxed)), (0, 0));
    }
}
