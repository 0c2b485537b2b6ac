//! One group: its committed offsets and its members' leases, under a lock of its own, so that what one group does never
//! holds up another.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::lease::Leases;
use super::position::Position;
use super::rows::{Begun, Committed, GroupRow, OffsetRow};
use crate::admission::{Budget, Hold};
use crate::error::Result;
use crate::ids::{Offset, PartitionId, StreamId, Timestamp};
use crate::stream::Stream;

/// A consumer group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: Arc<str>,
    /// Held while a commit is checked and queued, and while leases change hands: offsets reach memory in the order in
    /// which they reach the journal, and a partition changes hands only when no commit of its old owner is under way.
    order: Mutex<()>,
    /// Held while it is made durable where the group begins: what one call noted is not noted otherwise by another.
    beginning: Mutex<()>,
    state: Mutex<GroupState>,
    settled: Condvar,
}

#[derive(Debug)]
pub(crate) struct GroupState {
    pub(crate) created: Timestamp,
    /// The last call, in the log's time.
    pub(crate) used: Timestamp,
    /// The call that the group's row knows of.
    pub(crate) noted: Timestamp,
    pub(crate) deleted: bool,
    pub(crate) streams: HashMap<StreamId, GroupStream>,
    /// The permit for the memory of all this.
    pub(super) memory: Hold,
    commits_under_way: usize,
}

/// A group's state on one stream.
#[derive(Debug)]
pub(crate) struct GroupStream {
    pub(crate) committed: BTreeMap<PartitionId, Offset>,
    /// Beginnings in partitions of which nothing is committed.
    pub(crate) begun: BTreeMap<PartitionId, Beginning>,
    /// The newest offsets of commits that are under way.
    pub(crate) queued: BTreeMap<PartitionId, Offset>,
    /// `None` until the first member comes.
    pub(crate) leases: Option<Leases>,
    /// Which of a reader's partitions comes first in its next answer.
    pub(crate) turn: usize,
}

/// The position where a group began to read a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    pub(crate) position: Position,
    /// True if its row is written: the log may have refused that.
    pub(crate) durable: bool,
}

/// A member's lease after a call.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) partitions: Vec<PartitionId>,
    /// True if partitions may have changed hands by the call.
    pub(crate) rebalanced: bool,
    /// True if the member's lease ran until the call.
    pub(crate) continuous: bool,
}

impl GroupStream {
    fn new() -> Self {
        Self { committed: BTreeMap::new(), begun: BTreeMap::new(), queued: BTreeMap::new(), leases: None, turn: 0 }
    }
}

impl Group {
    pub(crate) fn new(name: &str, row: GroupRow, memory: &Arc<Budget>) -> Self {
        let mut state = GroupState {
            created: Timestamp(row.created_us),
            used: Timestamp(row.used_us),
            noted: Timestamp(row.used_us),
            deleted: false,
            streams: HashMap::new(),
            memory: Hold::force(memory, 0),
            commits_under_way: 0,
        };
        state.recount();
        let (order, beginning) = (Mutex::new(()), Mutex::new(()));
        Self { name: name.into(), order, beginning, state: Mutex::new(state), settled: Condvar::new() }
    }

    /// Held from the check of a commit until it is queued. Never while it is waited for.
    pub(crate) fn order(&self) -> MutexGuard<'_, ()> {
        self.order.lock()
    }

    /// Held over the commit that makes a beginning durable, and taken before the order.
    pub(crate) fn beginning(&self) -> MutexGuard<'_, ()> {
        self.beginning.lock()
    }

    /// The group's state. Never held while anything is pushed to the committer, which takes it to settle commits.
    pub(crate) fn state(&self) -> MutexGuard<'_, GroupState> {
        self.state.lock()
    }

    /// Returns the state when no commit is under way; the caller holds the order, so that none begins. Bounded by the
    /// commits, each of which is answered.
    pub(crate) fn settled_state(&self, _order: &MutexGuard<'_, ()>) -> MutexGuard<'_, GroupState> {
        let mut state = self.state.lock();
        while state.commits_under_way > 0 {
            self.settled.wait(&mut state);
        }
        state
    }

    /// A commit ended.
    pub(crate) fn settle(&self, rows: &[OffsetRow], durable: bool) {
        let mut state = self.state.lock();
        if durable {
            for row in rows {
                state.take_in(*row);
            }
        }
        state.commits_under_way -= 1;
        if state.commits_under_way == 0 {
            for stream in state.streams.values_mut() {
                stream.queued.clear();
            }
            drop(state);
            self.settled.notify_all();
        }
    }

    /// Renews a member's lease until `until`; leases that have run out are shared anew.
    ///
    /// # Errors
    /// `Saturated` when there are too many members, or groups take up their memory.
    pub(crate) fn lease(&self, stream: &Stream, member: &str, now: Instant, until: Instant) -> Result<Lease> {
        {
            let mut state = self.state.lock();
            let leases = state.streams.get_mut(&stream.id()).and_then(|of| of.leases.as_mut());
            if let Some(leases) = leases.filter(|leases| leases.is_live(member, now) && !leases.any_expired(now)) {
                leases.renew(member, until);
                return Ok(Lease { partitions: leases.owned(member), rebalanced: false, continuous: true });
            }
        }
        let order = self.order();
        let mut state = self.settled_state(&order);
        state.reserve_member(stream, member)?;
        let leases = state.leases(stream);
        let continuous = leases.is_live(member, now);
        let joined = leases.join(member, now, until).map(|()| leases.owned(member));
        // Members whose leases ran out are gone.
        state.recount();
        Ok(Lease { partitions: joined?, rebalanced: true, continuous })
    }

    /// Gives a member's leases back, on all streams; `false` when it had none.
    pub(crate) fn leave(&self, member: &str) -> bool {
        let order = self.order();
        let mut state = self.settled_state(&order);
        let leases = state.streams.values_mut().filter_map(|stream| stream.leases.as_mut());
        leases.filter_map(|leases| leases.leave(member).then_some(())).count() > 0
    }
}

impl GroupState {
    pub(crate) fn stream(&mut self, stream: StreamId) -> &mut GroupStream {
        self.streams.entry(stream).or_insert_with(GroupStream::new)
    }

    fn leases(&mut self, stream: &Stream) -> &mut Leases {
        self.stream(stream.id()).leases.get_or_insert_with(|| Leases::new(stream.partitions().len()))
    }

    pub(crate) fn committed(&self, stream: StreamId, partition: PartitionId) -> Option<Offset> {
        self.streams.get(&stream)?.committed.get(&partition).copied()
    }

    pub(crate) fn take_in(&mut self, row: OffsetRow) {
        match row {
            OffsetRow::Committed(Committed { stream, partition, offset }) => {
                let of = self.stream(stream);
                of.committed.insert(partition, offset);
                of.begun.remove(&partition);
            }
            OffsetRow::Begun(begun) => self.begin(begun, true),
        }
    }

    /// Notes where the group began, unless it has committed since.
    pub(crate) fn begin(&mut self, begun: Begun, durable: bool) {
        let Begun { stream, partition, offset, floats } = begun;
        let of = self.stream(stream);
        if !of.committed.contains_key(&partition) {
            of.begun.insert(partition, Beginning { position: Position { offset, floats }, durable });
        }
    }

    /// Takes a committed offset back: its row is deleted.
    pub(crate) fn forget(&mut self, stream: StreamId, partition: PartitionId) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.committed.remove(&partition);
            stream.begun.remove(&partition);
        }
    }

    /// Returns the offset that the next commit may not fall behind: the committed one, or that of a commit under way.
    pub(crate) fn newest(&self, stream: StreamId, partition: PartitionId) -> Option<Offset> {
        let stream = self.streams.get(&stream)?;
        stream.committed.get(&partition).max(stream.queued.get(&partition)).copied()
    }

    pub(crate) fn begin_commit(&mut self, offsets: &[Committed]) {
        self.commits_under_way += 1;
        for committed in offsets {
            self.stream(committed.stream).queued.insert(committed.partition, committed.offset);
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.commits_under_way == 0
    }

    /// Returns whether a lease on any stream runs.
    pub(crate) fn has_members(&self, now: Instant) -> bool {
        self.streams.values().filter_map(|stream| stream.leases.as_ref()).any(|leases| leases.any_live(now))
    }

    /// Returns every partition that has a row, by stream.
    pub(crate) fn places(&self) -> Vec<(StreamId, PartitionId)> {
        let of = |(stream, of): (&StreamId, &GroupStream)| {
            let partitions: Vec<_> = of.committed.keys().chain(of.begun.keys()).copied().collect();
            let stream = *stream;
            partitions.into_iter().map(move |partition| (stream, partition))
        };
        let mut places: Vec<_> = self.streams.iter().flat_map(of).collect();
        places.sort_unstable();
        places
    }

    pub(crate) fn row(&self) -> GroupRow {
        GroupRow { created_us: self.created.0, used_us: self.used.0 }
    }
}
