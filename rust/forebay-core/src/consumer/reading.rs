//! Reading the partitions of one call, none of them starved by the others, and none hidden by one that cannot be read.

use std::time::{Duration, Instant};

use super::fetch::Consume;
use super::groups::Groups;
use super::position::Position;
use super::share::share;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId};
use crate::log::read::{Limits, RecordBatch};
use crate::predicate::Filter;
use crate::stream::{Partition, Stream};

/// Encoded bytes of one answer's records, and one record always: an answer is held whole in memory, by at most as many
/// readers at once as there are threads for them.
pub const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Records that one call looks at when a filter leaves most of them out; the next call goes on where it ended.
pub const MAX_FILTERED_RECORDS: usize = 100_000;
/// The time that a filter may take in one call: it holds one of the few threads that read.
const MAX_FILTER_TIME: Duration = Duration::from_millis(100);
/// Records that a filter reads at once.
const FILTER_RECORDS: usize = 2_000;
/// Records that a compiled filter looks at between two looks at the clock, which costs a quarter of such a record. One that is
/// interpreted may take the whole time for a single record.
const COMPILED_RECORDS_PER_LOOK: usize = 64;
/// Number of tries of a read from the start when retention moves the start meanwhile.
const TRIES: usize = 8;

/// A partition on its way to being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) partition: PartitionId,
    /// The position where the call began.
    pub(super) from: Offset,
    /// The next offset to read: behind what was given or left out, never behind what could not be read.
    pub(super) position: Position,
    pub(super) end: Offset,
    /// The reason why the records at the position cannot be read now.
    pub(super) failure: Option<Error>,
}

impl Reading {
    fn has_moved(&self) -> bool {
        self.position.offset > self.from
    }
}

/// The most that a filter may cost in one partition.
#[derive(Clone, Copy)]
struct Scan {
    records: usize,
    deadline: Instant,
}

impl Groups {
    /// Reads up to the limits, sharing them among the partitions, and moves the positions on. A partition that cannot be
    /// read now keeps its position, and its failure is noted.
    ///
    /// # Errors
    /// Fails with that failure when no other partition got on.
    pub(super) fn read(
        &self,
        stream: &Stream,
        readings: &mut [Reading],
        request: &Consume<'_>,
        turn: usize,
    ) -> Result<Vec<RecordBatch>> {
        let available: Vec<u64> =
            readings.iter().map(|reading| reading.end.0.saturating_sub(reading.position.offset.0)).collect();
        let quotas = share(&available, request.limit, turn);
        let count = readings.len();
        let mut waiting = quotas.iter().filter(|quota| **quota > 0).count();
        let mut batches = Vec::with_capacity(waiting);
        let deadline = Instant::now() + MAX_FILTER_TIME;
        let (mut left, mut scan) = (MAX_ANSWER_BYTES, MAX_FILTERED_RECORDS);
        for at in (0..count).map(|index| (turn % count.max(1) + index) % count) {
            if quotas[at] == 0 || left == 0 {
                continue;
            }
            let limits = Limits { records: quotas[at], bytes: left / waiting };
            let before = batches.len();
            let budget = Scan { records: scan / waiting, deadline };
            match self.read_partition(stream, &mut readings[at], limits, request.filter, budget, &mut batches) {
                Ok(scanned) => scan -= scanned,
                Err(error) if error.kind() == ErrorKind::StorageUnavailable => readings[at].failure = Some(error),
                Err(error) => return Err(error),
            }
            waiting -= 1;
            left = left.saturating_sub(batches[before..].iter().map(RecordBatch::bytes).sum());
        }
        batches.retain(|batch| !batch.is_empty() || batch.lost() > 0);
        let stuck = !readings.iter().any(Reading::has_moved);
        match readings.iter().find_map(|reading| reading.failure.clone()) {
            Some(failure) if stuck => Err(failure),
            Some(_) | None => Ok(batches),
        }
    }

    /// Reads one partition; returns how many records a filter looked at.
    fn read_partition(
        &self,
        stream: &Stream,
        reading: &mut Reading,
        limits: Limits,
        filter: Option<&Filter>,
        budget: Scan,
        batches: &mut Vec<RecordBatch>,
    ) -> Result<usize> {
        let Some(filter) = filter else {
            batches.push(self.read_one(stream, reading, limits)?);
            return Ok(0);
        };
        self.read_matching(stream, reading, limits, filter, budget, batches)
    }

    /// Reads on until as many records match as the limits allow, or the budget is used up; returns how many records were
    /// read. The deadline lets each partition look at one record, and at a few with a compiled filter.
    fn read_matching(
        &self,
        stream: &Stream,
        reading: &mut Reading,
        limits: Limits,
        filter: &Filter,
        budget: Scan,
        batches: &mut Vec<RecordBatch>,
    ) -> Result<usize> {
        let per_look = if filter.is_compiled() { COMPILED_RECORDS_PER_LOOK } else { 1 };
        let (mut read, mut left, mut looked, mut late) = (0, limits, 0_usize, false);
        while read < budget.records
            && left.records > 0
            && left.bytes > 0
            && !late
            && reading.position.offset < reading.end
        {
            let records = FILTER_RECORDS.min(budget.records - read);
            let mut batch = self.read_one(stream, reading, Limits { records, bytes: left.bytes })?;
            read += batch.len().max(1);
            batch.select(left.records, |offset, record| {
                late = looked > 0 && looked.is_multiple_of(per_look) && Instant::now() >= budget.deadline;
                looked += 1;
                (!late).then(|| filter.matches(reading.partition, offset, record))
            });
            // Behind the last one that is given or left out: what comes after it is looked at next time.
            reading.position.offset = batch.next_offset();
            left.records -= batch.len();
            left.bytes = left.bytes.saturating_sub(batch.bytes());
            batches.push(batch);
        }
        Ok(read.min(budget.records))
    }

    /// Reads, and moves the position on.
    fn read_one(&self, stream: &Stream, reading: &mut Reading, limits: Limits) -> Result<RecordBatch> {
        let mut tries = 1;
        let batch = loop {
            match self.reader.fetch(stream, reading.partition, reading.position.offset, limits) {
                Err(error) if error.kind() == ErrorKind::InvalidOffset && reading.position.floats && tries < TRIES => {
                    tries += 1;
                    reading.position.offset = stream.partition(reading.partition).map_or(Offset(0), Partition::start);
                }
                fetched => break fetched?,
            }
        };
        reading.position = Position { offset: batch.next_offset(), floats: false };
        Ok(batch)
    }
}
