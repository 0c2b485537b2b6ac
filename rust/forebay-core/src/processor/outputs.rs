//! Records that a step writes, before they are encoded.

use std::borrow::Cow;
use std::ops::Range;

use crate::ids::{PartitionId, Timestamp};
use crate::record::Event;

/// The stream that a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// The sink.
    Sink,
    /// The stream of late records.
    Late,
    /// The stream of records that could not be processed.
    DeadLetter,
}

/// What a record takes beside its bytes.
pub(super) const PLACED_BYTES: usize = size_of::<Placed>();

/// A place among the records, up to which they can be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutputMark {
    bytes: usize,
    records: usize,
}

#[derive(Clone, Debug)]
struct Placed {
    to: Destination,
    /// The partition, or a number that chooses one where the stream has another count of them.
    partition: u32,
    timestamp: Timestamp,
    key: Option<Range<usize>>,
    headers: Range<usize>,
    value: Range<usize>,
}

/// Records in the order in which they are written, with their bytes in one allocation.
#[derive(Clone, Debug, Default)]
pub(super) struct Outputs {
    bytes: Vec<u8>,
    records: Vec<Placed>,
}

impl Outputs {
    /// Adds a record whose value `write` appends.
    pub(super) fn push(
        &mut self,
        to: Destination,
        (partition, timestamp): (u32, Timestamp),
        (key, headers): (Option<&[u8]>, &[u8]),
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let bytes = &mut self.bytes;
        let mut add = |part: &[u8]| {
            let start = bytes.len();
            bytes.extend_from_slice(part);
            start..bytes.len()
        };
        let (key, headers) = (key.map(&mut add), add(headers));
        let start = bytes.len();
        write(bytes);
        let value = start..bytes.len();
        self.records.push(Placed { to, partition, timestamp, key, headers, value });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the memory that the records take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.records.len() * PLACED_BYTES
    }

    /// Returns the records of one destination, each with the partition that it was given.
    pub(super) fn events(&self, to: Destination) -> (Vec<PartitionId>, Vec<Event<'_>>) {
        let of = self.records.iter().filter(|record| record.to == to);
        of.map(|record| (PartitionId(record.partition), self.event(record))).unzip()
    }

    /// Returns how many records go there.
    pub(super) fn count(&self, to: Destination) -> u64 {
        self.records.iter().filter(|record| record.to == to).count() as u64
    }

    /// Returns the place behind the last record.
    pub(super) fn mark(&self) -> OutputMark {
        OutputMark { bytes: self.bytes.len(), records: self.records.len() }
    }

    /// Forgets the records behind a place.
    pub(super) fn truncate(&mut self, mark: OutputMark) {
        self.bytes.truncate(mark.bytes);
        self.records.truncate(mark.records);
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }

    fn event(&self, record: &Placed) -> Event<'_> {
        let part = |range: &Range<usize>| Cow::Borrowed(self.bytes.get(range.clone()).unwrap_or_default());
        Event {
            value: part(&record.value),
            key: record.key.as_ref().map(part),
            headers: part(&record.headers),
            timestamp: record.timestamp,
        }
    }
}
