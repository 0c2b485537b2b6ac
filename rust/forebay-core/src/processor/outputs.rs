//! Records that a step writes, encoded as they are stored.

use crate::ids::Timestamp;
use crate::record::{RECORD_HEADER_BYTES, Record, Records, encode_record};
use crate::stream::Times;

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

impl Destination {
    pub(super) const ALL: [Self; 3] = [Self::Sink, Self::Late, Self::DeadLetter];
}

/// The most memory that is kept for the records of the next step: the shares of many partitions change from step to step.
const MAX_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// What a record takes beside its key, its headers and its value.
pub(super) const PLACED_BYTES: usize = RECORD_HEADER_BYTES;

/// A place among the records, up to which they can be kept: the bytes, the records and the times of each lane.
#[derive(Clone, Debug)]
pub(super) struct OutputMark([Vec<(usize, u32, Times)>; Destination::ALL.len()]);

/// Records of one partition in the order in which they are written.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    pub(super) bytes: Vec<u8>,
    pub(super) records: u32,
    pub(super) times: Times,
}

impl Lane {
    /// Adds a record that is encoded.
    pub(super) fn push_stored(&mut self, timestamp: Timestamp, stored: &[u8]) {
        self.bytes.extend_from_slice(stored);
        self.count(timestamp);
    }

    /// Returns the records, each also as it is stored.
    pub(super) fn records(&self) -> Records<'_> {
        Records::new(&self.bytes)
    }

    fn count(&mut self, timestamp: Timestamp) {
        self.records += 1;
        self.times.take_in(timestamp);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        (self.records, self.times) = (0, Times::default());
    }
}

/// Records by destination and partition, or a number that chooses a partition where the stream has fewer of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Outputs {
    lanes: [Vec<Lane>; Destination::ALL.len()],
    bytes: usize,
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
        let (lanes, partition) = (&mut self.lanes[to as usize], partition as usize);
        if lanes.len() <= partition {
            lanes.resize_with(partition + 1, Lane::default);
        }
        let lane = &mut lanes[partition];
        let before = lane.bytes.len();
        encode_record((timestamp, key, headers), write, &mut lane.bytes);
        lane.count(timestamp);
        self.bytes += lane.bytes.len() - before;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Returns the bytes that the records take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the records of one destination by partition.
    pub(super) fn lanes(&self, to: Destination) -> &[Lane] {
        &self.lanes[to as usize]
    }

    /// Returns the records of one destination, partition by partition.
    pub(super) fn records(&self, to: Destination) -> impl Iterator<Item = Record<'_>> {
        self.lanes(to).iter().flat_map(Lane::records).map(|(record, _)| record)
    }

    /// Returns how many records go there.
    pub(super) fn count(&self, to: Destination) -> u64 {
        self.lanes(to).iter().map(|lane| u64::from(lane.records)).sum()
    }

    /// Returns the place behind the last record.
    pub(super) fn mark(&self) -> OutputMark {
        let place = |lane: &Lane| (lane.bytes.len(), lane.records, lane.times);
        OutputMark(self.lanes.each_ref().map(|lanes| lanes.iter().map(place).collect()))
    }

    /// Forgets the records behind a place.
    pub(super) fn truncate(&mut self, mark: &OutputMark) {
        for (lanes, places) in self.lanes.iter_mut().zip(&mark.0) {
            for (index, lane) in lanes.iter_mut().enumerate() {
                let (bytes, records, times) = places.get(index).copied().unwrap_or_default();
                lane.bytes.truncate(bytes);
                (lane.records, lane.times) = (records, times);
            }
        }
        self.bytes = self.lanes.iter().flatten().map(|lane| lane.bytes.len()).sum();
    }

    /// Forgets the records; their memory serves others.
    pub(super) fn clear(&mut self) {
        let lanes = || self.lanes.iter().flatten();
        if lanes().map(|lane| lane.bytes.capacity()).sum::<usize>() > MAX_KEPT_BYTES {
            *self = Self::default();
        }
        self.lanes.iter_mut().flatten().for_each(Lane::clear);
        self.bytes = 0;
    }
}
