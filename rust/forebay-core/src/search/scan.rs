//! Reads what a stream has stored, newest parts first, and gives what matches to a sink.
//!
//! Which records can match is told apart from whether one does: here parts, blocks and runs are left out by their times and
//! by the prefilter, and the matcher judges the records that are left.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

use super::columns::{Broken, ColumnBlock, Found};
use super::matcher::Matcher;
use super::offsets::Offsets;
use super::place::Place;
use super::prefilter::Prefilter;
use super::times::PartTimes;
use super::watch::{Stopped, Watch};
use crate::error::Result;
use crate::ids::{Offset, PartitionId, Timestamp};
use crate::log::read::{Opened, Reader};
use crate::log::segment::{BlockBuffer, BlockRow, CODEC_COLUMNS, DamagedRange, SegmentError, SegmentReader};
use crate::record::{Record, Records};
use crate::stream::{Run, SegmentPart, Stream, Times};

/// Records of the ring that are taken under one hold of its lock, which commits wait for, and held while they are searched,
/// which senders may wait for.
const RING_RECORDS_AT_ONCE: usize = 1024;
/// Bytes of the ring that are taken at once.
const RING_BYTES_AT_ONCE: usize = 4 * 1024 * 1024;
/// Records that are looked at between two looks at the clock: about a millisecond.
const RECORDS_BETWEEN_LOOKS: u32 = 256;

/// Takes what matches.
pub(super) trait Sink {
    /// Takes one record.
    fn take(&mut self, place: Place, record: &Record<'_>);

    /// Takes the rows of a block of columns that match.
    fn take_block(&mut self, found: &mut Found<'_, '_>) -> std::result::Result<(), Broken> {
        let row = found.row;
        found.each_record(&mut |index, record| {
            self.take(Place::in_block(&row, index, record.timestamp), record);
        })
    }

    /// Returns whether records from `min` to `max` would still change anything.
    fn wants(&self, min: Timestamp, max: Timestamp) -> bool;
}

/// How much was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Records.
    pub records: u64,
    /// Their bytes, decompressed.
    pub bytes: u64,
    /// Sealed parts that were opened for their records.
    pub parts: u64,
    /// Sealed parts that were left out, as none of their records could count.
    pub parts_skipped: u64,
    /// Records among them that match.
    pub matched: u64,
    /// Records that are damaged, and so not among them.
    pub lost: u64,
}

/// A scan under way.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    reader: &'a Reader,
    stream: &'a Stream,
    times: &'a PartTimes,
    matcher: Matcher,
    prefilter: Prefilter,
    watch: &'a Watch<'a>,
    scanned: Scanned,
    stopped: Option<Stopped>,
    /// Per partition, the offsets that are still to be read: of those that were committed when the scan began.
    wanted: Vec<Offsets>,
    looks: u32,
    /// Of the arrays of a block of columns.
    memory: Vec<u8>,
}

/// A part that is to be read.
#[derive(Clone, Debug)]
struct Piece {
    part: Arc<SegmentPart>,
    times: Times,
    /// Only what these ranges have, for a part that holds what another one held before; `None` for all.
    only: Option<Vec<(PartitionId, Range<Offset>)>>,
}

impl<'a> Scan<'a> {
    /// Begins a scan of what is committed now.
    pub(super) fn new(
        (reader, stream, times): (&'a Reader, &'a Stream, &'a PartTimes),
        (matcher, prefilter): (Matcher, Prefilter),
        watch: &'a Watch<'a>,
    ) -> Self {
        let wanted = stream.partitions().iter().map(|log| Offsets::new(log.start()..log.committed())).collect();
        let (scanned, stopped) = (Scanned::default(), None);
        Self {
            reader,
            stream,
            times,
            matcher,
            prefilter,
            watch,
            scanned,
            stopped,
            wanted,
            looks: 0,
            memory: Vec::new(),
        }
    }

    /// Reads all that the sink wants. Returns how much that was, and why it ended early.
    ///
    /// # Errors
    /// `StorageUnavailable` when a segment cannot be read now.
    pub(super) fn run(mut self, sink: &mut dyn Sink) -> Result<(Scanned, Option<Stopped>)> {
        for partition in (0..self.stream.partitions().len() as u32).map(PartitionId) {
            self.scan_ring(partition, sink);
        }
        // Only now: what the ring gave up meanwhile is in parts by then.
        let pieces = self.pieces()?;
        self.scan_parts(pieces, sink)?;
        let stopped = self.stopped.or_else(|| if self.matcher.was_interrupted() { self.watch.is_over() } else { None });
        Ok((self.scanned, stopped))
    }

    fn scan_ring(&mut self, partition: PartitionId, sink: &mut dyn Sink) {
        let Some(log) = self.stream.partition(partition) else { return };
        let end = log.committed();
        let mut at = log.ring_start().unwrap_or(end);
        while at < end && !self.is_stopped() {
            let runs = log.runs_from(at, RING_RECORDS_AT_ONCE, RING_BYTES_AT_ONCE);
            for run in &runs {
                self.scan_run(partition, run, sink);
                at = run.end();
            }
            if runs.is_empty() {
                // It was sealed meanwhile; parts have it.
                at = log.ring_start().filter(|start| *start > at).unwrap_or(end);
            }
        }
    }

    fn scan_run(&mut self, partition: PartitionId, run: &Run, sink: &mut dyn Sink) {
        let range = run.base..run.end();
        let Some(wanted) = self.wanted.get_mut(partition.0 as usize) else { return };
        let only = wanted.within(&range);
        if self.stopped.is_some() || only.count(&range) == 0 {
            return;
        }
        wanted.remove(range);
        let Times { min, max } = run.times;
        if self.matcher.overlaps(min, max) && sink.wants(min, max) {
            self.scan_records((partition, run.base), (run.bytes(), run.records), &only, sink);
        }
    }

    fn scan_parts(&mut self, mut pieces: Vec<Piece>, sink: &mut dyn Sink) -> Result<()> {
        // The newest one is the last.
        pieces.sort_by_key(|piece| piece.times.max);
        let mut buffer = BlockBuffer::default();
        while let Some(piece) = pieces.pop() {
            if self.is_stopped() {
                break;
            }
            let Times { min, max } = piece.times;
            if !self.matcher.overlaps(min, max) || !sink.wants(min, max) {
                self.scanned.parts_skipped += 1;
                continue;
            }
            match self.reader.open_part(self.stream, &piece.part)? {
                Opened::Segment(reader) => self.scan_part(&piece, &reader, &mut buffer, sink)?,
                Opened::Replaced => pieces.extend(self.replacements(&piece)),
                Opened::Missing => self.scanned.lost += self.wanted_in(&piece),
            }
        }
        Ok(())
    }

    /// Returns the parts that have anything that is wanted, with their times.
    fn pieces(&mut self) -> Result<Vec<Piece>> {
        let parts = self.stream.parts();
        self.times.tidy(parts.len());
        let mut pieces = Vec::with_capacity(parts.len());
        for part in parts {
            let mut piece = Piece { part, times: ALL_TIMES, only: None };
            if self.wanted_in(&piece) == 0 {
                continue;
            }
            if self.is_stopped() {
                break;
            }
            let stream = self.stream.id();
            if let Some(times) = self.times.get(stream, &piece.part) {
                piece.times = times;
            } else if let Opened::Segment(reader) = self.reader.open_part(self.stream, &piece.part)? {
                piece.times = self.times.learn(stream, &piece.part, &reader);
            }
            pieces.push(piece);
        }
        Ok(pieces)
    }

    /// Returns the parts that hold by now what that one held.
    fn replacements(&self, piece: &Piece) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        for (partition, range) in piece.ranges() {
            let start = self.stream.partition(partition).map_or(range.end, |log| log.start());
            let mut at = range.start.max(start);
            while at < range.end
                && let Some(part) = self.stream.part_at(partition, at)
            {
                let spans = spans(&part).filter(|(of, span)| *of == partition && span.end > at);
                let Some(span) = spans.map(|(_, span)| span).min_by_key(|span| span.start) else { break };
                let common = at.max(span.start)..range.end.min(span.end);
                at = span.end;
                if common.is_empty() {
                    break;
                }
                match pieces.iter_mut().find(|piece| piece.part.name == part.name) {
                    Some(piece) => piece.only.get_or_insert_default().push((partition, common)),
                    None => pieces.push(Piece { part, times: ALL_TIMES, only: Some(vec![(partition, common)]) }),
                }
            }
        }
        pieces
    }

    fn scan_part(
        &mut self,
        piece: &Piece,
        reader: &SegmentReader,
        buffer: &mut BlockBuffer,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        self.scanned.parts += 1;
        let id = self.stream.id();
        let rows = reader.rows().iter().filter(|row| row.stream == id);
        let mut rows: Vec<(&BlockRow, Offsets)> = rows.flat_map(|row| self.wanted_of(piece, row)).collect();
        // Blocks that the index no longer names are gone with it.
        let named: u64 = rows.iter().map(|(row, only)| only.count(&(row.base..row.end()))).sum();
        self.scanned.lost += self.wanted_in(piece).saturating_sub(named);
        rows.retain(|(row, _)| self.matcher.overlaps(row.min_time, row.max_time));
        rows.sort_by_key(|(row, _)| Reverse(row.max_time));
        for (row, only) in rows {
            if !sink.wants(row.min_time, row.max_time) {
                continue;
            }
            if self.is_stopped() {
                break;
            }
            if row.codec == CODEC_COLUMNS {
                self.scan_columns(reader, row, &only, sink)?;
                continue;
            }
            match self.reader.read_block(self.stream, reader, row, buffer)? {
                Some(bytes) => self.scan_records((row.partition, row.base), (bytes, row.records), &only, sink),
                None => self.scanned.lost += only.count(&(row.base..row.end())),
            }
        }
        Ok(())
    }

    fn scan_columns(
        &mut self,
        reader: &SegmentReader,
        row: &BlockRow,
        only: &Offsets,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let Err(broken) = self.ask_columns(reader, row, only, sink) else { return Ok(()) };
        let error = match broken {
            Broken::Segment(error) => error,
            Broken::Damaged => {
                let (position, bytes) = (row.position, row.file_bytes());
                SegmentError::Damaged(DamagedRange { position, bytes, what: "a block's columns do not fit together" })
            }
        };
        self.scanned.lost += only.count(&(row.base..row.end()));
        self.reader.judge(self.stream, reader, error)
    }

    fn ask_columns(
        &mut self,
        reader: &SegmentReader,
        row: &BlockRow,
        only: &Offsets,
        sink: &mut dyn Sink,
    ) -> std::result::Result<(), Broken> {
        let mut block = ColumnBlock::open(reader.columns(row), std::mem::take(&mut self.memory))?;
        let set = block.find(row, &mut self.matcher, only, self.watch)?;
        let count = set.count() as u64;
        if count > 0 {
            sink.take_block(&mut Found::new(&mut block, *row, &set))?;
        }
        self.scanned.records += u64::from(row.records);
        self.scanned.bytes += block.read_bytes();
        self.memory = block.into_memory();
        self.scanned.matched += count;
        Ok(())
    }

    /// Returns the block with what of it is wanted, if anything is.
    fn wanted_of<'r>(&self, piece: &Piece, row: &'r BlockRow) -> Option<(&'r BlockRow, Offsets)> {
        let range = row.base..row.end();
        let mut only = self.wanted.get(row.partition.0 as usize)?.within(&range);
        if let Some(ranges) = &piece.only {
            let kept = ranges.iter().filter(|(partition, _)| *partition == row.partition);
            let mut others = only.clone();
            kept.for_each(|(_, range)| others.remove(range.clone()));
            others.each(|range| only.remove(range));
        }
        (only.count(&range) > 0).then_some((row, only))
    }

    /// Returns how many records of a piece are wanted.
    fn wanted_in(&self, piece: &Piece) -> u64 {
        let count = |(partition, range): (PartitionId, Range<Offset>)| {
            self.wanted.get(partition.0 as usize).map_or(0, |wanted| wanted.count(&range))
        };
        piece.ranges().into_iter().map(count).sum()
    }

    /// Looks at the records that begin with that offset, so many of them.
    fn scan_records(
        &mut self,
        (partition, Offset(base)): (PartitionId, Offset),
        (bytes, records): (&[u8], u32),
        only: &Offsets,
        sink: &mut dyn Sink,
    ) {
        self.scanned.records += u64::from(records);
        self.scanned.bytes += bytes.len() as u64;
        if !self.prefilter.begin(bytes) {
            return;
        }
        let (mut at, mut next) = (0, self.prefilter.next(0));
        for ((record, stored), offset) in Records::new(bytes).zip((base..).map(Offset)) {
            let Some(near) = next else { return };
            let range = at..at + stored.len();
            at = range.end;
            if near >= range.end {
                continue;
            }
            next = self.prefilter.next(at);
            self.looks += 1;
            if self.looks >= RECORDS_BETWEEN_LOOKS && self.is_stopped() {
                return;
            }
            let is_candidate = self.matcher.admits(&record) && self.prefilter.admits(range, record.value);
            if is_candidate && only.has(offset) && self.matcher.matches(record.value, self.watch) {
                self.scanned.matched += 1;
                sink.take(Place { time: record.timestamp, partition, offset }, &record);
            }
        }
    }

    /// Returns whether the scan ends, as it was told to or its budget is spent.
    fn is_stopped(&mut self) -> bool {
        self.looks = 0;
        if self.stopped.is_none() {
            self.stopped = self.watch.is_spent(self.scanned.bytes, self.scanned.matched);
        }
        self.stopped.is_some()
    }
}

/// What is taken for the times of a part that nobody has opened.
const ALL_TIMES: Times = Times { min: Timestamp(i64::MIN), max: Timestamp(i64::MAX) };

impl Piece {
    fn ranges(&self) -> Vec<(PartitionId, Range<Offset>)> {
        self.only.clone().unwrap_or_else(|| spans(&self.part).collect())
    }
}

fn spans(part: &SegmentPart) -> impl Iterator<Item = (PartitionId, Range<Offset>)> {
    part.spans.iter().map(|(partition, base, records)| (*partition, *base..base.plus(*records)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    use super::super::newest::Newest;
    use super::super::request::{Conditions, SearchBudget};
    use super::super::watch::SearchCancel;
    use super::*;
    use crate::options::{MIN_JOURNAL_FILE_BYTES, MIN_RING_BYTES, Options};
    use crate::storage::faulty::Faulty;
    use crate::{Engine, NewRecord};

    const STREAM: &str = "s";
    const RECORDS: u64 = 20;
    /// As many parts as are merged.
    const PARTS: u64 = 8;

    fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !holds() {
            assert!(Instant::now() < deadline, "{what} did not come");
            std::thread::yield_now();
        }
    }

    fn seal(engine: &Engine) {
        let record = NewRecord { key: None, value: b"{}".to_vec(), headers: Vec::new(), timestamp: None };
        for partition in [PartitionId(0), PartitionId(1)] {
            engine.append(STREAM, &vec![record.clone(); RECORDS as usize / 2], Some(partition)).unwrap();
        }
        until("sealing", || {
            engine.report().seal_backlog_files == 0 && engine.stream_report(STREAM).unwrap().ring_bytes == 0
        });
    }

    #[test]
    fn parts_that_are_merged_before_their_turn_are_read_where_they_are_then() {
        let options = Options {
            ring_bytes: MIN_RING_BYTES,
            journal_file_bytes: MIN_JOURNAL_FILE_BYTES,
            journal_file_age: Duration::from_millis(100),
            ..Options::default()
        };
        let engine = Engine::open(Arc::new(Faulty::new(1)), options).unwrap();
        let stream = engine.create_stream(STREAM, 2).unwrap();
        for _ in 1..PARTS {
            seal(&engine);
        }
        let (cancel, closing, times) = (SearchCancel::default(), AtomicBool::new(false), PartTimes::default());
        let watch = Watch::new(&SearchBudget::default(), &cancel, &closing).unwrap();
        let compiled = Matcher::new(&Conditions::default()).unwrap();
        let mut scan = Scan::new((&engine.reader, &stream, &times), compiled, &watch);
        let before = scan.pieces().unwrap();
        assert!(!before.is_empty());
        seal(&engine);
        until("merging", || engine.counters().segments_merged.get() > 0);
        let is_gone = |piece: &Piece| matches!(engine.reader.open_part(&stream, &piece.part), Ok(Opened::Replaced));
        until("the sources' end", || before.iter().all(is_gone));
        let mut newest = Newest::new(1000, None, true);
        scan.scan_parts(before, &mut newest).unwrap();
        let (mut places, total) = newest.finish();
        assert_eq!(total, Some(RECORDS * (PARTS - 1)), "what came later is not counted");
        places.sort_by_key(|place| (place.partition, place.offset));
        places.dedup_by_key(|place| (place.partition, place.offset));
        assert_eq!((places.len() as u64, scan.scanned.lost), (RECORDS * (PARTS - 1), 0));
    }
}
