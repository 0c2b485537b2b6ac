//! Reading a range of one partition: from the ring what is hot, from segments what is sealed, never from the journal.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::record::{Record, Records, decode};
use super::segment::{SegmentError, SegmentName, SegmentReader};
use super::status::{Damage, Status};
use super::storage::Storage;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId};
use crate::stream::{SegmentPart, Stream};
use crate::telemetry::Counters;

/// Segments kept open: readers of a few partitions find theirs again, and file handles stay bounded.
const OPEN_SEGMENTS: usize = 64;

/// Records of one partition, in order of their offsets. Offsets are dense but where a damaged block was left out.
#[derive(Clone, Debug, Default)]
pub struct RecordBatch {
    partition: PartitionId,
    next_offset: Offset,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    starts: Vec<usize>,
    bytes: Vec<u8>,
}

impl RecordBatch {
    fn new(partition: PartitionId, offset: Offset) -> Self {
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

    /// Whether there are none.
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
        *self = kept;
    }

    /// Takes records in whose first has offset `base`, from `next_offset` on, until a limit is reached. `false` when
    /// the bytes end before `records` are walked.
    fn take_in(&mut self, base: Offset, records: u32, bytes: &[u8], limits: Limits) -> bool {
        let mut offset = base.0;
        let (mut walked, mut from) = (0, None);
        let mut full = false;
        for (record, stored) in Records::new(bytes) {
            if offset >= self.next_offset.0 {
                let from = *from.get_or_insert(walked);
                full = self.is_full(limits, walked - from + stored.len());
                if full {
                    break;
                }
                self.offsets.push(offset.cast_signed());
                self.timestamps.push(record.timestamp.0);
                self.starts.push(self.bytes.len() + walked - from);
                self.next_offset = Offset(offset + 1);
            }
            walked += stored.len();
            offset += 1;
        }
        self.bytes.extend_from_slice(&bytes[from.unwrap_or(walked)..walked]);
        full || offset == base.plus(records.into()).0
    }

    fn is_full(&self, limits: Limits, more: usize) -> bool {
        // The first record is always taken: a reader with a small limit has to get on.
        !self.is_empty() && (self.len() >= limits.records || self.bytes.len() + more > limits.bytes)
    }
}

/// How much one read returns at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records.
    pub records: usize,
    /// Encoded bytes; the first record is returned even when it is larger.
    pub bytes: usize,
}

/// Reads records, and remembers what it found damaged.
#[derive(Debug)]
pub struct Reader {
    storage: Arc<dyn Storage>,
    status: Arc<Status>,
    counters: Arc<Counters>,
    open: Mutex<VecDeque<Arc<SegmentReader>>>,
}

impl Reader {
    /// A reader of `storage`'s segments.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, status: Arc<Status>, counters: Arc<Counters>) -> Self {
        Self { storage, status, counters, open: Mutex::default() }
    }

    /// Reads from `offset` on; empty at the end of the partition.
    ///
    /// # Errors
    /// `InvalidOffset` naming the valid range; `StorageUnavailable` when a segment cannot be read at all now.
    pub fn fetch(
        &self,
        stream: &Stream,
        partition: PartitionId,
        offset: Offset,
        limits: Limits,
    ) -> Result<RecordBatch> {
        let Some(log) = stream.partition(partition) else {
            let detail = format!("stream {:?} has no partition {partition}", stream.name());
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        };
        let (start, committed) = (log.start(), log.committed());
        if offset < start || offset > committed {
            let name = stream.name();
            let detail = format!(
                "offset {offset} is outside of partition {partition} of stream {name:?}: valid are {start} to {committed}"
            );
            return Err(Error::new(ErrorKind::InvalidOffset, detail));
        }
        let mut batch = RecordBatch::new(partition, offset);
        if limits.records == 0 {
            return Ok(batch);
        }
        while batch.next_offset < committed && !batch.is_full(limits, 0) {
            let before = batch.next_offset;
            let runs = log.runs_from(before, limits.records - batch.len());
            if runs.is_empty() {
                self.read_sealed(stream, &mut batch, limits)?;
            }
            for run in runs {
                if run.base > batch.next_offset {
                    batch.next_offset = run.base;
                }
                batch.take_in(run.base, run.records, run.bytes(), limits);
                if batch.next_offset < run.end() {
                    // Full. The next run's base would be taken for a hole's end, and what is left of this one skipped.
                    break;
                }
            }
            if batch.next_offset == before {
                if batch.is_empty() {
                    // Nothing holds this offset (it was damaged away): go on behind the hole.
                    batch.next_offset = log.ring_start().filter(|start| *start > before).unwrap_or(committed);
                    continue;
                }
                break;
            }
        }
        Ok(batch)
    }

    fn read_sealed(&self, stream: &Stream, batch: &mut RecordBatch, limits: Limits) -> Result<()> {
        let Some((part, opened)) = self.find(stream, batch.partition, batch.next_offset) else { return Ok(()) };
        let reader = match opened {
            Ok(reader) => reader,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Retention may have removed it after the look-up; then the range is below the start by now.
                if stream.partition(batch.partition).is_some_and(|log| log.start() <= batch.next_offset) {
                    self.report(part.name, None, stream, "the file is missing");
                }
                batch.next_offset = part_end(&part, batch.partition).max(batch.next_offset);
                return Ok(());
            }
            Err(error) => {
                let detail = format!("segment {} cannot be read: {error}", part.name.path().display());
                return Err(Error::new(ErrorKind::StorageUnavailable, detail));
            }
        };
        for row in reader.rows_from(stream.id(), batch.partition, batch.next_offset) {
            if batch.is_full(limits, 0) {
                return Ok(());
            }
            match reader.read(row) {
                Ok(records) => {
                    batch.next_offset = batch.next_offset.max(row.base);
                    if !batch.take_in(row.base, row.records, &records, limits) {
                        let range = Some((row.position, row.file_bytes()));
                        self.report(part.name, range, stream, "a block holds fewer records than it says");
                        batch.next_offset = batch.next_offset.max(row.end());
                    }
                    if batch.next_offset < row.end() {
                        return Ok(());
                    }
                }
                Err(SegmentError::Damaged(position, bytes, what)) => {
                    self.report(part.name, Some((position, bytes)), stream, what);
                    batch.next_offset = batch.next_offset.max(row.end());
                }
                Err(SegmentError::Io(error)) => {
                    self.report(part.name, Some((row.position, row.file_bytes())), stream, &error.to_string());
                    batch.next_offset = batch.next_offset.max(row.end());
                }
            }
        }
        // Blocks that the index no longer names are gone with it.
        if !batch.is_full(limits, 0) {
            batch.next_offset = batch.next_offset.max(part_end(&part, batch.partition));
        }
        Ok(())
    }

    /// The part that holds `offset`, or the first one after it, and its file. A merge may remove the file after the
    /// look-up; then another part holds the offset, and is looked for again: each round takes a further merge.
    pub(super) fn find(
        &self,
        stream: &Stream,
        partition: PartitionId,
        offset: Offset,
    ) -> Option<(Arc<SegmentPart>, io::Result<Arc<SegmentReader>>)> {
        let mut part = stream.part_at(partition, offset)?;
        loop {
            let opened = self.open(&part, stream);
            if !opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                return Some((part, opened));
            }
            let now = stream.part_at(partition, offset)?;
            if now.name == part.name {
                return Some((part, opened));
            }
            part = now;
        }
    }

    fn open(&self, part: &SegmentPart, stream: &Stream) -> io::Result<Arc<SegmentReader>> {
        let mut open = self.open.lock();
        if let Some(at) = open.iter().position(|reader| reader.name() == part.name)
            && let Some(reader) = open.remove(at)
        {
            open.push_front(Arc::clone(&reader));
            return Ok(reader);
        }
        drop(open);
        let (reader, damage) = SegmentReader::open(self.storage.as_ref(), part.name)?;
        match damage {
            Some(SegmentError::Damaged(position, bytes, what)) => {
                self.report(part.name, Some((position, bytes)), stream, what);
            }
            Some(SegmentError::Io(error)) => self.report(part.name, None, stream, &error.to_string()),
            None => {}
        }
        let reader = Arc::new(reader);
        let mut open = self.open.lock();
        open.push_front(Arc::clone(&reader));
        open.truncate(OPEN_SEGMENTS);
        drop(open);
        // Retention or a merge may have removed the file meanwhile, and told the cache before it was in there: kept open,
        // it would take its space until so many others were read. Each forgets the part before it tells the cache.
        if stream.part_named(part.name).is_none() {
            self.forget(part.name);
        }
        Ok(reader)
    }

    /// Forgets an open segment whose file is removed, so that its space is given back.
    pub(crate) fn forget(&self, name: SegmentName) {
        self.open.lock().retain(|reader| reader.name() != name);
    }

    fn report(&self, name: SegmentName, range: Option<(u64, u64)>, stream: &Stream, what: &str) {
        self.counters.damaged_reads.increment();
        self.status.report(Damage {
            file: name.path().to_string_lossy().into_owned(),
            range,
            stream: Some(stream.name().to_owned()),
            what: what.to_owned(),
        });
    }
}

pub(super) fn part_end(part: &SegmentPart, partition: PartitionId) -> Offset {
    let ends = part.spans.iter().filter(|(of, _, _)| *of == partition).map(|(_, base, records)| base.plus(*records));
    ends.max().unwrap_or_default()
}
