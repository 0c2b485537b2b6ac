//! Writes what is sound to new segment files: the blocks of a damaged segment, the commits of a damaged journal.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::survey::{PartitionKey, SegmentSurvey};
use crate::ids::{Offset, StreamId, Timestamp};
use crate::log::segment::BlockRow;
use crate::log::segment::{BLOCK_BYTES, Compressor, Footer, SegmentWriter, file_header};
use crate::record::Records;
use crate::storage::{Storage, Synced, read_readable_at, remove_if_there};
use crate::stream::SEGMENT_DIRECTORY;
use crate::stream::{Compression, SegmentName, SegmentPart, Times};

const UNFINISHED: &str = "segments/unfinished";

/// A run of records in a journal file, and which of them are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The records' place in the file.
    pub(crate) position: usize,
    pub(crate) bytes: usize,
    /// The first record's offset.
    pub(crate) base: u64,
    pub(crate) append_time: Timestamp,
    /// Offsets, in order.
    pub(crate) wanted: Vec<(u64, u64)>,
}

/// The records that are taken over from one journal file.
#[derive(Clone, Debug)]
pub(crate) struct Salvage {
    /// The journal file.
    pub(crate) path: String,
    /// The segment that is made of it.
    pub(crate) name: SegmentName,
    pub(crate) pieces: BTreeMap<PartitionKey, Vec<Piece>>,
}

impl Salvage {
    pub(crate) fn records(&self) -> u64 {
        self.pieces.values().flatten().flat_map(|piece| &piece.wanted).map(|(from, to)| to - from).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.pieces.values().flatten().map(|piece| piece.bytes as u64).sum()
    }

    /// Writes the segment; its directory entry is the caller's to sync.
    pub(crate) fn write(
        &self,
        storage: &dyn Storage,
        compression: impl Fn(StreamId) -> Compression,
    ) -> io::Result<Vec<(StreamId, SegmentPart)>> {
        let file = storage.open_read(Path::new(&self.path))?;
        let (bytes, _) = read_readable_at(file.as_ref(), (0, file.length()?))?;
        let writer = SegmentWriter::create(storage, self.name)?;
        let mut blocks = Blocks { writer, compressor: Compressor::new(), raw: Vec::new(), row: None };
        for ((stream, partition), pieces) in &self.pieces {
            for piece in pieces {
                let records = bytes.get(piece.position..piece.position + piece.bytes).unwrap_or_default();
                for (offset, (record, stored)) in (piece.base..).zip(Records::new(records)) {
                    if piece.wanted.iter().any(|(from, to)| (*from..*to).contains(&offset)) {
                        let row = BlockRow::empty(*stream, *partition, Offset(offset));
                        blocks.add(row, (record.timestamp, piece.append_time), stored, compression(*stream))?;
                    }
                }
            }
            blocks.finish_block(compression(*stream))?;
        }
        Ok(parts(self.name, &blocks.writer.finish()?))
    }
}

struct Blocks {
    writer: SegmentWriter,
    compressor: Compressor,
    raw: Vec<u8>,
    row: Option<BlockRow>,
}

impl Blocks {
    fn add(
        &mut self,
        first: BlockRow,
        (time, append): (Timestamp, Timestamp),
        stored: &[u8],
        compression: Compression,
    ) -> io::Result<()> {
        let full = self.raw.len() + stored.len() > BLOCK_BYTES;
        if self.row.is_some_and(|row| full || row.end() != first.base) {
            self.finish_block(compression)?;
        }
        let row = self.row.get_or_insert(first);
        let mut times = Times::default();
        times.take_in(time);
        row.take_in(1, times, append);
        self.raw.extend_from_slice(stored);
        Ok(())
    }

    fn finish_block(&mut self, compression: Compression) -> io::Result<()> {
        let Some(row) = self.row.take() else { return Ok(()) };
        self.writer.compress(row, &self.raw, &mut self.compressor, compression)?;
        self.raw.clear();
        Ok(())
    }
}

/// Returns a file's contents by stream. Unlike a file that was sealed in order, it may have holes: then a partition has
/// several spans.
pub(crate) fn parts(name: SegmentName, rows: &[BlockRow]) -> Vec<(StreamId, SegmentPart)> {
    let part = |rows: &[BlockRow]| {
        let stream = rows.first()?.stream;
        let mut part = SegmentPart::new(name);
        part.add_blocks(rows.iter().map(BlockRow::span));
        Some((stream, part))
    };
    rows.chunk_by(|a, b| a.stream == b.stream).filter_map(part).collect()
}

/// Puts a segment file with the sound blocks alone, and a new index, in the place of a damaged or missing one.
pub(crate) fn rewrite(storage: &dyn Storage, name: SegmentName, survey: Option<&SegmentSurvey>) -> io::Result<()> {
    let mut out = file_header(name).to_vec();
    let mut rows = survey.map_or_else(Vec::new, |survey| survey.sound.clone());
    if let Some(survey) = survey {
        let file = storage.open_read(&name.path())?;
        let (bytes, _) = read_readable_at(file.as_ref(), (0, survey.bytes))?;
        for row in &mut rows {
            let from = usize::try_from(row.position).unwrap_or(usize::MAX);
            let length = usize::try_from(row.file_bytes()).unwrap_or(usize::MAX);
            let block = bytes.get(from..).and_then(|rest| rest.get(..length));
            let block = block.ok_or(io::ErrorKind::UnexpectedEof)?;
            row.position = out.len() as u64;
            out.extend_from_slice(block);
        }
    }
    let index: Vec<u8> = rows.iter().flat_map(BlockRow::index_row).collect();
    let footer = Footer::new(name, out.len() as u64, rows.len(), &index);
    out.extend_from_slice(&index);
    out.extend_from_slice(&footer.encode());
    remove_if_there(storage, Path::new(UNFINISHED))?;
    let file = storage.create(Path::new(UNFINISHED))?;
    file.write_at(&out, 0)?;
    let _: Synced = file.sync_data()?;
    storage.rename(Path::new(UNFINISHED), &name.path())?;
    storage.sync_directory(Path::new(SEGMENT_DIRECTORY))
}
