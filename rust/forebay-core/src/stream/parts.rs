//! A stream's sealed parts: in the order of their age, by offset, and summed up.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use super::SegmentPart;
use crate::ids::{Offset, PartitionId};
use crate::log::segment::SegmentName;

/// What a stream's parts have together. It is kept, not counted: who asks does not pay for every part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// How many parts there are.
    pub(crate) parts: usize,
    /// Their blocks' bytes on the disk.
    pub(crate) stored_bytes: u64,
    /// Their records' bytes before compression.
    pub(crate) raw_bytes: u64,
}

/// The parts of one stream. Names order them by age: a segment is named after the journal file that it was sealed from,
/// and a merged one after the last of its sources.
#[derive(Debug, Default)]
pub(super) struct Parts {
    by_name: BTreeMap<SegmentName, Arc<SegmentPart>>,
    by_offset: BTreeMap<(PartitionId, Offset), (Arc<SegmentPart>, u64)>,
    stored_bytes: u64,
    raw_bytes: u64,
}

impl Parts {
    /// Takes in a part; one of the same name gives way. Returns whether the stream did not have one of that name.
    pub(super) fn insert(&mut self, part: &Arc<SegmentPart>) -> bool {
        let is_new = !self.remove(part.name);
        for (partition, base, records) in &part.spans {
            self.by_offset.insert((*partition, *base), (Arc::clone(part), *records));
        }
        self.stored_bytes += part.stored_bytes;
        self.raw_bytes += part.raw_bytes;
        self.by_name.insert(part.name, Arc::clone(part));
        is_new
    }

    /// Forgets a part; `false` when there is none of that name. What another part took over meanwhile stays.
    pub(super) fn remove(&mut self, name: SegmentName) -> bool {
        let Some(part) = self.by_name.remove(&name) else { return false };
        for (partition, base, _) in &part.spans {
            let key = (*partition, *base);
            if self.by_offset.get(&key).is_some_and(|(holds, _)| holds.name == name) {
                self.by_offset.remove(&key);
            }
        }
        self.stored_bytes = self.stored_bytes.saturating_sub(part.stored_bytes);
        self.raw_bytes = self.raw_bytes.saturating_sub(part.raw_bytes);
        true
    }

    pub(super) fn named(&self, name: SegmentName) -> Option<&Arc<SegmentPart>> {
        self.by_name.get(&name)
    }

    /// The part that holds `offset`, or the first one after it.
    pub(super) fn at(&self, partition: PartitionId, offset: Offset) -> Option<&Arc<SegmentPart>> {
        let before = self.by_offset.range((partition, Offset(0))..=(partition, offset)).next_back();
        if let Some(((_, base), (part, records))) = before
            && offset < base.plus(*records)
        {
            return Some(part);
        }
        let after = self.by_offset.range((partition, offset)..=(partition, Offset(u64::MAX))).next();
        after.map(|(_, (part, _))| part)
    }

    /// The parts after that name, or all, oldest first.
    pub(super) fn after(&self, name: Option<SegmentName>) -> impl Iterator<Item = &Arc<SegmentPart>> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name.range((from, Bound::Unbounded)).map(|(_, part)| part)
    }

    pub(super) fn sums(&self) -> Sums {
        Sums { parts: self.by_name.len(), stored_bytes: self.stored_bytes, raw_bytes: self.raw_bytes }
    }
}

/// How many streams have a part in each segment file: a file goes with the last of them.
#[derive(Debug, Default)]
pub(crate) struct SegmentFiles {
    uses: Mutex<HashMap<SegmentName, u32>>,
}

impl SegmentFiles {
    /// One more stream has a part in the file.
    pub(super) fn take(&self, name: SegmentName) {
        *self.uses.lock().entry(name).or_default() += 1;
    }

    /// One stream less.
    pub(super) fn release(&self, name: SegmentName) {
        let mut uses = self.uses.lock();
        if let Some(count) = uses.get_mut(&name) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                uses.remove(&name);
            }
        }
    }

    /// Whether any stream has a part in the file.
    pub(crate) fn is_used(&self, name: SegmentName) -> bool {
        self.uses.lock().contains_key(&name)
    }

    /// The highest ordinal of all files in use.
    pub(crate) fn highest_ordinal(&self) -> Option<u32> {
        self.uses.lock().keys().map(|name| name.ordinal).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Generation, Timestamp};

    fn part(generation: u64, base: u64, records: u64) -> Arc<SegmentPart> {
        let name = SegmentName { generation: Generation(generation), ordinal: 0 };
        Arc::new(SegmentPart {
            stored_bytes: 10,
            raw_bytes: 100,
            newest_append: Timestamp(0),
            spans: vec![(PartitionId(0), Offset(base), records)],
            ..SegmentPart::new(name)
        })
    }

    #[test]
    fn sums_and_look_ups_follow_what_comes_and_goes() {
        let mut parts = Parts::default();
        let (first, second) = (part(1, 0, 5), part(2, 5, 5));
        assert!(parts.insert(&second) && parts.insert(&first) && !parts.insert(&first));
        assert_eq!(parts.sums(), Sums { parts: 2, stored_bytes: 20, raw_bytes: 200 });
        assert_eq!(parts.after(None).map(|part| part.name.generation.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(parts.after(Some(first.name)).count(), 1);
        assert_eq!(parts.at(PartitionId(0), Offset(4)), Some(&first));
        assert_eq!(parts.at(PartitionId(0), Offset(5)), Some(&second));
        assert_eq!(parts.at(PartitionId(1), Offset(0)), None);
        // A part that takes over what two held before is there when they go.
        let both = part(3, 0, 10);
        assert!(parts.insert(&both) && parts.remove(first.name) && parts.remove(second.name));
        assert_eq!(parts.at(PartitionId(0), Offset(0)), Some(&both));
        assert_eq!(parts.sums(), Sums { parts: 1, stored_bytes: 10, raw_bytes: 100 });
        assert!(!parts.remove(first.name));
    }

    #[test]
    fn a_file_is_used_until_the_last_stream_gives_it_up() {
        let files = SegmentFiles::default();
        let name = part(1, 0, 1).name;
        files.take(name);
        files.take(name);
        files.release(name);
        assert!(files.is_used(name));
        assert_eq!(files.highest_ordinal(), Some(0));
        files.release(name);
        files.release(name);
        assert!(!files.is_used(name));
    }
}
