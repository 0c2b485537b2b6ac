//! A read of one partition under way: how far it is, and what it left out.

use super::reader::Limits;
use super::record_batch::Gap;
use super::visit::Visited;
use crate::ids::{Offset, PartitionId, Timestamp};
use crate::record::Records;

/// Takes records as they are read.
pub(super) trait Taker {
    /// Takes the next record, which stands at `at` of the bytes that its run is given with.
    fn take(&mut self, record: Visited<'_>, at: usize);

    /// Takes the encoded bytes of those records of a run that were taken, one after the other.
    fn take_bytes(&mut self, bytes: &[u8]);
}

/// Stored records of one partition, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch<'a> {
    /// The first record's offset.
    pub(super) base: Offset,
    /// How many records there are to be.
    pub(super) records: u32,
    /// When they were appended, the newest of them.
    pub(super) append_time: Timestamp,
    /// The encoded records.
    pub(super) bytes: &'a [u8],
}

/// A read under way.
#[derive(Debug)]
pub(super) struct Reading<T> {
    partition: PartitionId,
    next_offset: Offset,
    gaps: Vec<Gap>,
    limits: Limits,
    /// Records that were taken, and their encoded bytes.
    records: usize,
    bytes: usize,
    taker: T,
}

impl<T: Taker> Reading<T> {
    pub(super) fn new(partition: PartitionId, offset: Offset, limits: Limits, taker: T) -> Self {
        Self { partition, next_offset: offset, gaps: Vec::new(), limits, records: 0, bytes: 0, taker }
    }

    pub(super) fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Returns where the next read goes on.
    pub(super) fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// Returns how many records were taken.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// Returns their encoded bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many records more may be taken.
    pub(super) fn records_left(&self) -> usize {
        self.limits.records.saturating_sub(self.records)
    }

    /// Returns how many encoded bytes more may be taken.
    pub(super) fn bytes_left(&self) -> usize {
        self.limits.bytes.saturating_sub(self.bytes)
    }

    /// Ends it.
    pub(super) fn finish(self) -> (T, Offset, Vec<Gap>) {
        (self.taker, self.next_offset, self.gaps)
    }

    /// Goes on at `to`: nothing can be read before it.
    pub(super) fn skip_to(&mut self, to: Offset) {
        if to <= self.next_offset {
            return;
        }
        match self.gaps.last_mut() {
            Some(gap) if gap.to == self.next_offset => gap.to = to,
            Some(_) | None => self.gaps.push(Gap { partition: self.partition, from: self.next_offset, to }),
        }
        self.next_offset = to;
    }

    /// Takes records from where it is on, until a limit is reached. `false` when the bytes end before all records of the
    /// stretch are walked.
    pub(super) fn take_in(&mut self, stretch: Stretch<'_>) -> bool {
        let Stretch { base: Offset(mut offset), records, append_time, bytes } = stretch;
        let (mut walked, mut from) = (0, None);
        let mut full = false;
        for (record, stored) in Records::new(bytes) {
            if offset >= self.next_offset.0 {
                full = self.is_full(stored.len());
                if full {
                    break;
                }
                let from = *from.get_or_insert(walked);
                self.taker.take(Visited { offset: Offset(offset), append_time, record, stored }, walked - from);
                self.records += 1;
                self.bytes += stored.len();
                self.next_offset = Offset(offset + 1);
            }
            walked += stored.len();
            offset += 1;
        }
        self.taker.take_bytes(bytes.get(from.unwrap_or(walked)..walked).unwrap_or_default());
        full || offset == stretch.base.plus(records.into()).0
    }

    /// Returns whether a limit is reached before so many bytes more.
    pub(super) fn is_full(&self, more: usize) -> bool {
        // The first record is always taken: a reader with a small limit has to get on.
        self.records > 0 && (self.records >= self.limits.records || self.bytes + more > self.limits.bytes)
    }
}
