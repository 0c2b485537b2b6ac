//! Threads that parse request bodies and hand batches to the committer.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::{OnInvalid, Parsed, parse_drain};
use crate::admission::Permit;
use crate::error::Result;
use crate::ids::Timestamp;
use crate::log::append::{Append, Destination, Encoded, Reply, encode};
use crate::log::commit_queue::CommitQueue;
use crate::stream::Stream;
use crate::telemetry::Counters;

/// A request body, wherever it lives.
pub type Body = Box<dyn AsRef<[u8]> + Send>;

/// What a request body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A batch of log events for the stream `logs`.
    Drain,
}

/// A request that was admitted.
pub struct Job {
    /// What the body is.
    pub shape: Shape,
    /// The body.
    pub body: Body,
    /// Where its records go.
    pub stream: Arc<Stream>,
    /// Covers the body, and later the records.
    pub permit: Permit,
    /// Who waits.
    pub reply: Reply,
    /// When it was admitted.
    pub arrival: Timestamp,
    /// The same, to measure with.
    pub admitted: Instant,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("shape", &self.shape).field("reply", &self.reply).finish_non_exhaustive()
    }
}

/// Parses bodies into batches.
#[derive(Debug)]
pub struct Parser {
    /// Where batches go.
    pub commits: Arc<CommitQueue>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// The largest batch.
    pub max_batch_bytes: usize,
    /// The largest value of one record.
    pub max_record_bytes: usize,
}

impl Parser {
    /// Parses a job and queues its batch; or answers it.
    pub fn process(&self, job: Job) {
        let Job { shape, body, stream, permit, reply, arrival, admitted } = job;
        let parsed = self.parse(shape, (*body).as_ref(), &stream, permit, arrival);
        drop(body);
        match parsed {
            Ok(batch) => self.commits.push(Append::records(batch, reply, admitted)),
            Err(error) => {
                self.counters.refused(error.kind());
                reply.finish_and_wake(Err(error));
            }
        }
    }

    /// Parses a body and encodes its events.
    ///
    /// # Errors
    /// What is wrong with the body, or `Saturated` when the records have no room.
    pub fn parse(
        &self,
        shape: Shape,
        body: &[u8],
        stream: &Arc<Stream>,
        permit: Permit,
        arrival: Timestamp,
    ) -> Result<Encoded> {
        let mut parsed = Parsed::default();
        match shape {
            Shape::Drain => parse_drain(body, arrival, OnInvalid::Refuse, self.max_record_bytes, &mut parsed)?,
        }
        let destination = Destination { stream, partition: None, events: &parsed.events };
        encode(&[destination], self.max_batch_bytes, permit)
    }
}

/// Jobs that wait for a worker. Bounded by the byte budget that each of them has a permit for.
#[derive(Debug, Default)]
pub struct JobQueue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

impl JobQueue {
    /// Hands a job to the workers. After the close it is dropped, which answers it.
    pub fn push(&self, job: Job) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            drop(job);
            return;
        }
        state.jobs.push_back(job);
        if state.idle > 0 {
            drop(state);
            self.wake.notify_one();
        }
    }

    /// No job is taken from here on; what is queued is still parsed.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_all();
    }

    /// One worker's thread: parses until closed and empty.
    pub fn work(&self, parser: &Parser) {
        while let Some(job) = self.next() {
            parser.process(job);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            self.wake.wait(&mut state);
            state.idle -= 1;
        }
    }
}
