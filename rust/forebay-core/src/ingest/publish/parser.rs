//! From a publication to a batch on its way to the committer.

use xxhash_rust::xxh3::xxh3_64;

use super::answer::PublishPlan;
use super::body::{Publication, parse_batch, parse_single};
use super::event::Rules;
use crate::error::Result;
use crate::ids::{PartitionId, Timestamp};
use crate::ingest::parser::{ParsedRequest, Parser};
use crate::ingest::plan::ResponsePlan;
use crate::ingest::request::{Job, PayloadFormat};
use crate::log::commit::{Level, Placement, Receipt, Refused};
use crate::log::dedup::{CachedReply, Key};
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
        let (publication, plan) = match with_plan(&body, request.shape, &stream, arrival, key) {
            Ok(parsed) => parsed,
            Err(error) => return Err(refused(error, reply)),
        };
        let partitions = plan.partitions.clone();
        let reply = reply.with_plan(ResponsePlan::Published(Box::new(plan)));
        if publication.events.is_empty() {
            self.count_refused(request.api(), publication.failures.len());
            // Nothing is promised, so the weakest level says it.
            reply.finish_and_wake(Ok(Receipt::new(Level::memory(), Vec::new(), 0)));
            return Ok(());
        }
        let parcel = ParsedRequest {
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
        self.store(parcel, permit, reply)
    }
}

fn with_plan<'a>(
    body: &'a [u8],
    shape: PayloadFormat,
    stream: &Stream,
    arrival: Timestamp,
    key: Option<Key>,
) -> Result<(Publication<'a>, PublishPlan)> {
    let rules = Rules { stream, arrival, max_value_bytes: stream.definition().max_record_bytes };
    let single = shape == PayloadFormat::Publish;
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
