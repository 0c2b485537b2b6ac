//! Bodies: one event, or a batch with options.

use std::time::Duration;

use super::answer::PublishFailure;
use super::event;
use super::event::{Addressed, Rules};
use crate::error::Result;
use crate::ids::PartitionId;
use crate::ingest::integer::integer;
use crate::ingest::list::{open_body, read_events};
use crate::ingest::problem::{Problem, malformed, not_json, shown};
use crate::json::Scanner;
use crate::record::Event;
use crate::stream::Compression;

/// The contract's limit for one batch.
pub const MAX_PUBLISHED_EVENTS: usize = 10_000;
/// The longest time that a sender may wait for an answer; the server gives up after this, too.
pub const MAX_PUBLISH_TIMEOUT_MS: i64 = 60_000;

/// The publication that one body asks for.
#[derive(Debug, Default)]
pub struct Publication<'a> {
    /// The events that are accepted.
    pub events: Vec<Event<'a>>,
    /// The partition that each of them asks for.
    pub partitions: Vec<Option<PartitionId>>,
    /// The others.
    pub failures: Vec<PublishFailure>,
    /// How long the sender waits for the commit.
    pub timeout: Option<Duration>,
    /// Named by the sender, and echoed.
    pub compression: Option<Compression>,
}

impl<'a> Publication<'a> {
    fn take_in(&mut self, index: usize, read: std::result::Result<Addressed<'a>, Box<Problem>>) {
        match read {
            Ok((event, partition)) => {
                self.events.push(event);
                self.partitions.push(partition);
            }
            Err(problem) => self.failures.push(PublishFailure { index, error: problem.error(Some(index)) }),
        }
    }
}

/// Parses a body that is one event.
///
/// # Errors
/// `Malformed`, or `PayloadTooLarge` for its value, naming the field.
pub fn parse_single<'a>(body: &'a [u8], rules: Rules<'_>) -> Result<Publication<'a>> {
    let mut scanner = Scanner::new(body).map_err(not_json)?;
    let read = event::read(&mut scanner, rules).map_err(not_json)?;
    scanner.finish().map_err(not_json)?;
    let (event, partition) = read.map_err(|problem| problem.error(None))?;
    Ok(Publication { events: vec![event], partitions: vec![partition], ..Publication::default() })
}

/// Parses a batch. Events that are invalid are among the failures.
///
/// # Errors
/// `Malformed` when the body is not valid JSON, not of this shape, or has none or too many events.
pub fn parse_batch<'a>(body: &'a [u8], rules: Rules<'_>) -> Result<Publication<'a>> {
    let mut scanner = Scanner::new(body).map_err(not_json)?;
    let mut batch = Publication::default();
    let (mut events, mut options) = (false, false);
    open_body(&mut scanner)?;
    while let Some(name) = scanner.next_key().map_err(not_json)? {
        match &*name.unescape() {
            b"events" if std::mem::replace(&mut events, true) => return Err(malformed("events: given more than once")),
            b"options" if std::mem::replace(&mut options, true) => {
                return Err(malformed("options: given more than once"));
            }
            b"events" => read_events(&mut scanner, MAX_PUBLISHED_EVENTS, |index, scanner| {
                let read = event::read(scanner, rules).map_err(not_json)?;
                batch.take_in(index, read);
                Ok(())
            })?,
            b"options" => read_options(&mut scanner, &mut batch)?,
            other => {
                return Err(malformed(format!("{}: there is no such field; known are events, options", shown(other))));
            }
        }
    }
    scanner.finish().map_err(not_json)?;
    if events { Ok(batch) } else { Err(malformed("events: missing")) }
}

fn read_options<'a>(scanner: &mut Scanner<'a>, batch: &mut Publication<'a>) -> Result<()> {
    match scanner.peek() {
        Some(b'{') => {}
        Some(b'n') => return scanner.skip_value().map(drop).map_err(not_json),
        Some(_) | None => {
            scanner.skip_value().map_err(not_json)?;
            return Err(malformed("options: must be an object"));
        }
    }
    scanner.open_object().map_err(not_json)?;
    while let Some(name) = scanner.next_key().map_err(not_json)? {
        let value = scanner.skip_value().map_err(not_json)?;
        match &*name.unescape() {
            b"timeout" | b"compression" if value == b"null" => {}
            b"timeout" => {
                let millis = integer(value).filter(|millis| (1..=MAX_PUBLISH_TIMEOUT_MS).contains(millis));
                let Some(millis) = millis.and_then(|millis| u64::try_from(millis).ok()) else {
                    let rule =
                        format!("options.timeout: must be whole milliseconds from 1 to {MAX_PUBLISH_TIMEOUT_MS}");
                    return Err(malformed(rule));
                };
                batch.timeout = Some(Duration::from_millis(millis));
            }
            b"compression" => {
                let name = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
                batch.compression = name.and_then(|name| Compression::named(std::str::from_utf8(name).ok()?));
                if batch.compression.is_none() {
                    let all = Compression::ALL.map(Compression::name).join(", ");
                    return Err(malformed(format!("options.compression: must be one of {all}")));
                }
            }
            other => {
                let name = shown(other);
                let detail = format!("options.{name}: there is no such option; known are compression, timeout");
                return Err(malformed(detail));
            }
        }
    }
    Ok(())
}
