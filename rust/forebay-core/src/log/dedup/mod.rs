//! Idempotency keys: a request that is repeated with its key is stored once and answered again.
//!
//! Keys are rows of a table, written in the same commit as the request's records, so they are exactly as durable as
//! those. Each is remembered for the window that its stream had when the request came in. Refusals are not remembered.

mod key;
mod keys;
mod remembered;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::append::{Placed, Receipt, Reply};
use super::table::TableOp;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Timestamp;
use crate::ingest::parser::Refused;
use crate::options::Durability;
use crate::stream::Stream;

pub use key::{Key, MAX_IDEMPOTENCY_KEY_BYTES};
use keys::Keys;
pub(crate) use remembered::settlement_bytes;
use remembered::{Remembered, mismatch};

/// Repeats that wait for one request under way; more is a client that does not wait for answers.
pub const MAX_WAITING_REPEATS: usize = 64;

#[derive(Debug)]
struct Pending {
    body: u64,
    waiting: Vec<Reply>,
}

#[derive(Debug)]
struct State {
    pending: HashMap<Key, Pending>,
    keys: Keys,
}

/// All keys whose window has not passed.
#[derive(Debug)]
pub struct Dedup {
    window: Duration,
    limit: usize,
    durability: Durability,
    state: Mutex<State>,
}

/// Which of a receipt's parts an answer is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The status alone.
    Status,
    /// Where the records are.
    Places,
}

/// A request's key, and what is to be remembered with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The key.
    pub key: Key,
    /// What of the receipt.
    pub keep: Keep,
    /// For how long; `None` for the window that all streams have.
    pub window: Option<Duration>,
    /// When the request came in.
    pub now: Timestamp,
}

impl Claim {
    /// Of a request for that stream.
    #[must_use]
    pub fn new(key: Key, keep: Keep, stream: &Stream, now: Timestamp) -> Self {
        Self { key, keep, window: stream.dedup_window(), now }
    }
}

/// What becomes of a keyed request.
#[derive(Debug)]
pub enum Begun {
    /// It is new: go on, with this reply, which settles the key.
    New(Reply),
    /// It is a repeat, and answered or waiting.
    Repeat,
}

impl Dedup {
    /// Remembers `limit` keys, for `window` where a stream has none of its own; repeats are answered with `durability`.
    #[must_use]
    pub fn new(window: Duration, limit: usize, durability: Durability) -> Arc<Self> {
        let state = Mutex::new(State { pending: HashMap::new(), keys: Keys::new(limit) });
        Arc::new(Self { window, limit, durability, state })
    }

    /// Begins a keyed request, or answers a repeat.
    ///
    /// # Errors
    /// `IdempotencyMismatch` when the key came with another body; `Saturated` when no further key can be remembered.
    pub fn begin(
        self: &Arc<Self>,
        claim: Claim,
        body: &[u8],
        reply: Reply,
    ) -> std::result::Result<Begun, Box<Refused>> {
        let body = xxh3_64(body);
        let mut state = self.state.lock();
        state.keys.forget_past(claim.now);
        if let Some(remembered) = state.keys.get(claim.key, claim.now) {
            let outcome = remembered.answer(body, self.durability);
            drop(state);
            return self.repeat(reply, outcome);
        }
        if let Some(pending) = state.pending.get_mut(&claim.key) {
            if pending.body != body {
                drop(state);
                return self.repeat(reply, Err(mismatch()));
            }
            if pending.waiting.len() >= MAX_WAITING_REPEATS {
                drop(state);
                let detail = "too many repeats of one request are waiting for it";
                return self.repeat(reply, Err(Error::new(ErrorKind::Saturated, detail)));
            }
            pending.waiting.push(reply);
            return Ok(Begun::Repeat);
        }
        if state.keys.len() + state.pending.len() >= self.limit {
            drop(state);
            let detail = format!(
                "{} idempotency keys are remembered, and no more fit; see max_idempotency_keys and dedupWindow",
                self.limit
            );
            return self.repeat(reply, Err(Error::new(ErrorKind::Saturated, detail)));
        }
        state.pending.insert(claim.key, Pending { body, waiting: Vec::new() });
        Ok(Begun::New(reply.settling(Settlement { dedup: Arc::clone(self), claim, body })))
    }

    fn repeat(&self, reply: Reply, outcome: Result<Receipt>) -> std::result::Result<Begun, Box<Refused>> {
        match outcome {
            Ok(receipt) => {
                reply.finish_and_wake(Ok(receipt));
                Ok(Begun::Repeat)
            }
            Err(error) => Err(Box::new(Refused { error, reply })),
        }
    }

    /// Takes in a row of the table, at recovery. Those that come later replace the earlier ones of their key.
    pub fn restore(&self, key: &[u8], value: &[u8], now: Timestamp) {
        let key = key.first_chunk().map(|key| Key::from_bytes(*key));
        if let (Some(key), Some(remembered)) = (key, Remembered::decode(value, self.window))
            && !remembered.is_past(now)
        {
            self.state.lock().keys.insert(key, remembered);
        }
    }

    /// Whether a row need not be kept: its window has passed. Rows without one have `default`.
    #[must_use]
    pub fn is_past(value: &[u8], default: Duration, now: Timestamp) -> bool {
        Remembered::decode(value, default).is_none_or(|remembered| remembered.is_past(now))
    }
}

/// Settles a key when its request is answered.
#[derive(Debug)]
pub struct Settlement {
    dedup: Arc<Dedup>,
    claim: Claim,
    body: u64,
}

impl Settlement {
    /// When the request came in.
    pub(crate) fn accepted(&self) -> Timestamp {
        self.claim.now
    }

    /// Remembers an acknowledgement, or forgets the request. Returns the repeats that waited for it.
    pub(crate) fn settle(self, outcome: &Result<Receipt>) -> Vec<Reply> {
        let remembered = outcome.as_ref().map(|receipt| self.remembered(&receipt.placed, receipt.quarantined));
        let mut state = self.dedup.state.lock();
        let waiting = state.pending.remove(&self.claim.key).map_or_else(Vec::new, |pending| pending.waiting);
        if let Ok(remembered) = remembered {
            state.keys.insert(self.claim.key, remembered);
        }
        waiting
    }

    /// The row that makes the key durable.
    pub(crate) fn row(&self, placed: &[Placed], quarantined: u32) -> TableOp {
        self.remembered(placed, quarantined).row(self.claim.key)
    }

    fn remembered(&self, placed: &[Placed], quarantined: u32) -> Remembered {
        let window = self.claim.window.unwrap_or(self.dedup.window);
        Remembered {
            body: self.body,
            accepted: self.claim.now,
            quarantined,
            window_seconds: u32::try_from(window.as_secs()).unwrap_or(u32::MAX),
            placed: Remembered::keep(self.claim.keep, placed),
        }
    }
}
