//! Following a stream: what came after a position, as Server-Sent Events.

use std::time::{Duration, Instant};

use super::engine::Engine;
use crate::admission::AllowedKeys;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId};
use crate::log::read::{Gap, Limits, RecordBatch};
use crate::output::{EventWriter, Layout, Missing, Position, write_event, write_gap};
use crate::predicate::Filter;
use crate::stream::Stream;

/// The time that one chunk may choose among records: a slow filter gets on in small steps and leaves the readers'
/// threads to others in between.
const MAX_CHOOSING: Duration = Duration::from_millis(50);

/// A call that reads a tail.
#[derive(Clone, Debug)]
pub struct TailRequest<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// The offset to start at.
    pub position: Position,
    /// The offset to stop at; `None` reads up to the end.
    pub until: Option<&'a [Offset]>,
    /// Only records that it chooses.
    pub filter: Option<&'a Filter>,
    /// Only records with one of these keys.
    pub allowed: Option<&'a AllowedKeys>,
    /// The most that is read, chosen or not.
    pub limits: Limits,
}

/// A part of a tail.
#[derive(Clone, Debug)]
pub struct TailChunk {
    /// Events; empty when none was chosen.
    pub body: Vec<u8>,
    /// The offset where the next chunk starts.
    pub position: Position,
    /// Events in the body: records, and gaps.
    pub records: usize,
    /// Records that were read, chosen or not.
    pub scanned: usize,
    /// True if there was more than the limits let through.
    pub more: bool,
}

impl TailChunk {
    /// Goes on behind a gap, and says so.
    fn pass(&mut self, gap: Gap, why: Missing) {
        self.position.next[gap.partition.0 as usize] = gap.to;
        write_gap(&self.position, gap, why, &mut self.body);
        self.records += 1;
    }
}

impl Engine {
    /// Returns the bounds of a stream: its starts, or its ends.
    ///
    /// # Errors
    /// `StreamNotFound`.
    pub fn position(&self, stream: &str, earliest: bool) -> Result<Position> {
        let stream = self.catalog.named(stream)?;
        let logs = stream.partitions().iter();
        let next = logs.map(|log| if earliest { log.start() } else { log.committed() }).collect();
        Ok(Position { stream: stream.id(), next })
    }

    /// Reads on from a position. Records that retention has deleted meanwhile and damaged ones are left out, and the body
    /// says so. A partition that cannot be read now stays where it is.
    ///
    /// # Errors
    /// `StreamNotFound`, also when the name belongs to another stream by now; `InvalidOffset` for a position that the
    /// stream does not have; `StorageUnavailable` when no partition gets on because one cannot be read now.
    pub fn tail(&self, request: TailRequest<'_>) -> Result<TailChunk> {
        let stream = self.catalog.named(request.stream)?;
        if stream.id() != request.position.stream {
            let detail = format!("stream {:?} was deleted and made anew", request.stream);
            return Err(Error::new(ErrorKind::StreamNotFound, detail));
        }
        check(&stream, &request.position.next)?;
        let TailRequest { position, until, filter, allowed, limits, .. } = request;
        let mut chunk = TailChunk { body: Vec::new(), position, records: 0, scanned: 0, more: false };
        let started = Instant::now();
        let behind = behind(&stream, &chunk.position.next, until);
        // Each partition gets its part, so that a busy one does not keep the others back.
        let parts = behind.len().max(1);
        let part = Limits { records: limits.records.div_ceil(parts), bytes: limits.bytes.div_ceil(parts) };
        let before = chunk.position.next.clone();
        let mut failure = None;
        for (partition, end) in behind.iter().copied() {
            let batch = match self.read_part(&stream, partition, end, part, &mut chunk) {
                Ok(batch) => batch,
                Err(error) if error.kind() == ErrorKind::StorageUnavailable => {
                    failure = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let deadline = started + MAX_CHOOSING;
            choose(&batch, end, &mut chunk, deadline, |offset, record| {
                allowed.is_none_or(|keys| record.key.is_some_and(|key| keys.contains(key)))
                    && filter.is_none_or(|filter| filter.matches(partition, offset, record))
            });
            if Instant::now() > deadline {
                break;
            }
        }
        if let Some(failure) = failure.filter(|_| chunk.position.next == before) {
            return Err(failure);
        }
        chunk.more = behind.iter().any(|(partition, end)| chunk.position.next[partition.0 as usize] < *end);
        Ok(chunk)
    }

    fn read_part(
        &self,
        stream: &Stream,
        partition: PartitionId,
        end: Offset,
        limits: Limits,
        chunk: &mut TailChunk,
    ) -> Result<RecordBatch> {
        let index = partition.0 as usize;
        loop {
            let from = chunk.position.next[index];
            let records = limits.records.min(usize::try_from(end.0.saturating_sub(from.0)).unwrap_or(usize::MAX));
            let error = match self.reader.fetch(stream, partition, from, Limits { records, ..limits }) {
                Ok(batch) => return Ok(batch),
                Err(error) => error,
            };
            let start = stream.partitions()[index].start();
            if error.kind() != ErrorKind::InvalidOffset || start <= from {
                return Err(error);
            }
            chunk.pass(Gap { partition, from, to: start }, Missing::Expired);
        }
    }
}

fn check(stream: &Stream, next: &[Offset]) -> Result<()> {
    let partitions = stream.partitions();
    let beyond = partitions.iter().zip(next).position(|(log, offset)| *offset > log.committed());
    if partitions.len() == next.len() && beyond.is_none() {
        return Ok(());
    }
    let detail = match beyond {
        Some(partition) => format!("the position is beyond the end of partition {partition} of {:?}", stream.name()),
        None => {
            format!("the position has {} partitions, stream {:?} has {}", next.len(), stream.name(), partitions.len())
        }
    };
    Err(Error::new(ErrorKind::InvalidOffset, detail))
}

/// Returns the partitions that have more, and up to where.
fn behind(stream: &Stream, next: &[Offset], until: Option<&[Offset]>) -> Vec<(PartitionId, Offset)> {
    let logs = (0..).map(PartitionId).zip(stream.partitions()).zip(next).enumerate();
    let more = logs.filter_map(|(index, ((partition, log), from))| {
        let end = until.and_then(|until| until.get(index)).map_or(log.committed(), |end| log.committed().min(*end));
        (end > *from).then_some((partition, end))
    });
    more.collect()
}

/// Writes the chosen records of a batch, before `end` and as far as the time goes.
fn choose(
    batch: &RecordBatch,
    end: Offset,
    chunk: &mut TailChunk,
    deadline: Instant,
    mut chosen: impl FnMut(Offset, &crate::record::Record<'_>) -> bool,
) {
    let index = batch.partition().0 as usize;
    // A line end inside of the data would end its line.
    let mut writer = EventWriter::new(chunk.position.stream, batch.partition(), Layout::OneLine);
    let lost = |gap: &&Gap| gap.from < end;
    let mut gaps = batch.gaps().iter().filter(lost).map(|gap| Gap { to: gap.to.min(end), ..*gap }).peekable();
    for (offset, record) in batch.iter() {
        while let Some(gap) = gaps.next_if(|gap| gap.from < offset) {
            chunk.pass(gap, Missing::Damaged);
        }
        if offset >= end {
            return;
        }
        chunk.position.next[index] = offset.plus(1);
        chunk.scanned += 1;
        if chosen(offset, &record) {
            write_event(&chunk.position, &mut writer, offset, &record, &mut chunk.body);
            chunk.records += 1;
        }
        if chunk.scanned.is_multiple_of(64) && Instant::now() > deadline {
            return;
        }
    }
    for gap in gaps {
        chunk.pass(gap, Missing::Damaged);
    }
}
