//! The progress of the engine's queues, for the health checks.

use pyo3::prelude::*;

const MICROS_PER_MILLISECOND: f64 = 1e3;

/// The queues' lengths and the work done, at one moment.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct QueueStats(pub forebay_core::QueueStats);

#[pymethods]
impl QueueStats {
    #[getter]
    fn jobs_waiting(&self) -> usize {
        self.0.jobs_waiting
    }

    #[getter]
    fn oldest_job_ms(&self) -> f64 {
        self.0.oldest_job.as_secs_f64() * 1e3
    }

    #[getter]
    fn commits_waiting(&self) -> usize {
        self.0.commits_waiting
    }

    #[getter]
    fn commits(&self) -> u64 {
        self.0.commits.count()
    }

    /// Returns the commits since `earlier`: their number, and the p50, the p99 and the largest of their times in
    /// milliseconds.
    #[allow(clippy::cast_precision_loss)] // an hour of microseconds is exact
    fn commits_since(&self, earlier: &Self) -> (u64, f64, f64, f64) {
        let recent = self.0.commits.subtract(&earlier.0.commits);
        let milliseconds = |micros: u64| micros as f64 / MICROS_PER_MILLISECOND;
        let (half, most) = (recent.percentile(50.0), recent.percentile(99.0));
        (recent.count(), milliseconds(half), milliseconds(most), milliseconds(recent.max()))
    }
}
