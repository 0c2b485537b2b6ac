use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// Worker processes at most.
const MAX_WORKERS: usize = 64;
const MIN_TIMEOUT: Duration = Duration::from_millis(10);
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// Where functions run, and what they may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionOptions {
    /// The program of a worker process and its arguments; empty: there is none.
    pub command: Vec<String>,
    /// Worker processes at once.
    pub workers: usize,
    /// The memory of one, in bytes: one that has more after a call is replaced.
    pub worker_bytes: u64,
    /// The time that a batch may take. Beyond it the process is killed, and each record is tried alone.
    pub timeout: Duration,
    /// Functions that run in this process, by whoever takes their calls.
    pub local: Vec<String>,
}

impl Default for FunctionOptions {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            worker_bytes: 1 << 30,
            timeout: Duration::from_secs(30),
            local: Vec::new(),
        }
    }
}

impl FunctionOptions {
    /// Checks every range.
    ///
    /// # Errors
    /// `InvalidRequest` naming the option and its range.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |detail: String| Err(Error::new(ErrorKind::InvalidRequest, detail));
        if !(1..=MAX_WORKERS).contains(&self.workers) {
            return invalid(format!("function_workers is {}, must be from 1 to {MAX_WORKERS}", self.workers));
        }
        if !(MIN_TIMEOUT..=MAX_TIMEOUT).contains(&self.timeout) {
            let (is, least, most) = (self.timeout.as_millis(), MIN_TIMEOUT.as_millis(), MAX_TIMEOUT.as_millis());
            return invalid(format!("function_timeout_ms is {is}, must be from {least} to {most}"));
        }
        Ok(())
    }
}
