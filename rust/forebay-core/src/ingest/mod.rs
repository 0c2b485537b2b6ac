//! Event shapes: from a request body to records.

use std::borrow::Cow;

use crate::ids::Timestamp;

/// An event that a shape's parser accepted, borrowing from the request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What is stored as the record's value: valid JSON.
    pub value: Cow<'a, [u8]>,
    /// The record's key, unescaped UTF-8; it decides the partition.
    pub key: Option<Cow<'a, [u8]>>,
    /// The record's headers: a JSON object of strings, or empty.
    pub headers: Cow<'a, [u8]>,
    /// The event's own time where it has one, else the arrival.
    pub timestamp: Timestamp,
}
