//! The model: what was sent, what was promised, and what must therefore be read back.

use std::collections::BTreeMap;

use forebay_core::{Appended, Durability, Receipt};

use super::{Log, Mark, Place, assert_dense};

/// What happened to the engine before a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing: it runs.
    Running,
    /// It was closed in order, or the process died: the page cache is kept.
    Restart,
    /// The machine lost its power.
    PowerLoss,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Not acknowledged: after a restart it is there whole or not at all. Until then it is not visible.
    Unknown,
    /// Acknowledged, and not yet seen after a restart.
    Acknowledged,
    /// Seen after a restart, which made it durable.
    Durable,
    /// Not there after a restart, and so never again.
    Absent,
}

#[derive(Clone, Debug)]
struct Batch {
    stream: String,
    records: u32,
    /// Partition and offset of every record, in order.
    placed: Vec<(u32, u64)>,
    fate: Fate,
    /// Logical times of the call and of the acknowledgement.
    sent: u64,
    acknowledged: u64,
}

/// Everything that was sent to one data directory.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    clock: u64,
    batches: BTreeMap<u32, Batch>,
    starts: BTreeMap<Place, u64>,
    /// Whether retention may delete.
    pub deletes: bool,
}

impl Ledger {
    /// Nothing was sent yet.
    pub fn new(deletes: bool) -> Self {
        Self { deletes, ..Self::default() }
    }

    /// Takes note of a batch before it is sent; returns its number.
    pub fn send(&mut self, stream: &str, records: u32) -> u32 {
        self.clock += 1;
        let number = u32::try_from(self.batches.len()).unwrap();
        let stream = stream.to_owned();
        let fate = Fate::Unknown;
        let batch = Batch { stream, records, placed: Vec::new(), fate, sent: self.clock, acknowledged: u64::MAX };
        self.batches.insert(number, batch);
        number
    }

    /// Takes note of an acknowledgement that names runs of records.
    pub fn acknowledge(&mut self, number: u32, receipt: &Receipt, promised: Durability) {
        assert_eq!(receipt.level.durability(), promised, "the receipt names the level");
        let runs = receipt.placed.iter();
        let run = |run: &forebay_core::Placed| (0..run.records).map(|i| (run.partition.0, run.base.0 + u64::from(i))).collect::<Vec<_>>();
        self.settle(number, runs.flat_map(run).collect());
    }

    /// Takes note of an acknowledgement that names each record.
    pub fn acknowledge_each(&mut self, number: u32, appended: &Appended, promised: Durability) {
        assert_eq!(appended.level.durability(), promised, "the receipt names the level");
        self.settle(number, appended.places.iter().map(|(partition, offset)| (partition.0, offset.0)).collect());
    }

    fn settle(&mut self, number: u32, mut placed: Vec<(u32, u64)>) {
        self.clock += 1;
        placed.sort_unstable();
        let batch = self.batches.get_mut(&number).unwrap();
        assert_eq!(placed.len(), batch.records as usize, "the receipt of batch {number}");
        batch.placed = placed;
        batch.fate = Fate::Acknowledged;
        batch.acknowledged = self.clock;
    }

    /// Compares what is read with what was promised, and remembers what is durable or gone from now on.
    pub fn check(&mut self, found: &BTreeMap<Place, Log>, after: After, durability: Durability) {
        let seen = self.collect(found);
        self.check_starts(found);
        let lossy = after == After::PowerLoss && durability != Durability::Fsync;
        let mut newest_kept = 0;
        let mut oldest_lost = (u64::MAX, 0);
        for (number, batch) in &mut self.batches {
            let records = seen.get(number).map_or(&[][..], Vec::as_slice);
            if records.is_empty() {
                let deleted = self.deletes && batch.is_below_starts(found);
                match batch.fate {
                    Fate::Acknowledged if lossy && !deleted => {
                        oldest_lost = oldest_lost.min((batch.acknowledged, *number));
                        batch.fate = Fate::Absent;
                    }
                    Fate::Acknowledged | Fate::Durable => assert!(deleted, "batch {number} is lost: {batch:?}"),
                    Fate::Unknown if after != After::Running => batch.fate = Fate::Absent,
                    Fate::Unknown | Fate::Absent => {}
                }
                continue;
            }
            batch.check_whole(*number, records);
            match batch.fate {
                Fate::Absent => panic!("batch {number} came back after it was gone: {batch:?}"),
                Fate::Unknown => assert_ne!(after, After::Running, "batch {number} is visible, not acknowledged"),
                Fate::Acknowledged | Fate::Durable => batch.check_places(*number, records),
            }
            if after != After::Running {
                // Also where an unacknowledged batch turned up: from now on it stays there.
                batch.placed = places(records);
                batch.fate = Fate::Durable;
                newest_kept = newest_kept.max(batch.sent);
            }
        }
        let (acknowledged, number) = oldest_lost;
        assert!(
            acknowledged > newest_kept,
            "batch {number} is lost, though one that was sent after its acknowledgement is kept: not a prefix"
        );
    }

    fn collect(&self, found: &BTreeMap<Place, Log>) -> BTreeMap<u32, Vec<(Place, u64, Mark)>> {
        let mut seen: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for (place, log) in found {
            assert_dense(place, log);
            for (offset, mark) in &log.records {
                let batch = self.batches.get(&mark.batch).unwrap_or_else(|| panic!("{mark:?} was never sent"));
                assert_eq!(batch.stream, place.0, "{mark:?} is on another stream");
                seen.entry(mark.batch).or_default().push((place.clone(), *offset, *mark));
            }
        }
        seen
    }

    fn check_starts(&mut self, found: &BTreeMap<Place, Log>) {
        for (place, log) in found {
            let before = self.starts.insert(place.clone(), log.start).unwrap_or(0);
            assert!(log.start >= before, "the start of {place:?} moved back from {before} to {}", log.start);
            assert!(self.deletes || log.start == 0, "{place:?} was deleted from, without retention");
        }
        for (place, start) in &self.starts {
            assert!(found.contains_key(place), "{place:?} with start {start} is gone");
        }
    }
}

impl Batch {
    fn check_whole(&self, number: u32, records: &[(Place, u64, Mark)]) {
        let mut indices: Vec<u32> = records.iter().map(|(_, _, mark)| mark.index).collect();
        indices.sort_unstable();
        let wanted: Vec<u32> = (0..self.records).collect();
        assert_eq!(indices, wanted, "batch {number} is not there whole, once: {self:?}");
        for pair in records.windows(2) {
            let [(place, offset, mark), (next_place, next_offset, next_mark)] = pair else { unreachable!() };
            if place == next_place {
                assert_eq!(offset + 1, *next_offset, "batch {number} is scattered in {place:?}");
                assert!(mark.index < next_mark.index, "batch {number} is out of order in {place:?}");
            }
        }
    }

    fn check_places(&self, number: u32, records: &[(Place, u64, Mark)]) {
        assert_eq!(places(records), self.placed, "batch {number} is not where its receipt says");
    }

    fn is_below_starts(&self, found: &BTreeMap<Place, Log>) -> bool {
        let below = |(partition, offset): &(u32, u64)| *offset < found[&(self.stream.clone(), *partition)].start;
        !self.placed.is_empty() && self.placed.iter().all(below)
    }
}

fn places(records: &[(Place, u64, Mark)]) -> Vec<(u32, u64)> {
    records.iter().map(|((_, partition), offset, _)| (*partition, *offset)).collect()
}
