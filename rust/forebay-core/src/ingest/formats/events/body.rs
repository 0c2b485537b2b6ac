//! Bodies: one event, or an array of them.

use super::event;
use super::event::{Identity, Rules};
use crate::error::Result;
use crate::ingest::list::parse_array_body;
use crate::ingest::parsed::{OnInvalid, Parsed};
use crate::ingest::problem::not_json;
use crate::json::Scanner;

/// The contract's limit for one batch of the events and the analytics API.
pub const MAX_BATCH_EVENTS: usize = 1000;

/// Parses a body that is one event into `out`, which is emptied first.
///
/// An event's value is the event as sent, with `id` and `timestamp` filled in where they are missing or `null`; its key
/// is the unescaped `source`.
///
/// # Errors
/// `Malformed` naming the field, or `PayloadTooLarge` for the whole. `out` is then empty.
pub fn parse_event<'a>(body: &'a [u8], rules: &Rules<'_>, out: &mut Parsed<'a>) -> Result<Identity<&'a [u8]>> {
    out.clear();
    let mut scanner = Scanner::new(body).map_err(not_json)?;
    let read = event::read(&mut scanner, 0, rules).map_err(not_json)?;
    scanner.finish().map_err(not_json)?;
    let (event, identity) = read.map_err(|problem| problem.error(None))?;
    out.events.push(event);
    Ok(identity)
}

/// Parses a body that is an array of 1 to `most` events, as [`parse_event`] does each of them.
///
/// # Errors
/// `Malformed` when the body is not valid JSON or not of this shape, whatever `on_invalid` says; with
/// [`OnInvalid::Refuse`] also what is wrong with the first invalid event. `out` is then empty.
pub fn parse_event_batch<'a>(
    body: &'a [u8],
    rules: &Rules<'_>,
    on_invalid: OnInvalid,
    most: usize,
    out: &mut Parsed<'a>,
) -> Result<()> {
    parse_array_body(body, most, on_invalid, out, |index, scanner| {
        Ok(event::read(scanner, index, rules)?.map(|(event, _)| event))
    })
}
