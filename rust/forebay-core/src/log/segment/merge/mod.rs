//! Makes few large segments of many small ones, in the background and one at a time.
//!
//! A merged file is written and synced before anything names it. One commit deletes the rows of its sources and puts
//! its own; then readers find it, and sources that no stream needs any more are removed. A crash before the commit
//! leaves an orphan, a crash after it leaves the sources as orphans: the next start removes either. Whatever goes wrong
//! before the commit costs nothing but the time: the sources are still there.

mod plan;
mod rewrite;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plan::{Bounds, Candidate, Choice, MAX_SOURCES, WINDOW, choose};
use rewrite::{Rewrite, RewriteError};

use crate::ids::StreamId;
use crate::log::retention::Retention;
use crate::log::segment::sealer::OWN_SEGMENT_BYTES;
use crate::status::Mode;
use crate::stream::SEGMENT_DIRECTORY;
use crate::stream::{SegmentName, SegmentPart, Stream};
use crate::table::{Table, TableOp};

/// Merged files are numbered from here on, so that no file that is sealed has the number of one: a journal file is cut
/// into fewer.
const FIRST_ORDINAL: u32 = 1024;
/// Free space that a merge leaves to the journal: it takes room before it gives some back.
const FREE_BYTES: u64 = 256 * 1024 * 1024;
/// The pause before a merge is tried again that failed for want of room or by an error that may pass.
const RETRY: Duration = Duration::from_secs(5);
/// Sealing goes first: so many bytes of records are merged, then sealing is waited for until it has nothing to do, but
/// not longer than that. Where it always has something to do, merging takes no more than that share of the disk.
const STEP_BYTES: usize = 1024 * 1024;
const STEP_WAIT: Duration = Duration::from_secs(1);
/// Changes of one commit that swaps parts. It is not made where the disk is full, so it need not fit what is kept for
/// that.
const SWAP_BYTES: usize = 128 * 1024;

/// The merging thread's state.
#[derive(Debug)]
pub(crate) struct Merger {
    retention: Arc<Retention>,
    /// The number of the next file: no name is given twice while a reader may have the first of them open.
    next_ordinal: u32,
    /// The last part of each stream up to which its parts stay as they are.
    settled: BTreeMap<StreamId, SegmentName>,
    /// Segments that could not be read: they are left alone until the next start. At most as many as there are.
    unreadable: BTreeSet<SegmentName>,
    not_before: Instant,
}

impl Merger {
    /// Makes a merger that knows nothing of any stream yet, so it looks at all of them once.
    pub(crate) fn new(retention: Arc<Retention>) -> Self {
        let highest = retention.catalog.files().highest_ordinal();
        let next_ordinal = highest.map_or(FIRST_ORDINAL, |highest| FIRST_ORDINAL.max(highest.saturating_add(1)));
        let (settled, unreadable, not_before) = (BTreeMap::new(), BTreeSet::new(), Instant::now());
        Self { retention, next_ordinal, settled, unreadable, not_before }
    }

    /// Merges until the engine closes.
    pub(crate) fn run(mut self, tick: Duration) {
        let mut heard = 0;
        while let Some(rings) = self.retention.notify.wait(heard, tick) {
            heard = rings;
            if Instant::now() >= self.not_before && !self.merge_all() {
                self.not_before = Instant::now() + RETRY;
            }
        }
    }

    /// Merges what is to be merged now. Only streams with new parts are looked at. `false` when it is to be tried later.
    fn merge_all(&mut self) -> bool {
        loop {
            let candidates = self.candidates();
            if candidates.is_empty() {
                return true;
            }
            let all = candidates.clone();
            let is_own = |candidate: &Candidate| candidate.raw_bytes() >= OWN_SEGMENT_BYTES as u64;
            let (own, mut shared): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_own);
            let mut done = own.into_iter().all(|candidate| self.merge(vec![candidate]));
            while done && !shared.is_empty() {
                let job = share(&mut shared);
                done = self.merge(job);
            }
            // There may be more to merge then, or what was left alone now ends what its neighbours are.
            for candidate in all {
                candidate.stream.has_news();
                if let [alone] = &candidate.parts[..]
                    && candidate.is_there()
                {
                    self.retention.catalog.files().put_back(alone.name);
                }
            }
            if !done {
                return false;
            }
        }
    }

    /// Plans the merges of all streams as of one moment: while nothing is sealed, so that whatever comes after the
    /// last part of any of them is of a later generation than all.
    fn candidates(&mut self) -> Vec<Candidate> {
        let retention = Arc::clone(&self.retention);
        let _alone = retention.sealing.alone();
        let streams = retention.catalog.all_that(Stream::takes_news);
        let sparse = retention.catalog.files().take_sparse();
        if !streams.is_empty() {
            self.settled.retain(|stream, _| retention.catalog.by_id(*stream).is_some());
            self.unreadable.retain(|name| retention.catalog.files().is_used(*name));
        }
        let mut candidates: Vec<_> = streams.iter().filter_map(|stream| self.candidate(stream)).collect();
        for name in sparse.into_iter().filter(|name| !self.unreadable.contains(name)) {
            self.add_moves(name, &mut candidates);
        }
        candidates
    }

    /// Moves what is left in a file that is mostly of no use any more: streams share it, and most of them have deleted
    /// or merged what they had in there. A stream that is to be merged anyhow has its turn first.
    fn add_moves(&self, name: SegmentName, candidates: &mut Vec<Candidate>) {
        let busy: BTreeSet<StreamId> = candidates.iter().map(|candidate| candidate.stream.id()).collect();
        for stream in self.retention.catalog.all_that(|_| true) {
            let Some(part) = stream.part_named(name) else { continue };
            if busy.contains(&stream.id()) {
                self.retention.catalog.files().put_back(name);
                continue;
            }
            let next = stream.parts_after(Some(name), 1).first().map(|part| part.name.generation);
            if next != Some(name.generation) {
                candidates.push(Candidate { stream, parts: vec![part], next });
            }
        }
    }

    /// Plans the merges of a stream. Parts that are settled are not looked at again.
    fn candidate(&mut self, stream: &Arc<Stream>) -> Option<Candidate> {
        loop {
            let settled = self.settled.get(&stream.id()).copied();
            let parts = stream.parts_after(settled, WINDOW + 1);
            let (window, is_whole) = parts.split_at_checked(WINDOW).map_or((&parts[..], true), |(w, _)| (w, false));
            let stays = |part: &SegmentPart| self.unreadable.contains(&part.name);
            match choose(window, is_whole, Bounds::of(stream), stays) {
                Choice::Settled(name) => {
                    self.settled.insert(stream.id(), name);
                }
                Choice::Nothing => return None,
                Choice::Merge(chosen) => {
                    let last = chosen.last()?.name;
                    let next = parts.iter().find(|part| part.name > last).map(|part| part.name.generation);
                    if next == Some(last.generation) {
                        // Repair can leave two of one generation: the merged one would come after the second.
                        self.settled.insert(stream.id(), last);
                        continue;
                    }
                    return Some(Candidate { stream: Arc::clone(stream), parts: chosen, next });
                }
            }
        }
    }

    /// Merges into one file. `false` when the storage cannot do it now; what else goes wrong leaves the sources alone.
    fn merge(&mut self, mut candidates: Vec<Candidate>) -> bool {
        candidates.sort_by_key(|candidate| candidate.stream.id());
        let Some(generation) = candidates.iter().map(Candidate::generation).max() else { return true };
        let stored: u64 = candidates.iter().flat_map(|of| &of.parts).map(|part| part.stored_bytes).sum();
        let storage = Arc::clone(&self.retention.storage);
        let has_room = storage.free_bytes().is_ok_and(|free| free >= FREE_BYTES.saturating_add(stored));
        if self.retention.status.mode() != Mode::Running || !has_room {
            return false;
        }
        let name = SegmentName { generation, ordinal: self.next_ordinal };
        self.next_ordinal = self.next_ordinal.saturating_add(1);
        let outcome = self.write(name, &candidates).and_then(|parts| {
            storage.sync_directory(Path::new(SEGMENT_DIRECTORY)).map_err(|_| RewriteError::Storage)?;
            Ok(parts)
        });
        match outcome {
            Ok(parts) => self.swap(name, candidates, parts),
            Err(failure) => {
                let _ignored = storage.remove(&name.path());
                match failure {
                    RewriteError::Source(source) => {
                        self.unreadable.insert(source);
                        true
                    }
                    RewriteError::Storage | RewriteError::Closing => false,
                }
            }
        }
    }

    fn write(&self, name: SegmentName, candidates: &[Candidate]) -> Result<Vec<SegmentPart>, RewriteError> {
        let merged = std::cell::Cell::new(0);
        let go_on = |bytes: usize| {
            merged.set(merged.get() + bytes);
            if merged.get() >= STEP_BYTES {
                merged.set(0);
                self.retention.sealing.wait_for_idle(STEP_WAIT);
            }
            !self.retention.notify.is_closed()
        };
        let mut rewrite = Rewrite::create(self.retention.storage.as_ref(), name, &go_on)?;
        for candidate in candidates {
            rewrite.take_over(candidate)?;
        }
        rewrite.finish(name, candidates)
    }

    /// Puts the merged parts in the place of their sources, those of which retention left any. `false` when that cannot
    /// be written now.
    fn swap(&self, name: SegmentName, candidates: Vec<Candidate>, parts: Vec<SegmentPart>) -> bool {
        let retention = &self.retention;
        let _one_at_a_time = retention.changing.lock();
        let swaps: Vec<(Candidate, Arc<SegmentPart>)> =
            candidates.into_iter().zip(parts.into_iter().map(Arc::new)).filter(|(of, _)| of.is_there()).collect();
        if swaps.is_empty() {
            let _ignored = retention.storage.remove(&name.path());
            return true;
        }
        let ops = swaps.iter().flat_map(|(of, part)| of.swap(part)).collect();
        if retention.commits.change(ops).is_err() {
            // A commit that failed may be on the disk none the less, and name the file: then the next start knows.
            if matches!(retention.status.mode(), Mode::Running | Mode::Full) {
                let _ignored = retention.storage.remove(&name.path());
            }
            return false;
        }
        for (of, part) in &swaps {
            of.stream.swap_parts(&of.parts, part);
            retention.counters.segments_merged.add(of.parts.len() as u64);
            retention.counters.segment_bytes_merged.add(part.stored_bytes);
        }
        retention.remove_unused(swaps.iter().flat_map(|(of, _)| &of.parts).map(|part| part.name));
        true
    }
}

/// Takes off the list what may share one file with its first: quiet streams would otherwise have a file each.
fn share(candidates: &mut Vec<Candidate>) -> Vec<Candidate> {
    let (mut files, mut bytes, mut raw) = (BTreeSet::new(), 0, 0);
    let (mut from, mut before) = (None, None);
    let fits = |candidate: &mut Candidate| {
        let mut with: BTreeSet<SegmentName> = files.clone();
        with.extend(candidate.parts.iter().map(|part| part.name));
        let last = from.max(Some(candidate.generation()));
        let next = [before, candidate.next].into_iter().flatten().min();
        // Names are by age: the file's must be behind all of its sources and before whatever comes after them.
        let in_order = next.is_none_or(|next| last < Some(next));
        let fits = in_order
            && with.len() <= MAX_SOURCES
            && bytes + candidate.swap_bytes() <= SWAP_BYTES
            && raw + candidate.raw_bytes() <= plan::MERGED_BYTES;
        if fits || files.is_empty() {
            bytes += candidate.swap_bytes();
            raw += candidate.raw_bytes();
            (files, from, before) = (with, last, next);
            return true;
        }
        false
    };
    candidates.extract_if(.., fits).collect()
}

impl Candidate {
    fn raw_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.raw_bytes).sum()
    }

    /// Returns whether all of its parts are still what the stream reads from.
    fn is_there(&self) -> bool {
        let is_current = |part: &Arc<SegmentPart>| self.stream.part_named(part.name).is_some_and(|now| now == *part);
        !self.stream.is_deleted() && self.parts.iter().all(is_current)
    }

    /// Returns the changes that put `merged` in the place of the parts. Deletions come first: whoever replays them
    /// forgets parts before it takes in the one that has the same offsets.
    fn swap(&self, merged: &SegmentPart) -> Vec<TableOp> {
        let id = self.stream.id();
        let mut ops: Vec<_> = self.parts.iter().map(|part| TableOp::delete(Table::Segments, part.key(id))).collect();
        ops.push(TableOp::put(Table::Segments, merged.key(id), merged.encode()));
        ops
    }

    /// About as many bytes as those changes have.
    fn swap_bytes(&self) -> usize {
        const ROW_BYTES: usize = 8 + 20;
        let widest = self.parts.iter().map(|part| part.encoded_bytes()).max().unwrap_or(0);
        (self.parts.len() + 1) * ROW_BYTES + widest
    }
}
