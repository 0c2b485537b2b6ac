//! Handing jobs out.

use std::time::Duration;

use super::answer::Leased;
use super::change::{Change, fitting};
use super::id::Token;
use super::job::{Job, JobStatus};
use super::jobs::{Jobs, Moment, State};
use super::limits::{MAX_LEASE, MAX_LEASED_JOBS};
use super::name::QueueName;
use crate::duration::millis;
use crate::error::Result;
use crate::options::check_range;

impl Jobs {
    /// Hands out up to `limit` jobs until their lease ends, of a base name those of higher priority first; durable when this
    /// returns. Fewer where they would not fit one commit. A queue that nobody has used yet has none.
    ///
    /// # Errors
    /// `InvalidRequest` for a name or number that is out of its range, and why nothing can be written.
    pub fn lease(&self, queue: &str, limit: usize, lease: Duration) -> Result<Vec<u8>> {
        check_range("limit", limit as u64, 1, MAX_LEASED_JOBS as u64)?;
        check_lease(lease)?;
        let names = QueueName::parse_leased(queue)?;
        self.expire(&names)?;
        let state = self.state();
        let moment = self.moment();
        let mut jobs = self.next_jobs(&state, &names, limit, moment);
        jobs.truncate(fitting(&jobs));
        if jobs.is_empty() {
            return Ok(Leased::json(&[], &self.clock));
        }
        for job in &mut jobs {
            let token = Token::random()?;
            job.status = JobStatus::Active;
            job.attempts = job.attempts.saturating_add(1);
            job.due = moment.after(lease);
            job.updated = moment.stamp;
            job.with(|more| more.lease = Some(token));
        }
        self.commit(state, jobs.iter().cloned().map(Change::Put).collect(), None, moment)?;
        Ok(Leased::json(&jobs, &self.clock))
    }

    fn next_jobs(&self, state: &State, names: &[QueueName], limit: usize, moment: Moment) -> Vec<Job> {
        let queues = names.iter().filter_map(|name| state.table.queue(name)).filter(|queue| !queue.paused);
        let due = queues.flat_map(|queue| {
            let waiting = queue.jobs(JobStatus::Waiting).iter();
            waiting.take_while(|(due, _, _)| *due <= moment.now.0).filter_map(|(_, _, slot)| state.table.at(slot))
        });
        due.filter(|job| !state.busy.contains(&job.id)).take(limit).cloned().collect()
    }
}

pub(super) fn check_lease(lease: Duration) -> Result<()> {
    check_range("lease_ms", millis(lease), 1, millis(MAX_LEASE))
}
