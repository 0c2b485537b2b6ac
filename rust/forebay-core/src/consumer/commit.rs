//! Committing offsets: all checked before any is stored, one journal entry, durable when answered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::group::{Group, GroupState};
use super::groups::Groups;
use super::lease::LEASE;
use super::position::check_inside;
use super::rows::{Committed, OffsetRow};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CompletionId, Offset, PartitionId, StreamId};
use crate::log::commit::{Append, Completer, Level, Receipt, Reply, Waiter};
use crate::options::MAX_PARTITIONS;
use crate::stream::Stream;

/// Offsets in one commit, which is one frame of the journal: those of the largest stream, in a quarter of the smallest
/// journal file.
pub const MAX_COMMIT_OFFSETS: usize = MAX_PARTITIONS as usize;

/// A consumer's commit of offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit<'a> {
    /// The group.
    pub group: &'a str,
    /// Stream, partition, and the next offset to read.
    pub offsets: &'a [(String, PartitionId, Offset)],
    /// Which member commits; `None` for a single reader.
    pub member: Option<&'a str>,
    /// True if offsets may move back.
    pub force: bool,
    /// The time of the call, by which leases are judged.
    pub now: Instant,
}

type Place = (Arc<Stream>, PartitionId, Offset);

impl Groups {
    /// Commits offsets: all of them or none. The outcome goes to `completer` under `completion`, unless this call fails.
    ///
    /// # Errors
    /// `ConsumerGroupNotFound`, `StreamNotFound`, `FencedMember` when the lease of one of the partitions is gone or
    /// others hold the group, `InvalidOffset` for one out of range or moving back, `InvalidRequest` for a partition
    /// that is not there or given twice, `Saturated` when too much is not sealed
    /// yet or groups take up their memory, or why nothing can be written.
    pub fn commit(
        &self,
        request: &OffsetCommit<'_>,
        completer: Arc<dyn Completer>,
        completion: CompletionId,
    ) -> Result<()> {
        let count = request.offsets.len();
        if !(1..=MAX_COMMIT_OFFSETS).contains(&count) {
            let detail = format!("offsets has {count} entries; a commit takes 1 to {MAX_COMMIT_OFFSETS}");
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        let group = self.named(request.group)?;
        let places = self.places(request.offsets)?;
        self.queue(&group, request, &places, completer, completion)
    }

    /// Commits offsets and waits for the outcome.
    ///
    /// # Errors
    /// Fails as [`Groups::commit`] does.
    pub fn commit_and_wait(&self, request: &OffsetCommit<'_>) -> Result<Receipt> {
        let waiter = Arc::new(Waiter::default());
        self.commit(request, waiter.clone(), CompletionId(0))?;
        waiter.wait()
    }

    fn places(&self, offsets: &[(String, PartitionId, Offset)]) -> Result<Vec<Place>> {
        let mut places = Vec::with_capacity(offsets.len());
        let mut seen = BTreeSet::new();
        for (name, partition, offset) in offsets {
            let stream = self.catalog.named(name)?;
            let invalid = |what: &str| {
                let detail = format!("stream {name:?} {what} partition {partition}");
                Err(Error::new(ErrorKind::InvalidRequest, detail))
            };
            if stream.partition(*partition).is_none() {
                return invalid("has no");
            }
            if !seen.insert((stream.id(), *partition)) {
                return invalid("is given twice with");
            }
            places.push((stream, *partition, *offset));
        }
        Ok(places)
    }

    fn queue(
        &self,
        group: &Arc<Group>,
        request: &OffsetCommit<'_>,
        places: &[Place],
        completer: Arc<dyn Completer>,
        completion: CompletionId,
    ) -> Result<()> {
        let order = group.order();
        let mut state = group.state();
        if state.deleted {
            let detail = format!("there is no consumer group {:?}", request.group);
            return Err(Error::new(ErrorKind::ConsumerGroupNotFound, detail));
        }
        check_leases(&mut state, request, places)?;
        let offsets = check_offsets(&state, places, request.force)?;
        state.used = state.used.max(self.clock.stamp());
        let stored = |it: &Committed| state.committed(it.stream, it.partition) == Some(it.offset);
        if state.is_settled() && offsets.iter().all(stored) {
            // They are durable already: a repeat is answered like the first.
            let level = Level::repeated(self.durability);
            drop(state);
            drop(order);
            completer.complete(completion, Ok(Receipt::new(level, Vec::new(), 0)));
            completer.wake();
            return Ok(());
        }
        self.status.refuse_write()?;
        let ops: Vec<_> = offsets.iter().map(|committed| committed.put(&group.name)).collect();
        let held = Some(self.commits.reserve(&ops)?);
        state.reserve_offsets(&offsets)?;
        state.begin_commit(&offsets);
        drop(state);
        let rows = offsets.into_iter().map(OffsetRow::Committed).collect();
        let with_dedup_entry = Settling { group: Arc::clone(group), rows, then: completer, completion };
        let reply = Reply::new(Arc::new(with_dedup_entry), completion);
        self.commits.push(Append { held, ..Append::control(ops, reply) });
        drop(order);
        Ok(())
    }
}

/// A member must hold what it commits; without a member, nobody else may hold anything of the group.
fn check_leases(state: &mut GroupState, request: &OffsetCommit<'_>, places: &[Place]) -> Result<()> {
    let OffsetCommit { member, now, .. } = *request;
    let fenced = |detail: String| Err(Error::new(ErrorKind::FencedMember, detail));
    let Some(member) = member else {
        if state.has_members(now) {
            return fenced(format!("members hold the group {:?}: commit with a memberId", request.group));
        }
        return Ok(());
    };
    let mut lost = Vec::new();
    for (stream, partition, _) in places {
        let leases = state.streams.get(&stream.id()).and_then(|of| of.leases.as_ref());
        let holds = leases.is_some_and(|leases| {
            leases.is_live(member, now) && leases.owner(*partition).is_some_and(|owner| **owner == *member)
        });
        if !holds {
            lost.push(format!("{partition} of {:?}", stream.name()));
        }
    }
    if !lost.is_empty() {
        let lost = lost.join(", ");
        return fenced(format!(
            "member {member:?} holds no lease on partition {lost}: consume again to see its partitions"
        ));
    }
    renew(state, member, now, LEASE, places);
    Ok(())
}

fn renew(state: &mut GroupState, member: &str, now: Instant, lease: Duration, places: &[Place]) {
    let streams: BTreeSet<StreamId> = places.iter().map(|(stream, _, _)| stream.id()).collect();
    for stream in streams {
        if let Some(leases) = state.stream(stream).leases.as_mut() {
            leases.prolong(member, now + lease);
        }
    }
}

fn check_offsets(state: &GroupState, places: &[Place], force: bool) -> Result<Vec<Committed>> {
    let mut offsets = Vec::with_capacity(places.len());
    for (stream, partition, offset) in places {
        if let Some(log) = stream.partition(*partition) {
            check_inside(log, *offset, stream.name(), partition.0)?;
        }
        let newest = state.newest(stream.id(), *partition);
        if let Some(committed) = newest.filter(|committed| offset < committed && !force) {
            let detail = format!(
                "offset {offset} of partition {partition} of stream {:?} is before the committed {committed}: moving \
                 back needs force",
                stream.name()
            );
            return Err(Error::new(ErrorKind::InvalidOffset, detail));
        }
        offsets.push(Committed { stream: stream.id(), partition: *partition, offset: *offset });
    }
    Ok(offsets)
}

/// Takes rows into memory when their commit is durable, on the way to whoever waits.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) group: Arc<Group>,
    pub(super) rows: Vec<OffsetRow>,
    pub(super) then: Arc<dyn Completer>,
    pub(super) completion: CompletionId,
}

impl Completer for Settling {
    fn complete(&self, _ticket: CompletionId, outcome: Result<Receipt>) {
        self.group.settle(&self.rows, outcome.is_ok());
        self.then.complete(self.completion, outcome);
    }

    fn wake(&self) {
        self.then.wake();
    }
}
