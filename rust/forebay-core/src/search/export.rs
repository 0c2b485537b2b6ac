//! All that a search finds, in the order of the log, a step at a time.

use std::ops::Range;

use serde::Serialize;

use super::exported::{ExportWriter, Exported};
use super::matcher::Matcher;
use super::prefilter::Prefilter;
use super::progress::{Progress, ProgressJson, to_json};
use super::request::{ExportPosition, ExportRequest};
use super::scan::Scanned;
use super::search::{Caller, Searched};
use super::searches::Searches;
use super::watch::{Stopped, Watch};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId};
use crate::log::read::{Limits, Opened};
use crate::options::check_range;
use crate::stream::Stream;

/// The largest step: it is built in memory.
pub const MAX_EXPORT_BYTES: usize = 64 * 1024 * 1024;
/// How much is read between two looks at the clock.
const READ: Limits = Limits { records: 4096, bytes: 1024 * 1024 };

/// What one step gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportStep {
    /// The records that match, in the format that was asked for; lines of JSON are events as consumers get them.
    pub exported: Exported,
    /// Where the next step goes on.
    pub position: ExportPosition,
    /// There is no next step.
    pub is_done: bool,
    /// Records that retention deleted before they were read.
    pub expired: u64,
    /// How far this step came.
    pub progress: Progress,
}

impl Searches {
    /// Takes one step. It ends with its bytes or its budget, and at a record that cannot be read now, unless that is its
    /// first.
    ///
    /// # Errors
    /// As [`Searches::search`].
    pub(crate) fn export(
        &self,
        searched: Searched<'_>,
        request: &ExportRequest,
        caller: Caller<'_>,
    ) -> Result<ExportStep> {
        check_range("max_bytes", request.max_bytes as u64, 1, MAX_EXPORT_BYTES as u64)?;
        let position = request.position.clone().unwrap_or_else(|| beginning(searched.stream));
        check(searched.stream, &position)?;
        let _permit = self.begin(caller.token)?;
        let (matcher, prefilter) = Matcher::new(&request.conditions)?;
        let watch = Watch::new(&request.budget, caller.cancel, &self.closing)?;
        let max_bytes = request.max_bytes;
        let (scanned, stopped) = (Scanned::default(), None);
        let (searches, watch_) = (self, &watch);
        let mut export = Export {
            searches,
            searched,
            matcher,
            prefilter,
            watch: watch_,
            max_bytes,
            out: ExportWriter::new(request.format, searched.stream.id()),
            scanned,
            stopped,
            expired: 0,
        };
        let before = position.next.clone();
        let mut next = position.next;
        for (partition, (next, end)) in (0..).map(PartitionId).zip(next.iter_mut().zip(&position.end)) {
            if let Err(error) = export.read_partition(partition, next, *end) {
                let has_moved = export.scanned.records > 0 || *next != before[partition.0 as usize];
                if !has_moved {
                    return Err(error);
                }
                break;
            }
        }
        let is_done = next.iter().zip(&position.end).all(|(next, end)| next >= end);
        let Export { out, scanned, stopped, expired, .. } = export;
        let (exported, position) = (out.finish(), ExportPosition { next, ..position });
        let progress = Progress { scanned, stopped, elapsed: watch.elapsed() };
        Ok(ExportStep { exported, position, is_done, expired, progress })
    }
}

/// Returns all that is there now.
fn beginning(stream: &Stream) -> ExportPosition {
    let logs = stream.partitions().iter();
    let (next, end) = logs.map(|log| (log.start().0, log.committed().0)).unzip();
    ExportPosition { stream: stream.id().0, next, end }
}

fn check(stream: &Stream, position: &ExportPosition) -> Result<()> {
    let count = stream.partitions().len();
    let is_within = position.end.iter().zip(stream.partitions()).all(|(end, log)| *end <= log.committed().0);
    let has_all = position.next.len() == count && position.end.len() == count;
    if position.stream == stream.id().0 && has_all && is_within {
        return Ok(());
    }
    let detail = "position: is none that a step of this stream gave; begin again without one";
    Err(Error::new(ErrorKind::InvalidRequest, detail))
}

/// A step under way.
struct Export<'a> {
    searches: &'a Searches,
    searched: Searched<'a>,
    matcher: Matcher,
    prefilter: Prefilter,
    watch: &'a Watch<'a>,
    max_bytes: usize,
    out: ExportWriter,
    scanned: Scanned,
    stopped: Option<Stopped>,
    expired: u64,
}

impl Export<'_> {
    fn read_partition(&mut self, partition: PartitionId, next: &mut u64, end: u64) -> Result<()> {
        let Some(log) = self.searched.stream.partition(partition) else { return Ok(()) };
        while *next < end && self.out.bytes() < self.max_bytes && !self.is_stopped() {
            let start = log.start().0.min(end);
            if *next < start {
                self.expired += start - *next;
                *next = start;
                continue;
            }
            if let Some(to) = self.end_of_other_times(partition, Offset(*next))? {
                *next = to.0.min(end);
                continue;
            }
            match self.read_on(partition, *next..end) {
                Ok(to) if to > *next => *next = to,
                Ok(_) => return Ok(()),
                // Retention was faster; the start has moved by now.
                Err(error) if error.kind() == ErrorKind::InvalidOffset && log.start().0 > *next => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns the end of the part that holds an offset, if its times say that nothing in it matches.
    fn end_of_other_times(&mut self, partition: PartitionId, offset: Offset) -> Result<Option<Offset>> {
        let Searched { reader, stream } = self.searched;
        let Some(part) = stream.part_at(partition, offset) else { return Ok(None) };
        let mut spans = part.spans.iter().map(|(of, base, records)| (*of, *base, base.plus(*records)));
        let Some((.., end)) = spans.find(|(of, base, end)| *of == partition && (*base..*end).contains(&offset)) else {
            return Ok(None);
        };
        let times = &self.searches.times;
        let known = times.get(stream.id(), &part);
        let known = match known {
            Some(known) => known,
            None => match reader.open_part(stream, &part)? {
                Opened::Segment(reader) => times.learn(stream.id(), &part, &reader),
                // The read that follows says what became of it.
                Opened::Replaced | Opened::Missing => return Ok(None),
            },
        };
        Ok((!self.matcher.overlaps(known.min, known.max)).then_some(end))
    }

    /// Reads a part of the range, and returns where the next one begins.
    fn read_on(&mut self, partition: PartitionId, range: Range<u64>) -> Result<u64> {
        let Searched { reader, stream } = self.searched;
        self.out.begin(partition);
        let mut stop = None;
        let records = READ.records.min(usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
        let visit =
            reader.visit(stream, partition, Offset(range.start), Limits { records, ..READ }, &mut |visited| {
                if stop.is_some() || visited.offset.0 >= range.end {
                    return;
                }
                let (record, stored) = (visited.record, visited.stored);
                self.scanned.records += 1;
                self.scanned.bytes += stored.len() as u64;
                let is_candidate = self.matcher.admits(&record)
                    && self.prefilter.begin(stored)
                    && self.prefilter.next(0).is_some()
                    && self.prefilter.admits(0..stored.len(), record.value);
                if is_candidate && self.matcher.matches(record.value, self.watch) {
                    self.scanned.matched += 1;
                    self.out.write(visited.offset, &record);
                }
                if self.matcher.was_interrupted() {
                    // It may match: the next step begins with it.
                    stop = Some(visited.offset.0);
                } else if self.out.bytes() >= self.max_bytes {
                    stop = Some(visited.offset.0 + 1);
                }
            })?;
        let next = stop.unwrap_or(visit.next_offset.0.min(range.end));
        let lost = |from: Offset, to: Offset| to.0.min(next).saturating_sub(from.0);
        self.scanned.lost += visit.gaps.iter().map(|gap| lost(gap.from, gap.to)).sum::<u64>();
        Ok(next)
    }

    fn is_stopped(&mut self) -> bool {
        self.stopped = self.stopped.or_else(|| self.watch.is_spent(self.scanned.bytes, self.scanned.matched));
        self.stopped.is_some()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepJson<'a> {
    position: &'a ExportPosition,
    done: bool,
    matched: u64,
    expired: u64,
    #[serde(flatten)]
    progress: ProgressJson,
}

impl ExportStep {
    /// Returns everything but what was exported as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let Self { position, is_done, expired, progress, .. } = self;
        let (matched, progress) = (progress.scanned.matched, progress.json());
        to_json(&StepJson { position, done: *is_done, matched, expired: *expired, progress })
    }
}
