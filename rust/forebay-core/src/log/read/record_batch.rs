//! Records of one partition as a read returns them, and where there were none to return.

use super::reading::{Reading, Taker};
use super::visit::Visited;
use crate::ids::{Offset, PartitionId};
use crate::record::{Record, Records, decode};

/// Offsets of committed records that cannot be read any more: their bytes are damaged, or their file is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The partition.
    pub partition: PartitionId,
    /// The first of them.
    pub from: Offset,
    /// The offset after the last of them.
    pub to: Offset,
}

impl Gap {
    /// How many records are lost.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.to.0.saturating_sub(self.from.0)
    }
}

/// Records of one partition, in order of their offsets. Offsets are dense but for the gaps, which are named.
#[derive(Clone, Debug, Default)]
pub struct RecordBatch {
    partition: PartitionId,
    next_offset: Offset,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    starts: Vec<usize>,
    bytes: Vec<u8>,
    gaps: Vec<Gap>,
}

impl RecordBatch {
    pub(crate) fn new(partition: PartitionId, offset: Offset) -> Self {
        Self { partition, next_offset: offset, ..Self::default() }
    }

    /// The records' partition.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Where the next read goes on.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// How many records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The offset of each record.
    #[must_use]
    pub fn offsets(&self) -> &[i64] {
        &self.offsets
    }

    /// The time of each record, microseconds since 1970 UTC.
    #[must_use]
    pub fn timestamps(&self) -> &[i64] {
        &self.timestamps
    }

    /// Gaps that were left out between the read's first offset and `next_offset`, in order.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// How many records were left out: the sum of the gaps.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.gaps.iter().map(Gap::records).sum()
    }

    /// Encoded bytes of all records.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// One record; `None` beyond the last.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        let bytes = self.bytes.get(*self.starts.get(index)?..)?;
        decode(bytes).map(|(record, _)| record)
    }

    /// Every record with its offset.
    pub fn iter(&self) -> impl Iterator<Item = (Offset, Record<'_>)> {
        let offsets = self.offsets.iter().map(|offset| Offset(offset.cast_unsigned()));
        offsets.zip(Records::new(&self.bytes).map(|(record, _)| record))
    }

    /// Keeps the records that `wanted` takes, the first `most` of them: reading goes on behind the last one then, or at
    /// the record where `wanted` gives up.
    pub(crate) fn select(&mut self, most: usize, mut wanted: impl FnMut(Offset, &Record<'_>) -> Option<bool>) {
        let mut kept = Self::new(self.partition, self.next_offset);
        for ((record, stored), offset) in Records::new(&self.bytes).zip(&self.offsets) {
            match wanted(Offset(offset.cast_unsigned()), &record) {
                Some(true) => {}
                Some(false) => continue,
                None => {
                    kept.next_offset = Offset(offset.cast_unsigned());
                    break;
                }
            }
            kept.offsets.push(*offset);
            kept.timestamps.push(record.timestamp.0);
            kept.starts.push(kept.bytes.len());
            kept.bytes.extend_from_slice(stored);
            if kept.len() == most {
                kept.next_offset = Offset(offset.cast_unsigned() + 1);
                break;
            }
        }
        // Gaps end at a record or at the batch's end, so none is cut in two; later ones are met again.
        kept.gaps = std::mem::take(&mut self.gaps);
        kept.gaps.retain(|gap| gap.to <= kept.next_offset);
        *self = kept;
    }

    /// Returns the batch of a read that is over.
    pub(super) fn of(reading: Reading<Self>) -> Self {
        let (batch, next_offset, gaps) = reading.finish();
        Self { next_offset, gaps, ..batch }
    }
}

impl Taker for RecordBatch {
    fn take(&mut self, Visited { offset, record, .. }: Visited<'_>, at: usize) {
        self.offsets.push(offset.0.cast_signed());
        self.timestamps.push(record.timestamp.0);
        self.starts.push(self.bytes.len() + at);
    }

    fn take_bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}
