//! Makes a log of a data directory: tables, then the journal on top of them. The process always starts: what is damaged
//! is named and left as it is, and the log is opened read-only then.

mod tail;

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::admission::{Budget, Permit};
use crate::ids::{Offset, PartitionId, Sequence, StreamId, Timestamp};
use crate::log::Strictness;
use crate::log::commit::batch_bytes;
use crate::log::dedup::Dedup;
use crate::log::journal::{Decoded, JournalFile, JournalFiles, JournalPreallocator, JournalReader, Step, Tail};
use crate::log::segment::{JournalContents, SealJob, Sealer};
use crate::log::state::{STATE_DIRECTORY, StateFiles};
use crate::options::Access;
use crate::record::Records;
use crate::status::{Damage, FailureAction, Mode, StageError, Status, StorageFailure};
use crate::storage::Storage;
use crate::stream::SEGMENT_DIRECTORY;
use crate::stream::{Catalog, Payload, Run, SegmentName, SegmentPart, StreamDefinition, Times};
use crate::table::{Changes, NEXT_STREAM_ID, Table, TableOp, number_key};

/// The state that recovery builds up.
#[derive(Debug)]
pub(crate) struct Recovery<'a> {
    /// The storage that everything is read from.
    pub storage: &'a Arc<dyn Storage>,
    /// The catalog that streams go to.
    pub catalog: &'a Catalog,
    /// The budget that replayed records are charged to.
    pub ring: &'a Arc<Budget>,
    /// The status that names damages.
    pub status: &'a Status,
    /// The table that idempotency keys go to.
    pub dedup: &'a Dedup,
    /// Access to the data directory.
    pub access: Access,
    rows: Changes,
    sequence: Sequence,
    newest_append: Timestamp,
    damaged: bool,
}

/// The state that a log goes on with.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The last commit.
    pub sequence: Sequence,
    /// Files that are replayed and still have to be sealed, oldest first.
    pub unsealed: Vec<SealJob>,
    /// Every row of every table but those of idempotency keys; of jobs only what has changed since the state files.
    pub rows: Changes,
    /// When the newest record was appended.
    pub newest_append: Timestamp,
}

impl<'a> Recovery<'a> {
    /// Takes in the tables.
    #[must_use]
    pub(crate) fn new(
        storage: &'a Arc<dyn Storage>,
        catalog: &'a Catalog,
        ring: &'a Arc<Budget>,
        status: &'a Status,
        dedup: &'a Dedup,
        access: Access,
        state: StateFiles,
    ) -> Self {
        let damaged = !state.damages.is_empty() || !status.damages().is_empty();
        for damage in state.damages {
            status.report(damage);
        }
        let (rows, sequence) = (state.rows, state.sequence);
        let newest_append = Timestamp(i64::MIN);
        let mut recovery =
            Self { storage, catalog, ring, status, dedup, access, rows, sequence, newest_append, damaged };
        recovery.take_in_tables();
        recovery
    }

    /// Replays the journal. `sealer` seals as it goes when the ring's budget is smaller than the journal.
    ///
    /// # Errors
    /// Whatever the storage says that is not about one file alone.
    pub(crate) fn replay(
        mut self,
        files: JournalFiles,
        sealer: &mut Sealer,
        spares: &JournalPreallocator,
    ) -> io::Result<Recovered> {
        self.settle_state()?;
        let mut unsealed: Vec<SealJob> = Vec::new();
        let mut last: Option<(JournalReader, Tail)> = None;
        for file in files.unsealed {
            let mut reader = match JournalReader::open(&file, Strictness::Trusting) {
                Ok(reader) => reader,
                Err(error) if StorageFailure::of(&error) == StorageFailure::Refused => return Err(error),
                Err(error) => {
                    self.damage(&file, None, format!("the journal file cannot be read: {error}"));
                    continue;
                }
            };
            let before = self.sequence;
            let (contents, tail) = self.replay_file(&file, &mut reader);
            if self.sequence == before && tail != Tail::Ended {
                if self.may_write() {
                    spares.discard(&file);
                }
                continue;
            }
            if let (Some((_, Tail::Open(_))), Some(full)) = (last.take(), unsealed.last()) {
                self.damage(&full.file, None, "the journal file has no end, though a later one was begun".to_owned());
            }
            last = Some((reader, tail));
            unsealed.push(SealJob { file, contents });
            let spill = self.ring.used_percent() >= 50 && tail == Tail::Ended;
            if spill && self.may_write() {
                self.spill(&mut unsealed, sealer);
            }
        }
        if let (Some((reader, tail)), Some(full)) = (last, unsealed.last_mut())
            && self.may_write()
        {
            let closed = match tail {
                Tail::Open(end) => self.close_tail(&mut full.file, &reader, end),
                Tail::Ended => tail::settle_end(&full.file, &reader).map_err(StageError::from),
            };
            self.settled("closing the journal's last file", closed.map_err(|failed| failed.error))?;
        }
        for file in files.reusable {
            self.reuse(file, spares);
        }
        if self.damaged {
            let reason =
                "the data directory is damaged: started read-only; run `forebay verify`, then `forebay repair`";
            self.status.set(Mode::ReadOnly, reason);
            unsealed.clear();
        } else if self.may_write() {
            // An orphan only takes room; the next start tries again.
            let _ignored = self.remove_orphans();
        }
        let (sequence, rows, newest_append) = (self.sequence, self.rows, self.newest_append);
        Ok(Recovered { sequence, unsealed, rows, newest_append })
    }

    /// Seals in order, and stops at the first file that cannot be sealed now: a delta stands for every file before it.
    fn spill(&self, unsealed: &mut Vec<SealJob>, sealer: &mut Sealer) {
        let mut files = std::mem::take(unsealed).into_iter();
        for full in files.by_ref() {
            if let Err(full) = sealer.try_seal(full) {
                unsealed.push(full);
                break;
            }
        }
        unsealed.extend(files);
    }

    fn reuse(&self, file: JournalFile, spares: &JournalPreallocator) {
        if self.may_write() {
            spares.recycle(file);
        }
    }

    /// Makes the names of the state files durable. A process that died between the renaming of a delta and the sync of
    /// its directory left a name that is read now and that a power loss takes back: the journal files it stands for
    /// must not be written over before.
    fn settle_state(&self) -> io::Result<()> {
        if !self.may_write() {
            return Ok(());
        }
        self.settled("syncing the state directory", self.storage.sync_directory(Path::new(STATE_DIRECTORY)))
    }

    /// Judges a step that has to be durable before anything builds on it. While the system refuses there can be no
    /// start; after another failure the log is read and takes no writes.
    fn settled(&self, what: &str, done: io::Result<()>) -> io::Result<()> {
        let Err(error) = done else { return Ok(()) };
        let failed = StageError::unsettled(error);
        match self.status.judge(what, &failed) {
            FailureAction::Again => Err(failed.error),
            FailureAction::Poison => Ok(()),
        }
    }

    fn may_write(&self) -> bool {
        self.access == Access::ReadWrite && !self.damaged && self.status.mode() == Mode::Running
    }

    fn damage(&mut self, file: &JournalFile, range: Option<(u64, u64)>, what: String) {
        self.damaged = true;
        let file = file.path.to_string_lossy().into_owned();
        self.status.report(Damage { file, range, stream: None, what });
    }

    fn take_in_tables(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        for op in rows.ops_of(|table| table == Table::Catalog) {
            self.take_in(&op);
        }
        // Window state and jobs are most of what there is, and nothing here is made of them.
        let others = |table: Table| !matches!(table, Table::Catalog | Table::WindowState) && !table.is_of_jobs();
        for op in rows.ops_of(others) {
            self.take_in(&op);
        }
        for stream in self.catalog.all() {
            for (partition, log) in (0..).zip(stream.partitions()) {
                let key = number_key(stream.id().0, &[partition]);
                let bound =
                    |table| rows.get(table, &key).and_then(|value| Some(u64::from_le_bytes(*value.first_chunk()?)));
                let start = bound(Table::Starts).unwrap_or(0);
                let end = bound(Table::Ends).unwrap_or(0).max(start);
                log.restore(Offset(start), Offset(end));
            }
        }
        self.rows = rows;
    }

    /// Applies a change to what is in memory beside the row itself.
    fn take_in(&mut self, op: &TableOp) {
        match (op.table, &op.value) {
            (Table::Catalog, Some(value)) => match StreamDefinition::decode(value) {
                Ok(definition) => drop(self.catalog.insert(definition)),
                Err(error) => {
                    let what = format!("the definition of a stream cannot be read: {error}");
                    let stream = Some(String::from_utf8_lossy(&op.key).into_owned());
                    // Its records have nowhere to go: sealing would drop them.
                    self.damaged = true;
                    self.status.report(Damage { file: "state".to_owned(), range: None, stream, what });
                }
            },
            (Table::Segments, value) => {
                let Some((stream, name)) = op.key.split_first_chunk::<4>() else { return };
                let Some(stream) = self.catalog.by_id(StreamId(u32::from_be_bytes(*stream))) else { return };
                match value {
                    Some(value) => {
                        if let Some(part) = SegmentPart::decode(name, value) {
                            self.newest_append = self.newest_append.max(part.newest_append);
                            stream.add_part(&Arc::new(part));
                        }
                    }
                    None => {
                        if let Some(name) = SegmentPart::name_of(name) {
                            stream.remove_part(name);
                        }
                    }
                }
            }
            (Table::Counters, Some(value)) if op.key == NEXT_STREAM_ID => {
                self.catalog.keep_below(value.first_chunk().map_or(0, |next| u64::from_le_bytes(*next)));
            }
            (Table::Starts, Some(value)) => {
                let Some((stream, partition)) = op.key.split_first_chunk::<4>() else { return };
                let Some(stream) = self.catalog.by_id(StreamId(u32::from_be_bytes(*stream))) else { return };
                let partition = partition.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
                let partition = PartitionId(u32::try_from(partition).unwrap_or(u32::MAX));
                if let (Some(log), Some(start)) = (stream.partition(partition), value.first_chunk()) {
                    log.advance_start(Offset(u64::from_le_bytes(*start)));
                }
            }
            (Table::Catalog | Table::Starts, None)
            | (Table::Ends | Table::Counters | Table::Idempotency | Table::Keys, _)
            | (Table::Groups | Table::Offsets | Table::Processors | Table::Positions | Table::WindowState, _)
            | (Table::Jobs | Table::JobQueues, _) => {}
        }
    }

    fn replay_file(&mut self, file: &JournalFile, reader: &mut JournalReader) -> (JournalContents, Tail) {
        let mut contents = JournalContents::new(file.life.generation);
        loop {
            match reader.step(self.sequence) {
                Step::Commit { frame, .. } => {
                    let expected = self.sequence.0 + 1;
                    let found = frame.head.sequence;
                    self.apply(file, &frame, &mut contents);
                    self.sequence = found;
                    if found.0 != expected {
                        let what = format!("commits {expected} to {} are missing", found.0.wrapping_sub(1));
                        self.damage(file, None, what);
                    }
                }
                Step::Damage { position, bytes, .. } => {
                    let what = "a commit's checksum does not match, though it was synced".to_owned();
                    self.damage(file, Some((position as u64, bytes as u64)), what);
                }
                Step::Gap(found) => {
                    let what = format!("commits {} to {found} are missing", self.sequence.0.wrapping_add(1));
                    self.damage(file, None, what);
                    self.sequence = found;
                }
                Step::Done(tail) => {
                    contents.last_sequence = self.sequence;
                    return (contents, tail);
                }
            }
        }
    }

    fn apply(&mut self, file: &JournalFile, frame: &Decoded<'_>, contents: &mut JournalContents) {
        let Some(ops) = TableOp::decode_all(&frame.head.ops) else {
            let what = format!("the table operations of commit {} cannot be read", frame.head.sequence);
            return self.damage(file, None, what);
        };
        for op in ops {
            if op.table.is_of_keys() {
                self.dedup.restore_unsealed(&op, contents.generation);
                contents.changes.apply(op);
                continue;
            }
            self.take_in(&op);
            if op.table == Table::Catalog && op.value.is_none() {
                self.delete_stream(&op.key, contents);
            }
            self.rows.apply(op.clone());
            contents.changes.apply(op);
        }
        self.newest_append = self.newest_append.max(frame.head.append_time);
        let mut at = 0;
        let streams: Vec<_> = frame.head.rows.iter().map(|row| self.catalog.by_id(row.stream)).collect();
        let Some(first) = streams.iter().flatten().next() else { return };
        let permit =
            Permit::force(self.ring, first.share(), None, (frame.payload.len() + batch_bytes(streams.len())) as u64);
        let payload = Arc::new(Payload::new(frame.payload.to_vec(), permit));
        for (row, stream) in frame.head.rows.iter().zip(streams) {
            let range = at..at + row.bytes as usize;
            at = range.end;
            let Some(stream) = stream else { continue };
            let Some(log) = stream.partition(row.partition) else { continue };
            if row.base != log.committed() {
                let what = format!("partition {} goes on at {} after {}", row.partition, row.base, log.committed());
                self.damaged = true;
                let file = file.path.to_string_lossy().into_owned();
                self.status.report(Damage { file, range: None, stream: Some(stream.name().to_owned()), what });
            }
            let (base, records, generation) = (row.base, row.records, contents.generation);
            let append_time = frame.head.append_time;
            let mut times = Times::default();
            let stored = payload.bytes().get(range.clone()).unwrap_or_default();
            for (record, _) in Records::new(stored) {
                times.take_in(record.timestamp);
            }
            let payload = Arc::clone(&payload);
            let run = Arc::new(Run { base, records, generation, append_time, payload, range, times });
            log.publish(Arc::clone(&run));
            contents.add(stream, row.partition, run);
        }
    }

    /// Replays a deletion. Recovery may have sealed what was not sealed when the stream was deleted.
    fn delete_stream(&mut self, name: &[u8], contents: &mut JournalContents) {
        let name = String::from_utf8_lossy(name);
        let Ok(stream) = self.catalog.named(&name) else { return };
        for part in stream.parts() {
            let op = TableOp::delete(Table::Segments, part.key(stream.id()));
            self.rows.apply(op.clone());
            contents.changes.apply(op);
            stream.remove_part(part.name);
        }
        stream.delete();
        self.catalog.remove(&stream);
        contents.drop_stream(stream.id());
    }

    /// Removes segments that no row names: of a sealing, a merge or a deletion that a crash interrupted.
    fn remove_orphans(&self) -> io::Result<()> {
        for entry in self.storage.list(Path::new(SEGMENT_DIRECTORY))? {
            let path = Path::new(SEGMENT_DIRECTORY).join(&entry.name);
            let name = SegmentName::parse(&entry.name).filter(|name| name.path() == path);
            let is_used = name.is_some_and(|name| self.catalog.files().is_used(name));
            if let Some(name) = name {
                self.catalog.files().has_bytes(name, entry.bytes);
            }
            if entry.name.ends_with(".segment") && !is_used {
                self.storage.remove(&path)?;
            }
        }
        Ok(())
    }
}
