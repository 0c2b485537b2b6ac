//! Every consumer group.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use super::group::Group;
use super::memory::GROUPS_BYTES;
use super::names::check_group;
use super::rows::{GroupRow, OffsetRow, delete_offset};
use crate::admission::Budget;
use crate::clock::LogClock;
use crate::error::{Error, ErrorKind, Result};
use crate::log::commit::{CommitQueue, OPS_BYTES};
use crate::log::read::Reader;
use crate::options::Durability;
use crate::status::Status;
use crate::stream::Catalog;
use crate::table::{Changes, Table, TableOp};

/// Groups of one process. Each takes a few hundred bytes and a row; a client that makes up names must end somewhere.
pub const MAX_GROUPS: usize = 10_000;

/// Every consumer group, and what it takes to serve them.
#[derive(Debug)]
pub struct Groups {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) commits: Arc<CommitQueue>,
    pub(crate) status: Arc<Status>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) clock: Arc<LogClock>,
    pub(crate) durability: Durability,
    /// Held while a group is created or deleted: look-up, commit and change are one step.
    pub(super) changing: Mutex<()>,
    pub(super) groups: RwLock<HashMap<Arc<str>, Arc<Group>>>,
    pub(super) started: Instant,
    /// Covers all of them.
    pub(crate) memory: Arc<Budget>,
}

impl Groups {
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        commits: Arc<CommitQueue>,
        status: Arc<Status>,
        reader: Arc<Reader>,
        clock: Arc<LogClock>,
        durability: Durability,
    ) -> Self {
        let (changing, groups, started) = (Mutex::default(), RwLock::default(), Instant::now());
        let memory = Budget::new(GROUPS_BYTES);
        Self { catalog, commits, status, reader, clock, durability, changing, groups, started, memory }
    }

    /// Recovery's groups. An offset whose group's row was lost by a damage brings its group back.
    pub(crate) fn restore(&self, rows: &Changes) {
        let mut groups = self.groups.write();
        let memory = &self.memory;
        let mut insert = |name: &str, row| {
            let group = groups.entry(name.into()).or_insert_with(|| Arc::new(Group::new(name, row, memory)));
            Arc::clone(group)
        };
        let lost = GroupRow { created_us: self.clock.wall().0, used_us: self.clock.stamp().0 };
        for (key, value) in rows.rows(Table::Groups) {
            if let Ok(name) = std::str::from_utf8(key) {
                insert(name, GroupRow::decode(value).unwrap_or(lost));
            }
        }
        for (key, value) in rows.rows(Table::Offsets) {
            if let Some((name, row)) = OffsetRow::decode(key, value) {
                insert(name, lost).state().take_in(row);
            }
        }
        for group in groups.values() {
            group.state().recount();
        }
    }

    /// Returns the group of that name.
    ///
    /// # Errors
    /// `ConsumerGroupNotFound`.
    pub(crate) fn named(&self, name: &str) -> Result<Arc<Group>> {
        let found = self.groups.read().get(name).cloned();
        found
            .ok_or_else(|| Error::new(ErrorKind::ConsumerGroupNotFound, format!("there is no consumer group {name:?}")))
    }

    /// Returns the group of that name, created when it is missing; durable when this returns.
    ///
    /// # Errors
    /// `InvalidRequest` for a bad name, `Saturated` when there are too many groups, or why nothing can be written.
    pub(crate) fn ensure(&self, name: &str) -> Result<Arc<Group>> {
        if let Ok(group) = self.named(name) {
            return Ok(group);
        }
        check_group(name)?;
        let _one_at_a_time = self.changing.lock();
        if let Ok(group) = self.named(name) {
            return Ok(group);
        }
        if self.groups.read().len() >= MAX_GROUPS {
            let detail = format!("there are {MAX_GROUPS} consumer groups, which is the limit; delete some");
            return Err(Error::new(ErrorKind::Saturated, detail));
        }
        self.status.refuse_write()?;
        let row = GroupRow { created_us: self.clock.wall().0, used_us: self.clock.stamp().0 };
        self.commits.change_if_room(vec![row.put(name)])?;
        let group = Arc::new(Group::new(name, row, &self.memory));
        self.groups.write().insert(Arc::clone(&group.name), Arc::clone(&group));
        Ok(group)
    }

    /// Deletes a group and its committed offsets; durable when this returns.
    ///
    /// # Errors
    /// `ConsumerGroupNotFound`, or why nothing can be written.
    pub fn delete(&self, name: &str) -> Result<()> {
        let _one_at_a_time = self.changing.lock();
        let group = self.named(name)?;
        self.remove(&group)
    }

    /// Offsets go first and the group's row last: what a crash interrupts leaves a group that begins anew in some
    /// partitions, never offsets that a later group of the same name would inherit.
    pub(super) fn remove(&self, group: &Group) -> Result<()> {
        let order = group.order();
        let mut state = group.settled_state(&order);
        let places = state.places();
        // A caller that still holds the group looks it up again.
        state.deleted = true;
        drop(state);
        let ops = places.iter().map(|(stream, partition)| delete_offset(&group.name, *stream, *partition));
        let ops = ops.chain([TableOp::delete(Table::Groups, group.name.as_bytes())]).collect();
        if let Err((durable, error)) = self.change_in_parts(ops) {
            let mut state = group.state();
            state.deleted = false;
            // These begin anew after a start, and so they do now.
            for (stream, partition) in places.iter().take(durable) {
                state.forget(*stream, *partition);
            }
            return Err(error);
        }
        self.groups.write().remove(&group.name);
        Ok(())
    }

    /// Commits operations in order, in commits that are small. When one fails, says how many operations before it are
    /// durable.
    pub(super) fn change_in_parts(&self, ops: Vec<TableOp>) -> std::result::Result<(), (usize, Error)> {
        let mut part = Vec::new();
        let (mut bytes, mut durable) = (0, 0);
        let mut commit = |part: Vec<TableOp>| {
            let count = part.len();
            self.commits.change(part).map_err(|error| (durable, error))?;
            durable += count;
            Ok(())
        };
        for op in ops {
            bytes += op.encoded_bytes();
            if bytes > OPS_BYTES && !part.is_empty() {
                commit(std::mem::take(&mut part))?;
                bytes = op.encoded_bytes();
            }
            part.push(op);
        }
        if part.is_empty() { Ok(()) } else { commit(part) }
    }

    /// Returns every group, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Group>> {
        let mut groups: Vec<_> = self.groups.read().values().cloned().collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        groups
    }
}
