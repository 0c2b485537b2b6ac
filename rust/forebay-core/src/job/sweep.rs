//! What is due by time: leases that ran out, and ended jobs that were kept long enough.

use std::time::Duration;

use super::admin::CANCELLED;
use super::change::{Change, fitting};
use super::job::{Job, JobStatus};
use super::jobs::{Jobs, Moment, State};
use super::limits::{COMPLETED_AGE, COMPLETED_JOBS, FAILED_AGE, FAILED_JOBS};
use super::name::QueueName;
use super::queue::Queue;
use super::row::QueueRow;
use crate::clock::LogTime;
use crate::error::Result;
use crate::table::TableOp;

/// Deletions of one commit: a row of one is small.
const DELETED_AT_ONCE: usize = 1_000;

/// The error of a job whose worker was not heard of any more.
const LOST: &[u8] = br#"{"message":"its worker's lease ran out"}"#;

impl Jobs {
    /// Does what is due; what fails is tried again at the next call. The engine calls it each second.
    pub fn sweep(&self) {
        if self.status.refuse_write().is_err() {
            return;
        }
        let _one_at_a_time = self.sweeping.lock();
        let names: Vec<QueueName> = self.state().table.queues().map(|(name, _)| (**name).clone()).collect();
        let done = self.expire(&names).and_then(|()| {
            names.iter().try_for_each(|name| {
                while self.forget_ended(name)? {}
                self.forget_minutes(name)
            })
        });
        // The disk is full, or changes that are not sealed take up their memory: both pass.
        let _later = done;
    }

    /// Gives back the jobs of leases that ran out.
    pub(super) fn expire(&self, names: &[QueueName]) -> Result<()> {
        loop {
            let state = self.state();
            let moment = self.moment();
            let mut jobs = lost(&state, names, moment);
            jobs.truncate(fitting(&jobs));
            if jobs.is_empty() {
                return Ok(());
            }
            for job in &mut jobs {
                job.updated = moment.stamp;
                let error = if job.cancel { CANCELLED } else { LOST };
                let status = if job.may_retry() { JobStatus::Waiting } else { JobStatus::Failed };
                job.end(status, moment.now, Some(error.to_vec()));
            }
            self.commit(state, jobs.into_iter().map(Change::Put).collect(), None, moment)?;
        }
    }

    /// Deletes some of the ended jobs that were kept long enough; `false` when none was.
    fn forget_ended(&self, name: &QueueName) -> Result<bool> {
        let time = self.clock.time();
        let state = self.state();
        let Some(queue) = state.table.queue(name) else { return Ok(false) };
        let mut past = past(&state, queue, JobStatus::Completed, (COMPLETED_AGE, COMPLETED_JOBS), &time);
        past.extend(self::past(&state, queue, JobStatus::Failed, (FAILED_AGE, FAILED_JOBS), &time));
        if past.is_empty() {
            return Ok(false);
        }
        self.commit(state, past, None, self.moment()).map(|()| true)
    }

    fn forget_minutes(&self, name: &QueueName) -> Result<()> {
        let mut state = self.state();
        let Some(queue) = state.table.queue_mut(name) else { return Ok(()) };
        let minutes = queue.completed.past(self.moment().minute());
        if minutes.is_empty() {
            return Ok(());
        }
        let ops: Vec<TableOp> = minutes.iter().map(|minute| QueueRow::delete_minute(name, *minute)).collect();
        // Forgotten at once: a row that is left over counts for nothing, and is forgotten again after a start.
        queue.completed.forget(&minutes);
        let waiter = self.queue(ops)?;
        drop(state);
        waiter.wait().map(drop)
    }
}

/// Jobs whose lease ran out.
fn lost(state: &State, names: &[QueueName], moment: Moment) -> Vec<Job> {
    let queues = names.iter().filter_map(|name| state.table.queue(name));
    let due = queues.flat_map(|queue| {
        let active = queue.jobs(JobStatus::Active).iter();
        active.take_while(|(due, _, _)| *due <= moment.now.0).filter_map(|(_, _, slot)| state.table.at(slot))
    });
    due.filter(|job| !state.busy.contains(&job.id)).take(DELETED_AT_ONCE).cloned().collect()
}

/// Ended jobs that are older than `age`, or more than so many, oldest first.
fn past(
    state: &State,
    queue: &Queue,
    status: JobStatus,
    (age, most): (Duration, usize),
    time: &LogTime,
) -> Vec<Change> {
    let jobs = queue.jobs(status);
    let excess = jobs.len().saturating_sub(most);
    let limit = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    let is_old = |job: &Job| {
        let ended = time.of_stamp(job.updated).unwrap_or(time.proven);
        time.proven.0.saturating_sub(ended.0) >= limit
    };
    let of = jobs.iter().filter_map(|(_, _, slot)| state.table.at(slot)).take(DELETED_AT_ONCE).enumerate();
    let due = of.take_while(|(place, job)| *place < excess || is_old(job)).map(|(_, job)| job);
    due.filter(|job| !state.busy.contains(&job.id)).map(|job| Change::Delete(job.id)).collect()
}
