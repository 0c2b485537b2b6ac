//! Whether a search may go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::request::SearchBudget;
use crate::error::Result;

/// Ends a search from another thread: its client is gone.
#[derive(Clone, Debug, Default)]
pub struct SearchCancel(Arc<AtomicBool>);

impl SearchCancel {
    /// Has the search end within milliseconds.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Returns whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Why a search ended before it had read everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Its time was up.
    Time,
    /// It had read as many bytes as it might.
    Bytes,
    /// More records matched than might.
    Hits,
    /// It was cancelled.
    Cancelled,
    /// The engine closes.
    Closed,
}

impl Stopped {
    /// Returns its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Bytes => "bytes",
            Self::Hits => "hits",
            Self::Cancelled => "cancelled",
            Self::Closed => "closed",
        }
    }
}

/// The budget of one search, and those who may end it.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    began: Instant,
    time: Duration,
    bytes: u64,
    hits: u64,
    cancel: &'a SearchCancel,
    closing: &'a AtomicBool,
}

impl<'a> Watch<'a> {
    /// Begins now.
    ///
    /// # Errors
    /// `InvalidRequest` for a time that is out of range.
    pub(super) fn new(budget: &SearchBudget, cancel: &'a SearchCancel, closing: &'a AtomicBool) -> Result<Self> {
        let (bytes, hits) = (budget.bytes.unwrap_or(u64::MAX), budget.hits.unwrap_or(u64::MAX));
        Ok(Self { began: Instant::now(), time: budget.time()?, bytes, hits, cancel, closing })
    }

    /// Returns how long it has been.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns why the search has to end now, whatever it has done.
    pub(super) fn is_over(&self) -> Option<Stopped> {
        if self.cancel.is_cancelled() {
            return Some(Stopped::Cancelled);
        }
        if self.closing.load(Ordering::Acquire) {
            return Some(Stopped::Closed);
        }
        (self.elapsed() >= self.time).then_some(Stopped::Time)
    }

    /// Returns why a search that has read so many bytes and found so many hits has to end.
    pub(super) fn is_spent(&self, bytes: u64, hits: u64) -> Option<Stopped> {
        if hits > self.hits {
            return Some(Stopped::Hits);
        }
        if bytes > self.bytes { Some(Stopped::Bytes) } else { self.is_over() }
    }
}
