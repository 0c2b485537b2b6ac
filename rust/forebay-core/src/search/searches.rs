//! The searches that run: how many may, and of whom.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::times::PartTimes;
use crate::admission::Askers;
use crate::error::{Error, ErrorKind, Result};

/// The most searches at once. Each keeps a core busy: more of them only take it from ingestion and from each other.
pub const MAX_RUNNING_SEARCHES: usize = 4;
/// When one that was refused may come again: most searches have ended by then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The running searches of an engine.
#[derive(Debug, Default)]
pub struct Searches {
    running: Mutex<Running>,
    askers: Askers,
    pub(super) times: PartTimes,
    pub(super) closing: AtomicBool,
}

#[derive(Debug, Default)]
struct Running {
    all: usize,
    by_token: HashMap<u32, usize>,
}

/// Lets one search run until it is dropped.
#[derive(Debug)]
pub(super) struct SearchPermit<'a> {
    searches: &'a Searches,
    token: u32,
}

impl Searches {
    /// Lets a token's search begin. While other tokens ask, too, one has at most half of all.
    ///
    /// # Errors
    /// `Saturated` with the time after which it may come again.
    pub(super) fn begin(&self, token: &[u8]) -> Result<SearchPermit<'_>> {
        // Two tokens of one number share what each would have; 0 is for nobody.
        let token = (xxh3_64(token) as u32).max(1);
        self.askers.note(token);
        let mut running = self.running.lock();
        let own = running.by_token.get(&token).copied().unwrap_or(0);
        let refused = if running.all >= MAX_RUNNING_SEARCHES {
            Some(format!("{MAX_RUNNING_SEARCHES} searches run, which is as many as may at once"))
        } else if own >= MAX_RUNNING_SEARCHES / 2 && self.askers.has_others(token) {
            Some(format!("{own} searches of this token run, which is its share while others search, too"))
        } else {
            None
        };
        if let Some(why) = refused {
            return Err(Error::new(ErrorKind::Saturated, why).with_retry_after(RETRY_AFTER));
        }
        running.all += 1;
        *running.by_token.entry(token).or_default() += 1;
        Ok(SearchPermit { searches: self, token })
    }

    /// Ends all searches within milliseconds: the engine closes.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

impl Drop for SearchPermit<'_> {
    fn drop(&mut self) {
        let mut running = self.searches.running.lock();
        running.all -= 1;
        let own = running.by_token.entry(self.token).or_default();
        *own -= 1;
        if *own == 0 {
            running.by_token.remove(&self.token);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use super::*;

    #[test]
    fn as_many_run_as_may_and_a_token_has_half_while_others_ask() {
        let searches = Searches::default();
        let alone: Vec<_> = (0..MAX_RUNNING_SEARCHES).map(|_| searches.begin(b"one").unwrap()).collect();
        let refused = searches.begin(b"other").unwrap_err();
        assert_eq!((refused.kind(), refused.retry_after()), (ErrorKind::Saturated, Some(RETRY_AFTER)));
        drop(alone);
        let half: Vec<_> = (0..MAX_RUNNING_SEARCHES / 2).map(|_| searches.begin(b"one").unwrap()).collect();
        let refused = searches.begin(b"one").unwrap_err();
        assert!(refused.detail().contains("its share"), "{refused}");
        let rest: Vec<_> = (0..MAX_RUNNING_SEARCHES / 2).map(|_| searches.begin(b"other").unwrap()).collect();
        assert!(searches.begin(b"third").unwrap_err().detail().contains("as many as may"));
        drop((half, rest));
        let running = searches.running.lock();
        assert!(running.all == 0 && running.by_token.is_empty());
    }
}
