//! What is remembered of an acknowledged request, in memory and as a row.

use std::time::Duration;

use super::{Keep, Key};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId, StreamId, Timestamp};
use crate::log::append::{Level, Placed, Receipt};
use crate::log::frame::{u32_at, u64_at};
use crate::log::table::{Table, TableOp};
use crate::options::Durability;

/// An acknowledged request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    /// Hash of the decompressed body.
    pub(super) body: u64,
    /// When the request came in.
    pub(super) accepted: Timestamp,
    pub(super) quarantined: u32,
    /// For how long from then on, in seconds.
    pub(super) window_seconds: u32,
    /// Behind a second box, so that the many that keep no places are small.
    pub(super) placed: Option<Box<Box<[Placed]>>>,
}

impl Remembered {
    /// What is kept of the receipt's places.
    pub(super) fn keep(keep: Keep, placed: &[Placed]) -> Option<Box<Box<[Placed]>>> {
        match keep {
            Keep::Status => None,
            Keep::Places => Some(Box::new(placed.into())),
        }
    }

    /// Whether the window has passed. A clock that was set back makes it longer, never shorter.
    pub(super) fn is_past(&self, now: Timestamp) -> bool {
        now.0 >= self.accepted.0.saturating_add(i64::from(self.window_seconds) * 1_000_000)
    }

    /// The answer to a repeat with that body.
    pub(super) fn answer(&self, body: u64, durability: Durability) -> Result<Receipt> {
        if self.body != body {
            return Err(mismatch());
        }
        let placed = self.placed.as_ref().map_or_else(Vec::new, |placed| placed.to_vec());
        let receipt = Receipt::new(Level::repeated(durability), placed, self.quarantined);
        Ok(Receipt { repeats: Some(self.accepted), ..receipt })
    }

    /// The row that makes the key durable: time i64, body hash u64, quarantined u32, window in seconds u32, then 20 bytes
    /// a run of records: stream u32, partition u32, base offset u64, records u32.
    pub(super) fn row(&self, key: Key) -> TableOp {
        let mut value = self.accepted.0.to_le_bytes().to_vec();
        value.extend_from_slice(&self.body.to_le_bytes());
        value.extend_from_slice(&self.quarantined.to_le_bytes());
        value.extend_from_slice(&self.window_seconds.to_le_bytes());
        for run in self.placed.iter().flat_map(|placed| placed.iter()) {
            value.extend_from_slice(&run.stream.0.to_le_bytes());
            value.extend_from_slice(&run.partition.0.to_le_bytes());
            value.extend_from_slice(&run.base.0.to_le_bytes());
            value.extend_from_slice(&run.records.to_le_bytes());
        }
        TableOp::put(Table::Idempotency, key.bytes(), value)
    }

    /// What a row's value says. Rows that are older than windows of streams say none: theirs is `default`.
    pub(super) fn decode(value: &[u8], default: Duration) -> Option<Self> {
        let runs = match value.len().checked_sub(OLD_FIXED_BYTES)? % RUN_BYTES {
            0 => value.get(OLD_FIXED_BYTES..)?,
            _ => value.get(FIXED_BYTES..)?,
        };
        let window_seconds = if value.len() - runs.len() == FIXED_BYTES {
            u32_at(value, OLD_FIXED_BYTES)?
        } else {
            u32::try_from(default.as_secs()).unwrap_or(u32::MAX)
        };
        let run = |bytes| {
            Some(Placed {
                stream: StreamId(u32_at(bytes, 0)?),
                partition: PartitionId(u32_at(bytes, 4)?),
                base: Offset(u64_at(bytes, 8)?),
                records: u32_at(bytes, 16)?,
            })
        };
        let placed: Box<[Placed]> = runs.chunks_exact(RUN_BYTES).map(run).collect::<Option<_>>()?;
        Some(Self {
            accepted: Timestamp(u64_at(value, 0)?.cast_signed()),
            body: u64_at(value, 8)?,
            quarantined: u32_at(value, 16)?,
            window_seconds,
            placed: Some(placed).filter(|placed| !placed.is_empty()).map(Box::new),
        })
    }
}

/// The same key came with another body.
pub(super) fn mismatch() -> Error {
    Error::new(ErrorKind::IdempotencyMismatch, "the idempotency key was used before with another body")
}

const OLD_FIXED_BYTES: usize = 20;
const FIXED_BYTES: usize = OLD_FIXED_BYTES + 4;
const RUN_BYTES: usize = 20;

/// The most bytes that a row takes as an encoded operation.
pub(crate) fn settlement_bytes(runs: usize) -> usize {
    let op = TableOp::put(Table::Idempotency, 0_u128.to_le_bytes(), Vec::new());
    op.encoded_bytes() + FIXED_BYTES + runs * RUN_BYTES
}
