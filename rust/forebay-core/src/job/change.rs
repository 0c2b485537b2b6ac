//! Changing jobs: a commit, and what it says taken into memory when it is durable.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::id::Token;
use super::job::{Job, JobStatus};
use super::jobs::{Jobs, Moment, State};
use super::limits::COMMIT_BYTES;
use super::name::QueueName;
use super::row::QueueRow;
use super::table::{UniqueKey, unique_key};
use crate::error::Result;
use crate::log::commit::Waiter;
use crate::table::TableOp;

/// What becomes of a job.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Put(Job),
    Delete(Token),
}

impl Change {
    fn id(&self) -> Token {
        match self {
            Self::Put(job) => job.id,
            Self::Delete(id) => *id,
        }
    }

    /// The unique key that it takes or keeps: nobody else may take it meanwhile.
    fn key(&self) -> Option<UniqueKey> {
        match self {
            Self::Put(job) => unique_key(job),
            Self::Delete(_) => None,
        }
    }

    fn op(&self) -> TableOp {
        match self {
            Self::Put(job) => job.put(),
            Self::Delete(id) => Job::delete_of(*id),
        }
    }
}

impl Jobs {
    /// Changes one job as it is when no other change of it is under way. Durable when this returns the job as it is then.
    ///
    /// # Errors
    /// `JobNotFound`, whatever `decide` says, and why nothing can be written.
    pub(super) fn change(
        &self,
        id: Token,
        decide: impl FnOnce(&Job, Moment, &mut State) -> Result<Change>,
    ) -> Result<Option<Job>> {
        let mut state = self.state();
        while state.busy.contains(&id) {
            self.wait(&mut state);
        }
        let job = state.table.get(id).cloned().ok_or_else(|| Self::no_job(id))?;
        let moment = self.moment();
        let change = decide(&job, moment, &mut state)?;
        let completes = match &change {
            Change::Put(job) if job.status == JobStatus::Completed => Some(Arc::clone(&job.queue)),
            Change::Put(_) | Change::Delete(_) => None,
        };
        let after = match &change {
            Change::Put(job) => Some(job.clone()),
            Change::Delete(_) => None,
        };
        self.commit(state, vec![change], completes, moment)?;
        Ok(after)
    }

    /// Commits changes of jobs that are not busy, and takes them in. With `completes` one more job of that queue counts as
    /// completed.
    ///
    /// # Errors
    /// Why nothing can be written; then nothing is changed.
    pub(super) fn commit<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        changes: Vec<Change>,
        completes: Option<Arc<QueueName>>,
        moment: Moment,
    ) -> Result<()> {
        self.status.refuse_write()?;
        let mut ops: Vec<TableOp> = changes.iter().map(Change::op).collect();
        let mut counted = None;
        if let Some(queue) = completes.as_deref().and_then(|name| state.table.queue_mut(name)) {
            let (minute, jobs) = queue.completed.add(moment.minute(), 1);
            counted = Some(minute);
            ops.extend(completes.as_deref().map(|name| QueueRow::Minute { minute, jobs }.put(name)));
        }
        let done = match self.queue(ops) {
            Ok(waiter) => {
                let ids: Vec<_> = changes.iter().map(Change::id).collect();
                let keys: Vec<_> = changes.iter().filter_map(Change::key).collect();
                state.busy.extend(&ids);
                state.keys.extend(keys.iter().cloned());
                drop(state);
                let done = waiter.wait().map(drop);
                state = self.state();
                for id in &ids {
                    state.busy.remove(id);
                }
                for key in &keys {
                    state.keys.remove(key);
                }
                done
            }
            Err(error) => Err(error),
        };
        match &done {
            Ok(()) => changes.into_iter().for_each(|change| match change {
                Change::Put(job) => state.table.put(job),
                Change::Delete(id) => state.table.remove(id),
            }),
            Err(_) => {
                if let Some((name, minute)) = completes.as_deref().zip(counted)
                    && let Some(queue) = state.table.queue_mut(name)
                {
                    queue.completed.take_back(minute, 1);
                }
            }
        }
        self.settled(state);
        done
    }

    /// Queues a commit. The caller holds the lock, so that rows reach the journal in the order in which they were decided.
    ///
    /// # Errors
    /// `Saturated` when changes that are not sealed yet take up their memory.
    pub(super) fn queue(&self, ops: Vec<TableOp>) -> Result<Arc<Waiter>> {
        let held = self.commits.reserve(&ops)?;
        let (waiter, reply) = Waiter::pair();
        self.commits.push_rows(ops, held, reply);
        Ok(waiter)
    }
}

/// How many of the jobs, taken from the first on, fit one commit: at least one.
pub(super) fn fitting(jobs: &[Job]) -> usize {
    let mut bytes = 0;
    let fits = |job: &&Job| {
        bytes += job.bytes();
        bytes <= COMMIT_BYTES
    };
    jobs.iter().take_while(fits).count().clamp(1.min(jobs.len()), jobs.len())
}
