//! Every job and queue in memory, found by id, by unique key and by place. What is here is durable.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::id::Token;
use super::job::Job;
use super::name::QueueName;
use super::queue::Queue;
use super::row::QueueRow;
use crate::table::{Table, TableOp};

/// A unique key in the queues of a base name.
pub(super) type UniqueKey = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
pub(super) struct JobTable {
    slots: Vec<Option<Job>>,
    free: Vec<u32>,
    ids: BTreeMap<Token, u32>,
    /// Those of jobs that are still to be done.
    unique: HashMap<UniqueKey, u32>,
    queues: BTreeMap<Arc<QueueName>, Queue>,
    bytes: u64,
    next_number: u64,
}

impl JobTable {
    /// Memory of all jobs.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    pub(super) fn get(&self, id: Token) -> Option<&Job> {
        self.at(*self.ids.get(&id)?)
    }

    pub(super) fn at(&self, slot: u32) -> Option<&Job> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn of_key(&self, key: &UniqueKey) -> Option<&Job> {
        self.at(*self.unique.get(key)?)
    }

    pub(super) fn queues(&self) -> impl Iterator<Item = (&Arc<QueueName>, &Queue)> {
        self.queues.iter()
    }

    pub(super) fn queue(&self, name: &QueueName) -> Option<&Queue> {
        self.queues.get(name)
    }

    pub(super) fn queue_mut(&mut self, name: &QueueName) -> Option<&mut Queue> {
        self.queues.get_mut(name)
    }

    pub(super) fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// Returns the name as the table has it, and makes the queue when it is missing.
    pub(super) fn ensure(&mut self, name: &QueueName) -> Arc<QueueName> {
        if let Some((known, _)) = self.queues.get_key_value(name) {
            return Arc::clone(known);
        }
        let name = Arc::new(name.clone());
        self.queues.insert(Arc::clone(&name), Queue::default());
        name
    }

    /// Takes in a recovered row; `false` when it cannot be read.
    pub(super) fn take_in(&mut self, op: &TableOp) -> bool {
        match (op.table, &op.value) {
            (Table::Jobs, Some(value)) => Job::decode(&op.key, value).map(|job| self.put(job)).is_some(),
            (Table::Jobs, None) => op.key.as_slice().try_into().map(|id| self.remove(Token(id))).is_ok(),
            (_, value) => self.take_in_queue(&op.key, value.as_deref()).is_some(),
        }
    }

    fn take_in_queue(&mut self, key: &[u8], value: Option<&[u8]>) -> Option<()> {
        let Some(value) = value else {
            let (name, minute) = QueueRow::minute_of(key)?;
            if let Some(queue) = self.queues.get_mut(&name) {
                queue.completed.forget(&[minute]);
            }
            return Some(());
        };
        let (name, row) = QueueRow::decode(key, value)?;
        let name = self.ensure(&name);
        let queue = self.queues.get_mut(&name)?;
        match row {
            QueueRow::Queue { paused } => queue.paused = paused,
            QueueRow::Minute { minute, jobs } => queue.completed.set(minute, jobs),
        }
        Some(())
    }

    /// Puts a job in the place of what has its id.
    pub(super) fn put(&mut self, mut job: Job) {
        job.queue = self.ensure(&job.queue);
        self.next_number = self.next_number.max(job.number + 1);
        let slot = match self.ids.get(&job.id) {
            Some(slot) => {
                let slot = *slot;
                self.unlink(slot);
                slot
            }
            None => {
                let slot = self.free.pop().unwrap_or_else(|| {
                    self.slots.push(None);
                    u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
                });
                self.ids.insert(job.id, slot);
                slot
            }
        };
        self.bytes += job.bytes() as u64;
        if let Some(key) = unique_key(&job) {
            self.unique.insert(key, slot);
        }
        if let Some(queue) = self.queues.get_mut(&job.queue) {
            queue.insert(&job, slot);
        }
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(job);
        }
    }

    pub(super) fn remove(&mut self, id: Token) {
        if let Some(slot) = self.ids.remove(&id) {
            self.unlink(slot);
            self.free.push(slot);
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Some(job) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        self.bytes -= job.bytes() as u64;
        if let Some(key) = unique_key(&job)
            && self.unique.get(&key) == Some(&slot)
        {
            self.unique.remove(&key);
        }
        if let Some(queue) = self.queues.get_mut(&job.queue) {
            queue.remove(&job, slot);
        }
    }
}

/// The key that keeps others from being enqueued.
pub(super) fn unique_key(job: &Job) -> Option<UniqueKey> {
    let key = job.unique_key().filter(|_| job.status.is_open())?;
    Some((Arc::clone(&job.queue.base), Arc::clone(key)))
}
