//! A stream: its definition, its partitions, and the sealed segments that hold its past.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use xxhash_rust::xxh3::xxh3_64;

use super::{SegmentPart, StreamDefinition, Watches, is_reserved};
use crate::admission::{Budget, Quota};
use crate::error::{Error, ErrorKind};
use crate::ids::{Offset, PartitionId, StreamId};
use crate::log::ring::Partition;

type SegmentMap = BTreeMap<(PartitionId, Offset), (Arc<SegmentPart>, u64)>;

/// A named set of partitions.
#[derive(Debug)]
pub struct Stream {
    definition: RwLock<StreamDefinition>,
    id: StreamId,
    name: String,
    partitions: Box<[Partition]>,
    share: Arc<Budget>,
    quota: Quota,
    segments: RwLock<SegmentMap>,
    deleted: AtomicBool,
    watches: Watches,
    next_partition: AtomicU32,
}

impl Stream {
    pub(crate) fn new(definition: StreamDefinition, share: Arc<Budget>) -> Self {
        Self {
            id: StreamId(definition.id),
            name: definition.name.clone(),
            partitions: (0..definition.partitions).map(|_| Partition::default()).collect(),
            share,
            quota: Quota::new(definition.quota),
            definition: RwLock::new(definition),
            segments: RwLock::default(),
            deleted: AtomicBool::new(false),
            watches: Watches::default(),
            next_partition: AtomicU32::new(0),
        }
    }

    /// The stream's identity.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The definition as it is now.
    #[must_use]
    pub fn definition(&self) -> StreamDefinition {
        self.definition.read().clone()
    }

    pub(crate) fn redefine(&self, definition: StreamDefinition) {
        self.quota.set(definition.quota);
        *self.definition.write() = definition;
    }

    /// What senders together may write to it; without limits until some are set.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// How long idempotency keys of requests for it are remembered, when it says it.
    #[must_use]
    pub fn dedup_window(&self) -> Option<Duration> {
        self.definition.read().dedup_window_seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// All partitions, in order.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// One partition; `None` when the stream has no such one.
    #[must_use]
    pub fn partition(&self, partition: PartitionId) -> Option<&Partition> {
        self.partitions.get(partition.0 as usize)
    }

    /// The stream's share of the ring's budget.
    pub(crate) fn share(&self) -> &Arc<Budget> {
        &self.share
    }

    /// Whether the stream was deleted; its name may belong to another one by now.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// The deletion is durable: nothing is appended or sealed any more, the ring's memory is given back, and who waits for
    /// records is told. Called by the committer and by recovery alone, so that no commit comes in between.
    pub(crate) fn delete(&self) {
        self.deleted.store(true, Ordering::Release);
        self.partitions.iter().for_each(Partition::clear);
        self.watches.end(Error::new(ErrorKind::StreamNotFound, format!("stream {:?} was deleted", self.name)));
    }

    /// Whether only the engine writes to it and deletes it.
    #[must_use]
    pub fn is_engine_made(&self) -> bool {
        is_reserved(&self.name)
    }

    /// Who waits for records.
    #[must_use]
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// The partition of a key: XXH3-64 of the key, modulo the number of partitions.
    #[must_use]
    pub fn partition_of(&self, key: &[u8]) -> PartitionId {
        let partitions = self.partitions.len() as u64;
        // The remainder is below the number of partitions, which is a u32.
        PartitionId(u32::try_from(xxh3_64(key) % partitions).unwrap_or(0))
    }

    /// The partition for a batch's records without a key: the next one in turn.
    pub(crate) fn partition_in_turn(&self) -> PartitionId {
        let turn = self.next_partition.fetch_add(1, Ordering::Relaxed);
        PartitionId(turn % u32::try_from(self.partitions.len()).unwrap_or(1))
    }

    /// Makes a sealed segment readable.
    pub(crate) fn add_part(&self, part: &Arc<SegmentPart>) {
        let mut segments = self.segments.write();
        for (partition, base, records) in &part.spans {
            segments.insert((*partition, *base), (Arc::clone(part), *records));
        }
    }

    /// Forgets a segment; what it held is below the start already.
    pub(crate) fn remove_part(&self, part: &SegmentPart) {
        let mut segments = self.segments.write();
        for (partition, base, _) in &part.spans {
            segments.remove(&(*partition, *base));
        }
    }

    /// The segment that holds `offset`, or the first one after it.
    pub(crate) fn part_at(&self, partition: PartitionId, offset: Offset) -> Option<Arc<SegmentPart>> {
        let segments = self.segments.read();
        let before = segments.range((partition, Offset(0))..=(partition, offset)).next_back();
        if let Some(((_, base), (part, records))) = before
            && offset < base.plus(*records)
        {
            return Some(Arc::clone(part));
        }
        let after = segments.range((partition, offset)..=(partition, Offset(u64::MAX))).next();
        after.map(|(_, (part, _))| Arc::clone(part))
    }

    /// Every segment, oldest first.
    #[must_use]
    pub fn parts(&self) -> Vec<Arc<SegmentPart>> {
        let segments = self.segments.read();
        let by_name: BTreeMap<_, _> = segments.values().map(|(part, _)| (part.name, Arc::clone(part))).collect();
        by_name.into_values().collect()
    }
}
