//! Bodies: one event, or an array of them.

use super::event;
use crate::error::Result;
use crate::ids::Timestamp;
use crate::ingest::list::parse_array_body;
use crate::ingest::parsed::{OnInvalid, Parsed};
use crate::ingest::problem::not_json;
use crate::json::Scanner;

/// Parses a body that is one event into `out`, which is emptied first.
///
/// The event's value is the event as sent; its key is the unescaped `user.id`, else `context.session_id`, else there is
/// none; its time is its own, else `arrival`. An event longer than `max_record_bytes` is invalid.
///
/// # Errors
/// `Malformed` when the body is not valid JSON; with [`OnInvalid::Refuse`] also what is wrong with the event. `out` is
/// then empty.
pub fn parse_track<'a>(
    body: &'a [u8],
    arrival: Timestamp,
    on_invalid: OnInvalid,
    max_record_bytes: usize,
    out: &mut Parsed<'a>,
) -> Result<()> {
    out.clear();
    let mut scanner = Scanner::new(body).map_err(not_json)?;
    let _ = scanner.peek();
    let start = scanner.position();
    let read = event::read(&mut scanner, arrival, max_record_bytes).map_err(not_json)?;
    let span = scanner.since(start);
    scanner.finish().map_err(not_json)?;
    match read {
        Ok(event) => out.events.push(event),
        Err(problem) if on_invalid == OnInvalid::Refuse => return Err(problem.error(None)),
        Err(problem) => out.invalid.push(problem.with(0, span)),
    }
    Ok(())
}

/// Parses a body that is an array of 1 to `most` events, as [`parse_track`] does each of them.
///
/// # Errors
/// `Malformed` when the body is not valid JSON or not of this shape, whatever `on_invalid` says; with
/// [`OnInvalid::Refuse`] also what is wrong with the first invalid event. `out` is then empty.
pub fn parse_track_batch<'a>(
    body: &'a [u8],
    arrival: Timestamp,
    on_invalid: OnInvalid,
    (most, max_record_bytes): (usize, usize),
    out: &mut Parsed<'a>,
) -> Result<()> {
    parse_array_body(body, most, on_invalid, out, |_, scanner| event::read(scanner, arrival, max_record_bytes))
}
