//! The atomic unit on its way to the journal: records grouped by partition, table operations, and who waits.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::dedup::{Settlement, settlement_bytes};
use super::record;
use super::ring::{Payload, Times};
use super::storage::Synced;
use super::table::TableOp;
use crate::admission::Permit;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId, StreamId, Ticket};
use crate::ingest::Event;
use crate::options::Durability;
use crate::stream::Stream;

/// Memory of a batch beside its records: the structures that refer to it until it is sealed.
pub const BATCH_OVERHEAD_BYTES: usize = 512;

/// The level that an acknowledgement was really given at.
///
/// `Fsync` cannot be made without a [`Synced`], which only a successful `fdatasync` hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Durability);

impl Level {
    /// On stable storage.
    #[must_use]
    pub fn fsync(_proof: &Synced) -> Self {
        Self(Durability::Fsync)
    }

    /// With the operating system, synced within the interval.
    #[must_use]
    pub fn interval() -> Self {
        Self(Durability::Interval)
    }

    /// With the operating system.
    #[must_use]
    pub fn memory() -> Self {
        Self(Durability::Memory)
    }

    /// Of a request that was acknowledged before: its commit stands at the level that the log has now, or was synced
    /// since by the start of the process.
    pub(crate) fn repeated(durability: Durability) -> Self {
        Self(durability)
    }

    /// The promise.
    #[must_use]
    pub fn durability(self) -> Durability {
        self.0
    }
}

/// Where one run of a batch's records went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The stream.
    pub stream: StreamId,
    /// The partition.
    pub partition: PartitionId,
    /// The first record's offset.
    pub base: Offset,
    /// How many records.
    pub records: u32,
}

/// An append's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The promise that this acknowledgement makes.
    pub level: Level,
    /// Where the records are.
    pub placed: Vec<Placed>,
    /// Events that were put on the stream of rejected ones.
    pub quarantined: u32,
}

impl Receipt {
    /// Where each record went, given the partition of each in the order of the request.
    #[must_use]
    pub fn places(&self, partitions: &[PartitionId]) -> Vec<(PartitionId, Offset)> {
        let mut next: BTreeMap<PartitionId, Offset> =
            self.placed.iter().map(|placed| (placed.partition, placed.base)).collect();
        let place = |partition: &PartitionId| {
            let offset = next.entry(*partition).or_default();
            let here = *offset;
            *offset = here.plus(1);
            (*partition, here)
        };
        partitions.iter().map(place).collect()
    }
}

/// Takes the outcomes of appends, from the committer's and the workers' threads.
pub trait Completer: Send + Sync + Debug {
    /// Takes one outcome. Must not block.
    fn complete(&self, ticket: Ticket, outcome: Result<Receipt>);

    /// Called once after a group of outcomes.
    fn wake(&self);
}

/// Who waits for an append. An append that is dropped on the way answers `Closed`: nobody waits for ever.
#[derive(Debug)]
pub struct Reply {
    completer: Option<Arc<dyn Completer>>,
    ticket: Ticket,
    settlement: Option<Box<Settlement>>,
}

impl Reply {
    /// The outcome goes to `completer` under `ticket`.
    #[must_use]
    pub fn new(completer: Arc<dyn Completer>, ticket: Ticket) -> Self {
        Self { completer: Some(completer), ticket, settlement: None }
    }

    /// The same, settling an idempotency key with the outcome.
    #[must_use]
    pub(crate) fn settling(mut self, settlement: Settlement) -> Self {
        self.settlement = Some(Box::new(settlement));
        self
    }

    /// The key that the outcome settles.
    pub(crate) fn settlement(&self) -> Option<&Settlement> {
        self.settlement.as_deref()
    }

    /// The caller answers for itself; only repeats that wait for the request are told of the refusal.
    pub(crate) fn refuse_repeats(mut self, error: &Error) {
        self.completer = None;
        self.finish_and_wake(Err(error.clone()));
    }

    /// Hands the outcome over; adds to `woken` whom to wake when the group is done.
    pub fn finish(mut self, outcome: Result<Receipt>, woken: &mut Vec<Arc<dyn Completer>>) {
        let repeats = self.settlement.take().map_or_else(Vec::new, |settlement| settlement.settle(&outcome));
        for repeat in repeats {
            repeat.finish(outcome.clone(), woken);
        }
        if let Some(completer) = self.completer.take() {
            completer.complete(self.ticket, outcome);
            if !woken.iter().any(|known| Arc::ptr_eq(known, &completer)) {
                woken.push(completer);
            }
        }
    }

    /// Hands the outcome over and wakes at once.
    pub fn finish_and_wake(self, outcome: Result<Receipt>) {
        let mut woken = Vec::new();
        self.finish(outcome, &mut woken);
        woken.iter().for_each(|completer| completer.wake());
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.completer.is_some() || self.settlement.is_some() {
            let reply =
                Self { completer: self.completer.take(), ticket: self.ticket, settlement: self.settlement.take() };
            reply.finish_and_wake(Err(Error::new(ErrorKind::Closed, "the engine closed before the commit")));
        }
    }
}

/// A thread that waits for one append.
#[derive(Debug, Default)]
pub struct Waiter {
    outcome: Mutex<Option<Result<Receipt>>>,
    done: Condvar,
}

impl Waiter {
    /// A waiter, and the reply that ends its wait.
    #[must_use]
    pub fn pair() -> (Arc<Self>, Reply) {
        let waiter = Arc::new(Self::default());
        let completer: Arc<dyn Completer> = waiter.clone();
        (waiter, Reply::new(completer, Ticket(0)))
    }

    /// Waits for the outcome. Bounded by the engine: every reply is answered, at the latest when it is dropped.
    ///
    /// # Errors
    /// Whatever became of the append.
    pub fn wait(&self) -> Result<Receipt> {
        let mut outcome = self.outcome.lock();
        loop {
            if let Some(outcome) = outcome.take() {
                return outcome;
            }
            self.done.wait(&mut outcome);
        }
    }
}

impl Completer for Waiter {
    fn complete(&self, _ticket: Ticket, outcome: Result<Receipt>) {
        *self.outcome.lock() = Some(outcome);
    }

    fn wake(&self) {
        self.done.notify_all();
    }
}

/// A run of records of one partition inside a batch's payload.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The stream, as it was when the batch was admitted; the committer checks that it still lives.
    pub stream: Arc<Stream>,
    /// The partition.
    pub partition: PartitionId,
    /// How many records.
    pub records: u32,
    /// Where in the payload.
    pub range: Range<usize>,
    /// CRC32C of those bytes, computed by the worker so that the committer never touches them.
    pub crc: u32,
    /// The smallest and the largest of the records' times, noted by the worker so that the sealer need not look for
    /// them in memory that has gone cold.
    pub times: Times,
}

/// Everything that one request had accepted: committed whole or not at all.
#[derive(Debug)]
pub struct Append {
    /// The runs of records.
    pub chunks: Vec<Chunk>,
    /// Their bytes.
    pub payload: Option<Arc<Payload>>,
    /// Changes of tables that belong to the same commit.
    pub ops: Vec<TableOp>,
    /// Events that were put on the stream of rejected ones.
    pub quarantined: u32,
    /// When the request was admitted; `None` for the engine's own changes, which are not counted as requests.
    pub admitted: Option<Instant>,
    /// Who waits.
    pub reply: Reply,
}

impl Append {
    /// A change of tables alone.
    #[must_use]
    pub fn control(ops: Vec<TableOp>, reply: Reply) -> Self {
        Self { chunks: Vec::new(), payload: None, ops, quarantined: 0, admitted: None, reply }
    }

    /// A request's records.
    #[must_use]
    pub fn records(batch: Encoded, reply: Reply, admitted: Instant) -> Self {
        let Encoded { chunks, payload, partitions: _ } = batch;
        Self { chunks, payload: Some(payload), ops: Vec::new(), quarantined: 0, admitted: Some(admitted), reply }
    }

    /// Bytes of table operations, the row of an idempotency key included.
    #[must_use]
    pub fn ops_bytes(&self) -> usize {
        let ops: usize = self.ops.iter().map(TableOp::encoded_bytes).sum();
        ops + self.reply.settlement().map_or(0, |_| settlement_bytes(self.chunks.len()))
    }

    /// Bytes of records.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, |payload| payload.bytes().len())
    }
}

/// Where a batch's events go.
#[derive(Debug)]
pub struct Destination<'a, 'e> {
    /// The stream.
    pub stream: &'a Arc<Stream>,
    /// The partition that the request pins; else the key decides, else the batch goes to the next in turn.
    pub partition: Option<PartitionId>,
    /// The events, in the order of the request.
    pub events: &'a [Event<'e>],
}

/// Encodes events into one payload, grouped by partition and in order within each.
///
/// # Errors
/// `PayloadTooLarge` when the batch can never fit, `Saturated` when it does not fit now.
pub fn encode(destinations: &[Destination<'_, '_>], max_bytes: usize, mut permit: Permit) -> Result<Encoded> {
    let total: usize = destinations.iter().flat_map(|to| to.events).map(record::encoded_bytes).sum();
    if total > max_bytes {
        let detail = format!("the batch takes {total} bytes in the log, more than the {max_bytes} of one commit");
        return Err(Error::new(ErrorKind::PayloadTooLarge, detail));
    }
    if !permit.resize((total + BATCH_OVERHEAD_BYTES) as u64) {
        return Err(Error::new(ErrorKind::Saturated, "server saturated"));
    }
    let mut bytes = Vec::with_capacity(total);
    let mut chunks = Vec::new();
    let mut partitions = Vec::new();
    for destination in destinations {
        encode_destination(destination, &mut bytes, &mut chunks, &mut partitions);
    }
    Ok(Encoded { chunks, partitions, payload: Arc::new(Payload::new(bytes, permit)) })
}

/// What [`encode`] makes.
#[derive(Debug)]
pub struct Encoded {
    /// The runs of records.
    pub chunks: Vec<Chunk>,
    /// The partition of each event, in the order of the request.
    pub partitions: Vec<PartitionId>,
    /// Their bytes.
    pub payload: Arc<Payload>,
}

/// The events' indices, partition by partition, in order within each; and where the indices of each partition end.
fn by_partition(partitions: &[PartitionId], count: usize) -> (Vec<u32>, Vec<usize>) {
    let mut ends = vec![0; count];
    for partition in partitions {
        ends[partition.0 as usize] += 1;
    }
    // The counts become where each begins; putting the indices in moves that on to where it ends.
    let mut next = 0;
    for end in &mut ends {
        next += std::mem::replace(end, next);
    }
    let mut indices = vec![0; partitions.len()];
    for (partition, index) in partitions.iter().zip(0..) {
        let end = &mut ends[partition.0 as usize];
        indices[*end] = index;
        *end += 1;
    }
    (indices, ends)
}

fn encode_destination(
    to: &Destination<'_, '_>,
    bytes: &mut Vec<u8>,
    chunks: &mut Vec<Chunk>,
    partitions: &mut Vec<PartitionId>,
) {
    let in_turn = to.partition.unwrap_or_else(|| {
        if to.events.iter().any(|event| event.key.is_none()) { to.stream.partition_in_turn() } else { PartitionId(0) }
    });
    let partition_of = |event: &Event<'_>| match (&event.key, to.partition) {
        (Some(key), None) => to.stream.partition_of(key),
        (_, Some(_)) | (None, None) => in_turn,
    };
    let from = partitions.len();
    partitions.extend(to.events.iter().map(partition_of));
    let (indices, ends) = by_partition(&partitions[from..], to.stream.partitions().len());
    let mut start = 0;
    for (partition, end) in (0..).map(PartitionId).zip(ends) {
        let group = &indices[std::mem::replace(&mut start, end)..end];
        if group.is_empty() {
            continue;
        }
        let from = bytes.len();
        let mut times = Times::default();
        for index in group {
            let event = &to.events[*index as usize];
            times.take_in(event.timestamp);
            record::encode(event, bytes);
        }
        chunks.push(Chunk {
            stream: Arc::clone(to.stream),
            partition,
            records: u32::try_from(group.len()).unwrap_or(u32::MAX),
            range: from..bytes.len(),
            crc: crc32c::crc32c(&bytes[from..]),
            times,
        });
    }
}
