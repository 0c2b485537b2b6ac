//! Idempotency keys: a request that is repeated with its key is stored once and answered again.
//!
//! Keys are rows of a table, written in the same commit as the request's records, so they are exactly as durable as
//! those. Each is remembered for the window that its stream had when the request came in, counted while the machine runs.
//! Refusals are not remembered.
//!
//! In memory a key takes 64 bytes whatever its request was. A receipt that does not fit is in its row: in memory, charged
//! to the ring, until the row's journal file is sealed; then on the disk, where a thread of its own reads it.

mod entry;
mod key;
mod keys;
mod recall;
mod remembered;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use crate::admission::{Budget, Permit, RateLimiter};
use crate::clock::LogClock;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Generation, Timestamp};
use crate::log::commit::{Placed, Receipt, Refused, Reply};
use crate::log::state::KeyFiles;
use crate::options::Durability;
use crate::stream::Stream;
use crate::table::{Changes, Table, TableOp};

use entry::{Entry, INLINE_BYTES};
pub use key::{Key, MAX_IDEMPOTENCY_KEY_BYTES};
use keys::Keys;
use recall::{Recall, Recalls};
pub use remembered::CachedReply;
pub(crate) use remembered::dedup_entry_bytes;
use remembered::{Remembered, answer, encode, end, mismatch};

/// Repeats that wait for one request under way; more is a client that does not wait for answers.
pub const MAX_WAITING_REPEATS: usize = 64;
/// Entries that one step looks at for keys that are past: some tens of microseconds under the lock.
const STEP: usize = 128;
/// On the disk, receipts take this much a key at most, on average over as many keys as may be remembered: 1 GB of two
/// million. One of 1024 partitions has 8 KiB.
pub(crate) const RECEIPT_BYTES: u64 = 512;
/// Memory of a receipt beside its bytes, which are there twice: in the row and to be looked up.
const UNSEALED_OVERHEAD_BYTES: usize = 256;

/// Rows are kept so much longer than their windows: who looked in memory just before the end may read them now.
const KEPT_MICROS: i64 = 60_000_000;

#[derive(Debug)]
struct Pending {
    body: u64,
    waiting: Vec<Reply>,
}

/// A receipt that is not in a state file yet.
#[derive(Debug)]
struct Unsealed {
    bytes: Box<[u8]>,
    _charge: Permit,
}

/// Its tables grow by little steps: who waits for the lock waits for no rehashing.
#[derive(Debug)]
struct State {
    pending: BTreeMap<Key, Pending>,
    keys: Keys,
    /// Receipts that do not fit their keys, until they are sealed.
    unsealed: BTreeMap<Key, Unsealed>,
}

/// All keys whose window has not passed.
#[derive(Debug)]
pub struct Dedup {
    window: Duration,
    limit: usize,
    durability: Durability,
    clock: Arc<LogClock>,
    ring: Arc<Budget>,
    /// Receipts are of no stream's share.
    share: Arc<Budget>,
    files: KeyFiles,
    recalls: Recalls,
    /// Never held over file I/O.
    state: Mutex<State>,
}

/// State that all keys share.
#[derive(Clone, Copy, Debug)]
pub struct DedupLimits {
    /// The window of keys whose stream has none of its own.
    pub window: Duration,
    /// The limit on keys.
    pub keys: usize,
    /// The level that repeats are answered with.
    pub durability: Durability,
}

/// A request's key, and what is to be remembered with it.
#[derive(Clone, Debug)]
pub struct DedupKey {
    /// The key.
    pub key: Key,
    /// The reply that a repeat gets.
    pub keep: CachedReply,
    /// The window; `None` for the one that all streams have.
    pub window: Option<Duration>,
    /// When the request came in, by the wall clock.
    pub arrival: Timestamp,
    /// Whom what is remembered is charged to until it is sealed; `None` for nobody.
    pub limiter: Option<Arc<RateLimiter>>,
}

impl DedupKey {
    /// Makes the key of a sender's request for that stream.
    #[must_use]
    pub fn new(
        key: Key,
        keep: CachedReply,
        stream: &Stream,
        arrival: Timestamp,
        limiter: Option<&Arc<RateLimiter>>,
    ) -> Self {
        Self { key, keep, window: stream.dedup_window(), arrival, limiter: limiter.map(Arc::clone) }
    }
}

/// The fate of a keyed request.
#[derive(Debug)]
pub enum DedupOutcome {
    /// It is new: go on, with this reply, which settles the key.
    New(Reply),
    /// It is a repeat, and answered or waiting.
    Repeat,
}

impl Dedup {
    /// Remembers keys whose receipts are charged to `ring`, and sealed into `files`.
    #[must_use]
    pub fn new(limits: DedupLimits, clock: Arc<LogClock>, ring: Arc<Budget>, files: KeyFiles) -> Arc<Self> {
        let state = State { pending: BTreeMap::new(), keys: Keys::new(), unsealed: BTreeMap::new() };
        let DedupLimits { window, keys, durability } = limits;
        let (share, recalls, state) = (Budget::new(u64::MAX), Recalls::default(), Mutex::new(state));
        Arc::new(Self { window, limit: keys, durability, clock, ring, share, files, recalls, state })
    }

    /// Begins a keyed request, or answers a repeat.
    ///
    /// # Errors
    /// `IdempotencyMismatch` when the key came with another body; `Saturated` when no further key can be remembered, or
    /// too many repeats wait.
    pub fn begin(
        self: &Arc<Self>,
        claim: DedupKey,
        body: &[u8],
        reply: Reply,
    ) -> std::result::Result<DedupOutcome, Box<Refused>> {
        let body = xxh3_64(body);
        let now = self.clock.window();
        let mut state = self.state.lock();
        if let Some(entry) = state.keys.get(claim.key, now).copied() {
            if entry.body() != body {
                drop(state);
                return self.repeat(reply, Err(mismatch()));
            }
            let unsealed = || state.unsealed.get(&claim.key).map(|unsealed| &*unsealed.bytes);
            let here = entry.receipt().or_else(unsealed);
            let outcome = here.map(|bytes| answer(bytes, entry.accepted(), self.durability));
            drop(state);
            return match outcome {
                Some(outcome) => self.repeat(reply, outcome),
                None => self.recalls.push(Recall { key: claim.key, entry, reply }).map(|()| DedupOutcome::Repeat),
            };
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
            return Ok(DedupOutcome::Repeat);
        }
        if let Some(full) = self.full(&mut state, now) {
            drop(state);
            return self.repeat(reply, Err(full));
        }
        state.pending.insert(claim.key, Pending { body, waiting: Vec::new() });
        let end = end(now, claim.window.unwrap_or(self.window));
        let dedup = Arc::clone(self);
        Ok(DedupOutcome::New(reply.with_dedup_entry(DedupEntry { dedup, claim, body, end })))
    }

    /// Returns why no further key can be remembered, if none can.
    fn full(&self, state: &mut State, now: Timestamp) -> Option<Error> {
        if state.keys.len() + state.pending.len() >= self.limit {
            // The background forgets keys that are past their window; a request takes a step of it.
            state.keys.forget_past(now, STEP);
        }
        let most = RECEIPT_BYTES * self.limit as u64;
        let what = if state.keys.len() + state.pending.len() >= self.limit {
            format!("{} idempotency keys", self.limit)
        } else if state.keys.bytes_elsewhere() >= most {
            format!("{most} bytes of answers to requests with idempotency keys")
        } else {
            return None;
        };
        let detail = format!("{what} are remembered, and no more fit; see max_idempotency_keys and dedupWindow");
        Some(Error::new(ErrorKind::Saturated, detail))
    }

    fn repeat(&self, reply: Reply, outcome: Result<Receipt>) -> std::result::Result<DedupOutcome, Box<Refused>> {
        match outcome {
            Ok(receipt) => {
                reply.finish_and_wake(Ok(receipt));
                Ok(DedupOutcome::Repeat)
            }
            Err(error) => Err(Refused::new(error, reply)),
        }
    }

    /// Takes in a row that a state file holds, at recovery. Those that come later replace the earlier ones of their key.
    pub fn restore(&self, op: &TableOp, generation: Generation) {
        if let Some((key, remembered)) = self.row(op)
            && !remembered.is_past(self.clock.window())
        {
            self.state.lock().keys.insert(key, Entry::new(key, &remembered, generation));
        }
    }

    /// Restores a row of a journal file that is not sealed yet.
    pub(crate) fn restore_unsealed(&self, op: &TableOp, generation: Generation) {
        if let Some((key, remembered)) = self.row(op) {
            let unsealed = self.unsealed(&remembered.receipt, None);
            self.state.lock().insert(key, &remembered, generation, unsealed);
        }
    }

    fn row(&self, op: &TableOp) -> Option<(Key, Remembered)> {
        let key = Key::from_bytes(*op.key.first_chunk()?);
        Some((key, Remembered::decode(op.table, op.value.as_deref()?, self.window)?))
    }

    /// Returns a receipt that has to be kept beside its key, charged.
    fn unsealed(&self, receipt: &[u8], limiter: Option<&Arc<RateLimiter>>) -> Option<Unsealed> {
        (receipt.len() > INLINE_BYTES).then(|| {
            let bytes = (2 * receipt.len() + UNSEALED_OVERHEAD_BYTES) as u64;
            Unsealed { bytes: receipt.into(), _charge: Permit::force(&self.ring, &self.share, limiter, bytes) }
        })
    }

    /// These rows are in a state file now, which is among [`Dedup::files`].
    pub fn sealed(&self, changes: &Changes) {
        for table in [Table::Keys, Table::Idempotency] {
            for (key, value) in changes.rows(table) {
                let Some(key) = key.first_chunk().map(|key| Key::from_bytes(*key)) else { continue };
                let Some(remembered) = Remembered::decode(table, value, self.window) else { continue };
                if remembered.receipt.len() > INLINE_BYTES {
                    self.state.lock().forget_unsealed(key, &remembered.receipt);
                }
            }
        }
    }

    /// Returns the rows on the disk.
    pub(crate) fn files(&self) -> &KeyFiles {
        &self.files
    }

    /// Returns a row as it is written to a base: as the newest version has it. `None` for one whose window has passed
    /// for so long that nobody can still be reading it.
    pub(crate) fn kept(&self, op: &TableOp) -> Option<TableOp> {
        let (key, remembered) = self.row(op)?;
        let still_read = Timestamp(self.clock.window().0.saturating_sub(KEPT_MICROS));
        (!remembered.is_past(still_read)).then(|| remembered.row(key))
    }
}

impl State {
    fn insert(&mut self, key: Key, remembered: &Remembered, generation: Generation, unsealed: Option<Unsealed>) {
        self.keys.insert(key, Entry::new(key, remembered, generation));
        if let Some(unsealed) = unsealed {
            self.unsealed.insert(key, unsealed);
        }
    }

    fn forget_unsealed(&mut self, key: Key, receipt: &[u8]) {
        // A later request of the same key has another one.
        if self.unsealed.get(&key).is_some_and(|unsealed| *unsealed.bytes == *receipt) {
            self.unsealed.remove(&key);
        }
    }
}

/// Settles a key when its request is answered.
#[derive(Debug)]
pub struct DedupEntry {
    dedup: Arc<Dedup>,
    claim: DedupKey,
    body: u64,
    end: Timestamp,
}

impl DedupEntry {
    /// When the request came in.
    pub(crate) fn accepted(&self) -> Timestamp {
        self.claim.arrival
    }

    /// Remembers an acknowledgement, or forgets the request. Returns the repeats that waited for it.
    pub(crate) fn settle(self, outcome: &Result<Receipt>) -> Vec<Reply> {
        let remembered = outcome.as_ref().ok().map(|receipt| {
            let remembered = self.remembered(&receipt.placed, receipt.quarantined);
            let unsealed = self.dedup.unsealed(&remembered.receipt, self.claim.limiter.as_ref());
            (remembered, receipt.generation, unsealed)
        });
        let mut state = self.dedup.state.lock();
        let waiting = state.pending.remove(&self.claim.key).map_or_else(Vec::new, |pending| pending.waiting);
        if let Some((remembered, generation, unsealed)) = remembered {
            state.insert(self.claim.key, &remembered, generation, unsealed);
        }
        waiting
    }

    /// Returns the row that makes the key durable.
    pub(crate) fn row(&self, placed: &[Placed], quarantined: u32) -> TableOp {
        self.remembered(placed, quarantined).row(self.claim.key)
    }

    fn remembered(&self, placed: &[Placed], quarantined: u32) -> Remembered {
        let receipt = encode(self.claim.keep, placed, quarantined);
        Remembered { body: self.body, accepted: self.claim.arrival, end: self.end, receipt }
    }
}
