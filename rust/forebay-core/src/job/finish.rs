//! What a worker says of a job that it holds.

use std::time::Duration;

use super::answer::{Beat, status_json};
use super::backoff;
use super::change::Change;
use super::enqueue::check_json;
use super::id::Token;
use super::job::{Job, JobStatus};
use super::jobs::{Jobs, Moment};
use super::lease::check_lease;
use super::limits::{MAX_ERROR_BYTES, MAX_PROGRESS_BYTES, MAX_RESULT_BYTES};
use crate::error::{Error, ErrorKind, Result};

impl Jobs {
    /// Prolongs a lease, and says whether the job is to be cancelled; durable when this returns. `progress` is kept with
    /// the job: whoever gets it next goes on from there.
    ///
    /// # Errors
    /// `JobNotFound`, `LeaseLost`, `InvalidRequest`, `Malformed` or `PayloadTooLarge` for the progress, and why nothing can
    /// be written.
    pub fn heartbeat(&self, id: &str, lease: &str, length: Duration, progress: Option<&[u8]>) -> Result<Vec<u8>> {
        check_lease(length)?;
        if let Some(progress) = progress {
            check_json("progress", progress, MAX_PROGRESS_BYTES)?;
        }
        let after = self.change(Token::job(id)?, |job, moment, _| {
            let mut job = held(job, lease, moment)?;
            job.due = moment.after(length);
            if let Some(progress) = progress {
                job.with(|more| more.progress = Some(progress.to_vec()));
            }
            Ok(Change::Put(job))
        })?;
        Ok(after.map(|job| Beat::json(&job, &self.clock)).unwrap_or_default())
    }

    /// Completes a job; durable when this returns.
    ///
    /// # Errors
    /// `JobNotFound`, `LeaseLost`, `Malformed` or `PayloadTooLarge` for the result, and why nothing can be written.
    pub fn complete(&self, id: &str, lease: &str, result: Option<&[u8]>) -> Result<Vec<u8>> {
        if let Some(result) = result {
            check_json("result", result, MAX_RESULT_BYTES)?;
        }
        let after = self.change(Token::job(id)?, |job, moment, _| {
            let mut job = held(job, lease, moment)?;
            job.end(JobStatus::Completed, moment.now, None);
            job.with(|more| more.result = result.map(<[u8]>::to_vec));
            Ok(Change::Put(job))
        })?;
        Ok(after.map(|job| status_json(&job)).unwrap_or_default())
    }

    /// Ends an attempt that failed; durable when this returns. With `retry` the job waits and is handed out again, until its
    /// retries are used up.
    ///
    /// # Errors
    /// `JobNotFound`, `LeaseLost`, `Malformed` or `PayloadTooLarge` for the error, which is JSON, and why nothing can be
    /// written.
    pub fn fail(&self, id: &str, lease: &str, error: &[u8], retry: bool) -> Result<Vec<u8>> {
        check_json("error", error, MAX_ERROR_BYTES)?;
        let after = self.change(Token::job(id)?, |job, moment, state| {
            let mut job = held(job, lease, moment)?;
            let error = Some(error.to_vec());
            if retry && job.may_retry() {
                let due = moment.after(backoff::wait(job.attempts, &mut state.random));
                job.end(JobStatus::Waiting, due, error);
            } else {
                job.end(JobStatus::Failed, moment.now, error);
            }
            Ok(Change::Put(job))
        })?;
        Ok(after.map(|job| status_json(&job)).unwrap_or_default())
    }
}

/// The job to be changed, if this lease of it runs.
fn held(job: &Job, lease: &str, moment: Moment) -> Result<Job> {
    let is_held = job.status == JobStatus::Active
        && job.lease().is_some_and(|is| Token::lease(lease) == Some(is))
        && job.due > moment.now;
    if !is_held {
        let detail = format!(
            "the lease {lease:?} of job {:?} is gone: it ran out, or the job ended; the job is {} and what this worker did \
             of it is not counted",
            job.id.job_text(),
            job.status.name()
        );
        return Err(Error::new(ErrorKind::LeaseLost, detail));
    }
    Ok(Job { updated: moment.stamp, ..job.clone() })
}
