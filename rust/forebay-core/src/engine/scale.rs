//! The number of workers, changed while they run.

use super::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{MAX_WORKERS, check_range};
use crate::table::{Changes, Table, TableOp, WORKERS};

impl Engine {
    /// Sets how many workers parse bodies, now and, as the number is stored, after every start until it is set again:
    /// it is durable when this returns. Bodies of at most [`crate::options::Options::inline_body_bytes`] need no worker.
    ///
    /// # Errors
    /// `InvalidRequest` naming the range; `StorageUnavailable` and `Closed` when nothing can be written, `Internal` when
    /// the operating system has no thread left: the number is then as before.
    pub fn scale(&self, workers: usize) -> Result<()> {
        check_range("instances", workers as u64, 1, MAX_WORKERS as u64)?;
        // Commit and change are one step: what is in force is what was stored last.
        let _one_at_a_time = self.scaling.lock();
        self.check_writable()?;
        let pool = &self.threads.workers;
        let before = pool.wanted();
        let refused = |error| {
            let detail = format!("the operating system starts no more threads for {workers} instances: {error}");
            Error::new(ErrorKind::Internal, detail)
        };
        // More of them before the commit: a number that cannot be had must not be stored.
        if workers > before {
            pool.resize(workers).map_err(refused)?;
        }
        let op = TableOp::put(Table::Counters, WORKERS, (workers as u64).to_le_bytes());
        if let Err(error) = self.commits.change(vec![op]) {
            let _fewer_need_no_thread = pool.resize(before);
            return Err(error);
        }
        pool.resize(workers).map_err(refused)
    }
}

/// Returns the number that was chosen while the engine ran; `None` when none was, or it is out of range.
pub(crate) fn stored(rows: &Changes) -> Option<usize> {
    let number = u64::from_le_bytes(rows.get(Table::Counters, WORKERS)?.try_into().ok()?);
    usize::try_from(number).ok().filter(|workers| (1..=MAX_WORKERS).contains(workers))
}
