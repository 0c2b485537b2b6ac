//! The errors of a body, or of one event of it.

use std::borrow::Cow;

use super::parsed::InvalidEvent;
use crate::error::{Error, ErrorKind};
use crate::json::JsonError;

/// The longest name of a field that a message repeats, in characters.
const MAX_SHOWN_CHARACTERS: usize = 64;

/// The error of one event: its row of the error table, and which field and why. Always boxed: it is rare, and its
/// size would be copied with every good event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: ErrorKind,
    /// Empty for the event as a whole.
    field: Cow<'static, str>,
    reason: Cow<'static, str>,
}

impl Problem {
    #[cold]
    pub(super) fn new(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self { kind: ErrorKind::Malformed, field: field.into(), reason: reason.into() })
    }

    /// The field, or the event, has `length` bytes, more than `limit`, which says whose it is.
    #[cold]
    pub(super) fn too_large(field: &'static str, length: usize, limit: &str) -> Box<Self> {
        let reason = format!("has {length} bytes, more than the {limit}");
        Box::new(Self { kind: ErrorKind::PayloadTooLarge, field: field.into(), reason: reason.into() })
    }

    /// The event at `index`, of the bytes `span`, with what is wrong with it.
    #[cold]
    pub(super) fn with<'a>(&self, index: usize, span: &'a [u8]) -> InvalidEvent<'a> {
        InvalidEvent { index, span, reason: self.text(), of_field: !self.field.is_empty() }
    }

    /// The field and the reason.
    fn text(&self) -> String {
        if self.field.is_empty() { self.reason.to_string() } else { format!("{}: {}", self.field, self.reason) }
    }

    /// Makes it an error; `index` is the event's in its batch.
    pub(super) fn error(&self, index: Option<usize>) -> Error {
        Error::new(self.kind, placed(index, !self.field.is_empty(), &self.text()))
    }
}

/// The reason with the event's place; `index` is the event's in its batch, and `of_field` says that the
/// text begins with a field's name.
#[cold]
pub(super) fn placed(index: Option<usize>, of_field: bool, text: &str) -> String {
    match (index, of_field) {
        (None, false) => format!("the event {text}"),
        (None, true) => text.to_owned(),
        (Some(index), false) => format!("events[{index}]: {text}"),
        (Some(index), true) => format!("events[{index}].{text}"),
    }
}

/// The first problem of an event; those behind it are not kept.
#[derive(Debug, Default)]
pub(super) struct FirstProblem(Option<Box<Problem>>);

impl FirstProblem {
    #[inline]
    pub(super) fn note(&mut self, problem: Box<Problem>) {
        if self.0.is_none() {
            self.0 = Some(problem);
        }
    }

    /// Notes that a value is longer than it may be.
    pub(super) fn check_length(&mut self, field: &'static str, length: usize, limit: usize) {
        if length > limit {
            self.note(Problem::new(field, format!("has {length} bytes, more than the limit of {limit}")));
        }
    }

    #[inline]
    pub(super) fn take(&mut self) -> Option<Box<Problem>> {
        self.0.take()
    }
}

/// A field's name as a message shows what a sender wrote: not all of it when it is long.
#[cold]
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(MAX_SHOWN_CHARACTERS).collect()
}

#[cold]
pub(super) fn not_json(error: JsonError) -> Error {
    malformed(format!("the body is not valid JSON: {error}"))
}

#[cold]
pub(super) fn malformed(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Malformed, detail)
}
