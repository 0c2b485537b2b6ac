//! A stream's sealed parts: in the order of their age, by offset, and summed up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use super::part::SegmentPart;
use super::segment_name::SegmentName;
use crate::ids::{Offset, PartitionId};

/// Totals over a stream's parts. They are kept, so that a caller does not pay for every part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Number of parts.
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
    /// Takes in a part; one of the same name gives way, and is returned.
    pub(super) fn insert(&mut self, part: &Arc<SegmentPart>) -> Option<Arc<SegmentPart>> {
        let before = self.remove(part.name);
        for (partition, base, records) in &part.spans {
            self.by_offset.insert((*partition, *base), (Arc::clone(part), *records));
        }
        self.stored_bytes += part.stored_bytes;
        self.raw_bytes += part.raw_bytes;
        self.by_name.insert(part.name, Arc::clone(part));
        before
    }

    /// Forgets a part, and returns it. What another part took over meanwhile stays.
    pub(super) fn remove(&mut self, name: SegmentName) -> Option<Arc<SegmentPart>> {
        let part = self.by_name.remove(&name)?;
        for (partition, base, _) in &part.spans {
            let key = (*partition, *base);
            if self.by_offset.get(&key).is_some_and(|(holds, _)| holds.name == name) {
                self.by_offset.remove(&key);
            }
        }
        self.stored_bytes = self.stored_bytes.saturating_sub(part.stored_bytes);
        self.raw_bytes = self.raw_bytes.saturating_sub(part.raw_bytes);
        Some(part)
    }

    pub(super) fn named(&self, name: SegmentName) -> Option<&Arc<SegmentPart>> {
        self.by_name.get(&name)
    }

    /// Returns the part that holds `offset`, or the first one after it.
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

    /// Returns the parts after that name, or all, oldest first.
    pub(super) fn after(&self, name: Option<SegmentName>) -> impl Iterator<Item = &Arc<SegmentPart>> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name.range((from, Bound::Unbounded)).map(|(_, part)| part)
    }

    pub(super) fn sums(&self) -> Sums {
        Sums { parts: self.by_name.len(), stored_bytes: self.stored_bytes, raw_bytes: self.raw_bytes }
    }
}

/// Uses of each segment file: it goes with the last stream that has a part in it.
#[derive(Debug, Default)]
pub(crate) struct SegmentFiles {
    uses: Mutex<HashMap<SegmentName, Use>>,
    /// Files that streams have given up more than half of, since they were asked for last: at most one entry a file.
    sparse: Mutex<BTreeSet<SegmentName>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Use {
    streams: u32,
    /// Stored bytes of their parts.
    used: u64,
    /// The file's bytes, as far as they are known.
    all: u64,
}

impl SegmentFiles {
    /// One more stream has a part in the file.
    pub(super) fn take(&self, part: &SegmentPart) {
        let mut uses = self.uses.lock();
        let file = uses.entry(part.name).or_default();
        file.streams += 1;
        file.used += part.stored_bytes;
        file.all = file.all.max(file.used);
    }

    /// One stream less.
    pub(super) fn release(&self, part: &SegmentPart) {
        let mut uses = self.uses.lock();
        let Some(file) = uses.get_mut(&part.name) else { return };
        file.streams = file.streams.saturating_sub(1);
        file.used = file.used.saturating_sub(part.stored_bytes);
        if file.streams == 0 {
            uses.remove(&part.name);
        } else if file.is_sparse() {
            self.sparse.lock().insert(part.name);
        }
    }

    /// Says how many bytes a file has: streams may have given up some of it before the start.
    pub(crate) fn has_bytes(&self, name: SegmentName, bytes: u64) {
        if let Some(file) = self.uses.lock().get_mut(&name) {
            file.all = file.all.max(bytes);
            if file.is_sparse() {
                self.sparse.lock().insert(name);
            }
        }
    }

    /// Files that are mostly of no use. Each is named once, until a stream gives up more of it.
    pub(crate) fn take_sparse(&self) -> BTreeSet<SegmentName> {
        std::mem::take(&mut self.sparse.lock())
    }

    /// Names a file again: not all could be moved out of it.
    pub(crate) fn put_back(&self, name: SegmentName) {
        self.sparse.lock().insert(name);
    }

    /// Returns whether any stream has a part in the file.
    pub(crate) fn is_used(&self, name: SegmentName) -> bool {
        self.uses.lock().contains_key(&name)
    }

    /// Returns the highest ordinal of all files in use.
    pub(crate) fn highest_ordinal(&self) -> Option<u32> {
        self.uses.lock().keys().map(|name| name.ordinal).max()
    }
}

impl Use {
    /// A copy of what is used costs less than what it frees. An index and a footer are no streams' own.
    fn is_sparse(self) -> bool {
        self.used < self.all / 2
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
        assert_eq!((parts.insert(&second), parts.insert(&first)), (None, None));
        assert_eq!(parts.insert(&first), Some(Arc::clone(&first)));
        assert_eq!(parts.sums(), Sums { parts: 2, stored_bytes: 20, raw_bytes: 200 });
        assert_eq!(parts.after(None).map(|part| part.name.generation.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(parts.after(Some(first.name)).count(), 1);
        assert_eq!(parts.at(PartitionId(0), Offset(4)), Some(&first));
        assert_eq!(parts.at(PartitionId(0), Offset(5)), Some(&second));
        assert_eq!(parts.at(PartitionId(1), Offset(0)), None);
        // A part that takes over what two held before is there when they go.
        let both = part(3, 0, 10);
        assert_eq!(parts.insert(&both), None);
        assert!(parts.remove(first.name).is_some() && parts.remove(second.name).is_some());
        assert_eq!(parts.at(PartitionId(0), Offset(0)), Some(&both));
        assert_eq!(parts.sums(), Sums { parts: 1, stored_bytes: 10, raw_bytes: 100 });
        assert_eq!(parts.remove(first.name), None);
    }

    #[test]
    fn a_file_is_used_until_the_last_stream_gives_it_up() {
        let files = SegmentFiles::default();
        let part = part(1, 0, 1);
        files.take(&part);
        files.take(&part);
        files.take(&part);
        assert_eq!(files.highest_ordinal(), Some(0));
        files.release(&part);
        assert!(files.take_sparse().is_empty(), "two thirds are used");
        files.release(&part);
        assert_eq!(files.take_sparse(), BTreeSet::from([part.name]));
        assert!(files.take_sparse().is_empty(), "it is named once");
        files.has_bytes(part.name, 32);
        assert_eq!(files.take_sparse(), BTreeSet::from([part.name]));
        assert!(files.is_used(part.name));
        files.release(&part);
        files.release(&part);
        assert!(!files.is_used(part.name) && files.take_sparse().is_empty());
    }
}
