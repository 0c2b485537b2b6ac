//! What a test looks at: a variable, or the value of a path into one.

use std::borrow::Cow;
use std::fmt;

use super::number::Number;
use super::view::{RecordView, Unreadable};
use crate::json::{JsonStr, PathId};

/// A variable, or a path into one.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) source: Source,
    /// Its name for people: `value.who.name`.
    pub(super) name: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Value(PathId),
    Header(PathId),
    Key,
    Partition,
    Offset,
    Timestamp,
}

/// The value of an operand in one record.
#[derive(Debug)]
pub(super) enum Found<'v> {
    Null,
    Bool(bool),
    Whole(i64),
    /// A number as it was written.
    Written(&'v [u8]),
    /// A string as it was written, with its quotation marks.
    Quoted(&'v [u8]),
    Text(Cow<'v, str>),
    List,
    Object,
}

impl Operand {
    /// Returns the value; `None` when the record has none.
    ///
    /// # Errors
    /// Fails when the walk through the record's JSON gave up.
    #[inline]
    pub(super) fn find<'r>(&self, view: &mut RecordView<'_, 'r>) -> Result<Option<Found<'r>>, Unreadable> {
        Ok(match self.source {
            Source::Value(path) => view.value(path)?.map(Found::json),
            Source::Header(path) => view.header(path)?.map(Found::json),
            Source::Key => Some(view.key().map_or(Found::Null, Found::Text)),
            Source::Partition => Some(Found::Whole(view.partition())),
            Source::Offset => Some(Found::Whole(view.offset())),
            Source::Timestamp => Some(Found::Whole(view.timestamp())),
        })
    }
}

impl<'v> Found<'v> {
    #[inline]
    fn json(written: &'v [u8]) -> Self {
        match written.first() {
            Some(b'"') => Found::Quoted(written),
            Some(b'{') => Found::Object,
            Some(b'[') => Found::List,
            Some(b't') => Found::Bool(true),
            Some(b'f') => Found::Bool(false),
            Some(b'n') | None => Found::Null,
            Some(_) => Found::Written(written),
        }
    }

    /// Returns the bytes of a text, in UTF-8; `None` of anything else.
    #[inline]
    pub(super) fn text(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Found::Quoted(written) => Some(JsonStr::of_value(written).unescape()),
            Found::Text(text) => Some(Cow::Borrowed(text.as_bytes())),
            Found::Null | Found::Bool(_) | Found::Whole(_) | Found::Written(_) | Found::List | Found::Object => None,
        }
    }

    /// Returns the number; `None` of anything else.
    ///
    /// # Errors
    /// Fails on a number that is not written as in JSON.
    #[inline]
    pub(super) fn number(&self) -> Result<Option<Number<'static>>, Unreadable> {
        match self {
            Found::Whole(whole) => Ok(Some(Number::Whole((*whole).into()))),
            Found::Written(written) => Number::parse(written).map(Some).ok_or(Unreadable),
            Found::Null | Found::Bool(_) | Found::Quoted(_) | Found::Text(_) | Found::List | Found::Object => Ok(None),
        }
    }

    /// Returns what it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Found::Null => "null",
            Found::Bool(_) => "true or false",
            Found::Whole(_) | Found::Written(_) => "a number",
            Found::Quoted(_) | Found::Text(_) => "a text",
            Found::List => "a list",
            Found::Object => "an object",
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
