//! What operators do with jobs and queues.

use super::answer::{job_json, status_json};
use super::change::Change;
use super::id::Token;
use super::job::{Job, JobStatus};
use super::jobs::Jobs;
use super::name::QueueName;
use super::row::QueueRow;
use super::table::unique_key;
use crate::error::{Error, ErrorKind, Result};

/// The error of a job that was cancelled before it was handed out, or whose worker did not answer.
pub(super) const CANCELLED: &[u8] = br#"{"message":"the job was cancelled"}"#;

impl Jobs {
    /// Lets a failed job wait again, with all of its attempts; durable when this returns.
    ///
    /// # Errors
    /// `JobNotFound`; `JobConflict` when it has not failed, or another job has its unique key; and why nothing can be
    /// written.
    pub fn retry(&self, id: &str) -> Result<Vec<u8>> {
        let after = self.change(Token::job(id)?, |job, moment, state| {
            if job.status != JobStatus::Failed {
                return Err(conflict(job, "only a failed job can be retried"));
            }
            let mut again = Job { attempts: 0, cancel: false, updated: moment.stamp, ..job.clone() };
            again.end(JobStatus::Waiting, moment.now, None);
            again.with(|more| more.error = None);
            let key = unique_key(&again);
            if key.is_some_and(|key| state.keys.contains(&key) || state.table.of_key(&key).is_some()) {
                return Err(conflict(job, "another job that is waiting or active has its unique key"));
            }
            Ok(Change::Put(again))
        })?;
        Ok(after.map(|job| status_json(&job)).unwrap_or_default())
    }

    /// Deletes a job that is not active; durable when this returns.
    ///
    /// # Errors
    /// `JobNotFound`, `JobConflict` when it is active, and why nothing can be written.
    pub fn delete(&self, id: &str) -> Result<()> {
        self.change(Token::job(id)?, |job, _, _| match job.status {
            JobStatus::Active => Err(conflict(job, "a worker has it: cancel it first")),
            JobStatus::Waiting | JobStatus::Failed | JobStatus::Completed => Ok(Change::Delete(job.id)),
        })
        .map(drop)
    }

    /// Cancels a job; durable when this returns. A waiting one fails; the worker of an active one is told at its next
    /// heartbeat.
    ///
    /// # Errors
    /// `JobNotFound`, `JobConflict` when it has ended, and why nothing can be written.
    pub fn cancel(&self, id: &str) -> Result<Vec<u8>> {
        let after = self.change(Token::job(id)?, |job, moment, _| {
            let mut job = Job { updated: moment.stamp, ..job.clone() };
            match job.status {
                JobStatus::Active => job.cancel = true,
                JobStatus::Waiting => job.end(JobStatus::Failed, moment.now, Some(CANCELLED.to_vec())),
                JobStatus::Failed | JobStatus::Completed => return Err(conflict(&job, "it has ended")),
            }
            Ok(Change::Put(job))
        })?;
        Ok(after.map(|job| status_json(&job)).unwrap_or_default())
    }

    /// Returns a job as JSON.
    ///
    /// # Errors
    /// `JobNotFound`.
    pub fn get(&self, id: &str) -> Result<Vec<u8>> {
        let id = Token::job(id)?;
        let job = self.state().table.get(id).cloned().ok_or_else(|| Self::no_job(id))?;
        Ok(job_json(&job, &self.clock))
    }

    /// Stops handing out jobs of one queue, from now on; durable when this returns.
    ///
    /// # Errors
    /// `QueueNotFound`, and why nothing can be written.
    pub fn pause(&self, queue: &str) -> Result<Vec<u8>> {
        self.set_paused(queue, true)
    }

    /// Hands out jobs of one queue again; durable when this returns.
    ///
    /// # Errors
    /// Fails as [`Jobs::pause`] does.
    pub fn resume(&self, queue: &str) -> Result<Vec<u8>> {
        self.set_paused(queue, false)
    }

    fn set_paused(&self, queue: &str, paused: bool) -> Result<Vec<u8>> {
        let name = QueueName::parse(queue)?;
        let mut state = self.state();
        let was = state.table.queue(&name).map(|queue| queue.paused).ok_or_else(|| no_queue(&name))?;
        self.status.refuse_write()?;
        let waiter = self.queue(vec![QueueRow::Queue { paused }.put(&name)])?;
        if let Some(queue) = state.table.queue_mut(&name) {
            // At once: what is handed out from here on was under way.
            queue.paused = was || paused;
        }
        drop(state);
        let done = waiter.wait();
        let mut state = self.state();
        if let Some(queue) = state.table.queue_mut(&name) {
            queue.paused = if done.is_ok() { paused } else { was };
        }
        self.settled(state);
        done?;
        let status = if paused { "paused" } else { "active" };
        let now = crate::time::format_millis(self.clock.wall());
        Ok(format!(r#"{{"queue":"{name}","status":"{status}","timestamp":"{now}"}}"#).into_bytes())
    }
}

pub(super) fn no_queue(name: &QueueName) -> Error {
    let detail = format!("there is no queue \"{name}\"; its first job makes it");
    Error::new(ErrorKind::QueueNotFound, detail)
}

fn conflict(job: &Job, what: &str) -> Error {
    let detail = format!("job {:?} is {}: {what}", job.id.job_text(), job.status.name());
    Error::new(ErrorKind::JobConflict, detail)
}
