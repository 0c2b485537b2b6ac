//! Writes what is sound to new segment files: the blocks of a damaged segment, the commits of a damaged journal.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::Path;

use super::block::{BLOCK_BYTES, BlockRow, Compressor, Footer, file_header};
use super::quarantine::{read_what_is_readable, remove_if_there};
use super::record::Records;
use super::segment::{SEGMENT_DIRECTORY, SegmentName, SegmentWriter};
use super::storage::{Storage, Synced};
use super::survey::{Key, SegmentSurvey};
use crate::ids::{Offset, PartitionId, StreamId, Timestamp};
use crate::stream::{Compression, SegmentPart};

const UNFINISHED: &str = "segments/unfinished";

/// A run of records in a journal file, and which of them are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// Where in the file.
    pub(crate) position: usize,
    pub(crate) bytes: usize,
    /// The first record's offset.
    pub(crate) base: u64,
    pub(crate) append_time: Timestamp,
    /// Offsets, in order.
    pub(crate) wanted: Vec<(u64, u64)>,
}

/// What is taken over from one journal file.
#[derive(Clone, Debug)]
pub(crate) struct Salvage {
    /// The journal file.
    pub(crate) path: String,
    /// The segment that is made of it.
    pub(crate) name: SegmentName,
    pub(crate) pieces: BTreeMap<Key, Vec<Piece>>,
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
        let (bytes, _) = read_what_is_readable(file.as_ref(), (0, file.length()?))?;
        let writer = SegmentWriter::create(storage, self.name)?;
        let mut blocks = Blocks { writer, compressor: Compressor::new(), raw: Vec::new(), row: None };
        for ((stream, partition), pieces) in &self.pieces {
            for piece in pieces {
                let records = bytes.get(piece.position..piece.position + piece.bytes).unwrap_or_default();
                for (offset, (record, stored)) in (piece.base..).zip(Records::new(records)) {
                    if piece.wanted.iter().any(|(from, to)| (*from..*to).contains(&offset)) {
                        let row = empty(*stream, *partition, Offset(offset));
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
        row.records += 1;
        row.newest_append = row.newest_append.max(append);
        row.min_time = row.min_time.min(time);
        row.max_time = row.max_time.max(time);
        self.raw.extend_from_slice(stored);
        Ok(())
    }

    fn finish_block(&mut self, compression: Compression) -> io::Result<()> {
        let Some(mut row) = self.row.take() else { return Ok(()) };
        let (codec, stored) = self.compressor.compress(&self.raw, compression);
        row.codec = codec;
        row.raw_bytes = u32::try_from(self.raw.len()).unwrap_or(u32::MAX);
        row.stored_bytes = u32::try_from(stored.len()).unwrap_or(u32::MAX);
        self.writer.add(row, stored)?;
        self.raw.clear();
        Ok(())
    }
}

fn empty(stream: StreamId, partition: PartitionId, base: Offset) -> BlockRow {
    BlockRow {
        position: 0,
        crc: 0,
        stream,
        partition,
        base,
        newest_append: Timestamp(i64::MIN),
        min_time: Timestamp(i64::MAX),
        max_time: Timestamp(i64::MIN),
        records: 0,
        raw_bytes: 0,
        stored_bytes: 0,
        codec: 0,
    }
}

/// What a file holds, by stream. Unlike a file that was sealed in order, it may have holes: then a partition has several
/// spans.
pub(crate) fn parts(name: SegmentName, rows: &[BlockRow]) -> Vec<(StreamId, SegmentPart)> {
    let mut parts: Vec<(StreamId, SegmentPart)> = Vec::new();
    for rows in rows.chunk_by(|a, b| a.stream == b.stream) {
        let mut part = SegmentPart::new(name);
        for row in rows {
            part.stored_bytes += row.file_bytes();
            part.raw_bytes += u64::from(row.raw_bytes);
            part.newest_append = part.newest_append.max(row.newest_append);
            match part.spans.last_mut() {
                Some((partition, base, records)) if *partition == row.partition && base.plus(*records) == row.base => {
                    *records += u64::from(row.records);
                }
                Some(_) | None => part.spans.push((row.partition, row.base, row.records.into())),
            }
        }
        parts.extend(rows.first().map(|row| (row.stream, part)));
    }
    parts
}

/// Puts a segment file with the sound blocks alone, and a new index, in the place of a damaged or missing one.
pub(crate) fn rewrite(storage: &dyn Storage, name: SegmentName, survey: Option<&SegmentSurvey>) -> io::Result<()> {
    let mut out = file_header(name).to_vec();
    let mut rows = survey.map_or_else(Vec::new, |survey| survey.sound.clone());
    if let Some(survey) = survey {
        let file = storage.open_read(&name.path())?;
        let (bytes, _) = read_what_is_readable(file.as_ref(), (0, survey.bytes))?;
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
    file.write_at(&[IoSlice::new(&out)], 0)?;
    let _: Synced = file.sync_data()?;
    storage.rename(Path::new(UNFINISHED), &name.path())?;
    storage.sync_directory(Path::new(SEGMENT_DIRECTORY))
}
