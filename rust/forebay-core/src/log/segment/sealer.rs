//! Turns full journal files into segments, in the background: the only writer of state files.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::block::BLOCK_BYTES;
use super::packer::{Packer, Packing};
use super::seal_queue::{JournalContents, SealJob, SealQueue};
use super::writer::SegmentWriter;
use crate::ids::{PartitionId, StreamId};
use crate::log::journal::JournalPreallocator;
use crate::log::segment::BlockRow;
use crate::log::state::StateWriter;
use crate::record::Records;
use crate::status::{FailureAction, Obstacle, StageError, Status, Task};
use crate::storage::Storage;
use crate::stream::SEGMENT_DIRECTORY;
use crate::stream::{Compression, Run, SegmentName, SegmentPart, Stream, Times};
use crate::table::{Table, TableOp, number_key};
use crate::telemetry::Counters;
use crate::thread::Notify;

/// A stream with this much in one journal file gets a segment of its own; smaller ones share one, or every quiet
/// stream would cost a file a journal file.
pub(crate) const OWN_SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// Percent of a stream's share of the ring from which rows stand in for columns, and LZ4 for the stream's compression: a slow
/// sealer must not become an outage, and merging makes up for it. To compress nothing would be slower still: it writes four times as many fresh pages.
const HURRY_PERCENT: u64 = 60;

/// The name of the work in the message of its failure.
const SEALING: &str = "sealing a journal file";
/// The number of tries, one a second, to make the name of a delta durable while the system refuses: the sealer
/// holds off deletions meanwhile.
const SETTLING_TRIES: u32 = 60;

/// The sealer's state.
#[derive(Debug)]
pub(crate) struct Sealer {
    storage: Arc<dyn Storage>,
    queue: Arc<SealQueue>,
    spares: Arc<JournalPreallocator>,
    status: Arc<Status>,
    counters: Arc<Counters>,
    state: StateWriter,
    packer: Packer,
    raw: Vec<u8>,
}

impl Sealer {
    /// Returns a sealer that goes on with `state`.
    #[must_use]
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        queue: Arc<SealQueue>,
        spares: Arc<JournalPreallocator>,
        status: Arc<Status>,
        counters: Arc<Counters>,
        state: StateWriter,
    ) -> Self {
        let raw = Vec::with_capacity(BLOCK_BYTES * 2);
        Self { storage, queue, spares, status, counters, state, packer: Packer::default(), raw }
    }

    /// Seals one file, trying again while the storage fails; the notify is rung between tries, since deleting is
    /// what may make room. `false` when it could not be sealed: the file stays, and the next start seals it.
    pub(crate) fn seal(&mut self, full: SealJob, notify: &Notify) -> bool {
        let sealed = loop {
            match self.write(&full.contents) {
                Ok(()) => break true,
                Err(failed) => {
                    if self.status.judge(SEALING, &failed) == FailureAction::Poison {
                        break false;
                    }
                    self.say_stuck(&failed.error);
                    notify.ring();
                    if !self.queue.pause() {
                        break false;
                    }
                }
            }
        };
        self.queue.finished();
        if sealed {
            self.status.set_sealer_stuck(None);
            self.finish(full);
        }
        sealed
    }

    /// Seals one file without waiting for room; gives it back when there is none, or when the storage fails.
    #[allow(clippy::result_large_err)] // the file is given back, once a start at most
    pub(crate) fn try_seal(&mut self, full: SealJob) -> Result<(), SealJob> {
        match self.write(&full.contents) {
            Ok(()) => self.finish(full),
            Err(failed) => {
                let _again_later = self.status.judge(SEALING, &failed);
                return Err(full);
            }
        }
        Ok(())
    }

    fn say_stuck(&self, error: &io::Error) {
        self.status.set_sealer_stuck(Some(Obstacle::new("cannot seal a journal file", error).why));
    }

    fn finish(&self, full: SealJob) {
        self.counters.sealed_files.increment();
        self.spares.recycle(full.file);
    }

    /// Finds out whether a file can be prepared again after none could.
    pub(crate) fn look_for_room(&self) {
        if self.status.mode().passes() && self.spares.failure().is_none() {
            self.status.clear_obstacle();
        }
    }

    fn write(&mut self, contents: &JournalContents) -> Result<(), StageError> {
        let queue = Arc::clone(&self.queue);
        let _alone = queue.alone();
        let parts = self.write_segments(contents)?;
        if !parts.is_empty() {
            self.sync_segments(&parts)?;
        }
        let mut changes = contents.changes.clone();
        // The stream was deleted in a later file: see `JournalContents::abandon`.
        for op in contents.ends(Stream::is_deleted) {
            changes.apply(op);
        }
        for (stream, part) in &parts {
            changes.apply(TableOp::put(Table::Segments, part.key(stream.id()), part.encode()));
            for (partition, base, records) in &part.spans {
                let key = number_key(stream.id().0, &[partition.0.into()]);
                changes.apply(TableOp::put(Table::Ends, key, base.plus(*records).0.to_le_bytes()));
            }
        }
        self.state.write_delta(self.storage.as_ref(), contents.generation, contents.last_sequence, &changes)?;
        self.settle()?;
        for (stream, part) in parts {
            self.counters.sealed_bytes_raw.add(part.raw_bytes);
            self.counters.sealed_bytes_stored.add(part.stored_bytes);
            stream.add_part(&Arc::new(part));
        }
        for ((_, partition), (stream, _)) in &contents.runs {
            stream.partitions()[partition.0 as usize].evict(contents.generation);
        }
        self.merge_state();
        Ok(())
    }

    /// Segments whose names may not be durable are made anew by the next try: to sync again might prove nothing.
    fn sync_segments(&self, parts: &[(Arc<Stream>, SegmentPart)]) -> io::Result<()> {
        self.storage.sync_directory(Path::new(SEGMENT_DIRECTORY)).inspect_err(|_| {
            for (_, part) in parts {
                let _ignored = self.storage.remove(&part.name.path());
            }
        })
    }

    /// The delta is visible: it is either made durable, or nothing that it names may be touched before the next start.
    fn settle(&self) -> Result<(), StageError> {
        let mut tries = 1;
        loop {
            let failed = match self.state.settle(self.storage.as_ref()) {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            if failed.stage.verdict(&failed.error) == FailureAction::Poison {
                return Err(failed);
            }
            if tries == SETTLING_TRIES {
                // An error without its number is judged as one that does not pass.
                return Err(StageError::unsettled(io::Error::other(failed.error)));
            }
            self.say_stuck(&failed.error);
            if !self.queue.pause() {
                return Err(failed);
            }
            tries += 1;
        }
    }

    /// The file is sealed already: a merge that fails must not make it be sealed again, over what readers use. The
    /// deltas stay, and the next sealing tries again.
    fn merge_state(&mut self) {
        let merged = self.state.merge_when_due(self.storage.as_ref());
        let trouble = merged.err().map(|error| Obstacle::new("cannot merge the state files", &error));
        self.status.set_trouble(Task::Merging, trouble);
    }

    fn write_segments(&mut self, contents: &JournalContents) -> io::Result<Vec<(Arc<Stream>, SegmentPart)>> {
        let mut by_stream: BTreeMap<StreamId, Vec<PartitionRuns<'_>>> = BTreeMap::new();
        for ((id, partition), (stream, runs)) in &contents.runs {
            if !stream.is_deleted() {
                by_stream.entry(*id).or_default().push((stream, *partition, runs));
            }
        }
        let size = |runs: &[PartitionRuns<'_>]| -> usize {
            runs.iter().flat_map(|(_, _, runs)| *runs).map(|run| run.range.len()).sum()
        };
        let (own, shared): (Vec<_>, Vec<_>) = by_stream.into_values().partition(|runs| size(runs) >= OWN_SEGMENT_BYTES);
        let mut files = own;
        files.push(shared.into_iter().flatten().collect());
        let mut parts = Vec::new();
        for (file, ordinal) in files.iter().filter(|file| !file.is_empty()).zip(0..) {
            let name = SegmentName { generation: contents.generation, ordinal };
            match self.write_segment(name, file) {
                Ok(written) => parts.extend(written),
                Err(error) => {
                    // Half a segment only takes room; the next try starts anew.
                    let _ignored = self.storage.remove(&name.path());
                    return Err(error);
                }
            }
        }
        Ok(parts)
    }

    fn write_segment(
        &mut self,
        name: SegmentName,
        runs: &[PartitionRuns<'_>],
    ) -> io::Result<Vec<(Arc<Stream>, SegmentPart)>> {
        let mut writer = SegmentWriter::create(self.storage.as_ref(), name)?;
        for (stream, partition, runs) in runs {
            let packing = Self::packing(stream);
            self.write_runs(&mut writer, (stream.id(), *partition), packing, runs)?;
        }
        let rows = writer.finish()?;
        let mut parts: Vec<(Arc<Stream>, SegmentPart)> = Vec::new();
        // Runs and blocks are both in the order of their streams.
        for runs in runs.chunk_by(|(a, ..), (b, ..)| a.id() == b.id()) {
            let Some((stream, ..)) = runs.first() else { continue };
            let from = rows.partition_point(|row| row.stream < stream.id());
            let mut part = SegmentPart::new(name);
            part.add_blocks(rows[from..].iter().take_while(|row| row.stream == stream.id()).map(BlockRow::span));
            let appends = runs.iter().flat_map(|(.., runs)| *runs).map(|run| run.append_time);
            if let Some(oldest) = appends.min() {
                part.appended_at(oldest);
            }
            parts.push((Arc::clone(stream), part));
        }
        Ok(parts)
    }

    fn packing(stream: &Stream) -> Packing {
        let packing = Packing::of(&stream.definition());
        match (packing.compression, stream.share().used_percent()) {
            (Compression::None, HURRY_PERCENT..) => Packing::rows(Compression::None),
            (_, HURRY_PERCENT..) => Packing::rows(Compression::Lz4),
            (_, _) => packing,
        }
    }

    fn write_runs(
        &mut self,
        writer: &mut SegmentWriter,
        (stream, partition): (StreamId, PartitionId),
        packing: Packing,
        runs: &[Arc<Run>],
    ) -> io::Result<()> {
        let Some(first) = runs.first() else { return Ok(()) };
        let mut row = BlockRow::empty(stream, partition, first.base);
        self.raw.clear();
        for run in runs {
            if row.records > 0 && self.raw.len() + run.range.len() > packing.block_bytes() {
                let next = BlockRow::empty(stream, partition, row.end());
                self.write_block(writer, std::mem::replace(&mut row, next), packing)?;
            }
            if run.range.len() <= packing.block_bytes() {
                row.take_in(run.records, run.times, run.append_time);
                self.raw.extend_from_slice(run.bytes());
            } else {
                row = self.write_long_run(writer, row, packing, run)?;
            }
        }
        self.write_block(writer, row, packing)
    }

    /// Cuts a run that is larger than a block; returns the block that its end begins.
    fn write_long_run(
        &mut self,
        writer: &mut SegmentWriter,
        mut row: BlockRow,
        packing: Packing,
        run: &Run,
    ) -> io::Result<BlockRow> {
        for (record, stored) in Records::new(run.bytes()) {
            if row.records > 0 && self.raw.len() + stored.len() > packing.block_bytes() {
                let next = BlockRow::empty(row.stream, row.partition, row.end());
                self.write_block(writer, std::mem::replace(&mut row, next), packing)?;
            }
            let mut times = Times::default();
            times.take_in(record.timestamp);
            row.take_in(1, times, run.append_time);
            self.raw.extend_from_slice(stored);
        }
        Ok(row)
    }

    fn write_block(&mut self, writer: &mut SegmentWriter, row: BlockRow, packing: Packing) -> io::Result<()> {
        self.packer.pack(writer, row, &self.raw, packing)?;
        self.raw.clear();
        Ok(())
    }
}

type PartitionRuns<'a> = (&'a Arc<Stream>, PartitionId, &'a Vec<Arc<Run>>);
