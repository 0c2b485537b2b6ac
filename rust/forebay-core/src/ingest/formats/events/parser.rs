//! From a request of the events API to a batch on its way to the committer.

use super::answer::{BatchPlan, EventPlan};
use super::body::{parse_event, parse_event_batch};
use super::event::Rules;
use crate::error::Result;
use crate::ingest::formats::{BodyRules, EventList, PayloadFormat};
use crate::ingest::parsed::{OnInvalid, Parsed};
use crate::ingest::parser::{ParsedRequest, Parser};
use crate::ingest::request::Job;
use crate::log::commit::{Placement, Refused, Responder};
use crate::log::dedup::CachedReply;

/// One event.
pub(crate) static SINGLE: EventsFormat = EventsFormat::Single;
/// An array of events.
pub(crate) static BATCH: EventsFormat = EventsFormat::Batch;

/// Both formats of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventsFormat {
    Single,
    Batch,
}

impl PayloadFormat for EventsFormat {
    fn accept(&self, parser: &Parser, job: Job) -> std::result::Result<(), Box<Refused>> {
        let Job { request, stream, mut permit, reply, arrival, admitted } = job;
        let body = match parser.body(&request, &mut permit) {
            Ok(body) => body,
            Err(error) => return Err(Refused::new(error, reply)),
        };
        let series = parser.ids.series(request.key, &body);
        let rules = Rules { arrival, series, max_value_bytes: parser.max_record_bytes };
        let mut parsed = Parsed::default();
        let single = *self == Self::Single;
        let read = if single {
            read_single(&body, &rules, &mut parsed)
        } else {
            read_batch(&body, &rules, request.route.max_events, &mut parsed)
        };
        let responder = match read.and_then(|responder| {
            request.check_keys(&parsed)?;
            Ok(responder)
        }) {
            Ok(responder) => responder,
            Err(error) => return Err(Refused::new(error, reply)),
        };
        let (good, bad) = (parsed.events.len(), parsed.invalid.len());
        let reply = reply.with_responder(responder).expecting(good);
        if good == 0 {
            parser.none_stored(request.api(), bad, reply);
            return Ok(());
        }
        let parsed_request = ParsedRequest {
            // How many of a batch were stored is part of its answer.
            key: request.key.map(|key| (key, if single { CachedReply::Status } else { CachedReply::Count })),
            limiter: request.limiter.as_ref(),
            stream: &stream,
            body: &body,
            events: &parsed.events,
            refused_events: bad,
            api: request.api(),
            placement: Placement::ByKey,
            timeout: None,
            arrival,
            admitted,
        };
        parser.store(parsed_request, permit, reply)
    }

    fn list(&self) -> Option<EventList> {
        (*self == Self::Batch).then_some(EventList { frame: (b"[", b"]"), read: read_list })
    }
}

/// Parses a body that is one event into `parsed`, and plans the answer.
fn read_single<'a>(body: &'a [u8], rules: &Rules<'_>, parsed: &mut Parsed<'a>) -> Result<Responder> {
    let identity = parse_event(body, rules, parsed)?;
    Ok(Responder::new(EventPlan::new(identity, rules.arrival)))
}

/// Parses a body of 1 to `most` events into `parsed`, and plans the answer.
fn read_batch<'a>(body: &'a [u8], rules: &Rules<'_>, most: usize, parsed: &mut Parsed<'a>) -> Result<Responder> {
    parse_event_batch(body, rules, OnInvalid::Quarantine, most, parsed)?;
    let failures = parsed.invalid.iter().map(|invalid| (invalid.index, invalid.reason.clone())).collect();
    Ok(Responder::new(BatchPlan { stored: parsed.events.len() as u64, failures }))
}

fn read_list<'b>(body: &'b [u8], rules: &BodyRules<'_>) -> Result<Parsed<'b>> {
    let series = rules.ids.series(rules.key, body);
    let own = Rules { arrival: rules.arrival, series, max_value_bytes: rules.max_record_bytes };
    let mut parsed = Parsed::default();
    parse_event_batch(body, &own, rules.on_invalid, rules.max_events, &mut parsed)?;
    Ok(parsed)
}
