//! From an admitted request to a batch on its way to the committer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::drain::parse_drain;
use super::events::{IdSource, MAX_BATCH_EVENTS, Rules, parse_event_batch};
use super::inflate;
use super::inflate::Encoding;
use super::parsed::{InvalidEvent, OnInvalid, Parsed};
use super::plan::ResponsePlan;
use super::quarantine::QuarantinePlan;
use super::request::{Job, PayloadFormat, Request};
use super::track::{parse_track, parse_track_batch};
use crate::admission::{Cost, Permit, RateLimiter, Reservation};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Timestamp;
use crate::log::StreamAdmin;
use crate::log::commit::Refused;
use crate::log::commit::{Append, CommitQueue, Destination, Encoded, Placement, Reply, encode};
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
    /// What is counted.
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
    /// What is stored.
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
    /// The same, to measure with.
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
    /// What is wrong with the body, or `Saturated` when its records have no room.
    pub(crate) fn accept(&self, job: Job) -> std::result::Result<(), Box<Refused>> {
        match job.request.shape {
            PayloadFormat::Drain | PayloadFormat::Track | PayloadFormat::TrackBatch => self.whole(job),
            PayloadFormat::Event | PayloadFormat::EventBatch => self.events(job),
            PayloadFormat::Publish | PayloadFormat::PublishBatch => self.publish(job),
        }
    }

    /// Of a shape whose requests are stored whole or not at all.
    fn whole(&self, job: Job) -> std::result::Result<(), Box<Refused>> {
        let Job { request, stream, mut permit, reply, arrival, admitted } = job;
        let refused = |error, reply| Box::new(Refused { error, reply });
        let body = match self.body(&request, &mut permit) {
            Ok(body) => body,
            Err(error) => return Err(refused(error, reply)),
        };
        let rules = (arrival, MAX_BATCH_EVENTS);
        // What is put aside is in the answer, a repeat's too, and is read from the body again; no other repeat is parsed.
        let early = match request.on_invalid {
            OnInvalid::Refuse => None,
            OnInvalid::Quarantine => match self.parsed(&request, &body, rules) {
                Ok(parsed) => Some(parsed),
                Err(error) => return Err(refused(error, reply)),
            },
        };
        let reply = reply.with_plan(early.as_ref().map_or(ResponsePlan::Accepted, |parsed| {
            ResponsePlan::Quarantined(Box::new(QuarantinePlan::new(parsed, request.shape == PayloadFormat::Track)))
        }));
        let reply = match request.key {
            None => reply,
            Some(key) => {
                let claim = DedupKey::new(key, CachedReply::Status, &stream, arrival, request.limiter.as_ref());
                match self.dedup.begin(claim, &body, reply) {
                    Ok(DedupOutcome::New(reply)) => reply,
                    Ok(DedupOutcome::Repeat) => return Ok(()),
                    Err(refused) => return Err(refused),
                }
            }
        };
        let parsed = early.map_or_else(|| self.parsed(&request, &body, rules), Ok);
        match parsed.and_then(|parsed| self.packed(&request, &body, &stream, permit, arrival, &parsed)) {
            Ok((batch, quarantined)) => {
                let append = Append::records(batch, reply, admitted);
                self.commits.push(Append { quarantined, ..append });
                Ok(())
            }
            Err(error) => Err(refused(error, reply)),
        }
    }

    pub(super) fn body<'a>(&self, request: &'a Request, permit: &mut Permit) -> Result<Cow<'a, [u8]>> {
        let body = match request.encoding {
            Encoding::Identity => Cow::Borrowed(request.bytes()),
            // The records are about as large again as the body, and are encoded before it is dropped.
            Encoding::Gzip | Encoding::Deflate | Encoding::Zstd => {
                Cow::Owned(inflate(request.bytes(), request.encoding, self.max_body_bytes, permit)?)
            }
        };
        self.counters.bytes_in.add(request.api(), body.len() as u64);
        Ok(body)
    }

    /// Stores what a request's own parser accepted. A repeat of an earlier request is answered, or waits for it.
    ///
    /// # Errors
    /// `Saturated` when its records have no room, or a quota has none for it now; `PayloadTooLarge` when it can never
    /// have; `IdempotencyMismatch`.
    pub(super) fn store(
        &self,
        parcel: ParsedRequest<'_, '_>,
        permit: Permit,
        reply: Reply,
    ) -> std::result::Result<(), Box<Refused>> {
        let ParsedRequest { stream, body, events, placement, .. } = parcel;
        let reply = match parcel.key {
            None => reply,
            Some((key, keep)) => {
                let claim = DedupKey::new(key, keep, stream, parcel.arrival, parcel.limiter);
                match self.dedup.begin(claim, body, reply) {
                    Ok(DedupOutcome::New(reply)) => reply,
                    Ok(DedupOutcome::Repeat) => return Ok(()),
                    Err(refused) => return Err(refused),
                }
            }
        };
        let refused = |error, reply| Box::new(Refused { error, reply });
        let cost = Cost { events: (events.len() + parcel.refused_events) as u64, bytes: body.len() as u64 };
        let reservation =
            match Reservation::acquire(parcel.limiter.map(|limiter| &**limiter), stream.quota(), stream.name(), cost) {
                Ok(reservation) => reservation,
                Err(error) => {
                    self.counters.quota_refused(&error);
                    return Err(refused(error, reply));
                }
            };
        match encode(&[Destination { stream, placement, events }], self.max_batch_bytes, permit) {
            Ok(batch) => {
                reservation.confirm();
                self.count_refused(parcel.api, parcel.refused_events);
                // Only now: nothing after this gives the completion back before the outcome is there.
                parcel.timeout.into_iter().for_each(|timeout| reply.due(parcel.admitted + timeout));
                self.commits.push(Append::records(batch, reply, parcel.admitted));
                Ok(())
            }
            Err(error) => Err(refused(error, reply)),
        }
    }

    /// Counts events that were refused one by one.
    pub(super) fn count_refused(&self, api: Api, events: usize) {
        self.counters.events_rejected.add(api, events as u64);
        if matches!(api, Api::Events | Api::LoadTest) {
            self.counters.live.failed(ErrorType::Validation, events as u64);
        }
    }

    /// The records of a body, and how many of its events were put on the stream of rejected ones. A body that is an
    /// array holds at most `most` of them.
    ///
    /// # Errors
    /// What is wrong with the body; `Saturated` when its records have no room, or a quota has none for it now;
    /// `PayloadTooLarge` when it can never have.
    pub(crate) fn batch(
        &self,
        request: &Request,
        body: &[u8],
        stream: &Arc<Stream>,
        permit: Permit,
        rules: (Timestamp, usize),
    ) -> Result<(Encoded, u32)> {
        let parsed = self.parsed(request, body, rules)?;
        self.packed(request, body, stream, permit, rules.0, &parsed)
    }

    fn parsed<'b>(&self, request: &Request, body: &'b [u8], (arrival, most): (Timestamp, usize)) -> Result<Parsed<'b>> {
        let mut parsed = Parsed::default();
        let (on_invalid, limit) = (request.on_invalid, self.max_record_bytes);
        match request.shape {
            PayloadFormat::Drain => parse_drain(body, arrival, on_invalid, limit, &mut parsed)?,
            PayloadFormat::Track => parse_track(body, arrival, on_invalid, limit, &mut parsed)?,
            PayloadFormat::TrackBatch => parse_track_batch(body, arrival, on_invalid, (most, limit), &mut parsed)?,
            PayloadFormat::EventBatch => {
                let rules = Rules { arrival, series: self.ids.series(request.key, body), max_value_bytes: limit };
                parse_event_batch(body, &rules, on_invalid, most, &mut parsed)?;
            }
            PayloadFormat::Publish | PayloadFormat::PublishBatch | PayloadFormat::Event => {
                let detail = format!("a request of shape {:?} has no records of its own", request.shape);
                return Err(Error::new(ErrorKind::Internal, detail));
            }
        }
        Ok(parsed)
    }

    /// As [`Parser::batch`], of a body that was read.
    fn packed(
        &self,
        request: &Request,
        body: &[u8],
        stream: &Arc<Stream>,
        permit: Permit,
        arrival: Timestamp,
        parsed: &Parsed<'_>,
    ) -> Result<(Encoded, u32)> {
        request.check_keys(parsed)?;
        let cost = Cost { events: (parsed.events.len() + parsed.invalid.len()) as u64, bytes: body.len() as u64 };
        let reservation = Reservation::acquire(request.limiter.as_deref(), stream.quota(), stream.name(), cost)
            .inspect_err(|error| self.counters.quota_refused(error))?;
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
