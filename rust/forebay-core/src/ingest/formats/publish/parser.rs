//! From a publication to a batch on its way to the committer.

use xxhash_rust::xxh3::xxh3_64;

use super::answer::PublishPlan;
use super::body::{Publication, parse_batch, parse_single};
use super::event::Rules;
use crate::error::Result;
use crate::ids::{PartitionId, Timestamp};
use crate::ingest::formats::PayloadFormat;
use crate::ingest::parser::{ParsedRequest, Parser};
use crate::ingest::request::Job;
use crate::log::commit::{Placement, Refused, Responder};
use crate::log::dedup::{CachedReply, Key};
use crate::stream::Stream;

/// One event.
pub(crate) static SINGLE: PublishFormat = PublishFormat::Single;
/// A batch of events with options.
pub(crate) static BATCH: PublishFormat = PublishFormat::Batch;

/// Both formats of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishFormat {
    Single,
    Batch,
}

impl PayloadFormat for PublishFormat {
    fn accept(&self, parser: &Parser, job: Job) -> std::result::Result<(), Box<Refused>> {
        let Job { request, stream, mut permit, reply, arrival, admitted } = job;
        let body = match parser.body(&request, &mut permit) {
            Ok(body) => body,
            Err(error) => return Err(Refused::new(error, reply)),
        };
        let key = request.key_for(&stream);
        let (publication, plan) = match read(&body, *self, &stream, arrival, key) {
            Ok(parsed) => parsed,
            Err(error) => return Err(Refused::new(error, reply)),
        };
        let partitions = plan.partitions.clone();
        let reply = reply.with_responder(Responder::new(plan));
        if publication.events.is_empty() {
            parser.none_stored(request.api(), publication.failures.len(), reply);
            return Ok(());
        }
        let parsed_request = ParsedRequest {
            key: key.map(|key| (key, CachedReply::Places)),
            limiter: request.limiter.as_ref(),
            stream: &stream,
            body: &body,
            events: &publication.events,
            refused_events: publication.failures.len(),
            api: request.api(),
            placement: Placement::Each(&partitions),
            timeout: publication.timeout,
            arrival,
            admitted,
        };
        parser.store(parsed_request, permit, reply)
    }
}

/// Parses the body, and plans the answer.
fn read<'a>(
    body: &'a [u8],
    format: PublishFormat,
    stream: &Stream,
    arrival: Timestamp,
    key: Option<Key>,
) -> Result<(Publication<'a>, PublishPlan)> {
    let rules = Rules { stream, arrival, max_value_bytes: stream.definition().max_record_bytes };
    let single = format == PublishFormat::Single;
    let publication = if single { parse_single(body, rules)? } else { parse_batch(body, rules)? };
    // Events that ask for no partition go to one together: the next in turn, or that of the idempotency key, so that a
    // repeat finds them where they are.
    let anywhere = publication.partitions.contains(&None).then(|| match key {
        Some(key) => stream.partition_of(&key.bytes()),
        None => stream.partition_in_turn(),
    });
    let anywhere = anywhere.unwrap_or(PartitionId(0));
    let own_time = publication.events.first().map(|event| event.timestamp).filter(|time| *time != arrival);
    let plan = PublishPlan {
        stream: stream.id(),
        partitions: publication.partitions.iter().map(|partition| partition.unwrap_or(anywhere)).collect(),
        failures: publication.failures.clone(),
        single: single.then_some(own_time),
        arrival,
        compression: publication.compression,
        body: xxh3_64(body),
    };
    Ok((publication, plan))
}
