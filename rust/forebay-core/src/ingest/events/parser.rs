//! From a request of the events API to a batch on its way to the committer.

use super::answer::{BatchPlan, EventPlan};
use super::body::{MAX_BATCH_EVENTS, parse_event, parse_event_batch};
use super::event::Rules;
use crate::error::Result;
use crate::ingest::parsed::{OnInvalid, Parsed};
use crate::ingest::parser::{ParsedRequest, Parser};
use crate::ingest::plan::ResponsePlan;
use crate::ingest::request::{Job, PayloadFormat};
use crate::log::commit::{Level, Placement, Receipt, Refused};
use crate::log::dedup::CachedReply;

impl Parser {
    /// Parses a request of the events API and queues its batch. A repeat of an earlier one is answered, or waits for it.
    ///
    /// # Errors
    /// What is wrong with the body, or with the one event, or `Saturated` when its records have no room.
    pub(crate) fn events(&self, job: Job) -> std::result::Result<(), Box<Refused>> {
        let Job { request, stream, mut permit, reply, arrival, admitted } = job;
        let refused = |error, reply| Box::new(Refused { error, reply });
        let body = match self.body(&request, &mut permit) {
            Ok(body) => body,
            Err(error) => return Err(refused(error, reply)),
        };
        let series = self.ids.series(request.key, &body);
        let rules = Rules { arrival, series, max_value_bytes: self.max_record_bytes };
        let mut parsed = Parsed::default();
        let single = request.shape == PayloadFormat::Event;
        let plan = match with_plan(&body, single, &rules, &mut parsed).and_then(|plan| {
            request.check_keys(&parsed)?;
            Ok(plan)
        }) {
            Ok(plan) => plan,
            Err(error) => return Err(refused(error, reply)),
        };
        let (good, bad) = (parsed.events.len(), parsed.invalid.len());
        let reply = reply.with_plan(plan).expecting(good);
        if good == 0 {
            self.count_refused(request.api(), bad);
            // Nothing is promised, so the weakest level says it.
            reply.finish_and_wake(Ok(Receipt::new(Level::memory(), Vec::new(), 0)));
            return Ok(());
        }
        let parcel = ParsedRequest {
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
        self.store(parcel, permit, reply)
    }
}

fn with_plan<'a>(body: &'a [u8], single: bool, rules: &Rules<'_>, parsed: &mut Parsed<'a>) -> Result<ResponsePlan> {
    if single {
        let identity = parse_event(body, rules, parsed)?;
        return Ok(ResponsePlan::Event(Box::new(EventPlan::new(identity, rules.arrival))));
    }
    parse_event_batch(body, rules, OnInvalid::Quarantine, MAX_BATCH_EVENTS, parsed)?;
    let failures = parsed.invalid.iter().map(|invalid| (invalid.index, invalid.reason.clone())).collect();
    Ok(ResponsePlan::EventBatch(Box::new(BatchPlan { stored: parsed.events.len() as u64, failures })))
}
