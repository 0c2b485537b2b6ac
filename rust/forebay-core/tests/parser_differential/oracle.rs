//! The expected outcome of the parser, from serde_json and the rules of the drain written down a second time.

use std::fmt;

use forebay_core::Timestamp;
use forebay_core::json::MAX_DEPTH;
use forebay_core::record::MAX_KEY_BYTES;
use forebay_core::time::parse_timestamp;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Small, so that the generated events are now and then too long, and over the limit for keys.
pub const MAX_RECORD_BYTES: usize = 1300;

/// serde_json's grammar without a range for numbers, and the policies it does not have: UTF-8 also in what is skipped,
/// no lone surrogates in what is skipped, the depth.
pub fn is_acceptable_json(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    serde_json::from_str::<IgnoredAny>(text).is_ok() && depth_and_strings(text).is_some_and(|depth| depth <= MAX_DEPTH)
}

/// The depth of a text that is JSON; `None` when one of its strings cannot be read.
fn depth_and_strings(text: &str) -> Option<u32> {
    let (bytes, mut at) = (text.as_bytes(), 0);
    let (mut depth, mut deepest) = (0_u32, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth -= 1,
            b'"' => {
                let start = at;
                at += 1;
                while bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                serde_json::from_str::<String>(&text[start..=at]).ok()?;
            }
            _ => {}
        }
        at += 1;
    }
    Some(deepest)
}

/// An event that must be accepted.
#[derive(Debug)]
pub struct ExpectedEvent<'a> {
    pub span: &'a str,
    pub key: String,
    pub timestamp: Timestamp,
}

/// The events that must be found in an acceptable body.
#[derive(Debug, Default)]
pub struct Expected<'a> {
    pub events: Vec<ExpectedEvent<'a>>,
    pub invalid: Vec<(usize, &'a str)>,
}

/// `None` when the whole of the body must be refused. The body is acceptable JSON.
pub fn expected_drain(body: &str) -> Option<Expected<'_>> {
    let members = Members::of(body)?;
    let events = members.only("events")?;
    let events: Vec<&RawValue> = serde_json::from_str(events).ok()?;
    if events.is_empty() {
        return None;
    }
    let mut expected = Expected::default();
    for (index, event) in events.into_iter().map(RawValue::get).enumerate() {
        match expected_event(event) {
            Some(event) => expected.events.push(event),
            None => expected.invalid.push((index, event)),
        }
    }
    Some(expected)
}

fn expected_event(span: &str) -> Option<ExpectedEvent<'_>> {
    let members = Members::of(span)?;
    let string = |name| serde_json::from_str::<String>(members.only(name)?).ok();
    let filled = |name| string(name).filter(|value| !value.is_empty());
    let (key, timestamp) = (filled("project_id")?, filled("timestamp")?);
    let (_, _, _) = (filled("level")?, filled("service")?, string("message")?);
    let metadata_fits = members.all("metadata").all(|value| value.starts_with('{') || value == "null");
    let timestamp = parse_timestamp(timestamp.as_bytes()).ok()?;
    let fits = span.len() <= MAX_RECORD_BYTES && key.len() <= MAX_KEY_BYTES;
    (metadata_fits && fits).then_some(ExpectedEvent { span, key, timestamp })
}

/// The members of an object in their order, duplicates included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    fn of(text: &'a str) -> Option<Self> {
        if text.trim_start().starts_with('{') { serde_json::from_str(text).ok() } else { None }
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.get())
    }

    fn only(&self, name: &str) -> Option<&'a str> {
        let mut found = self.all(name);
        let first = found.next()?;
        if found.next().is_some() { None } else { Some(first) }
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}
