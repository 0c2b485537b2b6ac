//! Keeps track of whether more than one token asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// The time after a token has asked in which no other one may hold more than its share.
const ASKED_SECONDS: u64 = 60;

/// The two tokens that asked last: enough for each to know whether there are others. To ask costs two loads and, once a
/// second or where tokens take turns, a store.
#[derive(Debug)]
pub struct Askers {
    /// Each as its number and the second when it asked.
    last: [AtomicU64; 2],
    began: Instant,
}

impl Default for Askers {
    fn default() -> Self {
        Self { last: Default::default(), began: Instant::now() }
    }
}

impl Askers {
    /// Takes note that a token asks, by its limiter's number.
    pub fn note(&self, token: u32) {
        self.note_at(token, self.now());
    }

    /// Returns whether another token than this asked within the last minute.
    #[must_use]
    pub fn has_others(&self, token: u32) -> bool {
        self.had_others_at(token, self.now())
    }

    /// Seconds, counted so that 0 is never and a minute ago is a number.
    fn now(&self) -> u64 {
        self.began.elapsed().as_secs() + ASKED_SECONDS + 1
    }

    fn note_at(&self, token: u32, now: u64) {
        let entry = u64::from(token) << 32 | now & u64::from(u32::MAX);
        let [one, other] = self.last.each_ref().map(|asked| asked.load(Relaxed));
        let at = match (one >> 32 == entry >> 32, other >> 32 == entry >> 32) {
            (true, _) => 0,
            (_, true) => 1,
            // Two that ask at once may write over each other; the next request of either mends it.
            _ => usize::from(one & u64::from(u32::MAX) > other & u64::from(u32::MAX)),
        };
        if let Some(asked) = self.last.get(at).filter(|asked| asked.load(Relaxed) != entry) {
            asked.store(entry, Relaxed);
        }
    }

    fn had_others_at(&self, token: u32, now: u64) -> bool {
        self.last.iter().map(|asked| asked.load(Relaxed)).any(|entry| {
            entry != 0 && entry >> 32 != u64::from(token) && (entry & u64::from(u32::MAX)) + ASKED_SECONDS >= now
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_tokens_each_knows_that_others_ask() {
        let askers = Askers::default();
        for now in 100..130 {
            askers.note_at(u32::try_from(now % 5).unwrap_or(0) + 1, now);
        }
        assert!((1..7).all(|token| askers.had_others_at(token, 130)));
    }

    #[test]
    fn a_minute_after_the_last_one_nobody_else_asks() {
        let askers = Askers::default();
        askers.note(1);
        assert!(!askers.has_others(1) && askers.has_others(2));
        askers.note_at(2, 100);
        askers.note_at(1, 130);
        assert!(askers.had_others_at(1, 100 + ASKED_SECONDS) && !askers.had_others_at(1, 101 + ASKED_SECONDS));
        assert!(askers.had_others_at(2, 101 + ASKED_SECONDS));
    }
}
