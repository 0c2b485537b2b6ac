//! A stream: its definition, its partitions, and the sealed segments that hold its past.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use xxhash_rust::xxh3::xxh3_64;

use super::catalog::is_reserved;
use super::definition::StreamDefinition;
use super::part::SegmentPart;
use super::partition::Partition;
use super::parts::{Parts, SegmentFiles, Sums};
use super::segment_name::SegmentName;
use super::watch::Watches;
use crate::admission::{Budget, Quota};
use crate::error::{Error, ErrorKind};
use crate::ids::{Offset, PartitionId, StreamId};

/// Returns the partition of a key among so many.
pub(crate) fn partition_of(key: &[u8], partitions: u32) -> u32 {
    // The remainder is below the number of partitions, which is a u32.
    u32::try_from(xxh3_64(key) % u64::from(partitions.max(1))).unwrap_or(0)
}

/// A named set of partitions.
#[derive(Debug)]
pub struct Stream {
    definition: RwLock<StreamDefinition>,
    id: StreamId,
    name: String,
    partitions: Box<[Partition]>,
    share: Arc<Budget>,
    quota: Quota,
    parts: RwLock<Parts>,
    files: Arc<SegmentFiles>,
    /// Parts came that merging has not looked at.
    news: AtomicBool,
    deleted: AtomicBool,
    watches: Watches,
    next_partition: AtomicU32,
}

impl Stream {
    pub(crate) fn new(
        definition: StreamDefinition,
        share: Arc<Budget>,
        files: Arc<SegmentFiles>,
        watching: Arc<Budget>,
    ) -> Self {
        Self {
            id: StreamId(definition.id),
            name: definition.name.clone(),
            partitions: (0..definition.partitions).map(|_| Partition::default()).collect(),
            share,
            quota: Quota::new(definition.quota),
            definition: RwLock::new(definition),
            parts: RwLock::default(),
            files,
            news: AtomicBool::new(false),
            deleted: AtomicBool::new(false),
            watches: Watches::new(watching),
            next_partition: AtomicU32::new(0),
        }
    }

    /// Returns the stream's identity.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Returns the stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the definition as it is now.
    #[must_use]
    pub fn definition(&self) -> StreamDefinition {
        self.definition.read().clone()
    }

    pub(crate) fn redefine(&self, definition: StreamDefinition) {
        self.quota.set(definition.quota);
        *self.definition.write() = definition;
    }

    /// Returns its retention: milliseconds, and stored bytes.
    pub(crate) fn retention(&self) -> (Option<u64>, Option<u64>) {
        let definition = self.definition.read();
        (definition.retention_ms, definition.retention_bytes)
    }

    /// Returns the quota of all senders together; without limits until some are set.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Returns how long idempotency keys of requests for it are remembered, when it says it.
    #[must_use]
    pub fn dedup_window(&self) -> Option<Duration> {
        self.definition.read().dedup_window_seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Returns all partitions, in order.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// Returns one partition; `None` when the stream has no such one.
    #[must_use]
    pub fn partition(&self, partition: PartitionId) -> Option<&Partition> {
        self.partitions.get(partition.0 as usize)
    }

    /// Returns the stream's share of the ring's budget.
    pub(crate) fn share(&self) -> &Arc<Budget> {
        &self.share
    }

    /// Returns whether the stream was deleted; its name may belong to another one by now.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// The deletion is durable: nothing is appended or sealed any more, the ring's memory is given back, and who waits for
    /// records is told. Called by the committer and by recovery alone, so that no commit comes in between.
    pub(crate) fn delete(&self) {
        self.deleted.store(true, Ordering::Release);
        for partition in &self.partitions {
            partition.clear();
        }
        self.watches.end(Error::new(ErrorKind::StreamNotFound, format!("stream {:?} was deleted", self.name)));
    }

    /// Returns whether only the engine writes to it and deletes it.
    #[must_use]
    pub fn is_engine_made(&self) -> bool {
        is_reserved(&self.name)
    }

    /// Returns those who wait for records.
    #[must_use]
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Returns the partition of a key: XXH3-64 of the key, modulo the number of partitions.
    #[must_use]
    pub fn partition_of(&self, key: &[u8]) -> PartitionId {
        PartitionId(partition_of(key, u32::try_from(self.partitions.len()).unwrap_or(1)))
    }

    /// Returns the partition for a batch's records without a key: the next one in turn.
    pub(crate) fn partition_in_turn(&self) -> PartitionId {
        let turn = self.next_partition.fetch_add(1, Ordering::Relaxed);
        PartitionId(turn % u32::try_from(self.partitions.len()).unwrap_or(1))
    }

    /// Makes a sealed part readable.
    pub(crate) fn add_part(&self, part: &Arc<SegmentPart>) {
        let before = self.parts.write().insert(part);
        self.files.take(part);
        if let Some(before) = before {
            self.files.release(&before);
        }
        self.has_news();
    }

    /// Puts a merged part in the place of its sources: a reader finds it or them, and never neither.
    pub(crate) fn swap_parts(&self, sources: &[Arc<SegmentPart>], merged: &Arc<SegmentPart>) {
        let mut parts = self.parts.write();
        self.files.take(merged);
        for part in sources.iter().filter_map(|source| parts.remove(source.name)) {
            self.files.release(&part);
        }
        parts.insert(merged);
    }

    /// Has merging look at the stream.
    pub(crate) fn has_news(&self) {
        self.news.store(true, Ordering::Release);
    }

    /// Returns whether merging has to look at it; asked once, it does not until there is more.
    pub(crate) fn takes_news(&self) -> bool {
        self.news.swap(false, Ordering::AcqRel)
    }

    /// Returns the parts after that one, or all, oldest first, and not more than `count`.
    pub(crate) fn parts_after(&self, name: Option<SegmentName>, count: usize) -> Vec<Arc<SegmentPart>> {
        self.parts.read().after(name).take(count).cloned().collect()
    }

    /// Forgets a part; what it held is below the start already.
    pub(crate) fn remove_part(&self, name: SegmentName) {
        let removed = self.parts.write().remove(name);
        if let Some(part) = removed {
            self.files.release(&part);
        }
    }

    /// Returns the part that holds `offset`, or the first one after it.
    pub(crate) fn part_at(&self, partition: PartitionId, offset: Offset) -> Option<Arc<SegmentPart>> {
        self.parts.read().at(partition, offset).cloned()
    }

    /// Returns the part in that segment file.
    pub(crate) fn part_named(&self, name: SegmentName) -> Option<Arc<SegmentPart>> {
        self.parts.read().named(name).cloned()
    }

    /// Returns the totals over its parts.
    pub(crate) fn sums(&self) -> Sums {
        self.parts.read().sums()
    }

    /// Gives the parts to `each`, oldest first, as long as it wants more.
    pub(crate) fn each_part(&self, each: impl FnMut(&Arc<SegmentPart>) -> bool) {
        let parts = self.parts.read();
        let _stopped = parts.after(None).all(each);
    }

    /// Returns every part, oldest first: for what concerns the whole stream, and never done each second.
    pub(crate) fn parts(&self) -> Vec<Arc<SegmentPart>> {
        self.parts.read().after(None).cloned().collect()
    }
}
