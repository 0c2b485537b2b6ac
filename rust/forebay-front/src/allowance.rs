use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use forebay_core::{Account, Error, ErrorKind};

/// For so long after a token has asked, no other one may hold more than its share.
const ASKED_SECONDS: u64 = 60;

/// Bytes of request bodies that may be under way at once, over all connections, here and behind.
///
/// A body is charged as its bytes come. While another token has asked within the last minute, one token holds at most
/// half; but a body that is its only one may be as large as any, or a limit of bodies above that half could never be met.
#[derive(Debug)]
pub struct Allowance {
    limit: u64,
    used: AtomicU64,
    /// The two tokens that asked last, each as its number and the second when it did.
    asked: [AtomicU64; 2],
    began: Instant,
}

impl Allowance {
    /// Nothing is under way.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0), asked: Default::default(), began: Instant::now() }
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

    /// Seconds, counted so that 0 is never and a minute ago is a number.
    fn now(&self) -> u64 {
        self.began.elapsed().as_secs() + ASKED_SECONDS + 1
    }

    /// Takes note that a token asks.
    fn note(&self, token: u32, now: u64) {
        let entry = u64::from(token) << 32 | now & u64::from(u32::MAX);
        let [one, other] = self.asked.each_ref().map(|asked| asked.load(Relaxed));
        let at = match (one >> 32 == entry >> 32, other >> 32 == entry >> 32) {
            (true, _) => 0,
            (_, true) => 1,
            // Two that ask at once may write over each other; the next request of either mends it.
            _ => usize::from(one & u64::from(u32::MAX) > other & u64::from(u32::MAX)),
        };
        if let Some(asked) = self.asked.get(at).filter(|asked| asked.load(Relaxed) != entry) {
            asked.store(entry, Relaxed);
        }
    }

    /// Whether another token than this asked within the last minute.
    fn others_ask(&self, token: u32, now: u64) -> bool {
        self.asked.iter().map(|asked| asked.load(Relaxed)).any(|entry| {
            entry != 0 && entry >> 32 != u64::from(token) && (entry & u64::from(u32::MAX)) + ASKED_SECONDS >= now
        })
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
            allowance.note(account.number(), allowance.now());
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
            let shared = !alone && allowance.others_ask(account.number(), allowance.now());
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
        let past = allowance.now() + ASKED_SECONDS + 1;
        assert!(!allowance.others_ask(greedy.number(), past), "a minute later nobody else asks");
        assert!(allowance.others_ask(greedy.number(), allowance.now()));
        assert_eq!((allowance.used(), greedy.reading.load(Relaxed)), (0, 0));
    }

    #[test]
    fn of_many_tokens_each_knows_that_others_ask() {
        let allowance = Allowance::new(100);
        for now in 100..130 {
            allowance.note(u32::try_from(now % 5).unwrap_or(0) + 1, now);
        }
        assert!((1..7).all(|token| allowance.others_ask(token, 130)));
    }
}
