//! From a publication to a batch on its way to the committer.

use xxhash_rust::xxh3::xxh3_64;

use super::{Outline, Publication, Rules, parse_batch, parse_single};
use crate::admission::{Charge, Cost};
use crate::error::Result;
use crate::ids::{PartitionId, Timestamp};
use crate::ingest::parser::{Parser, Refused};
use crate::ingest::request::{Job, Shape};
use crate::log::append::{Append, Level, Receipt};
use crate::log::dedup::{Begun, Keep, Key};
use crate::log::encode::{Destination, Placement, encode};
use crate::stream::Stream;

impl Parser {
    /// Parses a publication and queues its batch. A repeat of an earlier one is answered, or waits for it.
    ///
    /// # Errors
    /// What is wrong with the body, or with the one event, or `Saturated` when its records have no room.
    pub(crate) fn publish(&self, job: Job) -> std::result::Result<(), Box<Refused>> {
        let Job { request, stream, mut permit, reply, arrival, admitted } = job;
        let refused = |error, reply| Box::new(Refused { error, reply });
        let body = match self.body(&request, &mut permit) {
            Ok(body) => body,
            Err(error) => return Err(refused(error, reply)),
        };
        // Not the stream's name alone: a stream of the same name that comes later is another one.
        let key = request.key.map(|key| key.for_stream(stream.id()));
        let (publication, outline) = match outlined(&body, request.shape, &stream, arrival, key) {
            Ok(parsed) => parsed,
            Err(error) => return Err(refused(error, reply)),
        };
        self.counters.events_rejected.add(publication.failures.len() as u64);
        let partitions = outline.partitions.clone();
        let reply = reply.outlined(outline);
        if publication.events.is_empty() {
            // Nothing is promised, so the weakest level says it.
            reply.finish_and_wake(Ok(Receipt::new(Level::memory(), Vec::new(), 0)));
            return Ok(());
        }
        let reply = match key {
            None => reply,
            Some(key) => match self.dedup.begin(key, &body, Keep::Places, arrival, reply) {
                Ok(Begun::New(reply)) => reply,
                Ok(Begun::Repeat) => return Ok(()),
                Err(refused) => return Err(refused),
            },
        };
        let events = publication.events.len() + publication.failures.len();
        let cost = Cost { events: events as u64, bytes: body.len() as u64 };
        let charge = match Charge::take(request.account.as_deref(), stream.quota(), stream.name(), cost) {
            Ok(charge) => charge,
            Err(error) => return Err(refused(error, reply)),
        };
        let placement = Placement::Each(&partitions);
        let destination = Destination { stream: &stream, placement, events: &publication.events };
        match encode(&[destination], self.max_batch_bytes, permit) {
            Ok(batch) => {
                charge.settle();
                // Only now: nothing after this gives the ticket back before the outcome is there.
                publication.timeout.into_iter().for_each(|timeout| reply.due(admitted + timeout));
                self.commits.push(Append::records(batch, reply, admitted));
                Ok(())
            }
            Err(error) => Err(refused(error, reply)),
        }
    }
}

fn outlined<'a>(
    body: &'a [u8],
    shape: Shape,
    stream: &Stream,
    arrival: Timestamp,
    key: Option<Key>,
) -> Result<(Publication<'a>, Outline)> {
    let rules = Rules { stream, arrival, max_value_bytes: stream.definition().max_record_bytes };
    let single = shape == Shape::Publish;
    let publication = if single { parse_single(body, rules)? } else { parse_batch(body, rules)? };
    // Events that ask for no partition go to one together: the next in turn, or that of the idempotency key, so that a
    // repeat finds them where they are.
    let anywhere = publication.partitions.contains(&None).then(|| match key {
        Some(key) => stream.partition_of(&key.bytes()),
        None => stream.partition_in_turn(),
    });
    let anywhere = anywhere.unwrap_or(PartitionId(0));
    let own_time = publication.events.first().map(|event| event.timestamp).filter(|time| *time != arrival);
    let outline = Outline {
        stream: stream.id(),
        partitions: publication.partitions.iter().map(|partition| partition.unwrap_or(anywhere)).collect(),
        failures: publication.failures.clone(),
        single: single.then_some(own_time),
        arrival,
        compression: publication.compression,
        body: xxh3_64(body),
    };
    Ok((publication, outline))
}
