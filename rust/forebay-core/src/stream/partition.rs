//! The hot tail of one partition: references into the batches whose records are committed but not yet sealed.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::admission::Permit;
use crate::ids::{Generation, Offset, Timestamp};

/// References that a partition's ring keeps room for while it is quiet.
const KEPT_REFERENCES: usize = 64;
/// Memory of a partition beside its runs.
pub(super) const PARTITION_BYTES: usize = 640;
const _: () = assert!(size_of::<Partition>() + KEPT_REFERENCES * size_of::<Arc<Run>>() <= PARTITION_BYTES);

/// One request's encoded records. Charged to the budget, whole, until nothing refers to it any more.
#[derive(Debug)]
pub struct Payload {
    bytes: Vec<u8>,
    _permit: Permit,
}

impl Payload {
    /// Encoded records, and the permit that covers their memory.
    #[must_use]
    pub fn new(bytes: Vec<u8>, permit: Permit) -> Self {
        Self { bytes, _permit: permit }
    }

    /// Returns the records.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The smallest and the largest time of some records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The smallest.
    pub min: Timestamp,
    /// The largest.
    pub max: Timestamp,
}

impl Default for Times {
    fn default() -> Self {
        Self { min: Timestamp(i64::MAX), max: Timestamp(i64::MIN) }
    }
}

impl Times {
    /// Takes in one record's time.
    pub fn take_in(&mut self, time: Timestamp) {
        self.min = self.min.min(time);
        self.max = self.max.max(time);
    }

    /// Takes in the times of other records.
    pub fn merge(&mut self, other: Times) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// A run of committed records of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The first record's offset.
    pub base: Offset,
    /// Number of records.
    pub records: u32,
    /// The journal file that holds them.
    pub generation: Generation,
    /// When they were appended.
    pub append_time: Timestamp,
    /// The batch they came in.
    pub payload: Arc<Payload>,
    /// Their place in the batch.
    pub range: Range<usize>,
    /// Their times.
    pub times: Times,
}

impl Run {
    /// Returns the encoded records.
    #[must_use]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.payload.bytes.get(self.range.clone()).unwrap_or_default()
    }

    /// Returns the offset after the last record.
    #[must_use]
    pub(crate) fn end(&self) -> Offset {
        self.base.plus(self.records.into())
    }
}

/// One ordered log. start ≤ committed ≤ appended; readers see only what is committed.
#[derive(Debug, Default)]
pub struct Partition {
    ring: Mutex<VecDeque<Arc<Run>>>,
    start: AtomicU64,
    committed: AtomicU64,
    appended: AtomicU64,
}

impl Partition {
    /// Returns the first offset that is kept.
    #[must_use]
    pub fn start(&self) -> Offset {
        Offset(self.start.load(Ordering::Acquire))
    }

    /// Returns the offset after the last record that readers see.
    #[must_use]
    pub fn committed(&self) -> Offset {
        Offset(self.committed.load(Ordering::Acquire))
    }

    /// Recovery's bounds: everything before `end` is sealed.
    pub(crate) fn restore(&self, start: Offset, end: Offset) {
        self.start.store(start.0, Ordering::Release);
        self.committed.store(end.0, Ordering::Release);
        self.appended.store(end.0, Ordering::Release);
    }

    /// Retention's bound. Never moves back.
    pub(crate) fn advance_start(&self, start: Offset) {
        self.start.fetch_max(start.0, Ordering::AcqRel);
    }

    /// Gives the next `records` offsets away. Only the committer and recovery call this, so offsets commit in order.
    pub(crate) fn assign(&self, records: u32) -> Offset {
        Offset(self.appended.fetch_add(records.into(), Ordering::AcqRel))
    }

    /// Makes a run visible. Runs come in order of their offsets.
    pub(crate) fn publish(&self, run: Arc<Run>) {
        let end = run.end();
        let mut ring = self.ring.lock();
        ring.push_back(run);
        self.committed.store(end.0, Ordering::Release);
        self.appended.fetch_max(end.0, Ordering::AcqRel);
    }

    /// Forgets the runs of journal files up to `generation`; their segments are visible already.
    pub(crate) fn evict(&self, generation: Generation) {
        let mut ring = self.ring.lock();
        let count = ring.partition_point(|run| run.generation <= generation);
        let evicted: Vec<_> = ring.drain(..count).collect();
        if ring.capacity() > KEPT_REFERENCES && ring.len() < ring.capacity() / 4 {
            ring.shrink_to_fit();
        }
        drop(ring);
        // Freed outside of the lock: a file's worth of batches takes a while.
        drop(evicted);
    }

    /// Forgets everything: the stream was deleted. Readers that still hold it find an empty partition.
    pub(crate) fn clear(&self) {
        let runs = std::mem::take(&mut *self.ring.lock());
        self.advance_start(self.committed());
        drop(runs);
    }

    /// Returns the ring's runs from `offset` on, about as many as it takes for so many records and bytes, at least one;
    /// empty when the ring does not hold `offset` (it may be sealed, or beyond the end).
    pub(crate) fn runs_from(&self, offset: Offset, max_records: usize, max_bytes: usize) -> Vec<Arc<Run>> {
        let ring = self.ring.lock();
        if ring.front().is_none_or(|run| offset < run.base) {
            return Vec::new();
        }
        let first = ring.partition_point(|run| run.end() <= offset);
        let (mut records, mut bytes) = (0_usize, 0_usize);
        let mut runs = Vec::new();
        for run in ring.range(first..) {
            if records >= max_records || bytes > max_bytes {
                break;
            }
            bytes += run.range.len();
            records += (run.end().0 - offset.0.max(run.base.0)) as usize;
            runs.push(Arc::clone(run));
        }
        runs
    }

    /// Returns the offset of the oldest record in the ring.
    pub(crate) fn ring_start(&self) -> Option<Offset> {
        self.ring.lock().front().map(|run| run.base)
    }
}
