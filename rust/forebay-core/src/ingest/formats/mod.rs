//! The formats of request bodies: one file or folder each, with the parser and what answers. What is behind them
//! (idempotency, quotas, the log) is in [`Parser`].
//!
//! A new one is a module here, whose [`PayloadFormat`] a row of [`route`](super::route) names.

pub(super) mod drain;
pub mod events;
pub mod publish;
pub mod track;
mod whole;

use std::fmt::Debug;

use self::events::IdSource;
use super::parsed::{OnInvalid, Parsed};
use super::parser::Parser;
use super::request::Job;
use crate::error::Result;
use crate::ids::Timestamp;
use crate::log::commit::Refused;
use crate::log::dedup::Key;

/// How requests of one format are taken.
pub(crate) trait PayloadFormat: Debug + Sync {
    /// Parses a request and queues its batch. A repeat of an earlier request is answered, or waits for it.
    ///
    /// # Errors
    /// The body's error, or `Saturated` when its records have no room.
    fn accept(&self, parser: &Parser, job: Job) -> std::result::Result<(), Box<Refused>>;

    /// How the body is made and read when it is a plain list of events, each of them a record of the route's stream.
    /// Records that a program appends to such a stream are read by it too.
    fn list(&self) -> Option<EventList> {
        None
    }
}

/// Reads a body; the events that are valid borrow from it.
pub(crate) type Read = for<'b> fn(&'b [u8], &BodyRules<'_>) -> Result<Parsed<'b>>;

/// The bytes before and behind the events of a list; commas part the events.
pub(crate) type Frame = (&'static [u8], &'static [u8]);

/// A body that is a list of events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventList {
    /// The bytes around the events.
    pub frame: Frame,
    /// Reads a body.
    pub read: Read,
}

/// The rules that a body is checked against, and the values that its events get where they lack some.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyRules<'r> {
    /// When the request came in.
    pub arrival: Timestamp,
    /// The policy for a body with invalid events.
    pub on_invalid: OnInvalid,
    /// The most events.
    pub max_events: usize,
    /// The largest value of one record.
    pub max_record_bytes: usize,
    /// Names events that come without an id.
    pub ids: &'r IdSource,
    /// The request's idempotency key.
    pub key: Option<Key>,
}
