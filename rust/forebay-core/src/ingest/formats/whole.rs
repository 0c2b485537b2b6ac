//! Formats whose requests are stored whole or not at all, unless their sender asks for a quarantine of what is invalid.

use super::{EventList, Frame, PayloadFormat, Read};
use crate::ingest::answer::Accepted;
use crate::ingest::parsed::OnInvalid;
use crate::ingest::parser::Parser;
use crate::ingest::quarantine::QuarantinePlan;
use crate::ingest::request::Job;
use crate::log::commit::{Append, Refused, Responder};
use crate::log::dedup::{CachedReply, DedupKey};

/// One of them.
#[derive(Debug)]
pub(crate) struct Whole {
    /// Reads a body.
    pub read: Read,
    /// True when a body is one event: messages then name no index.
    pub single: bool,
    /// The bytes before and behind the events, where a body is a plain list of them.
    pub frame: Option<Frame>,
}

impl PayloadFormat for Whole {
    fn accept(&self, parser: &Parser, job: Job) -> std::result::Result<(), Box<Refused>> {
        let Job { request, stream, mut permit, reply, arrival, admitted } = job;
        let body = match parser.body(&request, &mut permit) {
            Ok(body) => body,
            Err(error) => return Err(Refused::new(error, reply)),
        };
        let read = || (self.read)(&body, &parser.rules(&request, &stream, arrival));
        // Quarantined events are in the answer, a repeat's too, which reads its body again; no other repeat is parsed.
        let early = match request.on_invalid {
            OnInvalid::Refuse => None,
            OnInvalid::Quarantine => match read() {
                Ok(parsed) => Some(parsed),
                Err(error) => return Err(Refused::new(error, reply)),
            },
        };
        let reply =
            reply.with_responder(early.as_ref().map_or(Responder::Constant(&Accepted), |parsed| {
                Responder::new(QuarantinePlan::new(parsed, self.single))
            }));
        let key = request.key_for(&stream);
        let key = key.map(|key| DedupKey::new(key, CachedReply::Status, &stream, arrival, request.limiter.as_ref()));
        let Some(reply) = parser.unless_repeated(key, &body, reply)? else { return Ok(()) };
        let parsed = early.map_or_else(read, Ok);
        match parsed.and_then(|parsed| parser.packed(&request, &body, &stream, permit, arrival, &parsed)) {
            Ok((batch, quarantined)) => {
                let append = Append::records(batch, reply, admitted);
                parser.commits.push(Append { quarantined, ..append });
                Ok(())
            }
            Err(error) => Err(Refused::new(error, reply)),
        }
    }

    fn list(&self) -> Option<EventList> {
        self.frame.map(|frame| EventList { frame, read: self.read })
    }
}
