//! An acknowledged request as it is remembered: a row, and the bytes that its answer is made from.

use std::time::Duration;

use super::key::Key;
use crate::bytes::{u32_at, u64_at};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId, StreamId, Timestamp};
use crate::log::commit::{Level, Placed, Receipt};
use crate::options::Durability;
use crate::table::{Table, TableOp};

/// Which of a receipt's parts an answer is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachedReply {
    /// The status alone.
    Status,
    /// Number of records that are stored.
    Count,
    /// Places of the records.
    Places,
}

/// An acknowledged request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    /// Hash of the decompressed body.
    pub(super) body: u64,
    /// When the request came in, by the wall clock.
    pub(super) accepted: Timestamp,
    /// The end of its window, by the clock of windows.
    pub(super) end: Timestamp,
    /// The receipt, as far as it is kept: numbers of a variable length.
    pub(super) receipt: Box<[u8]>,
}

impl Remembered {
    pub(super) fn is_past(&self, now: Timestamp) -> bool {
        now >= self.end
    }

    /// Returns the row that makes the key durable: time i64, end i64, body hash u64, receipt.
    pub(super) fn row(&self, key: Key) -> TableOp {
        let mut value = Vec::with_capacity(FIXED_BYTES + self.receipt.len());
        value.extend_from_slice(&self.accepted.0.to_le_bytes());
        value.extend_from_slice(&self.end.0.to_le_bytes());
        value.extend_from_slice(&self.body.to_le_bytes());
        value.extend_from_slice(&self.receipt);
        TableOp::put(Table::Keys, key.bytes(), value)
    }

    /// Reads the value of a row of one of the two tables. Rows of the older one may say no window: theirs is
    /// `default`, counted from their time.
    pub(super) fn decode(table: Table, value: &[u8], default: Duration) -> Option<Self> {
        if table == Table::Idempotency {
            return Self::decode_old(value, default);
        }
        Some(Self {
            accepted: Timestamp(u64_at(value, 0)?.cast_signed()),
            end: Timestamp(u64_at(value, 8)?.cast_signed()),
            body: u64_at(value, 16)?,
            receipt: value.get(FIXED_BYTES..)?.into(),
        })
    }

    /// Time i64, body hash u64, quarantined u32, perhaps a window in seconds u32, then runs of records: stream u32,
    /// partition u32, base offset u64, records u32.
    fn decode_old(value: &[u8], default: Duration) -> Option<Self> {
        let runs = match value.len().checked_sub(OLD_FIXED_BYTES)? % OLD_RUN_BYTES {
            0 => value.get(OLD_FIXED_BYTES..)?,
            _ => value.get(OLD_FIXED_BYTES + 4..)?,
        };
        let window = match value.len() - runs.len() {
            OLD_FIXED_BYTES => default.as_secs(),
            _ => u32_at(value, OLD_FIXED_BYTES)?.into(),
        };
        let run = |bytes| {
            Some(Placed {
                stream: StreamId(u32_at(bytes, 0)?),
                partition: PartitionId(u32_at(bytes, 4)?),
                base: Offset(u64_at(bytes, 8)?),
                records: u32_at(bytes, 16)?,
            })
        };
        let placed: Vec<Placed> = runs.chunks_exact(OLD_RUN_BYTES).map(run).collect::<Option<_>>()?;
        let accepted = Timestamp(u64_at(value, 0)?.cast_signed());
        Some(Self {
            accepted,
            end: end(accepted, Duration::from_secs(window)),
            body: u64_at(value, 8)?,
            receipt: encode(CachedReply::Places, &placed, u32_at(value, 16)?),
        })
    }
}

/// When a window ends.
pub(super) fn end(begun: Timestamp, window: Duration) -> Timestamp {
    Timestamp(begun.0.saturating_add(i64::try_from(window.as_micros()).unwrap_or(i64::MAX)))
}

/// Returns the kept parts of a receipt: events put aside, then runs of records by stream, partition, first offset and
/// number.
pub(super) fn encode(keep: CachedReply, placed: &[Placed], quarantined: u32) -> Box<[u8]> {
    let mut out = Vec::with_capacity(16);
    push(&mut out, quarantined.into());
    let mut run = |placed: &Placed, records: u64| {
        for number in [placed.stream.0.into(), placed.partition.0.into(), placed.base.0, records] {
            push(&mut out, number);
        }
    };
    match (keep, placed) {
        (CachedReply::Status, _) | (_, []) => {}
        (CachedReply::Count, [first, ..]) => run(first, placed.iter().map(|placed| u64::from(placed.records)).sum()),
        (CachedReply::Places, placed) => placed.iter().for_each(|placed| run(placed, placed.records.into())),
    }
    out.into()
}

/// Returns the answer to a repeat. `None` for bytes that are no receipt.
pub(super) fn receipt(mut bytes: &[u8], accepted: Timestamp, durability: Durability) -> Option<Receipt> {
    let quarantined = u32::try_from(pull(&mut bytes)?).ok()?;
    let mut placed = Vec::new();
    while !bytes.is_empty() {
        placed.push(Placed {
            stream: StreamId(u32::try_from(pull(&mut bytes)?).ok()?),
            partition: PartitionId(u32::try_from(pull(&mut bytes)?).ok()?),
            base: Offset(pull(&mut bytes)?),
            records: u32::try_from(pull(&mut bytes)?).ok()?,
        });
    }
    let receipt = Receipt::new(Level::repeated(durability), placed, quarantined);
    Some(Receipt { repeats: Some(accepted), ..receipt })
}

/// Appends a number in LEB128.
fn push(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn pull(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The refusal of a key that came before with another body.
pub(super) fn mismatch() -> Error {
    Error::new(ErrorKind::IdempotencyMismatch, "the idempotency key was used before with another body")
}

/// Returns a receipt that is on the disk and cannot be read.
pub(super) fn unreadable(why: impl std::fmt::Display) -> Error {
    let detail = format!("the first answer to this idempotency key cannot be read: {why}");
    Error::new(ErrorKind::StorageUnavailable, detail)
}

/// Returns the answer to a repeat, from the receipt's bytes.
pub(super) fn answer(bytes: &[u8], accepted: Timestamp, durability: Durability) -> Result<Receipt> {
    receipt(bytes, accepted, durability).ok_or_else(|| unreadable("it is not what was written"))
}

const OLD_FIXED_BYTES: usize = 20;
const OLD_RUN_BYTES: usize = 20;
/// Bytes of a row's value before the receipt.
const FIXED_BYTES: usize = 24;
/// The most that one number takes: of a run, three of 32 bits and an offset.
const RUN_BYTES: usize = 3 * 5 + 10;

/// Returns the most bytes that a row takes as an encoded operation.
pub(crate) fn dedup_entry_bytes(runs: usize) -> usize {
    let op = TableOp::put(Table::Keys, 0_u128.to_le_bytes(), Vec::new());
    op.encoded_bytes() + FIXED_BYTES + 5 + runs * RUN_BYTES
}
