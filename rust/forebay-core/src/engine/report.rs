//! An engine as operators see it, in plain values.

use std::time::Duration;

use super::engine::Engine;
use crate::clock::ClockDoubt;
use crate::ids::{Offset, PartitionId};
use crate::options::{Durability, Options};
use crate::status::{Damage, Mode};
use crate::stream::{Stream, StreamDefinition};

/// The engine's state.
#[derive(Clone, Debug)]
pub struct Report {
    /// The promise of an acknowledgement.
    pub durability: Durability,
    /// The log's way with writes.
    pub mode: Mode,
    /// The reason, when it does not take them.
    pub reason: String,
    /// The reason why sealing does not get on.
    pub sealer_stuck: Option<String>,
    /// Other background work that fails now and is tried again.
    pub troubles: Vec<String>,
    /// Everything found damaged.
    pub damages: Vec<Damage>,
    /// The doubt on how long the machine was off: nothing is deleted for its age meanwhile but what is old
    /// without that time.
    pub clock_doubt: Option<ClockDoubt>,
    /// The reason why the time cannot be kept over a restart of the machine.
    pub clock_problem: Option<String>,
    /// Bytes of the ring in use.
    pub ring_used_bytes: u64,
    /// The ring's budget.
    pub ring_limit_bytes: u64,
    /// Memory of changes of offsets, groups and streams that are not sealed yet.
    pub unsealed_changes_bytes: u64,
    /// Memory of readers that wait.
    pub waiting_readers_bytes: u64,
    /// Memory of consumer groups.
    pub groups_bytes: u64,
    /// Full journal files that are not sealed yet.
    pub seal_backlog_files: usize,
    /// Appends that wait for the committer.
    pub commit_queue: usize,
    /// Threads that parse now; none when nothing can be written.
    pub workers: usize,
    /// Bytes that the disk has left, by the operating system's word.
    pub free_disk_bytes: Option<u64>,
}

impl Report {
    pub(crate) fn of(engine: &Engine) -> Self {
        Self {
            durability: engine.options.durability,
            mode: engine.status.mode(),
            reason: engine.status.reason(),
            sealer_stuck: engine.status.sealer_stuck(),
            troubles: engine.status.troubles(),
            damages: engine.status.damages(),
            clock_doubt: engine.clock.doubt(),
            clock_problem: engine.clock.problem(),
            ring_used_bytes: engine.ring.used(),
            ring_limit_bytes: engine.ring.limit(),
            unsealed_changes_bytes: engine.commits.rows().used(),
            waiting_readers_bytes: engine.catalog.watching().used(),
            groups_bytes: engine.groups.memory.used(),
            seal_backlog_files: engine.threads.seal_backlog(),
            commit_queue: engine.commits.len(),
            workers: engine.threads.workers.live(),
            free_disk_bytes: engine.storage.free_bytes().ok(),
        }
    }
}

/// One stream's state.
#[derive(Clone, Debug)]
pub struct StreamReport {
    /// The stream's name.
    pub name: String,
    /// Its identity.
    pub id: u32,
    /// True if only the engine writes to it and deletes it.
    pub engine_made: bool,
    /// The stream's settings.
    pub definition: StreamDefinition,
    /// Time that idempotency keys of requests for it are remembered.
    pub dedup_window: Duration,
    /// Per partition: its index, the first offset that is kept, and the offset after the last committed record.
    pub partitions: Vec<(PartitionId, Offset, Offset)>,
    /// Bytes of its sealed segments on the disk.
    pub stored_bytes: u64,
    /// Bytes of its segments before compression.
    pub raw_bytes: u64,
    /// Bytes in the ring, not sealed yet.
    pub ring_bytes: u64,
    /// Number of segments that hold it.
    pub segments: usize,
}

impl StreamReport {
    pub(crate) fn of(stream: &Stream, options: &Options) -> Self {
        let sums = stream.sums();
        let partition = |(index, log): (u32, &crate::stream::Partition)| {
            // Read in this order, since both bounds only grow.
            let start = log.start();
            (PartitionId(index), start, log.committed())
        };
        Self {
            name: stream.name().to_owned(),
            id: stream.id().0,
            engine_made: stream.is_engine_made(),
            definition: stream.definition(),
            dedup_window: stream.dedup_window().unwrap_or(options.dedup_window),
            partitions: (0..).zip(stream.partitions()).map(partition).collect(),
            stored_bytes: sums.stored_bytes,
            raw_bytes: sums.raw_bytes,
            ring_bytes: stream.share().used(),
            segments: sums.parts,
        }
    }
}
