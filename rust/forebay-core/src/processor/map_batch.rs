//! Records that wait for a function, with their bytes in one allocation.

use std::ops::Range;

use crate::ids::{Offset, PartitionId, Timestamp};
use crate::record::Record;
use crate::window::EventTime;

/// A record that a function is given, and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Mapped {
    pub(super) place: (PartitionId, Offset),
    /// Its event time, and the watermark that it is judged by, whenever the function answers.
    pub(super) times: (EventTime, EventTime),
    timestamp: Timestamp,
    key: Option<Range<usize>>,
    headers: Range<usize>,
    /// The value as the source has it, and as the functions before have made it.
    original: Range<usize>,
    value: Range<usize>,
}

/// Records in the order of their source.
#[derive(Clone, Debug, Default)]
pub(super) struct MapBatch {
    bytes: Vec<u8>,
    records: Vec<Mapped>,
}

impl MapBatch {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Mapped> {
        self.records.iter()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }

    /// Adds a record of the source.
    pub(super) fn push(&mut self, place: (PartitionId, Offset), record: &Record<'_>, times: (EventTime, EventTime)) {
        let key = record.key.map(|key| self.add(key));
        let (headers, original) = (self.add(record.headers), self.add(record.value));
        let (timestamp, value) = (record.timestamp, original.clone());
        self.records.push(Mapped { place, times, timestamp, key, headers, original, value });
    }

    /// Adds what a function has made of a record of another batch, for the next function.
    pub(super) fn push_next(&mut self, from: &Self, mapped: &Mapped, value: &[u8]) {
        let key = mapped.key.as_ref().map(|key| self.add(from.part(key)));
        let (headers, original) = (self.add(from.part(&mapped.headers)), self.add(from.original(mapped)));
        let value = self.add(value);
        self.records.push(Mapped { key, headers, original, value, ..*mapped });
    }

    /// Returns the record with another value.
    pub(super) fn record<'a>(&'a self, mapped: &Mapped, value: &'a [u8]) -> Record<'a> {
        let key = mapped.key.as_ref().map(|key| self.part(key));
        Record { timestamp: mapped.timestamp, key, headers: self.part(&mapped.headers), value }
    }

    /// Returns the value as the source has it.
    pub(super) fn original(&self, mapped: &Mapped) -> &[u8] {
        self.part(&mapped.original)
    }

    /// Returns each value as it is now.
    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().map(|mapped| self.part(&mapped.value))
    }

    /// Returns the bytes of what each result of the record carries on.
    pub(super) fn carried_bytes(&self, mapped: &Mapped) -> usize {
        mapped.key.as_ref().map_or(0, Range::len) + mapped.headers.len()
    }

    fn add(&mut self, part: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(part);
        start..self.bytes.len()
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}
