//! Reading a stream as a group: from committed positions, the partitions that are the reader's, none of them starved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commit::OffsetCommit;
use super::group::{Group, Lease};
use super::groups::Groups;
use super::lease::LEASE;
use super::names::{check_group, check_member};
use super::position::{OnReset, Position, StartAt, resolve};
use super::share::share;
use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filter;
use crate::ids::{Offset, PartitionId, Timestamp};
use crate::log::read::{Limits, RecordBatch};
use crate::log::ring::Partition;
use crate::stream::Stream;

/// Encoded bytes of one answer's records, and one record always: an answer is held whole in memory, by at most as many
/// readers at once as there are threads for them.
pub const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Records that one call looks at when a filter leaves most of them out; the next call goes on where it ended.
pub const MAX_FILTERED_RECORDS: usize = 100_000;
/// And how long it does: it holds one of the few threads that read.
const MAX_FILTER_TIME: Duration = Duration::from_millis(100);
/// How many of them are read at once.
const FILTER_RECORDS: usize = 2_000;
/// How often a read from the start tries again when retention moves the start meanwhile.
const TRIES: usize = 8;

/// One call of a consumer.
#[derive(Clone, Debug)]
pub struct Consume<'a> {
    /// The group; created by its first call.
    pub group: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// Which member reads; `None` for a single reader of all partitions.
    pub member: Option<&'a str>,
    /// Only this partition.
    pub partition: Option<PartitionId>,
    /// Where to begin.
    pub start_at: StartAt,
    /// How far the same reader got by earlier calls, by partition: it goes on there.
    pub resume: &'a [(PartitionId, Offset)],
    /// Only records that it matches; offsets move past the others.
    pub filter: Option<&'a Filter>,
    /// At most this many records.
    pub limit: usize,
    /// What to do when a position is not there any more.
    pub on_reset: OnReset,
    /// Whether what is returned counts as done with.
    pub auto_commit: bool,
    /// How long the caller will wait when there is nothing: the lease lasts over it.
    pub hold: Duration,
    /// The time of the call, by which leases are judged.
    pub now: Instant,
}

/// How far a partition was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The partition.
    pub partition: PartitionId,
    /// The next offset to read.
    pub next: Offset,
    /// The offset after the last committed record.
    pub end: Offset,
}

/// What a call returned.
#[derive(Debug)]
pub struct Fetched {
    /// The stream, as it was.
    pub stream: Arc<Stream>,
    /// The records, each batch of one partition.
    pub batches: Vec<RecordBatch>,
    /// Every partition that is the reader's, in order.
    pub reached: Vec<Reached>,
    /// Whether partitions changed hands by this call.
    pub rebalanced: bool,
    /// When another member's lease runs out: a call then may get its partitions.
    pub next_expiry: Option<Instant>,
}

impl Fetched {
    /// How many records.
    #[must_use]
    pub fn count(&self) -> usize {
        self.batches.iter().map(RecordBatch::len).sum()
    }
}

/// A partition on its way to being read.
struct Reading {
    partition: PartitionId,
    from: Offset,
    position: Position,
    end: Offset,
}

/// What a filter may cost in one partition.
#[derive(Clone, Copy)]
struct Scan {
    records: usize,
    deadline: Instant,
}

impl Groups {
    /// Reads what comes next for a group.
    ///
    /// # Errors
    /// `StreamNotFound`, `InvalidOffset` telling the valid range, `FencedMember` for a partition that is another
    /// member's, `InvalidRequest`, `Saturated` for too many groups or members, or why a new group cannot be written.
    pub fn consume(&self, request: &Consume<'_>) -> Result<Fetched> {
        let stream = self.catalog.named(request.stream)?;
        check(request, &stream)?;
        loop {
            let group = self.ensure(request.group)?;
            if let Some(fetched) = self.consume_as(&group, Arc::clone(&stream), request)? {
                return Ok(fetched);
            }
            // The group is being deleted since it was looked up: it begins anew when that is done.
            drop(self.changing.lock());
        }
    }

    fn consume_as(&self, group: &Group, stream: Arc<Stream>, request: &Consume<'_>) -> Result<Option<Fetched>> {
        let lease = lease(group, &stream, request)?;
        let Some((mut readings, turn, next_expiry)) = positions(group, &stream, &lease, (request, self.clock.stamp()))?
        else {
            return Ok(None);
        };
        let batches = self.read(&stream, &mut readings, request, turn)?;
        if stream.is_deleted() {
            let detail = format!("stream {:?} was deleted", stream.name());
            return Err(Error::new(ErrorKind::StreamNotFound, detail));
        }
        end_call(group, &stream, request, turn.wrapping_add(batches.len().max(1)), batches.is_empty());
        if request.auto_commit {
            self.commit_read(&stream, &readings, request)?;
        }
        let reached = |reading: &Reading| Reached {
            partition: reading.partition,
            next: reading.position.offset,
            end: reading.end.max(reading.position.offset),
        };
        let reached = readings.iter().map(reached).collect();
        Ok(Some(Fetched { stream, batches, reached, rebalanced: lease.rebalanced, next_expiry }))
    }

    /// Reads up to the limits, sharing them among the partitions, and moves the positions on.
    fn read(
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
            match request.filter {
                None => batches.push(self.read_one(stream, &mut readings[at], limits)?),
                Some(filter) => {
                    let budget = Scan { records: scan / waiting, deadline };
                    scan -= self.read_matching(stream, &mut readings[at], limits, filter, budget, &mut batches)?;
                }
            }
            waiting -= 1;
            left = left.saturating_sub(batches[before..].iter().map(RecordBatch::bytes).sum());
        }
        batches.retain(|batch| !batch.is_empty());
        Ok(batches)
    }

    /// Reads on until as many records match as the limits allow, or the budget is used up; returns how many records were
    /// read. The deadline lets each partition look at one record.
    fn read_matching(
        &self,
        stream: &Stream,
        reading: &mut Reading,
        limits: Limits,
        filter: &Filter,
        budget: Scan,
        batches: &mut Vec<RecordBatch>,
    ) -> Result<usize> {
        let (mut read, mut left, mut looked, mut late) = (0, limits, false, false);
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
                late = looked && Instant::now() >= budget.deadline;
                looked = true;
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

    /// Commits how far the call read, never back.
    fn commit_read(&self, stream: &Stream, readings: &[Reading], request: &Consume<'_>) -> Result<()> {
        let group = self.named(request.group)?;
        let state = group.state();
        let ahead = readings.iter().filter(|reading| {
            let newest = state.newest(stream.id(), reading.partition);
            let next = reading.position.offset;
            next > reading.from && newest.is_none_or(|newest| newest < next)
        });
        let offsets: Vec<_> =
            ahead.map(|reading| (stream.name().to_owned(), reading.partition, reading.position.offset)).collect();
        drop(state);
        if offsets.is_empty() {
            return Ok(());
        }
        let (member, now) = (request.member, request.now);
        let commit = OffsetCommit { group: request.group, offsets: &offsets, member, force: false, now };
        self.commit_and_wait(&commit).map(drop)
    }
}

/// What can be refused before a group is created for it.
fn check(request: &Consume<'_>, stream: &Stream) -> Result<()> {
    let invalid = |kind, detail: String| Err(Error::new(kind, detail));
    check_group(request.group)?;
    request.member.map_or(Ok(()), check_member)?;
    let count = stream.partitions().len();
    if let Some(partition) = request.partition.filter(|partition| stream.partition(*partition).is_none()) {
        let detail = format!("stream {:?} has no partition {partition}, only 0 to {}", stream.name(), count - 1);
        return invalid(ErrorKind::InvalidRequest, detail);
    }
    let StartAt::At(offset) = request.start_at else { return Ok(()) };
    let partition = match request.partition {
        Some(partition) => partition,
        None if count == 1 => PartitionId(0),
        None => {
            let detail = format!(
                "offset {offset} needs a partition: stream {:?} has {count}, each with offsets of its own",
                stream.name()
            );
            return invalid(ErrorKind::InvalidOffset, detail);
        }
    };
    let Some(log) = stream.partition(partition) else { return Ok(()) };
    let resolved = resolve(log, request.start_at, None, None, request.on_reset);
    resolved.map(drop).map_err(|outside| outside.error(stream.name(), partition))
}

/// The partitions that are the reader's.
fn lease(group: &Group, stream: &Stream, request: &Consume<'_>) -> Result<Lease> {
    let Some(member) = request.member else {
        let all = (0..).map(PartitionId).take(stream.partitions().len());
        let partitions = request.partition.map_or_else(|| all.collect(), |one| vec![one]);
        return Ok(Lease { partitions, rebalanced: false, continuous: true });
    };
    let until = request.now + request.hold + LEASE;
    let lease = group.lease(stream, member, request.now, until)?;
    let Some(one) = request.partition else { return Ok(lease) };
    if lease.partitions.contains(&one) {
        return Ok(Lease { partitions: vec![one], ..lease });
    }
    let holds = lease.partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let detail = format!(
        "partition {one} of stream {:?} is not member {member:?}'s, which holds {}",
        stream.name(),
        if holds.is_empty() { "none" } else { &holds }
    );
    Err(Error::new(ErrorKind::FencedMember, detail))
}

/// Notes whose turn is next, and shortens the lease of a member that will not wait, since it has got something.
fn end_call(group: &Group, stream: &Stream, request: &Consume<'_>, turn: usize, waits: bool) {
    let mut state = group.state();
    let of = state.stream(stream.id());
    of.turn = turn;
    if let (Some(leases), Some(member), false) = (of.leases.as_mut(), request.member, waits) {
        leases.renew(member, request.now + LEASE);
    }
}

type Positions = (Vec<Reading>, usize, Option<Instant>);

/// Where each partition is read on, whose turn it is, and when leases change; `None` when the group was deleted.
fn positions(
    group: &Group,
    stream: &Stream,
    lease: &Lease,
    (request, called): (&Consume<'_>, Timestamp),
) -> Result<Option<Positions>> {
    let mut state = group.state();
    if state.deleted {
        return Ok(None);
    }
    if request.auto_commit && request.member.is_none() && state.has_members(request.now) {
        let detail = format!("members hold the group {:?}: consume with a memberId to commit", request.group);
        return Err(Error::new(ErrorKind::FencedMember, detail));
    }
    state.used = state.used.max(called);
    state.reserve_stream(stream.id())?;
    let of = state.stream(stream.id());
    let next_expiry = of.leases.as_ref().zip(request.member).and_then(|(leases, member)| leases.next_expiry(member));
    // Who lost its lease begins at what is committed again, whatever it has been given before.
    let resumes = if lease.continuous { request.resume } else { &[] };
    let mut readings = Vec::with_capacity(lease.partitions.len());
    for partition in &lease.partitions {
        let Some(log) = stream.partition(*partition) else { continue };
        let committed = of.committed.get(partition).copied();
        let resume = resumes.iter().find(|(of, _)| of == partition).map(|(_, offset)| *offset);
        let position = resolve(log, request.start_at, committed, resume, request.on_reset);
        let position = position.map_err(|outside| outside.error(stream.name(), partition))?;
        let (partition, from, end) = (*partition, position.offset, log.committed());
        readings.push(Reading { partition, from, position, end });
    }
    Ok(Some((readings, of.turn, next_expiry)))
}
