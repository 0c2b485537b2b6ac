//! The engine: wires the parts together, and is the whole of what callers see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::builtins::Builtins;
use super::report::{Report, StreamReport};
use super::start;
use super::start::Threads;
use crate::admission::{Budget, Cost, Permit, RateLimiter, Reservation};
use crate::clock::LogClock;
use crate::consumer::Groups;
use crate::error::{Error, ErrorKind, Result};
use crate::history::History;
use crate::ids::{CompletionId, Offset, PartitionId, Timestamp};
use crate::ingest::{BodyRules, EventList, IngestRoute, Job, JobQueue, MAX_EVENTS_PER_BODY, Parser, Request};
use crate::job::Jobs;
use crate::json;
use crate::load_test::LoadTest;
use crate::log::StreamAdmin;
use crate::log::commit::{
    Append, BATCH_OVERHEAD_BYTES, CommitQueue, Completer, CountedRequest, Destination, Encoded, Placement, Receipt,
    Reply, Waiter, encode,
};
use crate::log::read::{Limits, Reader, RecordBatch};
use crate::log::retention::Retention;
use crate::options::Options;
use crate::processor::Processors;
use crate::record::{Event, MAX_HEADER_BYTES, MAX_KEY_BYTES};
use crate::search::Searches;
use crate::status::{Mode, Status};
use crate::storage::{DirectoryLock, Storage};
use crate::stream::{Catalog, Stream, StreamDefinition};
use crate::telemetry::{Api, Counters, ErrorType};

/// A running log with everything around it. Dropping it closes it.
#[derive(Debug)]
pub struct Engine {
    pub(crate) options: Options,
    pub(crate) clock: Arc<LogClock>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) ring: Arc<Budget>,
    pub(crate) status: Arc<Status>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) history: Arc<History>,
    pub(crate) streams: Arc<StreamAdmin>,
    pub(crate) builtins: Arc<Builtins>,
    pub(crate) commits: Arc<CommitQueue>,
    pub(crate) jobs: Arc<JobQueue>,
    pub(crate) parser: Arc<Parser>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) retention: Arc<Retention>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) durable_jobs: Arc<Jobs>,
    pub(crate) processors: Arc<Processors>,
    pub(crate) searches: Searches,
    pub(crate) threads: Threads,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) accepting: AtomicBool,
    pub(crate) scaling: Mutex<()>,
    pub(crate) load_test: LoadTest,
    pub(crate) lock: Mutex<Option<Box<dyn DirectoryLock>>>,
}

/// A record that a program appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Decides the partition; `None` for the next one in turn.
    pub key: Option<Vec<u8>>,
    /// JSON.
    pub value: Vec<u8>,
    /// A JSON object of strings, or empty.
    pub headers: Vec<u8>,
    /// The record's time; `None` for now.
    pub timestamp: Option<Timestamp>,
}

/// Where a program's records went.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The append's result.
    pub receipt: Receipt,
    /// Partition and offset of each record, in the order given.
    pub places: Vec<(PartitionId, Offset)>,
}

impl Engine {
    /// Opens a data directory, recovers it, and starts.
    ///
    /// # Errors
    /// `DirectoryLocked` when another process has it, `InvalidRequest` for an option out of range,
    /// `StorageUnavailable` when the directory cannot be used at all. Damaged data is not an error: see
    /// [`Engine::report`].
    pub fn open(storage: Arc<dyn Storage>, options: Options) -> Result<Self> {
        let engine = start::open(storage, options.validated()?)?;
        // Made before the definitions are followed: streams that are made now have the options' own.
        let made = engine.builtins.make();
        // When it cannot be stored now, because the disk is full, the next start follows.
        let _later = engine.follow_options();
        if made.is_err() && !matches!(engine.status.mode(), Mode::ReadOnly | Mode::Poisoned | Mode::Closed) {
            engine.threads.keep_making(&engine.builtins, &engine.status).map_err(start::no_thread)?;
        }
        engine.threads.begin();
        engine.processors.begin()?;
        Ok(engine)
    }

    /// The built-in streams take from the options what can be changed later.
    fn follow_options(&self) -> Result<()> {
        for chosen in self.builtins.definitions() {
            let Ok(stream) = self.catalog.named(&chosen.name) else { continue };
            let is = stream.definition();
            let StreamDefinition { retention_ms, retention_bytes, max_record_bytes, .. } = *chosen;
            let wanted = StreamDefinition { retention_ms, retention_bytes, max_record_bytes, ..is.clone() };
            // A shorter retention is how a full disk is given room.
            if wanted != is && self.status.refuse_change().is_ok() {
                self.streams.redefine(&stream, &wanted)?;
            }
        }
        Ok(())
    }

    /// The stream that a request's events go to.
    fn destination(&self, route: &IngestRoute, named: Option<&str>) -> Result<Arc<Stream>> {
        if let Some(name) = route.stream {
            return self.builtins.get(name);
        }
        let stream = self.catalog.named(named.unwrap_or_default())?;
        if stream.is_engine_made() {
            let name = stream.name();
            let route = IngestRoute::of_stream(name);
            let way = route.map(|row| format!("; send to {} {}", row.method, row.path)).unwrap_or_default();
            let detail = format!("stream {name:?} is the engine's own and cannot be published to{way}");
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        Ok(stream)
    }

    /// Takes in a request. The outcome goes to `completer` under `completion`, unless this call fails.
    ///
    /// # Errors
    /// A refusal that is known at once: `Saturated`, `PayloadTooLarge`, `StorageUnavailable`, `Closed`, or what is
    /// wrong with a body that is parsed here because it is small.
    pub fn submit(&self, request: Request, completer: Arc<dyn Completer>, completion: CompletionId) -> Result<()> {
        let api = request.api();
        let to = (request.route, request.stream.as_deref());
        let admitted = self.admit(to, request.limiter.as_ref(), request.bytes().len());
        // A request counts as one event as long as its body is not read.
        let events = request.intended.map_or(1, |intended| intended.events);
        let (stream, permit) = admitted.inspect_err(|error| {
            self.counters.refused(api, error.kind());
            if api.is_live() {
                self.counters.live.failed(ErrorType::of(error.kind()), events);
            }
        })?;
        let inline = request.is_inline(self.options.inline_body_bytes);
        let (arrival, admitted) =
            (self.clock.wall(), request.intended.map_or_else(Instant::now, |intended| intended.due));
        let mut counted = CountedRequest::new(Arc::clone(&self.counters), api);
        if api.is_live() {
            counted = counted.live(admitted, events);
        }
        let reply = Reply::new(completer, completion).of_request(counted).queued(self.counters.live.in_flight());
        let job = Job { request, stream, permit, reply, arrival, admitted };
        if !inline {
            self.jobs.push(job);
            return Ok(());
        }
        self.parser.accept(job).map_err(|refused| {
            refused.reply.refuse_repeats(&refused.error);
            refused.error
        })
    }

    /// Takes in a request and waits for the commit.
    ///
    /// # Errors
    /// Fails as [`Engine::submit`] does, and as the commit did.
    pub fn ingest(&self, request: Request) -> Result<Receipt> {
        let waiter = Arc::new(Waiter::default());
        self.submit(request, waiter.clone(), CompletionId(0))?;
        waiter.wait()
    }

    fn admit(
        &self,
        (route, named): (&IngestRoute, Option<&str>),
        limiter: Option<&Arc<RateLimiter>>,
        bytes: usize,
    ) -> Result<(Arc<Stream>, Permit)> {
        let limit = route.body_limit(self.options.max_body_bytes);
        if bytes > limit {
            let detail = format!("the body has {bytes} bytes, more than the limit of {limit}");
            return Err(Error::new(ErrorKind::PayloadTooLarge, detail));
        }
        let stream = self.destination(route, named)?;
        // The body, and about as much again for its records, until the body is parsed and dropped.
        let permit = self.reserve(&stream, limiter, 2 * bytes + BATCH_OVERHEAD_BYTES)?;
        Ok((stream, permit))
    }

    /// Refuses what would only begin now, once the engine closes.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.accepting.load(Ordering::Acquire) { Ok(()) } else { Err(closed()) }
    }

    /// Refuses what is to be stored, when nothing can be.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        self.status.refuse_write()
    }

    fn reserve(&self, stream: &Stream, limiter: Option<&Arc<RateLimiter>>, bytes: usize) -> Result<Permit> {
        self.check_writable()?;
        if bytes as u64 > stream.share().limit() {
            let limit = stream.share().limit();
            let detail = format!("the request needs {bytes} bytes of memory, more than the {limit} of its stream");
            return Err(Error::new(ErrorKind::PayloadTooLarge, detail));
        }
        let reserved = Permit::reserve(&self.ring, stream.share(), limiter, bytes as u64);
        reserved.map_err(|saturated| match self.status.sealer_stuck() {
            Some(why) => Error::new(ErrorKind::StorageUnavailable, why),
            None => saturated,
        })
    }

    /// Appends records to a stream, atomically, and waits for the commit. Without `partition`, a record's key decides,
    /// and all records without a key go to the next partition in turn. Records of a built-in stream must be of its
    /// shape, which then gives key and time.
    ///
    /// # Errors
    /// `StreamNotFound`; `Malformed` naming the record; `PayloadTooLarge`; and as [`Engine::submit`].
    pub fn append(&self, stream: &str, records: &[NewRecord], partition: Option<PartitionId>) -> Result<Appended> {
        if records.is_empty() {
            return Err(Error::new(ErrorKind::Malformed, "records: must not be empty"));
        }
        let batch = self
            .batch(stream, records, partition)
            .inspect_err(|error| self.counters.refused(Api::Library, error.kind()))?;
        let partitions = batch.partitions.clone();
        let (waiter, reply) = Waiter::pair();
        let counted = CountedRequest::new(Arc::clone(&self.counters), Api::Library);
        let reply = reply.of_request(counted).queued(self.counters.live.in_flight());
        self.commits.push(Append::records(batch, reply, Instant::now()));
        let receipt = waiter.wait()?;
        let places = receipt.places(&partitions);
        Ok(Appended { receipt, places })
    }

    fn batch(&self, stream: &str, records: &[NewRecord], partition: Option<PartitionId>) -> Result<Encoded> {
        let Some((route, list)) = IngestRoute::of_list(stream) else {
            return self.encode(&self.catalog.named(stream)?, records, partition);
        };
        let body = list_body(list, stream, records)?;
        let (stream, permit) = self.admit((route, None), None, body.len())?;
        self.counters.bytes_in.add(Api::Library, body.len() as u64);
        let request = Request::new(route, Box::new(Vec::new()));
        let arrival = self.clock.wall();
        // A program's batch may be larger than a request's.
        let rules = BodyRules { max_events: MAX_EVENTS_PER_BODY, ..self.parser.rules(&request, &stream, arrival) };
        let parsed = (list.read)(&body, &rules)?;
        Ok(self.parser.packed(&request, &body, &stream, permit, arrival, &parsed)?.0)
    }

    fn encode(&self, stream: &Arc<Stream>, records: &[NewRecord], partition: Option<PartitionId>) -> Result<Encoded> {
        if let Some(partition) = partition.filter(|partition| stream.partition(*partition).is_none()) {
            let detail = format!("stream {:?} has no partition {partition}", stream.name());
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        let limit = stream.definition().max_record_bytes;
        let arrival = self.clock.wall();
        let events: Vec<Event<'_>> = records
            .iter()
            .zip(0..)
            .map(|(record, index)| event(record, index, limit, arrival))
            .collect::<Result<_>>()?;
        let bytes: usize = events.iter().map(crate::record::encoded_bytes).sum();
        let cost = Cost { events: events.len() as u64, bytes: bytes as u64 };
        self.counters.bytes_in.add(Api::Library, cost.bytes);
        let reservation = Reservation::acquire(None, stream.quota(), stream.name(), cost)
            .inspect_err(|error| self.counters.quota_refused(error))?;
        let permit = self.reserve(stream, None, bytes + BATCH_OVERHEAD_BYTES)?;
        let placement = partition.map_or(Placement::ByKey, Placement::One);
        let destination = Destination { stream, placement, events: &events };
        let encoded = encode(&[destination], self.options.max_batch_bytes(), permit)?;
        reservation.confirm();
        Ok(encoded)
    }

    /// Reads records of one partition from `offset` on.
    ///
    /// # Errors
    /// `StreamNotFound`, `InvalidRequest` for a partition that is not there, `InvalidOffset` naming the valid range.
    pub fn fetch(&self, stream: &str, partition: PartitionId, offset: Offset, limits: Limits) -> Result<RecordBatch> {
        let stream = self.catalog.named(stream)?;
        self.reader.fetch(&stream, partition, offset, limits)
    }

    /// Finds where a time begins: per partition, or of one of them, the offset of the first record whose time is `time`
    /// or later, or the end.
    ///
    /// # Errors
    /// `StreamNotFound`, `InvalidRequest` for a partition that is not there, `StorageUnavailable` when a segment cannot
    /// be read now.
    pub fn seek(
        &self,
        stream: &str,
        partition: Option<PartitionId>,
        time: Timestamp,
    ) -> Result<Vec<(PartitionId, Offset)>> {
        let stream = self.catalog.named(stream)?;
        let all = (0..stream.partitions().len() as u32).map(PartitionId);
        let chosen: Vec<_> = partition.map_or_else(|| all.collect(), |partition| vec![partition]);
        chosen.into_iter().map(|partition| Ok((partition, self.reader.seek(&stream, partition, time)?))).collect()
    }

    /// Returns the consumer groups.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Returns the durable jobs.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.durable_jobs
    }

    /// Returns the stream processors.
    #[must_use]
    pub fn processors(&self) -> &Arc<Processors> {
        &self.processors
    }

    /// Returns every stream, by name.
    #[must_use]
    pub fn stream_reports(&self) -> Vec<StreamReport> {
        self.catalog.all().iter().map(|stream| StreamReport::of(stream, &self.options)).collect()
    }

    /// Returns one stream.
    ///
    /// # Errors
    /// `StreamNotFound`.
    pub fn stream_report(&self, name: &str) -> Result<StreamReport> {
        self.catalog.named(name).map(|stream| StreamReport::of(&stream, &self.options))
    }

    /// Returns the engine's state.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::of(self)
    }

    /// Returns the engine's counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns the options as they are in force.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Stops accepting, finishes and commits what was admitted, ends the journal, and gives the directory free. Later
    /// calls do nothing.
    pub fn close(&self) {
        self.accepting.store(false, Ordering::Release);
        self.load_test.stop();
        self.searches.close();
        self.end_watches();
        // Held to the end: whoever else closes waits, and nobody gives the directory free before the last commit.
        let mut lock = self.lock.lock();
        self.threads.stop(self);
        *lock = None;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

/// Returns the refusal of an engine that closes.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the server is shutting down")
}

/// In-process records of a built-in stream, as a body of its own API: one format, one parser.
fn list_body(list: EventList, stream: &str, records: &[NewRecord]) -> Result<Vec<u8>> {
    let (head, tail) = list.frame;
    let mut body = head.to_vec();
    for (index, record) in records.iter().enumerate() {
        if record.key.is_some() || record.timestamp.is_some() || !record.headers.is_empty() {
            let detail = format!("records[{index}]: stream {stream:?} takes key and timestamp from the event itself");
            return Err(Error::new(ErrorKind::Malformed, detail));
        }
        // Each value is checked alone: two halves of an event must not become one by being put side by side.
        json::validate(&record.value)
            .map_err(|error| Error::new(ErrorKind::Malformed, format!("records[{index}]: {error}")))?;
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&record.value);
    }
    body.extend_from_slice(tail);
    Ok(body)
}

fn event(record: &NewRecord, index: usize, max_value: u64, arrival: Timestamp) -> Result<Event<'_>> {
    let malformed = |what: String| Error::new(ErrorKind::Malformed, format!("records[{index}].{what}"));
    json::validate(&record.value).map_err(|error| malformed(format!("value: {error}")))?;
    if record.value.len() as u64 > max_value {
        let detail = format!("records[{index}].value: {} bytes, more than {max_value}", record.value.len());
        return Err(Error::new(ErrorKind::PayloadTooLarge, detail));
    }
    if !record.headers.is_empty() {
        json::validate(&record.headers).map_err(|error| malformed(format!("headers: {error}")))?;
    }
    if record.headers.len() > MAX_HEADER_BYTES {
        return Err(malformed(format!("headers: longer than {MAX_HEADER_BYTES} bytes")));
    }
    if record.key.as_ref().is_some_and(|key| key.len() > MAX_KEY_BYTES) {
        return Err(malformed(format!("key: longer than {MAX_KEY_BYTES} bytes")));
    }
    Ok(Event {
        value: (&record.value[..]).into(),
        key: record.key.as_deref().map(Into::into),
        headers: (&record.headers[..]).into(),
        timestamp: record.timestamp.unwrap_or(arrival),
    })
}
