//! Deleting what is older or more than a stream keeps: whole segments, oldest first.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::discard::Discard;
use crate::clock::LogTime;
use crate::ids::Timestamp;
use crate::log::commit::{CommitQueue, OPS_BYTES};
use crate::log::read::Reader;
use crate::log::segment::SealQueue;
use crate::status::Status;
use crate::storage::Storage;
use crate::stream::SEGMENT_DIRECTORY;
use crate::stream::{Catalog, SegmentName, SegmentPart, Stream};
use crate::table::TableOp;
use crate::telemetry::{Counter, Counters};
use crate::thread::Notify;

/// Applies every stream's retention, in a thread of its own.
///
/// A call costs one comparison a stream, and what it deletes: each stream knows the sum of its parts and their order, so
/// nothing that stays is looked at, however many segments and partitions there are.
#[derive(Debug)]
pub(crate) struct Retention {
    /// The storage that holds the segments.
    pub storage: Arc<dyn Storage>,
    /// The streams.
    pub catalog: Arc<Catalog>,
    /// The queue that makes a deletion durable.
    pub commits: Arc<CommitQueue>,
    /// The reader, which may have a deleted segment open.
    pub reader: Arc<Reader>,
    /// The engine's counters.
    pub counters: Arc<Counters>,
    /// The log's status: it tells whether anything can be deleted.
    pub status: Arc<Status>,
    /// The sealer's queue: it makes segments meanwhile.
    pub sealing: Arc<SealQueue>,
    /// Wakes the thread.
    pub notify: Arc<Notify>,
    /// Held while parts of streams are deleted or replaced by merged ones: look-up, commit and change are one step.
    /// It is taken before [`SealQueue::alone`], and never held for more than one commit.
    pub(crate) changing: Mutex<()>,
    /// Rows of deleted streams that no commit deletes yet, in the order in which they are to be deleted. There are at
    /// most as many as the streams' parts and partitions had.
    pub(crate) leftovers: Mutex<VecDeque<TableOp>>,
    /// Parts that were looked at, for the tests: those that stay must not be, but for one a stream.
    pub(crate) looked_at: Counter,
}

impl Retention {
    /// Makes one that has nothing left over from an earlier process.
    #[must_use]
    pub(crate) fn new(
        (storage, catalog, commits): (Arc<dyn Storage>, Arc<Catalog>, Arc<CommitQueue>),
        (reader, counters, status): (Arc<Reader>, Arc<Counters>, Arc<Status>),
        (sealing, notify): (Arc<SealQueue>, Arc<Notify>),
    ) -> Self {
        let (changing, leftovers, looked_at) = (Mutex::default(), Mutex::default(), Counter::default());
        Self { storage, catalog, commits, reader, counters, status, sealing, notify, changing, leftovers, looked_at }
    }

    /// Deletes all that is due at `now`, in the log's time, in as many commits as that takes. What fails is tried again at
    /// the next call.
    pub(crate) fn apply(&self, now: &LogTime) {
        self.delete_leftovers();
        let mut due = VecDeque::from(self.catalog.all_that(|stream| self.is_due(stream, now)));
        while !due.is_empty() && !self.notify.is_closed() && self.delete_some(&mut due, now) {}
    }

    /// Deletes what one commit can delete of these streams, and takes those that are done off the list. `false` when
    /// nothing can be deleted now.
    fn delete_some(&self, due: &mut VecDeque<Arc<Stream>>, now: &LogTime) -> bool {
        let _one_at_a_time = self.changing.lock();
        let mut discard = Discard::default();
        while let Some(stream) = due.front() {
            if !self.take_expired(stream, now, &mut discard) {
                break;
            }
            due.pop_front();
        }
        if discard.is_empty() {
            return true;
        }
        let deleted = self.commits.free(discard.ops(), discard.stored_bytes()).is_ok();
        if deleted {
            self.forget(&discard.parts);
        }
        deleted
    }

    fn is_due(&self, stream: &Stream, now: &LogTime) -> bool {
        let mut due = false;
        self.each_expired(stream, now, |_| {
            due = true;
            false
        });
        due
    }

    /// Takes the oldest parts of a stream that it no longer keeps. `false` when there was no room for all of them.
    fn take_expired(&self, stream: &Arc<Stream>, now: &LogTime, discard: &mut Discard) -> bool {
        let mut fits = true;
        if !stream.is_deleted() {
            self.each_expired(stream, now, |part| {
                fits = discard.take(stream, part);
                fits
            });
        }
        fits
    }

    /// Gives the parts that a stream no longer keeps to `each`, oldest first, as long as it wants more. A part whose age is
    /// not known waits for the next one whose age is.
    fn each_expired(&self, stream: &Stream, now: &LogTime, mut each: impl FnMut(&Arc<SegmentPart>) -> bool) {
        let Some(keeps) = Keeps::new(stream.retention(), now) else { return };
        let mut stored = stream.sums().stored_bytes;
        let mut waiting: Vec<Arc<SegmentPart>> = Vec::new();
        stream.each_part(|part| {
            self.looked_at.increment();
            let excess = waiting.is_empty() && keeps.is_excess(part, stored);
            match keeps.is_old(part) {
                Some(false) if !excess => return false,
                None if !excess => {
                    waiting.push(Arc::clone(part));
                    return true;
                }
                Some(_) | None => {}
            }
            waiting.push(Arc::clone(part));
            waiting.drain(..).all(|part| {
                stored = stored.saturating_sub(part.stored_bytes);
                each(&part)
            })
        });
    }

    /// The deletion is durable: readers stop at the new start, then the files go.
    pub(crate) fn forget(&self, deleted: &[(Arc<Stream>, Arc<SegmentPart>)]) {
        for (stream, part) in deleted {
            for (partition, base, records) in &part.spans {
                if let Some(log) = stream.partition(*partition) {
                    log.advance_start(base.plus(*records));
                }
            }
            stream.remove_part(part.name);
            self.counters.segments_deleted.increment();
            self.counters.segment_bytes_deleted.add(part.stored_bytes);
        }
        self.remove_unused(deleted.iter().map(|(_, part)| part.name));
    }

    /// Removes those of the files that no stream has a part in any more.
    pub(crate) fn remove_unused(&self, files: impl Iterator<Item = SegmentName>) {
        let files: BTreeSet<SegmentName> = files.filter(|name| !self.catalog.files().is_used(*name)).collect();
        if files.is_empty() {
            return;
        }
        for name in files {
            self.reader.forget(name);
            // A file that stays behind is an orphan, which the next start removes.
            let _ignored = self.storage.remove(&name.path());
        }
        let _ignored = self.storage.sync_directory(Path::new(SEGMENT_DIRECTORY));
    }

    /// Deletes the rows that deleted streams have left, in as many commits as that takes.
    fn delete_leftovers(&self) {
        while !self.notify.is_closed() {
            let (mut ops, mut bytes) = (Vec::new(), 0);
            for op in self.leftovers.lock().iter() {
                bytes += op.encoded_bytes();
                if bytes > OPS_BYTES {
                    break;
                }
                ops.push(op.clone());
            }
            let count = ops.len();
            if count == 0 || self.commits.change(ops).is_err() {
                return;
            }
            // Others only append meanwhile.
            self.leftovers.lock().drain(..count);
        }
    }
}

/// The limits of one stream at one moment.
#[derive(Debug)]
pub(crate) struct Keeps<'a> {
    now: &'a LogTime,
    /// Parts whose newest record was appended before are too old.
    since: Option<Timestamp>,
    /// There are at least so many stored bytes, if there ever were.
    bytes: Option<u64>,
}

impl<'a> Keeps<'a> {
    /// The limits of a retention by age and by size; `None` for everything.
    pub(crate) fn new((ms, bytes): (Option<u64>, Option<u64>), now: &'a LogTime) -> Option<Self> {
        let since = ms.map(|ms| Timestamp(now.proven.0.saturating_sub_unsigned(ms.saturating_mul(1000))));
        (since.is_some() || bytes.is_some()).then_some(Self { now, since, bytes })
    }

    /// Returns whether a part is too old. `None` when its age is not known.
    pub(crate) fn is_old(&self, part: &SegmentPart) -> Option<bool> {
        match self.since {
            Some(since) => Some(self.now.of_stamp(part.newest_append)? < since),
            None => Some(false),
        }
    }

    /// Returns whether the oldest part of a stream that has `stored` bytes is too much. A part is not cut: it goes when
    /// what is left without it is as much as was asked for, so there may be up to one part more, and never less.
    fn is_excess(&self, oldest: &SegmentPart, stored: u64) -> bool {
        self.bytes.is_some_and(|bytes| stored.saturating_sub(oldest.stored_bytes) >= bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Budget;
    use crate::ids::{Generation, Offset, PartitionId};
    use crate::options;
    use crate::storage::faulty::Faulty;
    use crate::stream::{StreamDefinition, StreamLimits};

    const PARTITIONS: u32 = 64;

    /// Retention without a thread or a committer: what it would commit is refused.
    fn retention() -> Retention {
        let storage: Arc<dyn Storage> = Arc::new(Faulty::new(1));
        let (status, counters): (Arc<Status>, Arc<Counters>) = Default::default();
        let commits = Arc::new(CommitQueue::new(Budget::new(1 << 20)));
        commits.close();
        let reader = Arc::new(Reader::new(Arc::clone(&storage), Arc::clone(&status), Arc::clone(&counters)));
        let catalog = Arc::new(Catalog::new(1 << 20, StreamLimits { streams: 10, partitions: 1000 }));
        Retention::new((storage, catalog, commits), (reader, counters, status), Default::default())
    }

    /// Returns a stream of parts that were appended a second each after the other.
    fn stream(retention: &Retention, id: u32, kept: options::Retention, parts: u64) -> Arc<Stream> {
        let definition = StreamDefinition::new(&format!("s{id}"), PARTITIONS, kept, 1024);
        let stream = retention.catalog.insert(StreamDefinition { id, ..definition });
        for second in 0..parts {
            let name = SegmentName { generation: Generation(second + 1), ordinal: 0 };
            let spans = (0..PARTITIONS).map(|partition| (PartitionId(partition), Offset(second * 10), 10));
            stream.add_part(&Arc::new(SegmentPart {
                stored_bytes: 100,
                newest_append: Timestamp(second.cast_signed() * 1_000_000),
                spans: spans.collect(),
                ..SegmentPart::new(name)
            }));
        }
        stream
    }

    fn certain(seconds: i64) -> LogTime {
        LogTime::certain(Timestamp(seconds * 1_000_000))
    }

    fn looks(retention: &Retention, seconds: i64) -> u64 {
        let before = retention.looked_at.get();
        retention.apply(&certain(seconds));
        retention.looked_at.get() - before
    }

    /// However many segments and partitions there are, a second without anything due looks at one part a stream that
    /// has a retention.
    #[test]
    fn what_stays_is_not_looked_at() {
        let retention = retention();
        let age = Some(std::time::Duration::from_secs(3600));
        for id in 1..=3 {
            stream(&retention, id, options::Retention { age, bytes: Some(1 << 40) }, 500);
        }
        stream(&retention, 4, options::Retention { age: None, bytes: None }, 500);
        assert_eq!(looks(&retention, 3600), 3);
        assert_eq!(looks(&retention, 3599), 3);
        // The parts that are due are looked at, and the first part of each stream that is not.
        assert_eq!(looks(&retention, 3605), 3 + 3 * 6);
    }

    #[test]
    fn as_much_is_due_as_leaves_what_was_asked_for() {
        let retention = retention();
        let bytes = |bytes| options::Retention { age: None, bytes: Some(bytes) };
        for (id, (limit, due)) in (1..).zip([(1, 9), (100, 9), (101, 8), (999, 0), (1000, 0), (5000, 0)]) {
            let stream = stream(&retention, id, bytes(limit), 10);
            let mut discard = Discard::default();
            assert!(retention.take_expired(&stream, &certain(0), &mut discard));
            assert_eq!(discard.parts.len(), due, "of ten parts of 100 bytes, {limit} kept");
        }
    }

    /// A commit has one row a part, and one a partition of each stream, however many parts it deletes.
    #[test]
    fn a_commit_moves_each_start_once_and_is_bounded() {
        let retention = retention();
        let stream = stream(&retention, 1, options::Retention { age: None, bytes: Some(1) }, 5000);
        let mut discard = Discard::default();
        assert!(!retention.take_expired(&stream, &certain(0), &mut discard), "they do not all fit");
        let ops = discard.ops();
        let bytes: usize = ops.iter().map(TableOp::encoded_bytes).sum();
        assert!(bytes <= OPS_BYTES && bytes > OPS_BYTES - 100, "{bytes}");
        assert_eq!(ops.len(), discard.parts.len() + PARTITIONS as usize);
    }
}
