//! The one thread that assigns offsets, writes the journal and makes records visible: group commit.
//! While one commit is being synced, the next one gathers; on a busy log, for a moment more.

mod room;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::LogClock;
use crate::error::{Error, ErrorKind};
use crate::ids::{Sequence, Timestamp};
use crate::log::commit::append::{Append, Chunk, Completer, Placed, Receipt, Stability};
use crate::log::commit::delay::CommitDelay;
use crate::log::commit::level::Level;
use crate::log::commit::queue::{CommitQueue, Taken};
use crate::log::journal::{FrameHead, FrameKind, FrameRow, Journal, JournalError, JournalFile, frame_bytes};
use crate::log::segment::{JournalContents, SealJob, SealQueue};
use crate::options::{Durability, Options};
use crate::status::{Mode, Status};
use crate::stream::{Due, Run};
use crate::telemetry::Counters;

/// A log that has been quiet for this long says in a marker that its last commit was synced.
const QUIET: Duration = Duration::from_millis(50);
/// Records are sealed within this share of the shortest retention among them: they are kept at most that much longer.
const RETENTION_SHARE: u32 = 10;
/// Files change no faster than this, however short a retention is: each costs half a dozen syncs.
const MIN_FILE_AGE: Duration = Duration::from_secs(1);
/// An old file that could not be left, because the disk is full, is tried again this often.
const RETRY: Duration = Duration::from_secs(1);
/// A file is left before it is full only while fewer than this wait for the sealer: a sealer that stands still must not
/// be handed files for ever. As many as a ring full of records fills.
const MAX_WAITING_FILES: usize = 8;
/// A file is left when its changes of tables have this part of their budget, so that sealing gives it back in time.
const HEAVY_SHARE: u64 = 4;
/// Records of one commit: more would not be cheaper, and each request of it waits for all.
const MAX_COMMIT_BYTES: usize = 8 * 1024 * 1024;

/// The committer's state; [`Committer::run`] is its thread.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: Arc<CommitQueue>,
    journal: Journal,
    contents: JournalContents,
    sealing: Arc<SealQueue>,
    status: Arc<Status>,
    counters: Arc<Counters>,
    clock: Arc<LogClock>,
    durability: Durability,
    sync_interval: Duration,
    delay: CommitDelay,
    file_age: Duration,
    max_commit_bytes: usize,
    /// The largest frame that a journal file has room for.
    largest_frame: u64,
    /// Bytes that deletions have freed since the journal went to another file.
    freed: u64,
    last_commit: Instant,
    last_sync: Instant,
    /// An old file is not left before this.
    next_rotation: Instant,
}

/// The level of an acknowledged commit, where the records of each append went, and when.
type Written = (Level, Vec<Vec<Placed>>, Timestamp);

/// The parts that the committer works with.
#[derive(Debug)]
pub(crate) struct Wiring {
    /// The queue that appends come from.
    pub queue: Arc<CommitQueue>,
    /// The queue that full files go to.
    pub sealing: Arc<SealQueue>,
    /// The log's state.
    pub status: Arc<Status>,
    /// The engine's counters.
    pub counters: Arc<Counters>,
    /// The clock that append times are read from.
    pub clock: Arc<LogClock>,
}

impl Committer {
    /// Returns a committer that goes on with `journal`.
    #[must_use]
    pub(crate) fn new(journal: Journal, wiring: Wiring, options: &Options) -> Self {
        let now = Instant::now();
        let largest = usize::try_from(options.journal_file_bytes / 4).unwrap_or(MAX_COMMIT_BYTES);
        Self {
            contents: JournalContents::new(journal.generation()),
            queue: wiring.queue,
            journal,
            sealing: wiring.sealing,
            status: wiring.status,
            counters: wiring.counters,
            clock: wiring.clock,
            durability: options.durability,
            sync_interval: options.sync_interval,
            delay: CommitDelay::new(options.commit_gather),
            file_age: options.journal_file_age,
            max_commit_bytes: MAX_COMMIT_BYTES.min(largest),
            largest_frame: Journal::largest_frame(options.journal_file_bytes),
            freed: 0,
            last_commit: now,
            last_sync: now,
            next_rotation: now,
        }
    }

    /// Commits until the queue is closed and empty, then ends the journal.
    pub(crate) fn run(mut self) {
        let _answers = Abandoned { queue: Arc::clone(&self.queue), status: Arc::clone(&self.status) };
        let mut batch = Vec::new();
        loop {
            match self.queue.take(&mut batch, self.max_commit_bytes, self.deadline()) {
                Taken::Appends => {
                    self.delay(&mut batch);
                    self.commit(&mut batch);
                }
                Taken::Nothing => {}
                Taken::Closed => break,
            }
            if let Err(error) = self.keep_up() {
                self.status.journal_failed("syncing the journal", error);
            }
        }
        if self.status.mode() != Mode::Poisoned
            && let Err(error) = self.journal.end()
        {
            self.status.journal_failed("ending the journal", error);
        }
    }

    /// Waits for more to share the commit, where that pays.
    fn delay(&mut self, batch: &mut Vec<Append>) {
        let bytes: usize = batch.iter().map(Append::frame_bytes).sum();
        if self.durability == Durability::Fsync
            && bytes < self.max_commit_bytes
            && let Some(wait) = self.delay.wait(batch.len(), self.last_commit, self.sealing.backlog())
        {
            self.queue.wait_for(wait.appends - batch.len(), wait.until);
            let _more = self.queue.take(batch, self.max_commit_bytes - bytes, Some(Instant::now()));
        }
        self.delay.note(batch.len(), payload_bytes(batch));
    }

    fn deadline(&self) -> Option<Instant> {
        if self.status.mode() == Mode::Poisoned {
            // There is no deadline, as nothing is due any more: one in the past would keep a core busy.
            return None;
        }
        let sync = self.journal.is_unsynced() && self.durability == Durability::Interval;
        let sync = sync.then(|| self.last_sync + self.sync_interval);
        let marker = (self.journal.is_unmarked() && self.marks()).then(|| self.last_commit + QUIET);
        let age = self.journal.opened().map(|opened| (opened + self.file_age()).max(self.next_rotation));
        [sync, marker, age].into_iter().flatten().min()
    }

    /// Returns how long the file is written to: retention deletes what is sealed, so what a stream keeps for an hour
    /// must not wait for its sealing for much of another one.
    fn file_age(&self) -> Duration {
        let share = self.contents.shortest_retention.map(|retention| retention / RETENTION_SHARE);
        share.map_or(self.file_age, |share| share.max(MIN_FILE_AGE).min(self.file_age))
    }

    fn marks(&self) -> bool {
        self.durability != Durability::Memory && self.journal.has_room_for_marker()
    }

    /// Does what is due by time: the interval's sync, the marker of a quiet log, the age of the file.
    fn keep_up(&mut self) -> io::Result<()> {
        if matches!(self.status.mode(), Mode::Poisoned | Mode::Closed) {
            return Ok(());
        }
        let now = Instant::now();
        let interval = self.durability == Durability::Interval;
        if interval && self.journal.is_unsynced() && now >= self.last_sync + self.sync_interval {
            let _synced = self.journal.sync()?;
            self.last_sync = now;
        }
        if self.journal.is_unmarked() && self.marks() && now >= self.last_commit + QUIET {
            let _synced = self.journal.mark(FrameKind::Marker)?;
        }
        if now >= self.next_rotation && self.is_due(now) {
            if self.sealing.backlog() >= MAX_WAITING_FILES {
                self.next_rotation = now + RETRY;
                return Ok(());
            }
            match self.rotate() {
                Ok(()) => {}
                // The old file serves on where there is no further one.
                Err(JournalError::NoFile(_)) => self.next_rotation = now + RETRY,
                Err(JournalError::Failed(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns whether the file is to be left before it is full: it is old, or what its commits changed takes much
    /// memory.
    fn is_due(&self, now: Instant) -> bool {
        let heavy = self.contents.changes.bytes() as u64 > self.queue.rows().limit() / HEAVY_SHARE;
        heavy || self.journal.opened().is_some_and(|opened| now >= opened + self.file_age())
    }

    fn rotate(&mut self) -> Result<(), JournalError> {
        let left = self.journal.rotate()?;
        self.hand_over(left);
        Ok(())
    }

    /// The journal goes on in another file: the sealer has the one that it left.
    fn hand_over(&mut self, file: Option<JournalFile>) {
        self.freed = 0;
        let next = JournalContents::new(self.journal.generation());
        let mut contents = std::mem::replace(&mut self.contents, next);
        contents.reservation(self.queue.rows());
        contents.last_sequence = self.journal.sequence();
        if let Some(file) = file {
            self.sealing.push(SealJob { file, contents });
        }
    }

    fn commit(&mut self, batch: &mut Vec<Append>) {
        if let Some(refusal) = self.status.refusal().filter(|_| !self.status.mode().passes()) {
            return refuse(batch.drain(..), &refusal);
        }
        refuse_deleted(batch);
        self.refuse_too_large(batch);
        while !batch.is_empty() {
            let fitting = self.make_room(batch);
            let mut rest = batch.split_off(fitting);
            if fitting > 0
                && let Err(error) = self.write(batch).map(|done| self.publish(batch, done))
            {
                self.status.journal_failed("writing the journal", error);
                batch.append(&mut rest);
                return refuse(batch.drain(..), &self.refusal());
            }
            std::mem::swap(batch, &mut rest);
        }
    }

    /// Says why nothing can be written now.
    fn refusal(&self) -> Error {
        let none = || Error::new(ErrorKind::StorageUnavailable, "the storage takes no writes now");
        self.status.refusal().unwrap_or_else(none)
    }

    /// Assigns offsets, writes the frame, and syncs it when that is what an acknowledgement promises.
    fn write(&mut self, batch: &mut [Append]) -> io::Result<Written> {
        let mut rows = Vec::new();
        let mut payload = Vec::new();
        let mut ops = Vec::new();
        let mut placed = Vec::with_capacity(batch.len());
        let stable = batch.iter().any(|append| append.stability == Stability::EveryLevel);
        for append in batch.iter_mut() {
            let mut places = Vec::with_capacity(append.chunks.len());
            let bytes = append.payload.as_ref().map_or(&[][..], |payload| payload.bytes());
            for chunk in &append.chunks {
                let records = bytes.get(chunk.range.clone()).unwrap_or_default();
                let base = chunk.stream.partitions()[chunk.partition.0 as usize].assign(chunk.records);
                let (stream, partition) = (chunk.stream.id(), chunk.partition);
                let length = u32::try_from(records.len()).unwrap_or(u32::MAX);
                let row = FrameRow { stream, partition, base, records: chunk.records, bytes: length, crc: chunk.crc };
                rows.push(row);
                payload.push(records);
                places.push(Placed { stream, partition, base, records: chunk.records });
            }
            append.ops.extend(append.reply.row_of_key(&places, append.quarantined));
            for op in &append.ops {
                op.encode(&mut ops);
            }
            placed.push(places);
        }
        let append_time = self.clock.stamp();
        // The journal fills in both numbers.
        let (sequence, synced_through) = (Sequence(0), Sequence(0));
        let head = FrameHead { kind: FrameKind::Commit, sequence, synced_through, append_time, rows, ops };
        let started = Instant::now();
        let written = self.journal.commit(head, &payload)?;
        if stable && self.durability != Durability::Fsync {
            let _synced = self.journal.sync()?;
        }
        let level = match self.durability {
            Durability::Fsync => Level::fsync(&self.journal.sync()?),
            Durability::Interval => Level::interval(),
            Durability::Memory => Level::memory(),
        };
        self.last_commit = Instant::now();
        self.counters.commits.increment();
        self.counters.commit_bytes.add(written);
        self.counters.commit_latency.record(self.last_commit.duration_since(started));
        Ok((level, placed, append_time))
    }

    /// Readers see the records, then the requests are answered, all by one wake-up, and who waits for records is told.
    fn publish(&mut self, batch: &mut Vec<Append>, (level, placed, append_time): Written) {
        let generation = self.journal.generation();
        let mut woken: Vec<Arc<dyn Completer>> = Vec::new();
        let mut due = Due::default();
        for (append, placed) in batch.drain(..).zip(placed) {
            if let Some(payload) = append.payload {
                for (chunk, place) in append.chunks.into_iter().zip(&placed) {
                    let (base, records) = (place.base, place.records);
                    let payload = Arc::clone(&payload);
                    let (range, times) = (chunk.range, chunk.times);
                    let run = Arc::new(Run { base, records, generation, append_time, payload, range, times });
                    chunk.stream.partitions()[chunk.partition.0 as usize].publish(Arc::clone(&run));
                    chunk.stream.watches().published(chunk.partition, run.end(), &mut due);
                    self.contents.add(chunk.stream, chunk.partition, run);
                }
            }
            for op in append.ops {
                self.contents.changes.apply(op);
            }
            if let Some(queued) = append.held {
                self.contents.reservation(self.queue.rows());
                drop(queued);
            }
            self.freed = self.freed.saturating_add(append.frees);
            if let Some(stream) = append.deletes {
                stream.delete();
                self.contents.drop_stream(stream.id());
                self.sealing.abandon(stream.id());
            }
            if let Some(admitted) = append.admitted {
                self.counters.ack_latency.record(admitted.elapsed());
            }
            let receipt = Receipt { generation, ..Receipt::new(level, placed, append.quarantined) };
            append.reply.finish(Ok(receipt), &mut woken);
        }
        for completer in &woken {
            completer.wake();
        }
        due.deliver();
    }
}

/// Answers whoever waits when the committer is gone, also by a panic: no caller may wait for ever.
struct Abandoned {
    queue: Arc<CommitQueue>,
    status: Arc<Status>,
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The status says so before anybody is answered.
            self.status.panicked("committer");
        }
        self.queue.abandon();
    }
}

fn frame_size(batch: &[Append]) -> usize {
    frame_bytes(0, 0, batch.iter().map(Append::frame_bytes).sum())
}

fn payload_bytes(batch: &[Append]) -> usize {
    batch.iter().map(Append::payload_bytes).sum()
}

fn refuse_deleted(batch: &mut Vec<Append>) {
    let going: Vec<_> = batch.iter().filter_map(|append| append.deletes.as_ref().map(|stream| stream.id())).collect();
    let is_gone = |chunk: &Chunk| chunk.stream.is_deleted() || going.contains(&chunk.stream.id());
    let gone = batch.extract_if(.., |append| append.chunks.iter().any(is_gone));
    for append in gone {
        let error = Error::new(ErrorKind::StreamNotFound, "the stream was deleted before the commit");
        append.reply.finish_and_wake(Err(error));
    }
}

fn refuse(batch: impl Iterator<Item = Append>, refusal: &Error) {
    for append in batch {
        append.reply.finish_and_wake(Err(refusal.clone()));
    }
}
