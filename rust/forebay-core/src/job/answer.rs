//! Jobs and queues as JSON.

use serde::Serialize;
use serde_json::value::RawValue;

use super::admin::no_queue;
use super::id::Token;
use super::job::{Job, JobStatus, More};
use super::jobs::Jobs;
use super::limits::MAX_LISTED_JOBS;
use super::name::QueueName;
use crate::clock::LogClock;
use crate::error::Result;
use crate::ids::Timestamp;
use crate::options::check_range;
use crate::time::format_millis;

/// A stored text. Each was checked when it came.
fn raw(text: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(text).ok()
}

fn raw_of(text: Option<&Vec<u8>>) -> Option<&RawValue> {
    text.and_then(|text| raw(text))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Structs of texts and numbers always serialise.
    serde_json::to_vec(value).unwrap_or_default()
}

/// A proven time as the wall clock shows it now.
fn shown(time: Timestamp, clock: &LogClock) -> String {
    let ahead = time.0.saturating_sub(clock.now().0);
    format_millis(Timestamp(clock.wall().0.saturating_add(ahead)))
}

#[derive(Serialize)]
struct JobAnswer<'a> {
    id: String,
    queue: String,
    priority: &'static str,
    status: &'static str,
    payload: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    progress: Option<&'a RawValue>,
    attempts: u32,
    retries: u32,
    timeout_ms: u32,
    unique_key: Option<&'a str>,
    cancel_requested: bool,
    created_at: String,
    updated_at: String,
    available_at: Option<String>,
    leased_until: Option<String>,
}

impl<'a> JobAnswer<'a> {
    fn new(job: &'a Job, clock: &LogClock) -> Self {
        let more = job.more.as_deref();
        let of = |text: fn(&More) -> &Option<Vec<u8>>| raw_of(more.and_then(|more| text(more).as_ref()));
        let due = |status| (job.status == status).then(|| shown(job.due, clock));
        Self {
            id: job.id.job_text(),
            queue: job.queue.to_string(),
            priority: job.queue.priority.name(),
            status: job.status.name(),
            payload: raw(&job.payload),
            error: of(|more| &more.error),
            result: of(|more| &more.result),
            progress: of(|more| &more.progress),
            attempts: job.attempts,
            retries: job.retries,
            timeout_ms: job.timeout_ms,
            unique_key: job.unique_key().map(|key| &**key),
            cancel_requested: job.cancel,
            created_at: format_millis(clock.shown(job.created)),
            updated_at: format_millis(clock.shown(job.updated)),
            available_at: due(JobStatus::Waiting),
            leased_until: due(JobStatus::Active),
        }
    }
}

pub(super) fn job_json(job: &Job, clock: &LogClock) -> Vec<u8> {
    json(&JobAnswer::new(job, clock))
}

/// A job's id and what it is now.
#[derive(Serialize)]
struct StatusAnswer {
    job_id: String,
    queue: String,
    status: &'static str,
    cancel_requested: bool,
}

pub(super) fn status_json(job: &Job) -> Vec<u8> {
    json(&StatusAnswer {
        job_id: job.id.job_text(),
        queue: job.queue.to_string(),
        status: job.status.name(),
        cancel_requested: job.cancel,
    })
}

#[derive(Serialize)]
pub(super) struct Enqueued {
    job_id: String,
    queue: String,
    status: &'static str,
    created: bool,
}

impl Enqueued {
    pub(super) fn of(job: &Job, created: bool) -> Self {
        let (job_id, queue) = (job.id.job_text(), job.queue.to_string());
        Self { job_id, queue, status: job.status.name(), created }
    }

    pub(super) fn json(&self) -> Vec<u8> {
        json(self)
    }
}

#[derive(Serialize)]
pub(super) struct Leased<'a> {
    id: String,
    queue: String,
    lease: Option<String>,
    payload: Option<&'a RawValue>,
    attempts: u32,
    retries: u32,
    leased_until: String,
    timeout_ms: u32,
    progress: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct LeasedJobs<'a> {
    jobs: Vec<Leased<'a>>,
}

impl<'a> Leased<'a> {
    pub(super) fn json(jobs: &'a [Job], clock: &LogClock) -> Vec<u8> {
        let one = |job: &'a Job| Leased {
            id: job.id.job_text(),
            queue: job.queue.to_string(),
            lease: job.lease().map(Token::lease_text),
            payload: raw(&job.payload),
            attempts: job.attempts,
            retries: job.retries,
            leased_until: shown(job.due, clock),
            timeout_ms: job.timeout_ms,
            progress: raw_of(job.more.as_deref().and_then(|more| more.progress.as_ref())),
        };
        json(&LeasedJobs { jobs: jobs.iter().map(one).collect() })
    }
}

#[derive(Serialize)]
pub(super) struct Beat {
    leased_until: String,
    cancel: bool,
}

impl Beat {
    pub(super) fn json(job: &Job, clock: &LogClock) -> Vec<u8> {
        json(&Self { leased_until: shown(job.due, clock), cancel: job.cancel })
    }
}

#[derive(Serialize)]
struct JobPage<'a> {
    jobs: Vec<JobAnswer<'a>>,
    total: usize,
    limit: usize,
    offset: usize,
}

#[derive(Serialize)]
struct QueueAnswer {
    name: String,
    priority: &'static str,
    active_jobs: usize,
    waiting_jobs: usize,
    completed_last_hour: u64,
    failed_jobs: usize,
    completed_jobs: usize,
    paused: bool,
}

#[derive(Serialize)]
struct QueuesAnswer {
    queues: Vec<QueueAnswer>,
}

impl Jobs {
    /// Returns a page of a queue's jobs as JSON, with the number of all: active ones and waiting ones in the order in which
    /// they are due, then failed and completed ones, newest first.
    ///
    /// # Errors
    /// `QueueNotFound`, `InvalidRequest` for a limit or status that is out of its range.
    pub fn list(&self, queue: &str, status: Option<&str>, limit: usize, offset: usize) -> Result<Vec<u8>> {
        check_range("limit", limit as u64, 1, MAX_LISTED_JOBS as u64)?;
        let name = QueueName::parse(queue)?;
        let status = status.map(JobStatus::named).transpose()?;
        let (total, jobs) = {
            let state = self.state();
            let queue = state.table.queue(&name).ok_or_else(|| no_queue(&name))?;
            let slots = queue.page(status, offset, limit);
            let jobs: Vec<Job> = slots.into_iter().filter_map(|slot| state.table.at(slot).cloned()).collect();
            (queue.total(status), jobs)
        };
        let jobs = jobs.iter().map(|job| JobAnswer::new(job, &self.clock)).collect();
        Ok(json(&JobPage { jobs, total, limit, offset }))
    }

    /// Returns every queue as JSON, by name and priority.
    #[must_use]
    pub fn queues(&self) -> Vec<u8> {
        let minute = self.moment().minute();
        let state = self.state();
        let queues = state.table.queues().map(|(name, queue)| QueueAnswer {
            name: name.to_string(),
            priority: name.priority.name(),
            active_jobs: queue.jobs(JobStatus::Active).len(),
            waiting_jobs: queue.jobs(JobStatus::Waiting).len(),
            completed_last_hour: queue.completed.last_hour(minute),
            failed_jobs: queue.jobs(JobStatus::Failed).len(),
            completed_jobs: queue.jobs(JobStatus::Completed).len(),
            paused: queue.paused,
        });
        json(&QueuesAnswer { queues: queues.collect() })
    }
}
