//! The workers' threads, as many as are wanted now.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::parser::Parser;
use super::worker::JobQueue;
use crate::thread::{OnPanic, join, spawn};

/// Starts workers, and joins those that ended.
#[derive(Debug)]
pub(crate) struct WorkerPool {
    jobs: Arc<JobQueue>,
    parser: Arc<Parser>,
    threads: Mutex<Threads>,
}

#[derive(Debug, Default)]
struct Threads {
    running: Vec<JoinHandle<()>>,
    /// How many were started until now; the next one's name.
    started: usize,
}

impl WorkerPool {
    /// No workers yet.
    #[must_use]
    pub(crate) fn new(jobs: Arc<JobQueue>, parser: Arc<Parser>) -> Self {
        Self { jobs, parser, threads: Mutex::default() }
    }

    /// How many workers there are; for a moment after a resize to fewer, those that finish a job are among them.
    #[must_use]
    pub(crate) fn live(&self) -> usize {
        self.jobs.live()
    }

    /// How many workers there should be.
    #[must_use]
    pub(crate) fn wanted(&self) -> usize {
        self.jobs.wanted()
    }

    /// Changes the number of workers. Missing ones are started; surplus ones end after the job they are at, which this
    /// does not wait for, as a job may wait for the disk. They are joined by the next resize, or by the stop.
    ///
    /// # Errors
    /// When the operating system has no thread left; the number is then what it was, or lower if some of those ended.
    pub(crate) fn resize(&self, workers: usize) -> io::Result<()> {
        // Held to the end: one resize at a time, and a stop joins whatever this has started.
        let mut threads = self.threads.lock();
        let before = self.jobs.wanted();
        threads.running.extract_if(.., |thread| thread.is_finished()).for_each(join);
        let live = &self.parser.counters.live;
        let missing = self.jobs.want(workers, live);
        for started in 0..missing {
            match self.start(threads.started) {
                Ok(thread) => threads.running.push(thread),
                Err(error) => {
                    self.jobs.not_started(missing - started);
                    self.jobs.want(before.min(self.jobs.live()), live);
                    return Err(error);
                }
            }
            threads.started += 1;
        }
        Ok(())
    }

    fn start(&self, number: usize) -> io::Result<JoinHandle<()>> {
        let (jobs, parser) = (Arc::clone(&self.jobs), Arc::clone(&self.parser));
        let poison = (&self.parser.streams.status, OnPanic::Poison);
        spawn(&format!("worker-{number}"), poison, move || jobs.work(&parser))
    }

    /// Closes the queue, and waits until what is in it is parsed and every worker has ended.
    pub(crate) fn stop(&self) {
        self.jobs.close();
        self.threads.lock().running.drain(..).for_each(join);
    }
}
