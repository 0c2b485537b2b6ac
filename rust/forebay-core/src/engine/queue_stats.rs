//! The engine's progress: what waits in it, and how long commits take.

use std::time::Duration;

use super::engine::Engine;
use crate::telemetry::Snapshot;

/// Lengths of the queues and counts of what was done, at one time. Two of them tell what went on in between.
#[derive(Clone, Debug)]
pub struct QueueStats {
    /// Request bodies that wait for a worker.
    pub jobs_waiting: usize,
    /// Time since the admission of the one that has waited longest; zero when none waits.
    pub oldest_job: Duration,
    /// Appends that wait for the committer.
    pub commits_waiting: usize,
    /// Times of all commits since the start.
    pub commits: Snapshot,
}

impl QueueStats {
    pub(crate) fn of(engine: &Engine) -> Self {
        let (jobs_waiting, oldest) = engine.jobs.waiting();
        Self {
            jobs_waiting,
            oldest_job: oldest.map_or(Duration::ZERO, |admitted| admitted.elapsed()),
            commits_waiting: engine.commits.len(),
            commits: engine.counters.commit_latency.snapshot(),
        }
    }
}

impl Engine {
    /// Returns the lengths of the queues and the counts.
    #[must_use]
    pub fn queue_stats(&self) -> QueueStats {
        QueueStats::of(self)
    }
}
