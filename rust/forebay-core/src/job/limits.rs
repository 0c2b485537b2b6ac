//! What bounds jobs, and why.

use std::time::Duration;

/// Largest payload: a job names what is to be done, and does not carry it. It is written again with each change of the job.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
/// Largest result of a job.
pub const MAX_RESULT_BYTES: usize = 64 * 1024;
/// Largest error of a job: a message and a stack trace.
pub const MAX_ERROR_BYTES: usize = 16 * 1024;
/// Largest progress: it is written with each heartbeat.
pub const MAX_PROGRESS_BYTES: usize = 16 * 1024;
/// Longest unique key: it is kept in memory.
pub const MAX_UNIQUE_KEY_BYTES: usize = 256;
/// Queues of one data directory. A client that makes up names must end somewhere.
pub const MAX_QUEUES: usize = 10_000;
/// Retries of one job: with the longest pause between two of them, these take a month.
pub const MAX_RETRIES: u32 = 10_000;
/// Jobs of one lease: with the largest payloads they fit one commit of the smallest journal file.
pub const MAX_LEASED_JOBS: usize = 1_000;
/// Bytes of the rows of one commit, within a quarter of the smallest journal file.
pub(super) const COMMIT_BYTES: usize = 192 * 1024;
/// Jobs of one page of a list.
pub const MAX_LISTED_JOBS: usize = 1_000;
/// Longest lease, delay and timeout: who needs longer sends heartbeats.
pub const MAX_LEASE: Duration = Duration::from_secs(24 * 3600);
/// Longest delay of a new job.
pub(super) const MAX_DELAY: Duration = Duration::from_secs(366 * 24 * 3600);
/// A completed job is kept this long.
pub const COMPLETED_AGE: Duration = Duration::from_secs(24 * 3600);
/// Completed jobs that a queue keeps: some are for people to look at, and their number must not grow with the work.
pub const COMPLETED_JOBS: usize = 10_000;
/// A failed job is kept this long: a weekend and a holiday.
pub const FAILED_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Failed jobs that a queue keeps.
pub const FAILED_JOBS: usize = 100_000;
/// Memory of a job beside its texts: its slot, its places by id and in its queue's order, and three allocations.
pub(super) const JOB_BYTES: usize = 288;
/// Minutes that completions are counted over.
pub(super) const COUNTED_MINUTES: i64 = 60;
