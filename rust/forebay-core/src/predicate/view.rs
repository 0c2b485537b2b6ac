//! One record as a plan reads it.

use std::borrow::Cow;

use super::meter;
use crate::ids::{Offset, PartitionId};
use crate::json::{Lookup, PathId, PathSet};
use crate::record::Record;

/// The paths that a plan looks at.
#[derive(Debug, Default)]
pub(super) struct Paths {
    pub(super) value: PathSet,
    pub(super) headers: PathSet,
}

/// The record's JSON is not what a record may hold; only the interpreter says what an expression is then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// A record, and what was found in it so far.
#[derive(Debug)]
pub(super) struct RecordView<'p, 'r> {
    pub(super) record: &'p Record<'r>,
    pub(super) place: (PartitionId, Offset),
    /// The paths into the value, and what was found of them.
    value: (&'p PathSet, &'p mut Lookup),
    headers: (&'p PathSet, Lookup),
    metered: bool,
}

impl<'p, 'r> RecordView<'p, 'r> {
    pub(super) fn new(
        value: (&'p PathSet, &'p mut Lookup),
        headers: &'p PathSet,
        place: (PartitionId, Offset),
        record: &'p Record<'r>,
    ) -> Self {
        Self { record, place, value, headers: (headers, Lookup::default()), metered: false }
    }

    /// Returns the value of a path into the record's value.
    #[inline]
    pub(super) fn value(&mut self, path: PathId) -> Result<Option<&'r [u8]>, Unreadable> {
        let (paths, lookup) = &mut self.value;
        get(paths, lookup, self.record.value, path)
    }

    /// Returns the value of a path into the headers.
    pub(super) fn header(&mut self, path: PathId) -> Result<Option<&'r [u8]>, Unreadable> {
        let (paths, lookup) = &mut self.headers;
        get(paths, lookup, headers(self.record), path)
    }

    /// Returns the key, if there is one; what of it is not UTF-8 shows as U+FFFD, as everywhere.
    pub(super) fn key(&self) -> Option<Cow<'r, str>> {
        self.record.key.map(String::from_utf8_lossy)
    }

    pub(super) fn partition(&self) -> i64 {
        self.place.0.0.into()
    }

    pub(super) fn offset(&self) -> i64 {
        i64::try_from(self.place.1.0).unwrap_or(i64::MAX)
    }

    pub(super) fn timestamp(&self) -> i64 {
        self.record.timestamp.millis()
    }

    /// Begins to count the steps of loops, once for the whole evaluation.
    pub(super) fn meter(&mut self) {
        if !self.metered {
            meter::start();
            self.metered = true;
        }
    }

    /// Returns whether the loops of the evaluation ran out of steps.
    pub(super) fn is_exhausted(&self) -> bool {
        self.metered && meter::is_exhausted()
    }
}

#[inline]
fn get<'r>(paths: &PathSet, lookup: &mut Lookup, json: &'r [u8], path: PathId) -> Result<Option<&'r [u8]>, Unreadable> {
    if lookup.find_first(paths, json) { Ok(lookup.get(json, path)) } else { Err(Unreadable) }
}

/// Returns the headers as the JSON object that they stand for.
pub(super) fn headers<'r>(record: &Record<'r>) -> &'r [u8] {
    if record.headers.is_empty() { b"{}" } else { record.headers }
}
