//! Reading a stream as a group: from committed positions, the partitions that are the reader's, none of them starved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commit::OffsetCommit;
use super::group::{Group, Lease};
use super::groups::Groups;
use super::lease::LEASE;
use super::names::{check_group, check_member};
use super::position::{OnReset, Position, StartAt, resolve};
use super::reading::Reading;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId, Timestamp};
use crate::log::read::{Gap, RecordBatch};
use crate::predicate::Filter;
use crate::stream::Stream;

/// One call of a consumer.
#[derive(Clone, Debug)]
pub struct Consume<'a> {
    /// The group; created by its first call.
    pub group: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// Which member reads; `None` for a single reader of all partitions.
    pub member: Option<&'a str>,
    /// The one partition to read; `None` for all that the member holds.
    pub partition: Option<PartitionId>,
    /// The position to begin at.
    pub start_at: StartAt,
    /// Offsets that the same reader got to by earlier calls, by partition: it goes on there.
    pub resume: &'a [(PartitionId, Offset)],
    /// Gaps that those calls met and nobody was told of yet: they are reported with those of this call.
    pub gaps: &'a [Gap],
    /// The filter of the records; offsets move past those that it does not match.
    pub filter: Option<&'a Filter>,
    /// The most records.
    pub limit: usize,
    /// The way to go on when a position is not there any more.
    pub on_reset: OnReset,
    /// True if what is returned counts as done with.
    pub auto_commit: bool,
    /// Time that the caller will wait when there is nothing: the lease lasts over it.
    pub hold: Duration,
    /// The time of the call, by which leases are judged.
    pub now: Instant,
}

/// The offset that a partition was read up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The partition.
    pub partition: PartitionId,
    /// The next offset to read.
    pub next: Offset,
    /// The offset after the last committed record.
    pub end: Offset,
}

/// The result of a call.
#[derive(Debug)]
pub struct Fetched {
    /// The stream, as it was.
    pub stream: Arc<Stream>,
    /// The records, each batch of one partition. One may hold none but say what it left out.
    pub batches: Vec<RecordBatch>,
    /// Every partition that is the reader's, in order.
    pub reached: Vec<Reached>,
    /// Damaged records that were left out: the positions are behind them.
    pub gaps: Vec<Gap>,
    /// Partitions of which the next record cannot be read now, and why: their positions stay before it.
    pub unreadable: Vec<(PartitionId, Error)>,
    /// True if partitions changed hands by this call.
    pub rebalanced: bool,
    /// When another member's lease runs out: a call then may get its partitions.
    pub next_expiry: Option<Instant>,
}

impl Fetched {
    /// Returns the number of records.
    #[must_use]
    pub fn count(&self) -> usize {
        self.batches.iter().map(RecordBatch::len).sum()
    }
}

impl Groups {
    /// Reads what comes next for a group.
    ///
    /// # Errors
    /// `StreamNotFound`, `InvalidOffset` telling the valid range, `FencedMember` for a partition that is another
    /// member's, `InvalidRequest`, `Saturated` for too many groups or members, or why a new group cannot be written.
    /// `StorageUnavailable` when nothing is given because what comes next cannot be read now; nothing is committed then.
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

    fn consume_as(&self, group: &Arc<Group>, stream: Arc<Stream>, request: &Consume<'_>) -> Result<Option<Fetched>> {
        let lease = lease(group, &stream, request)?;
        let Some((mut readings, turn, next_expiry)) = positions(group, &stream, &lease, (request, self.clock.stamp()))?
        else {
            return Ok(None);
        };
        self.begin(group, &stream, &readings)?;
        let batches = self.read(&stream, &mut readings, request, turn);
        if stream.is_deleted() {
            let detail = format!("stream {:?} was deleted", stream.name());
            return Err(Error::new(ErrorKind::StreamNotFound, detail));
        }
        let batches = batches?;
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
        let gaps = request.gaps.iter().chain(batches.iter().flat_map(RecordBatch::gaps)).copied().collect();
        let failed = |reading: Reading| Some((reading.partition, reading.failure?));
        let unreadable = readings.into_iter().filter_map(failed).collect();
        Ok(Some(Fetched { stream, batches, reached, gaps, unreadable, rebalanced: lease.rebalanced, next_expiry }))
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

/// Refuses what can be refused before a group is created for it.
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

/// Returns the partitions that are the reader's.
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

/// Returns where each partition is read on, whose turn it is, and when leases change; `None` when the group was
/// deleted.
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
    // A member that lost its lease begins at what is committed again, whatever it has been given before.
    let resumes = if lease.continuous { request.resume } else { &[] };
    let mut readings = Vec::with_capacity(lease.partitions.len());
    for partition in &lease.partitions {
        let Some(log) = stream.partition(*partition) else { continue };
        let committed = of.committed.get(partition).map(|offset| Position { offset: *offset, floats: false });
        let known = committed.or_else(|| of.begun.get(partition).map(|beginning| beginning.position));
        let resume = resumes.iter().find(|(of, _)| of == partition).map(|(_, offset)| *offset);
        let position = resolve(log, request.start_at, known, resume, request.on_reset);
        let position = position.map_err(|outside| outside.error(stream.name(), partition))?;
        let (partition, from, end) = (*partition, position.offset, log.committed());
        readings.push(Reading { partition, from, position, end, failure: None });
    }
    Ok(Some((readings, of.turn, next_expiry)))
}
