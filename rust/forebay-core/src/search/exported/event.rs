//! The fields of one log event.

use std::borrow::Cow;

use crate::json::{PathId, PathSet, Spans};
use crate::record::Record;
use crate::search::matcher::text_of;

/// What an export tells of an event, beside its time and its place. What an event does not have is `None`; whatever came in
/// by the drain has the first three.
#[derive(Debug, Default)]
pub(super) struct LogEvent<'v> {
    pub(super) level: Option<Cow<'v, str>>,
    pub(super) service: Option<Cow<'v, str>>,
    pub(super) message: Option<Cow<'v, str>>,
    pub(super) project_id: Option<Cow<'v, str>>,
    /// `metadata.request_id` as text, as searches compare it.
    pub(super) request_id: Option<Cow<'v, str>>,
    /// `metadata.user_id` as text.
    pub(super) user_id: Option<Cow<'v, str>>,
    /// JSON as it was sent.
    pub(super) metadata: Option<Cow<'v, str>>,
}

/// Finds the fields of events, one after another.
#[derive(Debug)]
pub(super) struct EventFields {
    paths: PathSet,
    level: PathId,
    service: PathId,
    message: PathId,
    metadata: PathId,
    request_id: PathId,
    user_id: PathId,
    spans: Spans,
}

impl Default for EventFields {
    fn default() -> Self {
        let mut paths = PathSet::default();
        let [level, service, message, metadata] =
            ["level", "service", "message", "metadata"].map(|name| paths.add([name]));
        let [request_id, user_id] = ["request_id", "user_id"].map(|name| paths.add(["metadata", name]));
        Self { paths, level, service, message, metadata, request_id, user_id, spans: Spans::default() }
    }
}

impl EventFields {
    /// Returns the fields of a record's event.
    pub(super) fn of<'v>(&mut self, record: &Record<'v>) -> LogEvent<'v> {
        let project_id = record.key.map(String::from_utf8_lossy);
        let value = record.value;
        if !self.paths.find(value, &mut self.spans) {
            return LogEvent { project_id, ..LogEvent::default() };
        }
        let json = |path| self.spans.get(value, path);
        let text = |path| json(path).and_then(text_of).map(utf8);
        LogEvent {
            level: text(self.level),
            service: text(self.service),
            message: text(self.message),
            project_id,
            request_id: text(self.request_id),
            user_id: text(self.user_id),
            metadata: json(self.metadata).filter(|json| json.starts_with(b"{")).map(String::from_utf8_lossy),
        }
    }
}

/// What is not UTF-8, which only a program can have appended, shows as U+FFFD.
fn utf8(text: Cow<'_, [u8]>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => String::from_utf8_lossy(text),
        Cow::Owned(text) => Cow::Owned(
            String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use super::*;
    use crate::ids::Timestamp;

    #[test]
    fn fields_are_texts_and_metadata_is_as_it_was_sent() {
        let value = br#"{"level":"\u0065rror","message":"a\nb","metadata":{"user_id":1.50,"n":1e400,"request_id":"r\"1"},"service":"api"}"#;
        let record = Record { timestamp: Timestamp(0), key: Some(b"shop"), headers: b"", value };
        let mut fields = EventFields::default();
        let event = fields.of(&record);
        assert_eq!((event.level.as_deref(), event.service.as_deref()), (Some("error"), Some("api")));
        assert_eq!((event.message.as_deref(), event.project_id.as_deref()), (Some("a\nb"), Some("shop")));
        assert_eq!((event.request_id.as_deref(), event.user_id.as_deref()), (Some("r\"1"), Some("1.50")));
        assert_eq!(event.metadata.unwrap(), r#"{"user_id":1.50,"n":1e400,"request_id":"r\"1"}"#);
        let bare = Record { key: None, value: br#"{"message":"","metadata":null}"#, ..record };
        let event = fields.of(&bare);
        assert_eq!((event.message.as_deref(), event.level, event.metadata), (Some(""), None, None));
        let broken = Record { key: Some(b"\xff"), value: b"{", ..record };
        assert_eq!(fields.of(&broken).project_id.as_deref(), Some("\u{fffd}"));
    }
}
