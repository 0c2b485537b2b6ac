//! The engine's settings. The server converts its own configuration into these once, at start.

use std::time::Duration;

use crate::duration::{micros, millis};
use crate::error::{Error, ErrorKind, Result};
use crate::function::FunctionOptions;

/// A request body up to this size is parsed on the caller's thread: a hand-over to a worker costs more than that.
pub const INLINE_BODY_BYTES: usize = 4 * 1024;
/// The limit where all threads share one core, and a worker could only take turns with the caller.
pub const INLINE_BODY_BYTES_ONE_CORE: usize = 1024 * 1024;
/// A journal file is at least this large, so that the largest frame is worth having.
pub const MIN_JOURNAL_FILE_BYTES: u64 = 1024 * 1024;
/// Lengths inside a frame are 32 bits.
pub const MAX_JOURNAL_FILE_BYTES: u64 = 1024 * 1024 * 1024;
/// A stream's share is half of the ring, and holds four journal files: one being filled, one being sealed, and as much
/// again before the sealer has to compress less.
const RING_FILES: u64 = 8;
/// Below this, not even small journal files fit.
pub const MIN_RING_BYTES: u64 = RING_FILES * MIN_JOURNAL_FILE_BYTES;
/// More workers than this only wait for each other.
pub const MAX_WORKERS: usize = 64;
/// A day: for senders that keep what they could not send over a night. What is remembered is kept in memory.
pub(crate) const MAX_DEDUP_WINDOW_SECONDS: u64 = 24 * 3600;
/// Fewer would refuse senders that only keep a thousand requests under way.
pub(crate) const MIN_IDEMPOTENCY_KEYS: u64 = 1_000;
/// 3.2 GB.
pub(crate) const MAX_IDEMPOTENCY_KEYS: u64 = 50_000_000;
/// The contract's limit for partitions of one stream.
pub const MAX_PARTITIONS: u32 = 1024;

/// More streams than this are more files, metrics and rows than one process is made for.
pub(crate) const MAX_STREAMS: u64 = 100_000;
/// Beside what it holds, a partition takes up to [`crate::stream::PARTITION_BYTES`]: 630 MB for so many.
pub(crate) const MAX_ALL_PARTITIONS: u64 = 1_000_000;

/// Some thousands of jobs.
pub(crate) const MIN_JOBS_BYTES: u64 = 1024 * 1024;
/// A terabyte: more than a process gets.
pub(crate) const MAX_JOBS_BYTES: u64 = 1 << 40;

/// Half of it holds the windows of ten thousand keys.
pub(crate) const MIN_PROCESSOR_STATE_BYTES: u64 = 1024 * 1024;
/// A terabyte: more than a process gets.
pub(crate) const MAX_PROCESSOR_STATE_BYTES: u64 = 1 << 40;

/// The promise of an acknowledgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On stable storage: `fdatasync` returned before the acknowledgement. Survives power loss.
    #[default]
    Fsync,
    /// Handed to the operating system; synced every [`Options::sync_interval`]. Survives a crash of the process;
    /// a power loss takes at most the last interval.
    Interval,
    /// Handed to the operating system and never synced before it is sealed. A power loss takes up to a journal file.
    Memory,
}

impl Durability {
    /// Returns the level's name, as in the configuration and in the `Forebay-Durability` header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Durability::Fsync => "fsync",
            Durability::Interval => "interval",
            Durability::Memory => "memory",
        }
    }
}

/// The engine's access to the data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Appends, seals, deletes.
    #[default]
    ReadWrite,
    /// Changes nothing, not even a torn tail.
    ReadOnly,
}

/// The retention of a stream. Whole segments are deleted, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Records whose append time is older may be deleted; `None` keeps them forever.
    pub age: Option<Duration>,
    /// The oldest segments are deleted as long as at least this many stored bytes are left; `None` keeps all.
    pub bytes: Option<u64>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Some(Duration::from_secs(7 * 24 * 3600)), bytes: None }
    }
}

/// Everything that can be chosen when an engine is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The promise of an acknowledgement.
    pub durability: Durability,
    /// The longest time between syncs at [`Durability::Interval`].
    pub sync_interval: Duration,
    /// The time at [`Durability::Fsync`] that a commit gathers before it is written, after one that many shared.
    /// Saves processor time under load; the first request after a pause, and one alone, never wait.
    pub commit_gather: Duration,
    /// The budget for request bodies under way and records not yet sealed. One stream gets at most half.
    pub ring_bytes: u64,
    /// The size of one journal file, which is the unit of sealing. Lowered to an eighth of the ring when larger.
    pub journal_file_bytes: u64,
    /// A journal file is sealed at this age even when it is not full.
    pub journal_file_age: Duration,
    /// Threads that parse bodies larger than [`Options::inline_body_bytes`], until [`crate::engine::Engine::scale`] chooses a
    /// number: that one is stored and goes before this.
    pub workers: usize,
    /// Bodies up to this size are parsed on the caller's thread.
    pub inline_body_bytes: usize,
    /// Partitions of the built-in stream `logs`, fixed when the stream is made.
    pub logs_partitions: u32,
    /// Retention of the built-in stream `logs`.
    pub logs_retention: Retention,
    /// Partitions of the built-in stream `events`, fixed when the stream is made.
    pub events_partitions: u32,
    /// Retention of the built-in stream `events`.
    pub events_retention: Retention,
    /// Partitions of the built-in stream `analytics`, fixed when the stream is made.
    pub analytics_partitions: u32,
    /// Retention of the built-in stream `analytics`.
    pub analytics_retention: Retention,
    /// The time that an idempotency key is remembered, for streams that have no window of their own.
    pub dedup_window: Duration,
    /// Idempotency keys remembered at once, of all streams. Beyond it keyed requests are refused, because forgetting a
    /// key early would break what it promises.
    pub max_idempotency_keys: usize,
    /// Streams at once, those not counted that the engine makes itself: the built-in ones, and those of rejected events
    /// and failed records. What there is already is kept when this is lowered.
    pub max_streams: usize,
    /// Partitions of all those streams together.
    pub max_partitions: usize,
    /// Memory of the open windows of all stream processors; one of them gets at most half. At the bound a processor pauses,
    /// and goes on without loss once the bound is raised.
    pub processor_state_bytes: u64,
    /// Memory of all jobs, ended ones that are kept included. At the bound none is enqueued.
    pub jobs_bytes: u64,
    /// The functions of users that processors may name.
    pub functions: FunctionOptions,
    /// Largest (decompressed) request body.
    pub max_body_bytes: usize,
    /// Largest value of one record.
    pub max_record_bytes: usize,
    /// Access to the data directory.
    pub access: Access,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            durability: Durability::Fsync,
            sync_interval: Duration::from_millis(100),
            // About what a commit takes: longer shows in the latency, shorter costs 5 to 10 % at 700,000 events/s.
            commit_gather: Duration::from_millis(1),
            ring_bytes: 512 * 1024 * 1024,
            // Small enough that what is sealed is still in the processor's cache: 64 MiB cost 10 % more at 700,000 events/s.
            journal_file_bytes: 32 * 1024 * 1024,
            journal_file_age: Duration::from_secs(600),
            workers: cores.min(MAX_WORKERS),
            inline_body_bytes: if cores == 1 { INLINE_BODY_BYTES_ONE_CORE } else { INLINE_BODY_BYTES },
            logs_partitions: 4,
            logs_retention: Retention::default(),
            events_partitions: 4,
            events_retention: Retention::default(),
            analytics_partitions: 4,
            analytics_retention: Retention::default(),
            dedup_window: Duration::from_secs(600),
            max_idempotency_keys: 2_000_000,
            // At most as many streams as partitions, of which each stream has one: it is the partitions that take the
            // memory.
            max_streams: 10_000,
            // 6 MB of memory that no budget covers, and state files that are merged within a second.
            max_partitions: 10_000,
            processor_state_bytes: 256 * 1024 * 1024,
            // A million jobs with payloads of 200 bytes.
            jobs_bytes: 512 * 1024 * 1024,
            functions: FunctionOptions::default(),
            max_body_bytes: 16 * 1024 * 1024,
            max_record_bytes: 1024 * 1024,
            access: Access::ReadWrite,
        }
    }
}

impl Options {
    /// Checks every range and settles what depends on another option.
    ///
    /// # Errors
    /// `InvalidRequest` naming the option and its range.
    pub fn validated(mut self) -> Result<Self> {
        check_range("ring_bytes", self.ring_bytes, MIN_RING_BYTES, u64::MAX / 4)?;
        check_range("journal_file_bytes", self.journal_file_bytes, MIN_JOURNAL_FILE_BYTES, MAX_JOURNAL_FILE_BYTES)?;
        check_range("workers", self.workers as u64, 1, MAX_WORKERS as u64)?;
        check_range("logs_partitions", self.logs_partitions.into(), 1, MAX_PARTITIONS.into())?;
        check_range("events_partitions", self.events_partitions.into(), 1, MAX_PARTITIONS.into())?;
        check_range("analytics_partitions", self.analytics_partitions.into(), 1, MAX_PARTITIONS.into())?;
        check_range("max_body_bytes", self.max_body_bytes as u64, 1024, 1024 * 1024 * 1024)?;
        check_range("max_record_bytes", self.max_record_bytes as u64, 256, self.max_body_bytes as u64)?;
        check_dedup_window(self.dedup_window.as_secs())?;
        let keys = self.max_idempotency_keys as u64;
        check_range("max_idempotency_keys", keys, MIN_IDEMPOTENCY_KEYS, MAX_IDEMPOTENCY_KEYS)?;
        check_range("max_streams", self.max_streams as u64, 1, MAX_STREAMS)?;
        check_range("max_partitions", self.max_partitions as u64, 1, MAX_ALL_PARTITIONS)?;
        let state = self.processor_state_bytes;
        check_range("processor_state_bytes", state, MIN_PROCESSOR_STATE_BYTES, MAX_PROCESSOR_STATE_BYTES)?;
        check_range("jobs_bytes", self.jobs_bytes, MIN_JOBS_BYTES, MAX_JOBS_BYTES)?;
        self.functions.check()?;
        check_range("sync_interval_ms", millis(self.sync_interval), 1, 60_000)?;
        check_range("commit_gather_us", micros(self.commit_gather), 0, 100_000)?;
        check_range("journal_file_age_ms", millis(self.journal_file_age), 100, 24 * 3_600_000)?;
        self.journal_file_bytes = self.journal_file_bytes.min(self.ring_bytes / RING_FILES).next_multiple_of(4096);
        Ok(self)
    }

    /// Returns the largest batch that one request may become: it has to fit one journal file with room to spare.
    #[must_use]
    pub fn max_batch_bytes(&self) -> usize {
        usize::try_from(self.journal_file_bytes / 2).unwrap_or(usize::MAX)
    }
}

/// Checks how long idempotency keys are to be remembered, in seconds.
///
/// # Errors
/// `InvalidRequest` naming the range.
pub(crate) fn check_dedup_window(seconds: u64) -> Result<()> {
    check_range("dedup_window_seconds", seconds, 1, MAX_DEDUP_WINDOW_SECONDS)
}

/// Checks that a number that somebody chose is in its range, both ends included.
///
/// # Errors
/// `InvalidRequest` naming the choice and its range.
pub(crate) fn check_range(name: &str, value: u64, low: u64, high: u64) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidRequest, format!("{name} is {value}, must be from {low} to {high}")))
}
