use std::borrow::Cow;

use crate::ids::Timestamp;

/// The longest key, unescaped: keys are kept in indexes and compared often, and no identifier needs more.
pub const MAX_KEY_BYTES: usize = 1024;

/// An event that a shape's parser accepted, borrowing from the request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The record's value: valid JSON.
    pub value: Cow<'a, [u8]>,
    /// The record's key, unescaped UTF-8; it decides the partition.
    pub key: Option<Cow<'a, [u8]>>,
    /// The record's headers: a JSON object of strings, or empty.
    pub headers: Cow<'a, [u8]>,
    /// The event's own time where it has one, else the arrival.
    pub timestamp: Timestamp,
}

impl Event<'_> {
    /// Copies the event, with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        Event {
            value: Cow::Owned(self.value.into_owned()),
            key: self.key.map(|key| Cow::Owned(key.into_owned())),
            headers: Cow::Owned(self.headers.into_owned()),
            timestamp: self.timestamp,
        }
    }
}
