//! From an admitted request to a batch on its way to the committer.

use std::borrow::Cow;
use std::sync::Arc;

use super::request::{Job, Request, Shape};
use super::{Encoding, Event, InvalidEvent, Parsed, inflate, parse_drain};
use crate::admission::{Charge, Cost, Permit};
use crate::error::{Error, Result};
use crate::ids::Timestamp;
use crate::log::append::{Append, Reply};
use crate::log::commit_queue::CommitQueue;
use crate::log::dedup::{Begun, Dedup, Keep};
use crate::log::encode::{Destination, Encoded, Placement, encode};
use crate::stream::{Stream, StreamMaker};
use crate::telemetry::Counters;

/// Parses bodies into batches.
#[derive(Debug)]
pub struct Parser {
    /// Where batches go.
    pub commits: Arc<CommitQueue>,
    /// Requests that were seen before.
    pub dedup: Arc<Dedup>,
    /// Makes the streams of rejected events.
    pub streams: Arc<StreamMaker>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// The largest decompressed body.
    pub max_body_bytes: usize,
    /// The largest batch.
    pub max_batch_bytes: usize,
    /// The largest value of one record.
    pub max_record_bytes: usize,
}

/// A request that was refused, and is not answered yet.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub error: Error,
    /// Who waits.
    pub reply: Reply,
}

impl Parser {
    /// Parses a job and queues its batch; or answers it.
    pub fn process(&self, job: Job) {
        if let Err(refused) = self.accept(job) {
            self.counters.refused(refused.error.kind());
            refused.reply.finish_and_wake(Err(refused.error));
        }
    }

    /// Parses a job and queues its batch. A repeat of an earlier request is answered, or waits for it.
    ///
    /// # Errors
    /// What is wrong with the body, or `Saturated` when its records have no room.
    pub fn accept(&self, job: Job) -> std::result::Result<(), Box<Refused>> {
        match job.request.shape {
            Shape::Drain => self.drain(job),
            Shape::Publish | Shape::PublishBatch => self.publish(job),
        }
    }

    fn drain(&self, job: Job) -> std::result::Result<(), Box<Refused>> {
        let Job { request, stream, mut permit, reply, arrival, admitted } = job;
        let refused = |error, reply| Box::new(Refused { error, reply });
        let body = match self.body(&request, &mut permit) {
            Ok(body) => body,
            Err(error) => return Err(refused(error, reply)),
        };
        let reply = match request.key {
            None => reply,
            Some(key) => match self.dedup.begin(key, &body, Keep::Status, arrival, reply) {
                Ok(Begun::New(reply)) => reply,
                Ok(Begun::Repeat) => return Ok(()),
                Err(refused) => return Err(refused),
            },
        };
        match self.batch(&request, &body, &stream, permit, arrival) {
            Ok((batch, quarantined)) => {
                let append = Append::records(batch, reply, admitted);
                self.commits.push(Append { quarantined, ..append });
                Ok(())
            }
            Err(error) => Err(refused(error, reply)),
        }
    }

    pub(super) fn body<'a>(&self, request: &'a Request, permit: &mut Permit) -> Result<Cow<'a, [u8]>> {
        match request.encoding {
            Encoding::Identity => Ok(Cow::Borrowed(request.bytes())),
            Encoding::Gzip | Encoding::Deflate | Encoding::Zstd => {
                let body = inflate(request.bytes(), request.encoding, self.max_body_bytes, permit)?;
                self.counters.bytes_in.add(body.len() as u64);
                // The records are about as large again as the body, and are encoded before it is dropped.
                Ok(Cow::Owned(body))
            }
        }
    }

    /// The records of a body, and how many of its events were put on the stream of rejected ones.
    ///
    /// # Errors
    /// What is wrong with the body; `Saturated` when its records have no room, or a quota has none for it now;
    /// `PayloadTooLarge` when it can never have.
    pub fn batch(
        &self,
        request: &Request,
        body: &[u8],
        stream: &Arc<Stream>,
        permit: Permit,
        arrival: Timestamp,
    ) -> Result<(Encoded, u32)> {
        let mut parsed = Parsed::default();
        parse_drain(body, arrival, request.on_invalid, self.max_record_bytes, &mut parsed)?;
        request.check_keys(&parsed.events)?;
        let cost = Cost { events: (parsed.events.len() + parsed.invalid.len()) as u64, bytes: body.len() as u64 };
        let charge = Charge::take(request.account.as_deref(), stream.quota(), stream.name(), cost)?;
        let encoded = self.encoded(&parsed, stream, permit, arrival)?;
        charge.settle();
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
        self.counters.events_rejected.add(parsed.invalid.len() as u64);
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
