//! Threads that parse request bodies and hand batches to the committer.

use std::collections::VecDeque;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::parser::Parser;
use super::request::Job;

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

    /// How many jobs wait, and when the one that has waited longest was admitted.
    pub fn waiting(&self) -> (usize, Option<Instant>) {
        let state = self.state.lock();
        (state.jobs.len(), state.jobs.front().map(|job| job.admitted))
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
