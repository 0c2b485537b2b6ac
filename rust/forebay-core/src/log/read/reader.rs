//! Reading a range of one partition: from the ring what is hot, from segments what is sealed, never from the journal.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::reading::{Reading, Stretch, Taker};
use super::record_batch::RecordBatch;
use super::visit::{Visit, Visited, Visitor};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId};
use crate::log::Strictness;
use crate::log::segment::{DamagedRange, SegmentError, SegmentReader};
use crate::status::{Damage, Status};
use crate::storage::Storage;
use crate::stream::{Partition, SegmentName, SegmentPart, Stream};
use crate::telemetry::Counters;

/// Segments kept open: readers of a few partitions find theirs again, and file handles stay bounded.
const OPEN_SEGMENTS: usize = 64;

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
pub(crate) struct Reader {
    storage: Arc<dyn Storage>,
    status: Arc<Status>,
    counters: Arc<Counters>,
    open: Mutex<VecDeque<Arc<SegmentReader>>>,
}

impl Reader {
    /// A reader of `storage`'s segments.
    #[must_use]
    pub(crate) fn new(storage: Arc<dyn Storage>, status: Arc<Status>, counters: Arc<Counters>) -> Self {
        Self { storage, status, counters, open: Mutex::default() }
    }

    /// Reads from `offset` on; empty at the end of the partition. What is damaged is left out and named. What cannot be
    /// read now ends the batch before it; the next read begins there, and fails when it still cannot be read.
    ///
    /// # Errors
    /// `InvalidOffset` naming the valid range; `StorageUnavailable` when what is at `offset` cannot be read now;
    /// `StreamNotFound` when the stream was deleted meanwhile.
    pub(crate) fn fetch(
        &self,
        stream: &Stream,
        partition: PartitionId,
        offset: Offset,
        limits: Limits,
    ) -> Result<RecordBatch> {
        let mut reading = Reading::new(partition, offset, limits, RecordBatch::new(partition, offset));
        self.read(stream, &mut reading)?;
        Ok(RecordBatch::of(reading))
    }

    /// Gives each record from `offset` on to `each`, as [`Reader::fetch`] would return it, from where it is stored: the
    /// ring's batches are held, and a block is decompressed once.
    ///
    /// # Errors
    /// Fails as [`Reader::fetch`] does; then `each` was given nothing.
    pub(crate) fn visit(
        &self,
        stream: &Stream,
        partition: PartitionId,
        from: Offset,
        limits: Limits,
        each: &mut dyn FnMut(Visited<'_>),
    ) -> Result<Visit> {
        let mut reading = Reading::new(partition, from, limits, Visitor(each));
        self.read(stream, &mut reading)?;
        let (records, bytes) = (reading.records(), reading.bytes());
        let (_, next_offset, gaps) = reading.finish();
        Ok(Visit { next_offset, gaps, records, bytes })
    }

    fn read<T: Taker>(&self, stream: &Stream, reading: &mut Reading<T>) -> Result<()> {
        let (partition, offset) = (reading.partition(), reading.next_offset());
        let Some(log) = stream.partition(partition) else {
            let detail = format!("stream {:?} has no partition {partition}", stream.name());
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        };
        let (start, committed) = (log.start(), log.committed());
        if offset < start || offset > committed {
            return Err(outside(stream, partition, offset, (start, committed)));
        }
        if reading.records_left() == 0 {
            return Ok(());
        }
        while reading.next_offset() < committed && !reading.is_full(0) {
            let before = reading.next_offset();
            match self.read_on(stream, log, reading) {
                Ok(()) if reading.next_offset() > before => {}
                Ok(()) => break,
                // The records before it are given; the next read begins here, and fails if it still has to.
                Err(_) if reading.next_offset() > offset => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what comes next from where it is: the ring, or one segment. Does not move on when a limit is reached.
    fn read_on<T: Taker>(&self, stream: &Stream, log: &Partition, reading: &mut Reading<T>) -> Result<()> {
        let before = reading.next_offset();
        let runs = log.runs_from(before, reading.records_left(), reading.bytes_left());
        if runs.is_empty() {
            self.read_sealed(stream, log, reading)?;
        }
        for run in runs {
            leave_out(stream, log, reading, run.base)?;
            let (base, records, append_time) = (run.base, run.records, run.append_time);
            reading.take_in(Stretch { base, records, append_time, bytes: run.bytes() });
            if reading.next_offset() < run.end() {
                // Full. The next run's base would be taken for a hole's end, and what is left of this one skipped.
                break;
            }
        }
        if reading.next_offset() == before && reading.records() == 0 {
            // Nothing holds this offset: it was damaged away, and it goes on behind the hole.
            let end = log.ring_start().filter(|start| *start > before).unwrap_or(log.committed());
            leave_out(stream, log, reading, end)?;
        }
        Ok(())
    }

    fn read_sealed<T: Taker>(&self, stream: &Stream, log: &Partition, reading: &mut Reading<T>) -> Result<()> {
        let Some((part, reader)) = self.segment_at(stream, log, reading)? else { return Ok(()) };
        for row in reader.rows_from(stream.id(), reading.partition(), reading.next_offset()) {
            if reading.is_full(0) {
                return Ok(());
            }
            let left = (reading.records_left(), reading.bytes_left());
            match reader.read_from(row, reading.next_offset(), left) {
                Ok(part_of) => {
                    leave_out(stream, log, reading, row.base)?;
                    let (base, records, append_time) = (part_of.base, part_of.records, row.newest_append);
                    if !reading.take_in(Stretch { base, records, append_time, bytes: &part_of.bytes }) {
                        let range = Some((row.position, row.file_bytes()));
                        self.report(part.name, range, stream, "a block holds fewer records than it says");
                        leave_out(stream, log, reading, row.end())?;
                    }
                    if reading.next_offset() < row.end() {
                        return Ok(());
                    }
                }
                Err(SegmentError::Damaged(DamagedRange { position, bytes, what })) => {
                    self.report(part.name, Some((position, bytes)), stream, what);
                    leave_out(stream, log, reading, row.end())?;
                }
                Err(SegmentError::Io(error)) => return Err(self.unreadable(part.name, stream, reading, &error)),
            }
        }
        // Blocks that the index no longer names are gone with it.
        if !reading.is_full(0) {
            leave_out(stream, log, reading, part_end(&part, reading.partition()))?;
        }
        Ok(())
    }

    /// The segment that holds what comes next; `None` when there is none, or its file is missing, which is skipped.
    fn segment_at<T: Taker>(
        &self,
        stream: &Stream,
        log: &Partition,
        reading: &mut Reading<T>,
    ) -> Result<Option<OpenSegment>> {
        let found = self.find(stream, reading.partition(), reading.next_offset());
        let Some((part, opened)) = found else { return Ok(None) };
        match opened {
            Ok(reader) => Ok(Some((part, reader))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                check_kept(stream, log, reading)?;
                self.report(part.name, None, stream, "the file is missing");
                leave_out(stream, log, reading, part_end(&part, reading.partition()))?;
                Ok(None)
            }
            Err(error) => Err(self.unreadable(part.name, stream, reading, &error)),
        }
    }

    /// The part that holds `offset`, or the first one after it, and its file. A merge may remove the file after the
    /// look-up; then another part holds the offset, and is looked for again: each round takes a further merge.
    pub(crate) fn find(
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

    /// The error of a read that may succeed later: nothing is known to be lost.
    fn unreadable<T: Taker>(
        &self,
        name: SegmentName,
        stream: &Stream,
        reading: &Reading<T>,
        error: &io::Error,
    ) -> Error {
        self.counters.failed_reads.increment();
        let (file, offset, partition) = (name.path(), reading.next_offset(), reading.partition());
        let detail = format!(
            "segment {} cannot be read at offset {offset} of partition {partition} of stream {:?} ({error}); nothing is \
             skipped: the same read may succeed later",
            file.display(),
            stream.name()
        );
        Error::new(ErrorKind::StorageUnavailable, detail)
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
        let reader = self.open_apart(part, stream)?;
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

    /// Opens a segment that is not kept open.
    pub(super) fn open_apart(&self, part: &SegmentPart, stream: &Stream) -> io::Result<Arc<SegmentReader>> {
        let (reader, damages) = SegmentReader::open(self.storage.as_ref(), part.name, Strictness::Trusting)?;
        for DamagedRange { position, bytes, what } in damages {
            self.report(part.name, Some((position, bytes)), stream, what);
        }
        Ok(Arc::new(reader))
    }

    /// Takes note of a read that failed, and may succeed later.
    pub(super) fn failed(&self) {
        self.counters.failed_reads.increment();
    }

    /// Forgets an open segment whose file is removed, so that its space is given back.
    pub(crate) fn forget(&self, name: SegmentName) {
        self.open.lock().retain(|reader| reader.name() != name);
    }

    pub(super) fn report(&self, name: SegmentName, range: Option<(u64, u64)>, stream: &Stream, what: &str) {
        self.counters.damaged_reads.increment();
        self.status.report(Damage {
            file: name.path().to_string_lossy().into_owned(),
            range,
            stream: Some(stream.name().to_owned()),
            what: what.to_owned(),
        });
    }
}

/// A segment file, and what it holds of one stream.
type OpenSegment = (Arc<SegmentPart>, Arc<SegmentReader>);

/// Goes on at `to`: nothing holds what comes before it. Retention may have deleted that since the read looked at the
/// start, so that the look-up found a later part; this is asked again here, whatever led here, as retention moves the start
/// before it forgets a part.
fn leave_out<T: Taker>(stream: &Stream, log: &Partition, reading: &mut Reading<T>, to: Offset) -> Result<()> {
    if to > reading.next_offset() {
        check_kept(stream, log, reading)?;
        reading.skip_to(to);
    }
    Ok(())
}

/// Refuses when what comes next was deleted since the read began: that is no damage.
fn check_kept<T: Taker>(stream: &Stream, log: &Partition, reading: &Reading<T>) -> Result<()> {
    if stream.is_deleted() {
        return Err(Error::new(ErrorKind::StreamNotFound, format!("stream {:?} was deleted", stream.name())));
    }
    let (start, committed) = (log.start(), log.committed());
    if reading.next_offset() < start {
        return Err(outside(stream, reading.partition(), reading.next_offset(), (start, committed)));
    }
    Ok(())
}

fn outside(stream: &Stream, partition: PartitionId, offset: Offset, (start, committed): (Offset, Offset)) -> Error {
    let name = stream.name();
    let detail = format!(
        "offset {offset} is outside of partition {partition} of stream {name:?}: valid are {start} to {committed}"
    );
    Error::new(ErrorKind::InvalidOffset, detail)
}

pub(crate) fn part_end(part: &SegmentPart, partition: PartitionId) -> Offset {
    let ends = part.spans.iter().filter(|(of, _, _)| *of == partition).map(|(_, base, records)| base.plus(*records));
    ends.max().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use super::*;
    use crate::log::read::tests::{open, wait_sealed};
    use crate::storage::faulty::{Fault, Operation};
    use crate::{Engine, NewRecord};

    const STREAM: &str = "s";
    const ONE: PartitionId = PartitionId(0);
    const LIMITS: Limits = Limits { records: 1000, bytes: 1 << 20 };

    /// Appends so many records of so many bytes, and waits until they are sealed.
    fn seal(engine: &Engine, records: usize, bytes: usize) {
        let value = format!("{:?}", "x".repeat(bytes)).into_bytes();
        let record = NewRecord { key: None, value, headers: Vec::new(), timestamp: None };
        engine.append(STREAM, &vec![record; records], Some(ONE)).unwrap();
        wait_sealed(engine);
    }

    /// Retention deletes the oldest part after the reader has looked at the start, and before it looks for the part.
    #[test]
    fn what_is_deleted_between_two_looks_is_not_called_damaged() {
        let (_storage, engine) = open();
        seal(&engine, 20, 10);
        seal(&engine, 7, 10);
        let stream = engine.catalog.named(STREAM).unwrap();
        let log = stream.partition(ONE).unwrap();
        let mut reading = Reading::new(ONE, Offset(3), LIMITS, RecordBatch::default());
        let oldest = stream.part_at(ONE, Offset(0)).unwrap();
        log.advance_start(part_end(&oldest, ONE));
        stream.remove_part(oldest.name);
        let error = engine.reader.read_on(&stream, log, &mut reading).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOffset, "{error}");
        let (_, next_offset, gaps) = reading.finish();
        assert_eq!((gaps, next_offset), (Vec::new(), Offset(3)));
        // Between two parts of one read, too, the records before are given.
        let read = engine.reader.fetch(&stream, ONE, Offset(20), LIMITS).unwrap();
        assert_eq!((read.len(), read.gaps()), (7, &[][..]));
    }

    /// The first block of a segment is read, the second one is not for the moment.
    #[test]
    fn what_was_read_before_a_failure_is_given() {
        let (storage, engine) = open();
        seal(&engine, 400, 1000);
        let stream = engine.catalog.named(STREAM).unwrap();
        let whole = engine.reader.fetch(&stream, ONE, Offset(0), LIMITS).unwrap();
        assert_eq!(whole.len(), 400);
        storage.inject(Fault::nth(Operation::Read, 2).on("segments/").always());
        let read = engine.reader.fetch(&stream, ONE, Offset(0), LIMITS).unwrap();
        assert!((1..400).contains(&read.len()), "{}", read.len());
        assert_eq!(read.gaps(), []);
        let error = engine.reader.fetch(&stream, ONE, read.next_offset(), LIMITS).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageUnavailable);
    }
}
