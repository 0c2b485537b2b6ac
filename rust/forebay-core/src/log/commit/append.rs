//! The atomic unit on its way to the journal: records grouped by partition, table operations, and who waits.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counted_request::CountedRequest;
use super::encode::Encoded;
pub(super) use super::level::Level;
use super::respond::{Respond, Responder};
use crate::admission::Hold;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CompletionId, Generation, Offset, PartitionId, StreamId, Timestamp};
use crate::log::dedup::{DedupEntry, dedup_entry_bytes};
use crate::log::journal::{FRAME_ROW_BYTES, Room};
use crate::stream::{Payload, Stream, Times};
use crate::table::TableOp;
use crate::telemetry::{InFlight, InFlightGuard};

/// The place of one run of a batch's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The stream.
    pub stream: StreamId,
    /// The partition.
    pub partition: PartitionId,
    /// The first record's offset.
    pub base: Offset,
    /// Number of records.
    pub records: u32,
}

/// An append's result.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The promise that this acknowledgement makes.
    pub level: Level,
    /// Places of the records.
    pub placed: Vec<Placed>,
    /// Events that were put on the stream of rejected ones.
    pub quarantined: u32,
    /// When the request came in that this one only repeats.
    pub repeats: Option<Timestamp>,
    /// Time from the request's admission to here, where the response reports it.
    pub took: Option<Duration>,
    /// The journal file that holds it; of no meaning in a repeat.
    pub generation: Generation,
    /// Makes the answer from this; `None` when nobody answers a request with it.
    pub responder: Option<Responder>,
}

impl Receipt {
    /// Makes the receipt of a request that is answered for the first time.
    #[must_use]
    pub fn new(level: Level, placed: Vec<Placed>, quarantined: u32) -> Self {
        let generation = Generation::default();
        Self { level, placed, quarantined, repeats: None, took: None, generation, responder: None }
    }

    /// Returns the answer to the request: its status and JSON body.
    ///
    /// # Errors
    /// `IdempotencyMismatch` when a repeat would be accepted otherwise than the first request was, because limits were
    /// changed in between.
    pub fn answer(&self) -> Result<(u16, Vec<u8>)> {
        match &self.responder {
            Some(responder) => responder.respond(self),
            None => Err(Error::new(ErrorKind::Internal, "the receipt is of no request")),
        }
    }

    /// Returns the number of records that it stands for.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.placed.iter().map(|placed| u64::from(placed.records)).sum()
    }

    /// Returns where each record went, given the partition of each in the order of the request.
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
    fn complete(&self, completion: CompletionId, outcome: Result<Receipt>);

    /// The sender waits for the outcome until `due` only. Must not block; whoever has no clock may ignore it.
    fn due(&self, completion: CompletionId, due: Instant) {
        let _ignored = (completion, due);
    }

    /// Called once after a group of outcomes.
    fn wake(&self);
}

/// The way back to whoever waits for an append. An append that is dropped on the way answers `Closed`: nobody waits for
/// ever.
#[derive(Debug)]
pub struct Reply {
    completer: Option<Arc<dyn Completer>>,
    completion: CompletionId,
    dedup_entry: Option<Box<DedupEntry>>,
    responder: Option<Responder>,
    request: Option<CountedRequest>,
    in_flight: Option<InFlightGuard>,
    /// The committer has it: when that fails, its records may be stored none the less.
    committing: bool,
}

impl Reply {
    /// The outcome goes to `completer` under `completion`.
    #[must_use]
    pub fn new(completer: Arc<dyn Completer>, completion: CompletionId) -> Self {
        Self {
            completer: Some(completer),
            completion,
            dedup_entry: None,
            responder: None,
            request: None,
            in_flight: None,
            committing: false,
        }
    }

    /// Counts the append as under way until its outcome is handed over.
    #[must_use]
    pub(crate) fn queued(mut self, requests: &InFlight) -> Self {
        self.in_flight = Some(requests.enter());
        self
    }

    /// Adds what makes the answer.
    #[must_use]
    pub(crate) fn with_responder(mut self, responder: Responder) -> Self {
        self.responder = Some(responder);
        self
    }

    /// Adds a request that is counted when it is answered.
    #[must_use]
    pub(crate) fn of_request(mut self, request: CountedRequest) -> Self {
        self.request = Some(request);
        self
    }

    /// Adds the number of events that the commit stores.
    #[must_use]
    pub(crate) fn expecting(mut self, events: usize) -> Self {
        if let Some(request) = &mut self.request {
            request.expect(events);
        }
        self
    }

    /// Marks the append as the committer's from here on.
    pub(crate) fn begin_commit(&mut self) {
        self.committing = true;
    }

    /// Says until when the sender waits.
    pub(crate) fn due(&self, due: Instant) {
        if let Some(completer) = &self.completer {
            completer.due(self.completion, due);
            completer.wake();
        }
    }

    /// Adds an idempotency key, which is settled with the outcome.
    #[must_use]
    pub(crate) fn with_dedup_entry(mut self, dedup_entry: DedupEntry) -> Self {
        self.dedup_entry = Some(Box::new(dedup_entry));
        self
    }

    /// Returns the key that the outcome settles.
    pub(crate) fn dedup_entry(&self) -> Option<&DedupEntry> {
        self.dedup_entry.as_deref()
    }

    /// Returns the row that makes its key durable, if it has one.
    #[must_use]
    pub fn row_of_key(&self, placed: &[Placed], quarantined: u32) -> Option<TableOp> {
        self.dedup_entry.as_ref().map(|dedup_entry| dedup_entry.row(placed, quarantined))
    }

    /// The caller answers for itself; only repeats that wait for the request are told of the refusal.
    pub(crate) fn refuse_repeats(mut self, error: &Error) {
        self.completer = None;
        self.finish_and_wake(Err(error.clone()));
    }

    /// Hands the outcome over; adds to `woken` whom to wake when the group is done.
    pub fn finish(mut self, outcome: Result<Receipt>, woken: &mut Vec<Arc<dyn Completer>>) {
        self.hand_over(outcome, woken);
    }

    fn hand_over(&mut self, mut outcome: Result<Receipt>, woken: &mut Vec<Arc<dyn Completer>>) {
        // Left before the sender can hear of it: whoever has an answer is no longer counted.
        self.in_flight = None;
        if let Some(dedup_entry) = self.dedup_entry.take() {
            let first = dedup_entry.accepted();
            for repeat in dedup_entry.settle(&outcome) {
                let repeated = outcome.clone().map(|receipt| Receipt { repeats: Some(first), ..receipt });
                repeat.finish(repeated, woken);
            }
        }
        if let Some(request) = self.request.take() {
            request.settle(&mut outcome);
        }
        if let Ok(receipt) = &mut outcome {
            receipt.responder = self.responder.take();
        }
        if let Some(completer) = self.completer.take() {
            completer.complete(self.completion, outcome);
            if !woken.iter().any(|known| Arc::ptr_eq(known, &completer)) {
                woken.push(completer);
            }
        }
    }

    /// Hands the outcome over and wakes at once.
    pub fn finish_and_wake(mut self, outcome: Result<Receipt>) {
        self.hand_over_and_wake(outcome);
    }

    fn hand_over_and_wake(&mut self, outcome: Result<Receipt>) {
        let mut woken = Vec::new();
        self.hand_over(outcome, &mut woken);
        for completer in &woken {
            completer.wake();
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.completer.is_some() || self.dedup_entry.is_some() {
            self.hand_over_and_wake(Err(match std::thread::panicking() && !self.committing {
                true => Error::new(ErrorKind::Internal, "internal error; details are in the server log"),
                false => Error::new(ErrorKind::Closed, "the engine closed before the commit"),
            }));
        }
    }
}

/// A run of records of one partition inside a batch's payload.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The stream, as it was when the batch was admitted; the committer checks that it still lives.
    pub stream: Arc<Stream>,
    /// The partition.
    pub partition: PartitionId,
    /// Number of records.
    pub records: u32,
    /// The records' place in the payload.
    pub range: Range<usize>,
    /// CRC32C of those bytes, computed by the worker so that the committer only copies them.
    pub crc: u32,
    /// The smallest and the largest of the records' times, noted by the worker so that the sealer need not look for
    /// them in memory that has gone cold.
    pub times: Times,
}

/// The durability of an acknowledged append where the configured level is less than a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// That of the level: what a crash takes is read, computed or sent again.
    OfLevel,
    /// Stable at every level: a stream that exists, and a segment whose file is removed next, must not come back.
    EveryLevel,
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
    /// The permit for the memory of the changes; the queue adds it where it is missing.
    pub held: Option<Hold>,
    /// The stream that this commit deletes. No record of it is in the same commit or a later one.
    pub deletes: Option<Arc<Stream>>,
    /// Which space of a journal file it may use.
    pub room: Room,
    /// It waits for room by itself, and stands in nobody's way meanwhile: what is smaller may fit still.
    pub yields: bool,
    /// How durable it is once it is acknowledged.
    pub stability: Stability,
    /// Bytes of the disk that it frees once it is committed.
    pub frees: u64,
    /// Events that were put on the stream of rejected ones.
    pub quarantined: u32,
    /// When the request was admitted; `None` for the engine's own changes, which are not counted as requests.
    pub admitted: Option<Instant>,
    /// The way back to whoever waits.
    pub reply: Reply,
}

impl Append {
    /// Returns a change of tables alone, which is stable at every level.
    #[must_use]
    pub fn control(ops: Vec<TableOp>, reply: Reply) -> Self {
        Self { ops, stability: Stability::EveryLevel, ..Self::empty(reply) }
    }

    /// Returns a request's records.
    #[must_use]
    pub fn records(batch: Encoded, reply: Reply, admitted: Instant) -> Self {
        Self { admitted: Some(admitted), ..Self::of_batch(Some(batch), reply) }
    }

    /// Returns a step of a stream processor: what it puts out, on any number of streams, and the changes of its position
    /// and its state. A step without output is a checkpoint. It is as durable as records are, and may use their room
    /// alone: after a crash it is computed again from the position that is there.
    #[must_use]
    pub fn step(batch: Option<Encoded>, ops: Vec<TableOp>, held: Hold, reply: Reply) -> Self {
        Self { ops, held: Some(held), yields: true, ..Self::of_batch(batch, reply) }
    }

    /// Returns a change of tables alone that is as durable as records are.
    #[must_use]
    pub fn rows(ops: Vec<TableOp>, held: Hold, reply: Reply) -> Self {
        Self { ops, held: Some(held), ..Self::empty(reply) }
    }

    fn of_batch(batch: Option<Encoded>, reply: Reply) -> Self {
        let Some(Encoded { chunks, payload, partitions: _ }) = batch else { return Self::empty(reply) };
        Self { chunks, payload: Some(payload), ..Self::empty(reply) }
    }

    fn empty(reply: Reply) -> Self {
        Self {
            chunks: Vec::new(),
            payload: None,
            ops: Vec::new(),
            held: None,
            deletes: None,
            room: Room::Records,
            yields: false,
            stability: Stability::OfLevel,
            frees: 0,
            quarantined: 0,
            admitted: None,
            reply,
        }
    }

    /// Returns bytes of table operations, the row of an idempotency key included.
    #[must_use]
    pub fn ops_bytes(&self) -> usize {
        let ops = self.ops.iter().map(TableOp::encoded_bytes).sum::<usize>();
        ops + self.reply.dedup_entry().map_or(0, |_| dedup_entry_bytes(self.chunks.len()))
    }

    /// Returns bytes that it takes in a frame: rows, operations and records.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.chunks.len() * FRAME_ROW_BYTES + self.ops_bytes() + self.payload_bytes()
    }

    /// Returns bytes of records.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, |payload| payload.bytes().len())
    }
}
