//! One job.

use std::sync::Arc;

use super::id::Token;
use super::limits::JOB_BYTES;
use super::name::QueueName;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Timestamp;

/// Where a job is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum JobStatus {
    Active,
    Waiting,
    Failed,
    Completed,
}

impl JobStatus {
    pub(super) const ALL: [JobStatus; 4] =
        [JobStatus::Active, JobStatus::Waiting, JobStatus::Failed, JobStatus::Completed];

    pub(super) const fn name(self) -> &'static str {
        match self {
            JobStatus::Active => "active",
            JobStatus::Waiting => "waiting",
            JobStatus::Failed => "failed",
            JobStatus::Completed => "completed",
        }
    }

    /// Reads a status's name.
    ///
    /// # Errors
    /// `InvalidRequest` naming all of them.
    pub(super) fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name).ok_or_else(|| {
            let detail = format!("status is {name:?}, must be active, waiting, failed or completed");
            Error::new(ErrorKind::InvalidRequest, detail)
        })
    }

    /// Whether it is still to be done, which is as long as its unique key counts.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, JobStatus::Active | JobStatus::Waiting)
    }
}

/// A job as one commit leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) id: Token,
    pub(super) queue: Arc<QueueName>,
    /// Its number: of two jobs the later enqueued one has the higher.
    pub(super) number: u64,
    pub(super) status: JobStatus,
    /// Somebody asked its worker to stop.
    pub(super) cancel: bool,
    /// How often it was handed out since it was enqueued or retried by hand.
    pub(super) attempts: u32,
    pub(super) retries: u32,
    pub(super) timeout_ms: u32,
    /// When it was enqueued, by the stamps of the log's clock.
    pub(super) created: Timestamp,
    /// When it last changed, by the same.
    pub(super) updated: Timestamp,
    /// In proven time: of a waiting job, when it may be handed out; of an active one, when its lease ends; else when it
    /// ended.
    pub(super) due: Timestamp,
    pub(super) payload: Arc<[u8]>,
    pub(super) more: Option<Arc<More>>,
}

/// What most jobs do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct More {
    pub(super) unique_key: Option<Arc<str>>,
    pub(super) lease: Option<Token>,
    /// JSON, each of them.
    pub(super) progress: Option<Vec<u8>>,
    pub(super) error: Option<Vec<u8>>,
    pub(super) result: Option<Vec<u8>>,
}

impl Job {
    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let length = |text: &Option<Vec<u8>>| text.as_ref().map_or(0, Vec::len);
        let more = self.more.as_ref().map_or(0, |more| {
            let texts = length(&more.progress) + length(&more.error) + length(&more.result);
            size_of::<More>() + more.unique_key.as_ref().map_or(0, |key| key.len()) + texts
        });
        JOB_BYTES + self.payload.len() + more
    }

    pub(super) fn unique_key(&self) -> Option<&Arc<str>> {
        self.more.as_ref().and_then(|more| more.unique_key.as_ref())
    }

    pub(super) fn lease(&self) -> Option<Token> {
        self.more.as_ref().and_then(|more| more.lease)
    }

    /// Changes what most jobs do not have.
    pub(super) fn with(&mut self, change: impl FnOnce(&mut More)) {
        let mut more = self.more.take().map_or_else(More::default, |more| (*more).clone());
        change(&mut more);
        if more != More::default() {
            self.more = Some(Arc::new(more));
        }
    }

    /// Ends it, or its attempt.
    pub(super) fn end(&mut self, status: JobStatus, due: Timestamp, error: Option<Vec<u8>>) {
        self.status = status;
        self.due = due;
        self.with(|more| {
            more.lease = None;
            if error.is_some() {
                more.error = error;
            }
        });
    }

    /// Whether it has attempts left.
    pub(super) fn may_retry(&self) -> bool {
        self.attempts <= self.retries && !self.cancel
    }
}
