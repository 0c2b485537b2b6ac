//! SealJob journal files, and what they hold, on their way from the committer to the sealer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::admission::{Budget, Hold};
use crate::ids::{Generation, PartitionId, Sequence, StreamId};
use crate::log::journal::JournalFile;
use crate::stream::{Run, Stream};
use crate::table::{Changes, Table, TableOp, number_key};

/// A sealing that found the disk full is tried again this often.
const RETRY: Duration = Duration::from_secs(1);

/// A partition's runs in one journal file, in order, and its stream.
pub(crate) type StreamRuns = (Arc<Stream>, Vec<Arc<Run>>);

/// The contents of one journal file, as the committer published them.
#[derive(Debug)]
pub(crate) struct JournalContents {
    /// The file's generation.
    pub generation: Generation,
    /// The last commit in it.
    pub last_sequence: Sequence,
    /// The last change of every row that its commits touched.
    pub changes: Changes,
    /// Permits for the memory of the changes.
    held: Option<Hold>,
    pub(crate) runs: BTreeMap<(StreamId, PartitionId), StreamRuns>,
    /// The shortest retention of the streams that the file has records of, as it was when the first came.
    pub(crate) shortest_retention: Option<Duration>,
}

impl JournalContents {
    /// Makes the contents of an empty file.
    #[must_use]
    pub(crate) fn new(generation: Generation) -> Self {
        let (changes, runs) = (Changes::default(), BTreeMap::new());
        Self { generation, last_sequence: Sequence(0), changes, held: None, runs, shortest_retention: None }
    }

    /// Charges the changes as they are now to the budget of those that are not sealed.
    pub(crate) fn reservation(&mut self, rows: &Arc<Budget>) {
        let held = self.held.get_or_insert_with(|| Hold::force(rows, 0));
        held.set(self.changes.bytes() as u64);
    }

    /// Takes in a published run. Runs of one partition come in order.
    pub(crate) fn add(&mut self, stream: Arc<Stream>, partition: PartitionId, run: Arc<Run>) {
        let shortest = &mut self.shortest_retention;
        let mut first = |stream: Arc<Stream>| {
            let retention = stream.definition().retention_ms.map(Duration::from_millis);
            *shortest = (*shortest).into_iter().chain(retention).min();
            (stream, Vec::new())
        };
        self.runs.entry((stream.id(), partition)).or_insert_with(|| first(stream)).1.push(run);
    }

    /// Forgets the runs of a stream whose deletion is in this file.
    pub(crate) fn drop_stream(&mut self, stream: StreamId) {
        self.runs.retain(|(of, _), _| *of != stream);
    }

    /// Forgets the runs of a stream whose deletion is in a later file. Until that one is sealed too, a start has to know
    /// how far the stream went: the later file may go on from there.
    fn abandon(&mut self, stream: StreamId) {
        for op in self.ends(|of| of.id() == stream) {
            self.changes.apply(op);
        }
        self.drop_stream(stream);
        let bytes = self.changes.bytes() as u64;
        if let Some(held) = &mut self.held {
            held.set(bytes);
        }
    }

    /// Returns the rows that say how far the partitions of some streams go in this file.
    pub(crate) fn ends(&self, of: impl Fn(&Stream) -> bool) -> Vec<TableOp> {
        let chosen = self.runs.iter().filter(|(_, (stream, _))| of(stream));
        let end = |((stream, partition), (_, runs)): (&(StreamId, PartitionId), &(_, Vec<Arc<Run>>))| {
            let key = number_key(stream.0, &[partition.0.into()]);
            runs.last().map(|run| TableOp::put(Table::Ends, key, run.end().0.to_le_bytes()))
        };
        chosen.filter_map(end).collect()
    }
}

/// A journal file that the log has left, and what it holds.
#[derive(Debug)]
pub(crate) struct SealJob {
    /// The file.
    pub file: JournalFile,
    /// The file's contents.
    pub contents: JournalContents,
}

/// Files on their way to the sealer. Bounded by the ring's budget, which their records are charged to.
#[derive(Debug, Default)]
pub(crate) struct SealQueue {
    state: Mutex<QueueState>,
    wake: Condvar,
    alone: Mutex<()>,
}

#[derive(Debug, Default)]
struct QueueState {
    files: VecDeque<SealJob>,
    /// Taken by the sealer, not finished yet.
    sealing: bool,
    closed: bool,
}

impl SealQueue {
    /// Hands a file to the sealer.
    pub(crate) fn push(&self, full: SealJob) {
        self.state.lock().files.push_back(full);
        self.wake.notify_all();
    }

    /// Held while a file is sealed, and by who has to know that none is: a stream is deleted, or parts are compared.
    pub(crate) fn alone(&self) -> MutexGuard<'_, ()> {
        self.alone.lock()
    }

    /// Forgets the records of a deleted stream, so that their memory is given back.
    pub(crate) fn abandon(&self, stream: StreamId) {
        for full in &mut self.state.lock().files {
            full.contents.abandon(stream);
        }
    }

    /// Files that wait or are being sealed.
    #[must_use]
    pub(crate) fn backlog(&self) -> usize {
        let state = self.state.lock();
        state.files.len() + usize::from(state.sealing)
    }

    /// Ends the sealer after the file that it works on.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_all();
    }

    /// Waits until there is a file, or for `timeout`. `Err` when closed.
    pub(crate) fn take(&self, timeout: Duration) -> Result<Option<SealJob>, ()> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return Err(());
            }
            if let Some(full) = state.files.pop_front() {
                state.sealing = true;
                return Ok(Some(full));
            }
            if self.wake.wait_until(&mut state, deadline).timed_out() {
                return Ok(None);
            }
        }
    }

    pub(crate) fn finished(&self) {
        self.state.lock().sealing = false;
        self.wake.notify_all();
    }

    /// Waits until no file waits or is being sealed, but not longer than `limit`.
    pub(crate) fn wait_for_idle(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.state.lock();
        while (state.sealing || !state.files.is_empty()) && !state.closed {
            if self.wake.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }

    /// Waits out a retry. `false` when closed.
    pub(crate) fn pause(&self) -> bool {
        let deadline = Instant::now() + RETRY;
        let mut state = self.state.lock();
        while !state.closed {
            if self.wake.wait_until(&mut state, deadline).timed_out() {
                return true;
            }
        }
        false
    }
}
