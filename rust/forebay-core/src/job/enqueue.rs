//! Enqueueing.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Enqueued;
use super::id::Token;
use super::job::{Job, JobStatus, More};
use super::jobs::{Jobs, Moment};
use super::limits::{MAX_DELAY, MAX_LEASE, MAX_PAYLOAD_BYTES, MAX_QUEUES, MAX_RETRIES, MAX_UNIQUE_KEY_BYTES};
use super::name::{Priority, QueueName};
use super::row::QueueRow;
use super::table::unique_key;
use crate::duration::millis;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Timestamp;
use crate::json;
use crate::options::check_range;

/// A job to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob<'a> {
    /// The base name of its queue, or the full name of one of its queues.
    pub queue: &'a str,
    /// JSON.
    pub payload: &'a [u8],
    /// How soon it is handed out; of no meaning with a full name that has one.
    pub priority: Priority,
    /// How long it waits at least.
    pub delay: Duration,
    /// How often it is tried again after an attempt that failed.
    pub retries: u32,
    /// How long one attempt may take, for whoever runs it.
    pub timeout: Duration,
    /// No other job of the base name with this key is enqueued as long as this one is waiting or active.
    pub unique_key: Option<&'a str>,
}

impl<'a> NewJob<'a> {
    /// A job with the defaults.
    #[must_use]
    pub fn new(queue: &'a str, payload: &'a [u8]) -> Self {
        let (priority, delay) = (Priority::Normal, Duration::ZERO);
        Self { queue, payload, priority, delay, retries: 3, timeout: Duration::from_secs(30), unique_key: None }
    }

    fn name(&self) -> Result<QueueName> {
        let named = QueueName::parse(self.queue)?;
        let priority = if named.priority == Priority::Normal { self.priority } else { named.priority };
        Ok(QueueName { priority, ..named })
    }

    fn check(&self) -> Result<()> {
        check_json("payload", self.payload, MAX_PAYLOAD_BYTES)?;
        check_range("delay_ms", millis(self.delay), 0, millis(MAX_DELAY))?;
        check_range("retries", self.retries.into(), 0, MAX_RETRIES.into())?;
        check_range("timeout_ms", millis(self.timeout), 1, millis(MAX_LEASE))?;
        if let Some(key) = self.unique_key.filter(|key| !(1..=MAX_UNIQUE_KEY_BYTES).contains(&key.len())) {
            let detail = format!("unique_key has {} bytes, must be from 1 to {MAX_UNIQUE_KEY_BYTES}", key.len());
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        Ok(())
    }

    fn job(&self, queue: Arc<QueueName>, number: u64, moment: Moment) -> Result<Job> {
        let (created, due): (Timestamp, Timestamp) = (moment.stamp, moment.after(self.delay));
        Ok(Job {
            id: Token::random()?,
            queue,
            number,
            status: JobStatus::Waiting,
            cancel: false,
            attempts: 0,
            retries: self.retries,
            timeout_ms: u32::try_from(millis(self.timeout)).unwrap_or(u32::MAX),
            created,
            updated: created,
            due,
            payload: Arc::from(self.payload),
            more: self.unique_key.map(|key| Arc::new(More { unique_key: Some(Arc::from(key)), ..More::default() })),
        })
    }
}

impl Jobs {
    /// Enqueues a job; durable when this returns. Where a waiting or active job has the unique key, that one is answered.
    ///
    /// # Errors
    /// `InvalidRequest` for a name or number that is out of its range, `Malformed` for a payload that is not JSON,
    /// `PayloadTooLarge`, `Saturated` when jobs take up their memory or there are too many queues, and why nothing can be
    /// written.
    pub fn enqueue(&self, new: &NewJob<'_>) -> Result<Vec<u8>> {
        new.check()?;
        let name = new.name()?;
        let mut state = self.state();
        let key = new.unique_key.map(|key| (Arc::clone(&name.base), Arc::from(key)));
        if let Some(key) = &key {
            while state.keys.contains(key) {
                self.wait(&mut state);
            }
            if let Some(job) = state.table.of_key(key) {
                return Ok(Enqueued::of(job, false).json());
            }
        }
        self.status.refuse_write()?;
        let is_new = state.table.queue(&name).is_none();
        if is_new && state.table.queue_count() >= MAX_QUEUES {
            let detail = format!("there are {MAX_QUEUES} queues, which is the limit");
            return Err(Error::new(ErrorKind::Saturated, detail));
        }
        let number = state.table.take_number();
        let job = new.job(Arc::new(name), number, self.moment())?;
        let memory = self.reserve(job.bytes())?;
        let mut ops = vec![job.put()];
        if is_new {
            ops.push(QueueRow::Queue { paused: false }.put(&job.queue));
        }
        let waiter = self.queue(ops)?;
        state.keys.extend(unique_key(&job));
        drop(state);
        let done = waiter.wait();
        let mut state = self.state();
        if let Some(key) = unique_key(&job) {
            state.keys.remove(&key);
        }
        let answer = Enqueued::of(&job, true).json();
        if done.is_ok() {
            state.table.put(job);
        }
        drop(memory);
        self.settled(state);
        done.map(|_| answer)
    }
}

/// Checks a text that a client sends.
///
/// # Errors
/// `PayloadTooLarge`, `Malformed`.
pub(super) fn check_json(what: &str, text: &[u8], limit: usize) -> Result<()> {
    if text.len() > limit {
        let detail = format!("{what} has {} bytes, more than the limit of {limit}", text.len());
        return Err(Error::new(ErrorKind::PayloadTooLarge, detail));
    }
    json::validate(text).map_err(|error| Error::new(ErrorKind::Malformed, format!("{what}: {error}")))
}
