//! From an admitted request to a batch on its way to the committer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::formats::BodyRules;
use super::formats::events::IdSource;
use super::inflate;
use super::inflate::Encoding;
use super::parsed::{InvalidEvent, Parsed};
use super::request::{Job, Request};
use crate::admission::{Cost, Permit, RateLimiter, Reservation};
use crate::error::Result;
use crate::ids::Timestamp;
use crate::log::StreamAdmin;
use crate::log::commit::{
    Append, CommitQueue, Destination, Encoded, Level, Placement, Receipt, Refused, Reply, encode,
};
use crate::log::dedup::{CachedReply, Dedup, DedupKey, DedupOutcome, Key};
use crate::record::Event;
use crate::stream::Stream;
use crate::telemetry::{Api, Counters, ErrorType};

/// Parses bodies into batches.
#[derive(Debug)]
pub(crate) struct Parser {
    /// Where batches go.
    pub commits: Arc<CommitQueue>,
    /// Requests that were seen before.
    pub dedup: Arc<Dedup>,
    /// Makes the streams of rejected events.
    pub streams: Arc<StreamAdmin>,
    /// The counters of requests and events.
    pub counters: Arc<Counters>,
    /// Names events that come without an id.
    pub ids: IdSource,
    /// The largest decompressed body.
    pub max_body_bytes: usize,
    /// The largest batch.
    pub max_batch_bytes: usize,
    /// The largest value of one record.
    pub max_record_bytes: usize,
}

/// A request that its own parser has read.
#[derive(Debug)]
pub(super) struct ParsedRequest<'p, 'e> {
    /// Makes a repeat harmless, and what of the receipt its answer is made from.
    pub key: Option<(Key, CachedReply)>,
    /// Whom it is charged to.
    pub limiter: Option<&'p Arc<RateLimiter>>,
    /// Where its records go.
    pub stream: &'p Arc<Stream>,
    /// Its body, decompressed.
    pub body: &'p [u8],
    /// The events to store.
    pub events: &'p [Event<'e>],
    /// How many events are not, which are charged as well, and counted unless the request is a repeat.
    pub refused_events: usize,
    /// How it came in.
    pub api: Api,
    /// Where in the stream.
    pub placement: Placement<'p>,
    /// How long the sender waits for the commit.
    pub timeout: Option<Duration>,
    /// When it came in.
    pub arrival: Timestamp,
    /// Monotonic time of admission.
    pub admitted: Instant,
}

impl Parser {
    /// Parses a job and queues its batch; or answers it.
    pub(crate) fn process(&self, job: Job) {
        if let Err(refused) = self.accept(job) {
            refused.reply.finish_and_wake(Err(refused.error));
        }
    }

    /// Parses a job and queues its batch. A repeat of an earlier request is answered, or waits for it.
    ///
    /// # Errors
    /// The body's error, or `Saturated` when its records have no room.
    pub(crate) fn accept(&self, job: Job) -> std::result::Result<(), Box<Refused>> {
        job.request.route.format.accept(self, job)
    }

    /// Makes the rules that a request's body is checked against.
    pub(crate) fn rules(&self, request: &Request, stream: &Stream, arrival: Timestamp) -> BodyRules<'_> {
        // A stream that one API fills has the options' limit, whatever an older definition says.
        let max_record_bytes = match request.route.stream {
            Some(_) => self.max_record_bytes,
            None => usize::try_from(stream.definition().max_record_bytes).unwrap_or(usize::MAX),
        };
        BodyRules {
            arrival,
            on_invalid: request.on_invalid,
            max_events: request.route.max_events,
            max_record_bytes,
            ids: &self.ids,
            key: request.key,
        }
    }

    /// The request's body, decompressed.
    ///
    /// # Errors
    /// `PayloadTooLarge`, `Saturated`, or `Malformed` when it is not of its encoding.
    pub(super) fn body<'a>(&self, request: &'a Request, permit: &mut Permit) -> Result<Cow<'a, [u8]>> {
        let limit = request.route.body_limit(self.max_body_bytes);
        let body = match request.encoding {
            Encoding::Identity => Cow::Borrowed(request.bytes()),
            // The records are about as large again as the body, and are encoded before it is dropped.
            Encoding::Gzip | Encoding::Deflate | Encoding::Zstd => {
                Cow::Owned(inflate(request.bytes(), request.encoding, limit, permit)?)
            }
        };
        self.counters.bytes_in.add(request.api(), body.len() as u64);
        Ok(body)
    }

    /// Returns the reply of a request; `None` when it repeats an earlier one, which answers it too.
    ///
    /// # Errors
    /// `IdempotencyMismatch`; `Saturated` when as many keys are under way as may be.
    pub(super) fn unless_repeated(
        &self,
        key: Option<DedupKey>,
        body: &[u8],
        reply: Reply,
    ) -> std::result::Result<Option<Reply>, Box<Refused>> {
        let Some(key) = key else { return Ok(Some(reply)) };
        match self.dedup.begin(key, body, reply)? {
            DedupOutcome::New(reply) => Ok(Some(reply)),
            DedupOutcome::Repeat => Ok(None),
        }
    }

    /// Stores what a request's own parser accepted. A repeat of an earlier request is answered, or waits for it.
    ///
    /// # Errors
    /// `Saturated` when its records have no room, or a quota has none for it now; `PayloadTooLarge` when it can never
    /// have; `IdempotencyMismatch`.
    pub(super) fn store(
        &self,
        parsed_request: ParsedRequest<'_, '_>,
        permit: Permit,
        reply: Reply,
    ) -> std::result::Result<(), Box<Refused>> {
        let ParsedRequest { stream, body, events, placement, .. } = parsed_request;
        let (arrival, limiter) = (parsed_request.arrival, parsed_request.limiter);
        let key = parsed_request.key.map(|(key, keep)| DedupKey::new(key, keep, stream, arrival, limiter));
        let Some(reply) = self.unless_repeated(key, body, reply)? else { return Ok(()) };
        let count = events.len() + parsed_request.refused_events;
        let reservation = match self.reserve(limiter.map(|limiter| &**limiter), stream, count, body) {
            Ok(reservation) => reservation,
            Err(error) => return Err(Refused::new(error, reply)),
        };
        match encode(&[Destination { stream, placement, events }], self.max_batch_bytes, permit) {
            Ok(batch) => {
                reservation.confirm();
                self.count_refused(parsed_request.api, parsed_request.refused_events);
                // Only now: nothing after this gives the completion back before the outcome is there.
                parsed_request.timeout.into_iter().for_each(|timeout| reply.due(parsed_request.admitted + timeout));
                self.commits.push(Append::records(batch, reply, parsed_request.admitted));
                Ok(())
            }
            Err(error) => Err(Refused::new(error, reply)),
        }
    }

    /// Charges a body with `events` events to whoever sends it and to its stream, or to neither.
    ///
    /// # Errors
    /// `Saturated` when a quota has no room for it now; `PayloadTooLarge` when it can never have.
    fn reserve<'a>(
        &self,
        limiter: Option<&'a RateLimiter>,
        stream: &'a Stream,
        events: usize,
        body: &[u8],
    ) -> Result<Reservation<'a>> {
        let cost = Cost { events: events as u64, bytes: body.len() as u64 };
        Reservation::acquire(limiter, stream.quota(), stream.name(), cost)
            .inspect_err(|error| self.counters.quota_refused(error))
    }

    /// Answers a request none of whose events is valid; `refused_events` of them are counted.
    pub(super) fn none_stored(&self, api: Api, refused_events: usize, reply: Reply) {
        self.count_refused(api, refused_events);
        // Nothing is promised, so the weakest level says it.
        reply.finish_and_wake(Ok(Receipt::new(Level::memory(), Vec::new(), 0)));
    }

    /// Counts events that were refused one by one.
    fn count_refused(&self, api: Api, events: usize) {
        self.counters.events_rejected.add(api, events as u64);
        if api.is_live() {
            self.counters.live.failed(ErrorType::Validation, events as u64);
        }
    }

    /// The records of a body, and how many of its events are put on the stream of rejected ones.
    ///
    /// # Errors
    /// `Saturated` when they have no room, or a quota has none for it now; `PayloadTooLarge` when it can never have;
    /// `Forbidden` for an event of a project that is not the token's.
    pub(crate) fn packed(
        &self,
        request: &Request,
        body: &[u8],
        stream: &Arc<Stream>,
        permit: Permit,
        arrival: Timestamp,
        parsed: &Parsed<'_>,
    ) -> Result<(Encoded, u32)> {
        request.check_keys(parsed)?;
        let count = parsed.events.len() + parsed.invalid.len();
        let reservation = self.reserve(request.limiter.as_deref(), stream, count, body)?;
        let encoded = self.encoded(parsed, stream, permit, arrival)?;
        reservation.confirm();
        self.counters.events_rejected.add(request.api(), parsed.invalid.len() as u64);
        Ok(encoded)
    }

    fn encoded(
        &self,
        parsed: &Parsed<'_>,
        stream: &Arc<Stream>,
        permit: Permit,
        arrival: Timestamp,
    ) -> Result<(Encoded, u32)> {
        let good = Destination { stream, placement: Placement::ByKey, events: &parsed.events };
        if parsed.invalid.is_empty() {
            return Ok((encode(&[good], self.max_batch_bytes, permit)?, 0));
        }
        let rejected = self.streams.rejected(stream)?;
        let events: Vec<_> = parsed.invalid.iter().map(|invalid| rejection(invalid, arrival)).collect();
        let bad = Destination { stream: &rejected, placement: Placement::ByKey, events: &events };
        let quarantined = u32::try_from(events.len()).unwrap_or(u32::MAX);
        Ok((encode(&[good, bad], self.max_batch_bytes, permit)?, quarantined))
    }
}

/// The record of a rejected event: its index in the request, why, and the event as sent.
fn rejection(invalid: &InvalidEvent<'_>, arrival: Timestamp) -> Event<'static> {
    let mut value = format!("{{\"index\":{},\"reason\":", invalid.index).into_bytes();
    // Writing JSON of a string into memory cannot fail.
    let _infallible = serde_json::to_writer(&mut value, &invalid.reason);
    value.extend_from_slice(b",\"event\":");
    value.extend_from_slice(invalid.span);
    value.push(b'}');
    Event { value: Cow::Owned(value), key: None, headers: Cow::Borrowed(b""), timestamp: arrival }
}
