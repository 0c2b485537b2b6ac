//! The drain's shape: `{"events": [{"project_id", "timestamp", "level", "service", "message", "metadata"?}, …]}`.

use std::borrow::Cow;

use super::BodyRules;
use super::whole::Whole;
use crate::error::Result;
use crate::ingest::list::{open_body, read_events, take_in};
use crate::ingest::parsed::{OnInvalid, Parsed};
use crate::ingest::problem::{FirstProblem, Problem, malformed, not_json};
use crate::json::{JsonError, JsonStr, Scanner};
use crate::record::Event;
use crate::record::MAX_KEY_BYTES;
use crate::time::parse_timestamp;

/// The most events in one body. The smallest event has about 80 bytes, so a body at the default limit of 16 MiB could
/// hold twice as many; this bounds the memory of the parsed form, which is larger than such events.
pub const MAX_EVENTS_PER_BODY: usize = 100_000;

/// The format.
pub(crate) static FORMAT: Whole = Whole { read, single: false, frame: Some((br#"{"events":["#, b"]}")) };

fn read<'b>(body: &'b [u8], rules: &BodyRules<'_>) -> Result<Parsed<'b>> {
    let mut parsed = Parsed::default();
    parse_drain(body, rules.on_invalid, rules.max_record_bytes, &mut parsed)?;
    Ok(parsed)
}

/// The fields that an event is checked for, in the order in which a missing one is reported.
const REQUIRED: [&str; 5] = ["project_id", "timestamp", "level", "service", "message"];
const PROJECT_ID: usize = 0;
const TIMESTAMP: usize = 1;
const LEVEL: usize = 2;
const SERVICE: usize = 3;
const MESSAGE: usize = 4;

/// Parses a drain body into `out`, which is emptied first.
///
/// An event's value is the event as sent, its key the unescaped `project_id`, its timestamp its own. An event
/// longer than `max_record_bytes` is invalid.
///
/// # Errors
/// `Malformed` when the body is not valid JSON or not of this shape, whatever `on_invalid` says; with
/// [`OnInvalid::Refuse`] also for the first invalid event, or `PayloadTooLarge` when it is too long. `out` is then
/// empty.
pub fn parse_drain<'a>(
    body: &'a [u8],
    on_invalid: OnInvalid,
    max_record_bytes: usize,
    out: &mut Parsed<'a>,
) -> Result<()> {
    out.clear();
    let drain = Drain { on_invalid, max_record_bytes };
    let parsed = drain.body(body, out);
    if parsed.is_err() {
        out.clear();
    }
    parsed
}

#[derive(Clone, Copy)]
struct Drain {
    on_invalid: OnInvalid,
    max_record_bytes: usize,
}

impl Drain {
    fn body<'a>(self, body: &'a [u8], out: &mut Parsed<'a>) -> Result<()> {
        let mut scanner = Scanner::new(body).map_err(not_json)?;
        let mut seen = false;
        open_body(&mut scanner)?;
        while let Some(key) = scanner.next_key().map_err(not_json)? {
            if *key.unescape() != *b"events" {
                scanner.skip_value().map_err(not_json)?;
                continue;
            }
            if std::mem::replace(&mut seen, true) {
                return Err(malformed("events: given more than once"));
            }
            read_events(&mut scanner, MAX_EVENTS_PER_BODY, |index, scanner| {
                take_in(scanner, index, self.on_invalid, out, |scanner, out| self.event(scanner, out))
            })?;
        }
        scanner.finish().map_err(not_json)?;
        if seen { Ok(()) } else { Err(malformed("events: missing")) }
    }

    /// Reads one event to its end, and appends it unless there is a problem with it.
    #[inline]
    fn event<'a>(
        self,
        scanner: &mut Scanner<'a>,
        out: &mut Parsed<'a>,
    ) -> std::result::Result<Option<Box<Problem>>, JsonError> {
        if scanner.peek() != Some(b'{') {
            scanner.skip_value()?;
            return Ok(Some(Problem::new("", "must be an object")));
        }
        let start = scanner.position();
        let mut fields = DrainFields::default();
        scanner.open_object()?;
        fields.read_documented(scanner)?;
        while let Some(key) = scanner.next_key()? {
            fields.read(&key, scanner)?;
        }
        Ok(self.append(scanner.since(start), &mut fields, out).err())
    }

    #[inline]
    fn append<'a>(
        self,
        span: &'a [u8],
        fields: &mut DrainFields<'a>,
        out: &mut Parsed<'a>,
    ) -> std::result::Result<(), Box<Problem>> {
        if span.len() > self.max_record_bytes {
            return Err(Problem::too_large("", span.len(), &format!("limit of {}", self.max_record_bytes)));
        }
        if let Some(problem) = fields.problem.take() {
            return Err(problem);
        }
        let [Some(project_id), Some(timestamp), Some(_), Some(_), Some(_)] = fields.values else {
            let missing = fields.values.iter().position(Option::is_none).and_then(|index| REQUIRED.get(index));
            return Err(Problem::new(missing.copied().unwrap_or_default(), "missing"));
        };
        let key = project_id.unescape();
        if key.len() > MAX_KEY_BYTES {
            let reason = format!("has {} bytes, more than the limit of {MAX_KEY_BYTES}", key.len());
            return Err(Problem::new(REQUIRED[PROJECT_ID], reason));
        }
        let timestamp = parse_timestamp(&timestamp.unescape())
            .map_err(|error| Problem::new(REQUIRED[TIMESTAMP], error.to_string()))?;
        out.events.push(Event { value: Cow::Borrowed(span), key: Some(key), headers: Cow::Borrowed(&[]), timestamp });
        Ok(())
    }
}

/// The fields of one event as they are met, and the first problem among them.
#[derive(Default)]
struct DrainFields<'a> {
    values: [Option<JsonStr<'a>>; REQUIRED.len()],
    problem: FirstProblem,
}

impl<'a> DrainFields<'a> {
    #[inline]
    fn read(&mut self, key: &JsonStr<'_>, scanner: &mut Scanner<'a>) -> std::result::Result<(), JsonError> {
        let index = match &*key.unescape() {
            b"project_id" => PROJECT_ID,
            b"timestamp" => TIMESTAMP,
            b"level" => LEVEL,
            b"service" => SERVICE,
            b"message" => MESSAGE,
            b"metadata" => return self.read_metadata(scanner),
            _ => return scanner.skip_value().map(|_| ()),
        };
        self.read_required(index, scanner)
    }

    /// Reads what stands in the documentation's order, in which most senders write.
    #[inline(always)]
    fn read_documented(&mut self, scanner: &mut Scanner<'a>) -> std::result::Result<(), JsonError> {
        if scanner.take_key(b"\"project_id\":") {
            self.read_required(PROJECT_ID, scanner)?;
        }
        if scanner.take_key(b"\"timestamp\":") {
            self.read_required(TIMESTAMP, scanner)?;
        }
        if scanner.take_key(b"\"level\":") {
            self.read_required(LEVEL, scanner)?;
        }
        if scanner.take_key(b"\"service\":") {
            self.read_required(SERVICE, scanner)?;
        }
        if scanner.take_key(b"\"message\":") {
            self.read_required(MESSAGE, scanner)?;
        }
        if scanner.take_key(b"\"metadata\":") {
            self.read_metadata(scanner)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn read_required(&mut self, index: usize, scanner: &mut Scanner<'a>) -> std::result::Result<(), JsonError> {
        let reason = if scanner.peek() == Some(b'"') {
            let value = scanner.read_string()?;
            match self.values[index].replace(value) {
                Some(_) => "given more than once",
                None if value.is_empty() && index != MESSAGE => "must not be empty",
                None => return Ok(()),
            }
        } else {
            scanner.skip_value()?;
            "must be a string"
        };
        self.problem.note(Problem::new(REQUIRED[index], reason));
        Ok(())
    }

    fn read_metadata(&mut self, scanner: &mut Scanner<'a>) -> std::result::Result<(), JsonError> {
        let first = scanner.peek();
        scanner.skip_value()?;
        if !matches!(first, Some(b'{' | b'n')) {
            self.problem.note(Problem::new("metadata", "must be an object or null"));
        }
        Ok(())
    }
}
