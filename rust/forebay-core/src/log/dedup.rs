//! Idempotency keys: a request that is repeated with its key is stored once and answered again.
//!
//! Keys live in generations of a tenth of the window, which expire whole. They are rows of a table, written in the same
//! commit as the request's records, so they are exactly as durable as those. Refusals are not remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::append::{Level, Placed, Receipt, Reply};
use super::frame::{u32_at, u64_at};
use super::table::{Table, TableOp};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId, StreamId, Timestamp};
use crate::ingest::parser::Refused;
use crate::options::Durability;

/// Longest key that a client may send.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 128;
/// Keys remembered at once: about 100 MB. Beyond it keyed requests are refused, because forgetting a key early would
/// break what it promises.
pub const MAX_REMEMBERED_KEYS: usize = 2_000_000;
/// Repeats that wait for one request under way; more is a client that does not wait for answers.
pub const MAX_WAITING_REPEATS: usize = 64;
/// Generations of one window: a key is remembered for at most a tenth longer than promised.
const GENERATIONS: i64 = 10;

/// A client's key, hashed together with whom and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl Key {
    /// The key `key` of the client `scope` for `stream`.
    ///
    /// # Errors
    /// `InvalidRequest` when the key is empty or longer than [`MAX_IDEMPOTENCY_KEY_BYTES`].
    pub fn new(scope: &[u8], stream: &str, key: &[u8]) -> Result<Self> {
        if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES {
            let detail =
                format!("the idempotency key has {} bytes, must have 1 to {MAX_IDEMPOTENCY_KEY_BYTES}", key.len());
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        // Lengths first, so that no two triples run together to the same bytes.
        let mut bytes = Vec::with_capacity(16 + scope.len() + stream.len() + key.len());
        bytes.extend_from_slice(&(scope.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&(stream.len() as u64).to_le_bytes());
        for part in [scope, stream.as_bytes(), key] {
            bytes.extend_from_slice(part);
        }
        Ok(Self(xxh3_128(&bytes)))
    }

    /// The key for one stream of that name: a later one of the same name shares no keys with it.
    #[must_use]
    pub(crate) fn for_stream(self, stream: StreamId) -> Self {
        let mut bytes = self.bytes().to_vec();
        bytes.extend_from_slice(&stream.0.to_le_bytes());
        Self(xxh3_128(&bytes))
    }

    /// The hash, little-endian.
    #[must_use]
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

/// What is remembered of an acknowledged request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Remembered {
    body: u64,
    quarantined: u32,
    /// When the request came in.
    accepted: Timestamp,
    placed: Box<[Placed]>,
}

#[derive(Debug)]
struct Pending {
    body: u64,
    waiting: Vec<Reply>,
}

#[derive(Debug)]
struct Span {
    index: i64,
    keys: HashMap<Key, Remembered>,
}

#[derive(Debug, Default)]
struct State {
    pending: HashMap<Key, Pending>,
    spans: VecDeque<Span>,
    remembered: usize,
}

/// All keys of the window.
#[derive(Debug)]
pub struct Dedup {
    span_micros: i64,
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

/// What becomes of a keyed request.
#[derive(Debug)]
pub enum Begun {
    /// It is new: go on, with this reply, which settles the key.
    New(Reply),
    /// It is a repeat, and answered or waiting.
    Repeat,
}

impl Dedup {
    /// Remembers `limit` keys for `window`; repeats are answered with `durability`.
    #[must_use]
    pub fn new(window: Duration, limit: usize, durability: Durability) -> Arc<Self> {
        let micros = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        let span_micros = (micros / GENERATIONS).max(1);
        Arc::new(Self { span_micros, limit, durability, state: Mutex::default() })
    }

    /// Begins a keyed request, or answers a repeat.
    ///
    /// # Errors
    /// `IdempotencyMismatch` when the key came with another body; `Saturated` when no further key can be remembered.
    pub fn begin(
        self: &Arc<Self>,
        key: Key,
        body: &[u8],
        keep: Keep,
        now: Timestamp,
        reply: Reply,
    ) -> std::result::Result<Begun, Box<Refused>> {
        let body = xxh3_64(body);
        let mut state = self.state.lock();
        self.expire(&mut state, now);
        if let Some(remembered) = state.spans.iter().rev().find_map(|span| span.keys.get(&key)) {
            let outcome = remembered.answer(body, self.durability);
            drop(state);
            return self.repeat(reply, outcome);
        }
        if let Some(pending) = state.pending.get_mut(&key) {
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
        if state.remembered + state.pending.len() >= self.limit {
            drop(state);
            let detail = format!("{} idempotency keys are remembered, and no more fit", self.limit);
            return self.repeat(reply, Err(Error::new(ErrorKind::Saturated, detail)));
        }
        state.pending.insert(key, Pending { body, waiting: Vec::new() });
        Ok(Begun::New(reply.settling(Settlement { dedup: Arc::clone(self), key, body, keep, now })))
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

    /// Takes in a row of the table, at recovery.
    pub fn restore(&self, key: &[u8], value: &[u8], now: Timestamp) {
        let (Some(key), Some(row)) = (key.first_chunk().map(|key| Key(u128::from_le_bytes(*key))), decode(value))
        else {
            return;
        };
        let mut state = self.state.lock();
        let newest = now.0.div_euclid(self.span_micros);
        let index = row.0.0.div_euclid(self.span_micros).min(newest);
        if index > newest - GENERATIONS - 1 {
            self.remember(&mut state, index, key, row.1);
        }
    }

    /// Whether a row is past the window, so that it need not be kept.
    #[must_use]
    pub fn is_expired(value: &[u8], window: Duration, now: Timestamp) -> bool {
        let micros = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        let kept = micros.saturating_add(micros / GENERATIONS);
        decode(value).is_none_or(|(time, _)| time.0 < now.0.saturating_sub(kept))
    }

    fn expire(&self, state: &mut State, now: Timestamp) {
        let newest = now.0.div_euclid(self.span_micros);
        while state.spans.front().is_some_and(|span| span.index < newest - GENERATIONS) {
            if let Some(span) = state.spans.pop_front() {
                state.remembered -= span.keys.len();
            }
        }
    }

    fn remember(&self, state: &mut State, index: i64, key: Key, remembered: Remembered) {
        // The clock may have been set back: a key is then remembered a little longer, never shorter.
        let at = state.spans.partition_point(|span| span.index < index);
        if state.spans.get(at).is_none_or(|span| span.index != index) {
            state.spans.insert(at, Span { index, keys: HashMap::new() });
        }
        if state.spans[at].keys.insert(key, remembered).is_none() {
            state.remembered += 1;
        }
    }
}

impl Remembered {
    fn answer(&self, body: u64, durability: Durability) -> Result<Receipt> {
        if self.body != body {
            return Err(mismatch());
        }
        let placed = self.placed.to_vec();
        let receipt = Receipt::new(Level::repeated(durability), placed, self.quarantined);
        Ok(Receipt { repeats: Some(self.accepted), ..receipt })
    }
}

fn mismatch() -> Error {
    Error::new(ErrorKind::IdempotencyMismatch, "the idempotency key was used before with another body")
}

/// Settles a key when its request is answered.
#[derive(Debug)]
pub struct Settlement {
    dedup: Arc<Dedup>,
    key: Key,
    body: u64,
    keep: Keep,
    now: Timestamp,
}

impl Settlement {
    /// When the request came in.
    pub(crate) fn accepted(&self) -> Timestamp {
        self.now
    }

    /// Remembers an acknowledgement, or forgets the request. Returns the repeats that waited for it.
    pub(crate) fn settle(self, outcome: &Result<Receipt>) -> Vec<Reply> {
        let mut state = self.dedup.state.lock();
        let waiting = state.pending.remove(&self.key).map_or_else(Vec::new, |pending| pending.waiting);
        if let Ok(receipt) = outcome {
            let index = self.now.0.div_euclid(self.dedup.span_micros);
            let placed = match self.keep {
                Keep::Status => Box::default(),
                Keep::Places => receipt.placed.clone().into_boxed_slice(),
            };
            let (quarantined, accepted) = (receipt.quarantined, self.now);
            let remembered = Remembered { body: self.body, quarantined, accepted, placed };
            self.dedup.remember(&mut state, index, self.key, remembered);
        }
        waiting
    }

    /// The row that makes the key durable: time i64, body hash u64, quarantined u32, then 20 bytes a run of records:
    /// stream u32, partition u32, base offset u64, records u32.
    pub(crate) fn row(&self, placed: &[Placed], quarantined: u32) -> TableOp {
        let mut value = self.now.0.to_le_bytes().to_vec();
        value.extend_from_slice(&self.body.to_le_bytes());
        value.extend_from_slice(&quarantined.to_le_bytes());
        if self.keep == Keep::Places {
            for run in placed {
                value.extend_from_slice(&run.stream.0.to_le_bytes());
                value.extend_from_slice(&run.partition.0.to_le_bytes());
                value.extend_from_slice(&run.base.0.to_le_bytes());
                value.extend_from_slice(&run.records.to_le_bytes());
            }
        }
        TableOp::put(Table::Idempotency, self.key.0.to_le_bytes(), value)
    }
}

const FIXED_BYTES: usize = 20;
const RUN_BYTES: usize = 20;

/// The most bytes that a settlement's row takes as an encoded operation.
pub(crate) fn settlement_bytes(runs: usize) -> usize {
    let op = TableOp::put(Table::Idempotency, 0_u128.to_le_bytes(), Vec::new());
    op.encoded_bytes() + FIXED_BYTES + runs * RUN_BYTES
}

fn decode(value: &[u8]) -> Option<(Timestamp, Remembered)> {
    let run = |bytes| {
        Some(Placed {
            stream: StreamId(u32_at(bytes, 0)?),
            partition: PartitionId(u32_at(bytes, 4)?),
            base: Offset(u64_at(bytes, 8)?),
            records: u32_at(bytes, 16)?,
        })
    };
    let placed = value.get(FIXED_BYTES..)?.chunks_exact(RUN_BYTES).map(run).collect::<Option<_>>()?;
    let accepted = Timestamp(u64_at(value, 0)?.cast_signed());
    let remembered = Remembered { body: u64_at(value, 8)?, quarantined: u32_at(value, 16)?, accepted, placed };
    Some((accepted, remembered))
}
