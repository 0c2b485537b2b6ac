//! Jobs on their way to the threads that parse request bodies and hand batches to the committer.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::parser::Parser;
use super::request::Job;
use crate::telemetry::Live;

/// Jobs that wait for a worker. Bounded by the byte budget that each of them has a permit for.
///
/// Order: the events of one body keep theirs, since a job is one worker's from its first byte to its
/// place in the commit queue; and what was answered precedes what is sent after the answer. Requests that are under way
/// at the same time have no order among themselves, as any worker may be done first. A resize changes none of that:
/// there is one queue whatever the number of workers, and a worker looks whether it is surplus only when it has handed
/// its job's batch over, so that no job is taken twice, put back, or left behind.
#[derive(Debug, Default)]
pub(crate) struct JobQueue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    /// Workers that there are, those about to start or to end included.
    live: usize,
    /// Workers that there should be.
    wanted: usize,
    closed: bool,
}

impl JobQueue {
    /// Hands a job to the workers. After the close it is dropped, which answers it.
    pub(crate) fn push(&self, job: Job) {
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
    pub(crate) fn waiting(&self) -> (usize, Option<Instant>) {
        let state = self.state.lock();
        (state.jobs.len(), state.jobs.front().map(|job| job.admitted))
    }

    /// No job is taken from here on; what is queued is still parsed.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_all();
    }

    /// How many workers there are.
    pub(crate) fn live(&self) -> usize {
        self.state.lock().live
    }

    /// How many workers there should be.
    pub(crate) fn wanted(&self) -> usize {
        self.state.lock().wanted
    }

    /// Sets how many workers there should be, and returns how many the caller has to start for it: they count as live
    /// from now on. Surplus ones end by themselves, each after its job. None is started after the close. `live` is told
    /// how many there should be, so that who has set the number sees it at once.
    pub(crate) fn want(&self, workers: usize, live: &Live) -> usize {
        let mut state = self.state.lock();
        if state.closed {
            return 0;
        }
        state.wanted = workers;
        let missing = workers.saturating_sub(state.live);
        state.live += missing;
        live.set_instances(workers);
        drop(state);
        // All of them: one that was woken for a job and finds itself surplus leaves the job to somebody who looks.
        self.wake.notify_all();
        missing
    }

    /// Takes back workers that could not be started.
    pub(crate) fn not_started(&self, workers: usize) {
        self.state.lock().live -= workers;
    }

    /// One worker's thread: parses until it is surplus, or the queue is closed and empty.
    pub(crate) fn work(&self, parser: &Parser) {
        while let Some(job) = self.next() {
            // A defect costs the request that met it, which is answered and counted by the drop of its reply, and not the worker.
            // The state that workers share stays whole: its locks are held for single steps, and are free after a panic.
            let _panicked = catch_unwind(AssertUnwindSafe(|| parser.process(job)));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.live > state.wanted {
                break;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            self.wake.wait(&mut state);
            state.idle -= 1;
        }
        state.live -= 1;
        None
    }
}
