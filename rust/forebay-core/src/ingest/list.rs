//! Where the events of a body stand: in its array `events`, or in the array that the body is.

use super::parsed::{OnInvalid, Parsed};
use super::problem::{Problem, malformed, not_json};
use crate::error::Result;
use crate::json::{JsonError, Scanner};
use crate::record::Event;

/// An event that was read to its end, or what is wrong with it.
pub(super) type Read<'a> = std::result::Result<std::result::Result<Event<'a>, Box<Problem>>, JsonError>;

/// Reads an event, which has to be an object, to its end; `field` takes each value, by its name and where
/// the event begins. Returns the event's bytes.
#[inline(always)]
pub(super) fn read_object<'a>(
    scanner: &mut Scanner<'a>,
    mut field: impl FnMut(&[u8], usize, &mut Scanner<'a>) -> std::result::Result<(), JsonError>,
) -> std::result::Result<std::result::Result<&'a [u8], Box<Problem>>, JsonError> {
    if scanner.peek() != Some(b'{') {
        scanner.skip_value()?;
        return Ok(Err(Problem::new("", "must be an object")));
    }
    let start = scanner.position();
    scanner.open_object()?;
    while let Some(name) = scanner.next_key()? {
        field(&name.unescape(), start, scanner)?;
    }
    Ok(Ok(scanner.since(start)))
}

/// Enters a body that is an object with an array `events`.
#[inline]
pub(super) fn open_body(scanner: &mut Scanner<'_>) -> Result<()> {
    if scanner.peek() != Some(b'{') {
        scanner.skip_value().map_err(not_json)?;
        return Err(malformed("the body must be an object with an array named events"));
    }
    scanner.open_object().map_err(not_json)
}

/// Reads the array `events`, of 1 to `most` events; `read` takes each of them, whole.
#[inline(always)]
pub(super) fn read_events<'a>(
    scanner: &mut Scanner<'a>,
    most: usize,
    read: impl FnMut(usize, &mut Scanner<'a>) -> Result<()>,
) -> Result<()> {
    read_list(scanner, "events: must be an array", most, read)
}

/// Parses a body that is an array of 1 to `most` events into `out`, which is emptied first, and again when there is an
/// error; `read` takes each event, whole.
#[inline(always)]
pub(super) fn parse_array_body<'a>(
    body: &'a [u8],
    most: usize,
    on_invalid: OnInvalid,
    out: &mut Parsed<'a>,
    mut read: impl FnMut(usize, &mut Scanner<'a>) -> Read<'a>,
) -> Result<()> {
    out.clear();
    let mut scanner = Scanner::new(body).map_err(not_json)?;
    let list = read_list(&mut scanner, "the body must be an array of events", most, |index, scanner| {
        take_in(scanner, index, on_invalid, out, |scanner, out| {
            Ok(match read(index, scanner)? {
                Ok(event) => {
                    out.events.push(event);
                    None
                }
                Err(problem) => Some(problem),
            })
        })
    });
    let parsed = list.and_then(|()| scanner.finish().map_err(not_json));
    if parsed.is_err() {
        out.clear();
    }
    parsed
}

#[inline(always)]
fn read_list<'a>(
    scanner: &mut Scanner<'a>,
    not_an_array: &'static str,
    most: usize,
    mut read: impl FnMut(usize, &mut Scanner<'a>) -> Result<()>,
) -> Result<()> {
    if scanner.peek() != Some(b'[') {
        scanner.skip_value().map_err(not_json)?;
        return Err(malformed(not_an_array));
    }
    scanner.open_array().map_err(not_json)?;
    let mut index = 0;
    while scanner.next_element().map_err(not_json)? {
        if index == most {
            return Err(malformed(format!("events: more than {most} in one body, send several")));
        }
        read(index, scanner)?;
        index += 1;
    }
    if index == 0 { Err(malformed("events: must not be empty")) } else { Ok(()) }
}

/// Reads the event at `index` by `read`, which appends it unless there is a problem with it: that refuses the body, or
/// sets the event aside.
#[inline(always)]
pub(super) fn take_in<'a>(
    scanner: &mut Scanner<'a>,
    index: usize,
    on_invalid: OnInvalid,
    out: &mut Parsed<'a>,
    read: impl FnOnce(&mut Scanner<'a>, &mut Parsed<'a>) -> std::result::Result<Option<Box<Problem>>, JsonError>,
) -> Result<()> {
    let _ = scanner.peek();
    let start = scanner.position();
    if let Some(problem) = read(scanner, out).map_err(not_json)? {
        if on_invalid == OnInvalid::Refuse {
            return Err(problem.error(Some(index)));
        }
        out.invalid.push(problem.with(index, scanner.since(start)));
    }
    Ok(())
}
