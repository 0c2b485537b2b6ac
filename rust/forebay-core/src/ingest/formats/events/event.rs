//! One event.

use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;

use super::id::{Series, Token};
use crate::ids::Timestamp;
use crate::ingest::fields::read_text;
use crate::ingest::integer::integer;
use crate::ingest::list::read_object;
use crate::ingest::problem::{FirstProblem, Problem};
use crate::json::{JsonError, JsonStr, Scanner};
use crate::record::{Event, MAX_KEY_BYTES};
use crate::time::from_millis;

/// The longest `id`, unescaped: it comes back in answers and is what consumers keep to tell repeats, and no identifier
/// needs more.
pub const MAX_EVENT_ID_BYTES: usize = 256;
/// About what is filled in: `,"id":"evt_1640995200000_…","timestamp":1640995200000`.
const FILLED_BYTES: usize = 80;

/// The fields that are checked; the required ones first, in the order in which a missing one is reported.
const FIELDS: [&str; 5] = ["type", "source", "data", "id", "timestamp"];
const REQUIRED: usize = 3;
const TYPE: usize = 0;
const SOURCE: usize = 1;
const DATA: usize = 2;
const ID: usize = 3;
const TIMESTAMP: usize = 4;

/// The rules that an event is checked against, and the values that it gets where it lacks some.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'s> {
    /// When the request came in: the time of events without one.
    pub arrival: Timestamp,
    /// Names the events without an id.
    pub series: Series<'s>,
    /// The largest value of one record.
    pub max_value_bytes: usize,
}

/// An event's id, or what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity<R> {
    /// The event's own, as it was sent between its quotation marks.
    Given(R),
    /// It has none.
    Made {
        /// The event's own time.
        millis: Option<i64>,
        /// Tells it from others of that time.
        token: Token,
    },
}

impl<R: AsRef<[u8]>> Identity<R> {
    /// Appends the id as it stands between the quotation marks of a JSON string; `otherwise` is the time of an event
    /// without one.
    pub(super) fn write(&self, otherwise: i64, out: &mut Vec<u8>) {
        match self {
            Self::Given(id) => out.extend_from_slice(id.as_ref()),
            Self::Made { millis, token } => {
                // Writing into memory cannot fail.
                let _infallible = write!(out, "evt_{}_{}", millis.unwrap_or(otherwise), token.as_str());
            }
        }
    }

    pub(super) fn into_owned(self) -> Identity<Box<[u8]>> {
        match self {
            Self::Given(id) => Identity::Given(id.as_ref().into()),
            Self::Made { millis, token } => Identity::Made { millis, token },
        }
    }
}

#[derive(Default)]
struct EventFields<'a> {
    /// A bit for each of [`FIELDS`] that was met.
    seen: u8,
    source: Option<JsonStr<'a>>,
    id: Option<JsonStr<'a>>,
    millis: Option<i64>,
    timestamp: Option<Timestamp>,
    /// Where `null` stands for the id and the timestamp.
    nulls: [Option<Range<usize>>; 2],
    problem: FirstProblem,
}

impl<'a> EventFields<'a> {
    /// Reads the value of the field `index`; `start` is where the event begins.
    fn read(&mut self, index: usize, start: usize, scanner: &mut Scanner<'a>) -> Result<(), JsonError> {
        let first = scanner.peek();
        if self.seen & (1 << index) != 0 {
            self.problem.note(Problem::new(FIELDS[index], "given more than once"));
            return scanner.skip_value().map(drop);
        }
        self.seen |= 1 << index;
        if index >= REQUIRED && first == Some(b'n') {
            // Senders write null for what they do not have; it is replaced by what is filled in.
            let from = scanner.position() - start;
            scanner.skip_value()?;
            self.nulls[index - REQUIRED] = Some(from..scanner.position() - start);
            return Ok(());
        }
        match index {
            TYPE => drop(self.text_at(TYPE, scanner, usize::MAX)?),
            SOURCE => self.source = self.text_at(SOURCE, scanner, MAX_KEY_BYTES)?,
            ID => self.id = self.text_at(ID, scanner, MAX_EVENT_ID_BYTES)?,
            DATA => {
                scanner.skip_value()?;
                if first != Some(b'{') {
                    self.problem.note(Problem::new(FIELDS[DATA], "must be an object"));
                }
            }
            _ => self.read_timestamp(scanner)?,
        }
        Ok(())
    }

    fn text_at(
        &mut self,
        index: usize,
        scanner: &mut Scanner<'a>,
        limit: usize,
    ) -> Result<Option<JsonStr<'a>>, JsonError> {
        let text = read_text(scanner)?;
        match text {
            None => self.problem.note(Problem::new(FIELDS[index], "must be a string")),
            Some(text) if text.is_empty() => self.problem.note(Problem::new(FIELDS[index], "must not be empty")),
            // The raw bytes are at least as many as those that they stand for.
            Some(text) if text.raw().len() > limit => {
                self.problem.check_length(FIELDS[index], text.unescape().len(), limit);
            }
            Some(_) => {}
        }
        Ok(text)
    }

    fn read_timestamp(&mut self, scanner: &mut Scanner<'a>) -> Result<(), JsonError> {
        self.millis = integer(scanner.skip_value()?);
        self.timestamp = self.millis.and_then(from_millis);
        if self.timestamp.is_none() {
            let reason = "must be whole milliseconds since 1970 in the years 1 to 9999";
            self.problem.note(Problem::new(FIELDS[TIMESTAMP], reason));
        }
        Ok(())
    }

    fn finish(
        mut self,
        span: &'a [u8],
        index: usize,
        rules: &Rules<'_>,
    ) -> Result<(Event<'a>, Identity<&'a [u8]>), Box<Problem>> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        let missing = FIELDS.iter().take(REQUIRED).enumerate().find(|(index, _)| self.seen & (1 << index) == 0);
        let Some(source) = self.source.filter(|_| missing.is_none()) else {
            return Err(Problem::new(missing.map_or("", |(_, name)| name), "missing"));
        };
        let identity = match self.id {
            Some(id) => Identity::Given(id.raw()),
            None => Identity::Made { millis: self.millis, token: rules.series.token(index) },
        };
        let value = match (self.id, self.millis) {
            (Some(_), Some(_)) => Cow::Borrowed(span),
            (None, _) | (_, None) => Cow::Owned(self.fill(span, &identity, rules.arrival.millis())),
        };
        if value.len() > rules.max_value_bytes {
            return Err(Problem::too_large("", value.len(), &format!("limit of {}", rules.max_value_bytes)));
        }
        // The fraction stays as exact as the value has it.
        let timestamp = self.timestamp.unwrap_or(Timestamp(rules.arrival.millis() * 1000));
        Ok((Event { value, key: Some(source.unescape()), headers: Cow::Borrowed(&[]), timestamp }, identity))
    }

    /// The event with what it lacks: in the place of a `null`, else behind its other fields, of which there are some.
    fn fill(&self, span: &[u8], identity: &Identity<&[u8]>, arrival: i64) -> Vec<u8> {
        let mut value = Vec::with_capacity(span.len() + FILLED_BYTES);
        let write = |index: usize, value: &mut Vec<u8>| {
            if index == ID {
                value.push(b'"');
                identity.write(arrival, value);
                value.push(b'"');
            } else {
                // Writing into memory cannot fail.
                let _infallible = write!(value, "{arrival}");
            }
        };
        let lacking = [(ID, self.id.is_none()), (TIMESTAMP, self.millis.is_none())];
        let lacking = lacking.into_iter().filter(|(_, lacks)| *lacks).map(|(index, _)| index);
        let mut places: Vec<_> =
            lacking.clone().filter_map(|index| Some((self.nulls[index - REQUIRED].clone()?, index))).collect();
        places.sort_by_key(|(place, _)| place.start);
        let mut copied = 0;
        for (place, index) in places {
            value.extend_from_slice(span.get(copied..place.start).unwrap_or_default());
            write(index, &mut value);
            copied = place.end;
        }
        value.extend_from_slice(span.get(copied..span.len().saturating_sub(1)).unwrap_or_default());
        for index in lacking.filter(|index| self.nulls[index - REQUIRED].is_none()) {
            // Writing into memory cannot fail.
            let _infallible = write!(value, ",\"{}\":", FIELDS[index]);
            write(index, &mut value);
        }
        value.push(b'}');
        value
    }
}

/// An event, or what is wrong with it.
pub(super) type Checked<'a> = Result<(Event<'a>, Identity<&'a [u8]>), Box<Problem>>;

/// Reads one event to its end; `index` is its place in the batch.
pub(super) fn read<'a>(scanner: &mut Scanner<'a>, index: usize, rules: &Rules<'_>) -> Result<Checked<'a>, JsonError> {
    let mut fields = EventFields::default();
    let span =
        read_object(scanner, |name, start, scanner| match FIELDS.iter().position(|field| field.as_bytes() == name) {
            Some(field) => fields.read(field, start, scanner),
            None => scanner.skip_value().map(drop),
        })?;
    Ok(span.and_then(|span| fields.finish(span, index, rules)))
}
