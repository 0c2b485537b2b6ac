//! The model: what was sent, what was promised, and what must therefore be read back.

use std::collections::BTreeMap;

use forebay_core::{Durability, Placed, REJECTED_SUFFIX, Receipt};

use super::{Log, Mark, Place, assert_dense};

/// The end of the engine before a check.
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
    placed: Vec<Placed>,
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
    /// True if retention may delete.
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

    /// Takes note of a batch that is sent once more, with the key it was sent with.
    pub fn repeat(&mut self, number: u32) {
        self.clock += 1;
        let batch = self.batches.get_mut(&number).unwrap();
        if batch.fate == Fate::Absent {
            // Nothing is remembered of it: it may be stored now.
            (batch.fate, batch.sent) = (Fate::Unknown, self.clock);
            batch.placed.clear();
        }
    }

    /// Takes note of an acknowledgement of a batch with a key: of its first try, or of a repeat, which says no more.
    pub fn acknowledge_keyed(&mut self, number: u32, receipt: &Receipt, promised: Durability) {
        if !receipt.placed.is_empty() {
            let batch = &self.batches[&number];
            // Repeats that waited for the first try get its receipt.
            let first = batch.placed.is_empty() || batch.placed == receipt.placed;
            assert!(first, "batch {number} is stored again at {receipt:?}: {batch:?}");
            return self.acknowledge(number, receipt, promised);
        }
        self.clock += 1;
        let batch = self.batches.get_mut(&number).unwrap();
        if batch.fate == Fate::Unknown {
            batch.fate = Fate::Acknowledged;
            batch.acknowledged = self.clock;
        }
    }

    /// Takes note of an acknowledgement.
    pub fn acknowledge(&mut self, number: u32, receipt: &Receipt, promised: Durability) {
        self.clock += 1;
        let batch = self.batches.get_mut(&number).unwrap();
        assert_eq!(receipt.level.durability(), promised, "the receipt names the level");
        assert_eq!(receipt.placed.iter().map(|placed| placed.records).sum::<u32>(), batch.records);
        batch.placed.clone_from(&receipt.placed);
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
            batch.take_places(found, records);
            if after != After::Running {
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
                // Quarantined events are a part of their batch: all of both is there, or none of either.
                let stream = place.0.strip_suffix(REJECTED_SUFFIX).unwrap_or(&place.0);
                assert_eq!(batch.stream, stream, "{mark:?} is on another stream");
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
        if self.placed.is_empty() {
            return; // Acknowledged by the answer to a repeat, which names no places.
        }
        let mut wanted: Vec<(u32, u64)> = Vec::new();
        for placed in &self.placed {
            wanted.extend((0..placed.records).map(|i| (placed.partition.0, placed.base.0 + u64::from(i))));
        }
        wanted.sort_unstable();
        let mut found: Vec<_> = records.iter().map(|((_, partition), offset, _)| (*partition, *offset)).collect();
        found.sort_unstable();
        assert_eq!(found, wanted, "batch {number} is not where its receipt says");
    }

    /// Where an unacknowledged batch turned up: from now on it stays there.
    fn take_places(&mut self, found: &BTreeMap<Place, Log>, records: &[(Place, u64, Mark)]) {
        if !self.placed.is_empty() {
            return;
        }
        for place in found.keys() {
            let own: Vec<u64> = records.iter().filter(|(at, _, _)| at == place).map(|(_, o, _)| *o).collect();
            if let Some(base) = own.first() {
                self.placed.push(Placed {
                    stream: forebay_core::StreamId(0),
                    partition: forebay_core::PartitionId(place.1),
                    base: forebay_core::Offset(*base),
                    records: u32::try_from(own.len()).unwrap(),
                });
            }
        }
    }

    fn is_below_starts(&self, found: &BTreeMap<Place, Log>) -> bool {
        let below = |placed: &Placed| {
            let log = &found[&(self.stream.clone(), placed.partition.0)];
            placed.base.0 + u64::from(placed.records) <= log.start
        };
        !self.placed.is_empty() && self.placed.iter().all(below)
    }
}
