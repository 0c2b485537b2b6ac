//! Groups as operators see them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::group::{Group, GroupStream};
use super::groups::Groups;
use crate::error::Result;
use crate::ids::{Offset, PartitionId, Timestamp};
use crate::stream::{Partition, Stream};

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupReport {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// Its last call, as the wall clock has it now.
    pub used: Timestamp,
    /// The members of each stream.
    pub members: Vec<MemberReport>,
    /// The committed offsets, by stream and partition.
    pub offsets: Vec<OffsetReport>,
    /// Beginnings in partitions that it has read and of which it has committed nothing.
    pub begun: Vec<OffsetReport>,
}

impl GroupReport {
    /// Records that it has not done with: behind what it committed, or behind where it began.
    #[must_use]
    pub fn lag(&self) -> u64 {
        let behind = |row: &OffsetReport| row.end.0.saturating_sub(row.offset.0);
        self.offsets.iter().chain(&self.begun).map(behind).sum()
    }
}

/// A member's lease on one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberReport {
    /// The stream.
    pub stream: String,
    /// The member.
    pub member: String,
    /// Partitions that it holds.
    pub partitions: Vec<PartitionId>,
    /// Time that its lease still lasts.
    pub left: Duration,
}

/// A position in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetReport {
    /// The stream.
    pub stream: String,
    /// The partition.
    pub partition: PartitionId,
    /// The next offset to read.
    pub offset: Offset,
    /// The offset after the last committed record.
    pub end: Offset,
}

impl Groups {
    /// Returns one group, with its leases as of `now`.
    ///
    /// # Errors
    /// `ConsumerGroupNotFound`.
    pub fn report(&self, name: &str, now: Instant) -> Result<GroupReport> {
        Ok(self.report_of(self.named(name)?.as_ref(), now))
    }

    /// Returns every group, by name.
    #[must_use]
    pub fn reports(&self, now: Instant) -> Vec<GroupReport> {
        self.all().iter().map(|group| self.report_of(group, now)).collect()
    }

    /// Gives a member's leases back.
    ///
    /// # Errors
    /// `ConsumerGroupNotFound`, or `NotFound` when it has none.
    pub fn leave(&self, group: &str, member: &str) -> Result<()> {
        if self.named(group)?.leave(member) {
            return Ok(());
        }
        let detail = format!("member {member:?} holds no lease in the group {group:?}");
        Err(crate::error::Error::new(crate::error::ErrorKind::NotFound, detail))
    }

    fn report_of(&self, group: &Group, now: Instant) -> GroupReport {
        let state = group.state();
        let mut report = GroupReport {
            name: group.name.as_ref().to_owned(),
            created: state.created,
            used: self.clock.shown(state.used),
            members: Vec::new(),
            offsets: Vec::new(),
            begun: Vec::new(),
        };
        let mut streams: Vec<_> =
            state.streams.iter().filter_map(|(id, of)| Some((self.catalog.by_id(*id)?, of))).collect();
        streams.sort_by(|(a, _), (b, _)| a.name().cmp(b.name()));
        for (stream, of) in streams {
            report.members.extend(members(&stream, of, now));
            report
                .offsets
                .extend(of.committed.iter().map(|(partition, offset)| position(&stream, *partition, *offset)));
            report.begun.extend(of.begun.iter().map(|(partition, beginning)| {
                let start = stream.partition(*partition).map_or(Offset(0), Partition::start);
                position(&stream, *partition, beginning.position.offset.max(start))
            }));
        }
        report
    }
}

fn members(stream: &Arc<Stream>, of: &GroupStream, now: Instant) -> Vec<MemberReport> {
    let Some(leases) = &of.leases else { return Vec::new() };
    let live = leases.members().filter(|(_, until)| *until > now);
    let report = |(member, until): (&Arc<str>, Instant)| MemberReport {
        stream: stream.name().to_owned(),
        member: member.as_ref().to_owned(),
        partitions: leases.owned(member),
        left: until.saturating_duration_since(now),
    };
    live.map(report).collect()
}

fn position(stream: &Arc<Stream>, partition: PartitionId, offset: Offset) -> OffsetReport {
    let end = stream.partition(partition).map_or(offset, Partition::committed);
    OffsetReport { stream: stream.name().to_owned(), partition, offset, end }
}
