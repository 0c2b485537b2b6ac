//! The beginning of a group's reading. Its lag counts from there before it has committed anything, and it goes on there
//! after a restart, so the first answer of a partition waits until that is durable.

use std::sync::Arc;

use super::commit::Settling;
use super::group::{Group, GroupState};
use super::groups::Groups;
use super::reading::Reading;
use super::rows::{Begun, OffsetRow};
use crate::error::Result;
use crate::ids::CompletionId;
use crate::log::commit::{Append, Reply, Waiter};
use crate::stream::Stream;

impl Groups {
    /// Notes where the group begins in those of the partitions that it reads for the first time; durable when this
    /// returns. A log that takes no writes is read all the same: then it is noted in memory, and written by a later call.
    ///
    /// # Errors
    /// Says why it could not be written; `Saturated` when groups take up their memory.
    pub(super) fn begin(&self, group: &Arc<Group>, stream: &Stream, readings: &[Reading]) -> Result<()> {
        if unwritten(&group.state(), stream, readings).is_empty() {
            return Ok(());
        }
        let _one_at_a_time = group.beginning();
        let order = group.order();
        let mut state = group.state();
        let begun = unwritten(&state, stream, readings);
        // A group that is being deleted is looked up again by its next call.
        if begun.is_empty() || state.deleted {
            return Ok(());
        }
        let noted =
            |begun: &&Begun| state.streams.get(&stream.id()).is_some_and(|of| of.begun.contains_key(&begun.partition));
        let new = begun.iter().filter(|begun| !noted(begun)).count();
        state.reserve_beginnings(new)?;
        if self.status.refusal().is_some() {
            for begun in &begun {
                state.begin(*begun, false);
            }
            return Ok(());
        }
        let ops: Vec<_> = begun.iter().map(|begun| begun.put(&group.name)).collect();
        let held = Some(self.commits.reserve(&ops)?);
        state.begin_commit(&[]);
        drop(state);
        let rows = begun.into_iter().map(OffsetRow::Begun).collect();
        let waiter = Arc::new(Waiter::default());
        let with_dedup_entry =
            Settling { group: Arc::clone(group), rows, then: waiter.clone(), completion: CompletionId(0) };
        let reply = Reply::new(Arc::new(with_dedup_entry), CompletionId(0));
        self.commits.push(Append { held, ..Append::control(ops, reply) });
        drop(order);
        waiter.wait().map(drop)
    }
}

/// Returns the beginnings that have no row yet, of the partitions that are read.
fn unwritten(state: &GroupState, stream: &Stream, readings: &[Reading]) -> Vec<Begun> {
    let known = state.streams.get(&stream.id());
    let begun = |reading: &Reading| {
        let partition = reading.partition;
        if known.is_some_and(|of| of.committed.contains_key(&partition)) {
            return None;
        }
        let position = match known.and_then(|of| of.begun.get(&partition)) {
            Some(beginning) if beginning.durable => return None,
            Some(beginning) => beginning.position,
            None => reading.position,
        };
        Some(Begun { stream: stream.id(), partition, offset: position.offset, floats: position.floats })
    };
    readings.iter().filter_map(begun).collect()
}
