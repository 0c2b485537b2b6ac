//! The memory that groups take: offsets of any number of partitions, and leases of members who may make up names.

use super::group::{GroupState, GroupStream};
use super::lease::Leases;
use super::rows::Committed;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{PartitionId, StreamId};
use crate::stream::Stream;

/// Memory of all groups: a hundred offsets for each of 10,000.
pub(super) const GROUPS_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of a group: its name, twice, its locks, and its place among the others.
const GROUP_BYTES: usize = 1024;
/// Bytes of a stream in a group, without offsets and leases.
const STREAM_BYTES: usize = 256;
/// Bytes of an offset: once committed and once under way, in trees whose nodes are at least half full.
const OFFSET_BYTES: usize = 64;
/// Bytes of a partition that members share: a reference to its owner.
const OWNER_BYTES: usize = 16;
/// Bytes of a member: its name of up to 249 bytes, and its place in a tree.
const MEMBER_BYTES: usize = 384;

fn leases_bytes(partitions: usize, members: usize) -> usize {
    partitions * OWNER_BYTES + members * MEMBER_BYTES
}

impl GroupState {
    /// Reserves what a commit of these offsets adds; the next recount gives back what it did not.
    ///
    /// # Errors
    /// `Saturated` when the groups take up their memory.
    pub(crate) fn reserve_offsets(&mut self, offsets: &[Committed]) -> Result<()> {
        let mut bytes = 0;
        for it in offsets {
            bytes += self.streams.get(&it.stream).map_or(STREAM_BYTES, |_| 0);
            bytes += self.newest(it.stream, it.partition).map_or(OFFSET_BYTES, |_| 0);
        }
        self.reserve(bytes)
    }

    /// Reserves what so many beginnings add in a stream that the group knows.
    ///
    /// # Errors
    /// Fails as [`GroupState::reserve_offsets`] does.
    pub(crate) fn reserve_beginnings(&mut self, count: usize) -> Result<()> {
        self.reserve(count * OFFSET_BYTES)
    }

    /// Reserves what a first look at a stream adds.
    ///
    /// # Errors
    /// Fails as [`GroupState::reserve_offsets`] does.
    pub(crate) fn reserve_stream(&mut self, stream: StreamId) -> Result<()> {
        let bytes = self.streams.get(&stream).map_or(STREAM_BYTES, |_| 0);
        self.reserve(bytes)
    }

    /// Reserves what a member adds.
    ///
    /// # Errors
    /// Fails as [`GroupState::reserve_offsets`] does.
    pub(crate) fn reserve_member(&mut self, stream: &Stream, member: &str) -> Result<()> {
        self.reserve_stream(stream.id())?;
        let leases = self.streams.get(&stream.id()).and_then(|of| of.leases.as_ref());
        let bytes = match leases {
            None => leases_bytes(stream.partitions().len(), 1),
            Some(leases) if leases.members().any(|(name, _)| **name == *member) => 0,
            Some(_) => leases_bytes(0, 1),
        };
        self.reserve(bytes)
    }

    fn reserve(&mut self, bytes: usize) -> Result<()> {
        if bytes == 0 || self.memory.grow(bytes as u64) {
            return Ok(());
        }
        let limit = self.memory.budget().limit();
        let detail = format!(
            "offsets and members of all consumer groups take up their {limit} bytes of memory: delete groups that are not \
             used"
        );
        Err(Error::new(ErrorKind::Saturated, detail))
    }

    /// Charges what is there now.
    pub(crate) fn recount(&mut self) {
        let bytes = GROUP_BYTES + self.streams.values().map(stream_bytes).sum::<usize>();
        self.memory.set(bytes as u64);
    }
}

fn stream_bytes(of: &GroupStream) -> usize {
    let known = |at: &&PartitionId| of.committed.contains_key(at) || of.begun.contains_key(at);
    let offsets = of.committed.len() + of.begun.len() + of.queued.keys().filter(|at| !known(at)).count();
    let leases = |leases: &Leases| leases_bytes(leases.partitions(), leases.members().count());
    STREAM_BYTES + offsets * OFFSET_BYTES + of.leases.as_ref().map_or(0, leases)
}
