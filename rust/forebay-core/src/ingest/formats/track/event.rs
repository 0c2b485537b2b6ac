//! One tracked event.

use std::borrow::Cow;

use crate::ids::Timestamp;
use crate::ingest::fields::{read_text, read_time};
use crate::ingest::integer::integer;
use crate::ingest::list::{Read, read_object};
use crate::ingest::problem::{FirstProblem, Problem};
use crate::json::{JsonError, JsonStr, Scanner};
use crate::record::{Event, MAX_KEY_BYTES};

/// The type that a field inside of an object must have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TrackedKind {
    /// There, and not empty.
    Required,
    /// A string that may become the record's key.
    Key,
    Text,
    Whole,
    Number,
}

/// An object of the event, with the fields of it that have a type; all others are kept as they are.
struct Group {
    name: &'static str,
    /// Name, name with the object's, and type. At most eight: see [`TrackFields::read_group`].
    fields: &'static [(&'static str, &'static str, TrackedKind)],
}

const GROUPS: [Group; 5] = [
    Group { name: "event", fields: &[("type", "event.type", TrackedKind::Required)] },
    Group { name: "user", fields: &[("id", "user.id", TrackedKind::Key)] },
    Group {
        name: "device",
        fields: &[
            ("user_agent", "device.user_agent", TrackedKind::Text),
            ("screen_width", "device.screen_width", TrackedKind::Whole),
            ("screen_height", "device.screen_height", TrackedKind::Whole),
        ],
    },
    Group {
        name: "context",
        fields: &[("url", "context.url", TrackedKind::Text), ("session_id", "context.session_id", TrackedKind::Key)],
    },
    Group { name: "metrics", fields: &[("load_time", "metrics.load_time", TrackedKind::Number)] },
];
const EVENT: usize = 0;
const USER: usize = 1;
const TIMESTAMP: usize = GROUPS.len();

#[derive(Default)]
struct TrackFields<'a> {
    /// A bit for each of [`GROUPS`], and one for the timestamp.
    seen: u8,
    has_type: bool,
    user: Option<JsonStr<'a>>,
    session: Option<JsonStr<'a>>,
    timestamp: Option<Timestamp>,
    problem: FirstProblem,
}

impl<'a> TrackFields<'a> {
    fn note(&mut self, field: &'static str, reason: impl Into<Cow<'static, str>>) {
        self.problem.note(Problem::new(field, reason));
    }

    fn read(&mut self, name: &[u8], scanner: &mut Scanner<'a>) -> Result<(), JsonError> {
        let group = GROUPS.iter().position(|group| group.name.as_bytes() == name);
        let Some(index) = group.or_else(|| (name == b"timestamp").then_some(TIMESTAMP)) else {
            return scanner.skip_value().map(drop);
        };
        let known = GROUPS.get(index).map_or("timestamp", |group| group.name);
        if self.seen & (1 << index) != 0 {
            self.note(known, "given more than once");
            return scanner.skip_value().map(drop);
        }
        self.seen |= 1 << index;
        match (scanner.peek(), GROUPS.get(index)) {
            // Senders write null for what they do not have.
            (Some(b'n'), _) if index != EVENT => drop(scanner.skip_value()?),
            (_, None) => match read_time(scanner)? {
                Ok(timestamp) => self.timestamp = Some(timestamp),
                Err(reason) => self.note(known, reason),
            },
            (Some(b'{'), Some(group)) => self.read_group(group, index, scanner)?,
            (_, Some(_)) => {
                scanner.skip_value()?;
                self.note(known, if index == EVENT { "must be an object" } else { "must be an object or null" });
            }
        }
        Ok(())
    }

    fn read_group(&mut self, group: &Group, index: usize, scanner: &mut Scanner<'a>) -> Result<(), JsonError> {
        let mut seen = 0_u8;
        scanner.open_object()?;
        while let Some(name) = scanner.next_key()? {
            let name = name.unescape();
            let Some(place) = group.fields.iter().position(|(field, ..)| field.as_bytes() == &*name) else {
                scanner.skip_value()?;
                continue;
            };
            let (_, field, kind) = group.fields[place];
            if seen & (1 << place) != 0 {
                self.note(field, "given more than once");
            }
            seen |= 1 << place;
            if scanner.peek() == Some(b'n') && kind != TrackedKind::Required {
                scanner.skip_value()?;
                continue;
            }
            let text = self.read_field(field, kind, scanner)?;
            match kind {
                TrackedKind::Required => self.has_type = true,
                TrackedKind::Key if index == USER => self.user = text,
                TrackedKind::Key => self.session = text,
                TrackedKind::Text | TrackedKind::Whole | TrackedKind::Number => {}
            }
        }
        Ok(())
    }

    fn read_field(
        &mut self,
        field: &'static str,
        kind: TrackedKind,
        scanner: &mut Scanner<'a>,
    ) -> Result<Option<JsonStr<'a>>, JsonError> {
        match kind {
            TrackedKind::Required | TrackedKind::Key | TrackedKind::Text => {
                let text = read_text(scanner)?;
                match text {
                    None => self.note(field, "must be a string"),
                    Some(text) if kind == TrackedKind::Required && text.is_empty() => {
                        self.note(field, "must not be empty")
                    }
                    // The raw bytes are at least as many as those that they stand for.
                    Some(text) if kind == TrackedKind::Key && text.raw().len() > MAX_KEY_BYTES => {
                        self.problem.check_length(field, text.unescape().len(), MAX_KEY_BYTES);
                    }
                    Some(_) => {}
                }
                return Ok(text);
            }
            TrackedKind::Whole => {
                if integer(scanner.skip_value()?).is_none() {
                    self.note(field, "must be a whole number");
                }
            }
            TrackedKind::Number => {
                if !scanner.skip_value()?.first().is_some_and(|byte| matches!(byte, b'-' | b'0'..=b'9')) {
                    self.note(field, "must be a number");
                }
            }
        }
        Ok(None)
    }

    fn finish(
        mut self,
        span: &'a [u8],
        arrival: Timestamp,
        max_record_bytes: usize,
    ) -> Result<Event<'a>, Box<Problem>> {
        if span.len() > max_record_bytes {
            return Err(Problem::too_large("", span.len(), &format!("limit of {max_record_bytes}")));
        }
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        if !self.has_type {
            let missing = if self.seen & (1 << EVENT) == 0 { "event" } else { "event.type" };
            return Err(Problem::new(missing, "missing"));
        }
        // An empty one names nobody.
        let key = [self.user, self.session].into_iter().flatten().find(|text| !text.is_empty());
        let timestamp = self.timestamp.unwrap_or(arrival);
        let (value, headers) = (Cow::Borrowed(span), Cow::Borrowed(&[][..]));
        Ok(Event { value, key: key.map(|text| text.unescape()), headers, timestamp })
    }
}

/// Reads one event to its end.
pub(super) fn read<'a>(scanner: &mut Scanner<'a>, arrival: Timestamp, max_record_bytes: usize) -> Read<'a> {
    let mut fields = TrackFields::default();
    let span = read_object(scanner, |name, _, scanner| fields.read(name, scanner))?;
    Ok(span.and_then(|span| fields.finish(span, arrival, max_record_bytes)))
}
