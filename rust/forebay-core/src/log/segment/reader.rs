//! Sealed files: immutable, compressed in blocks, indexed. The byte layout is in [`super::block`].

use std::io;
use std::sync::Arc;

use super::block::{CODEC_NONE, Compressor, Footer, INDEX_ROW_BYTES, decompress, file_header};
use crate::ids::{Offset, PartitionId, StreamId};
use crate::log::segment::BlockRow;
use crate::storage::{AlignedBuffer, Storage, StorageFile, Synced, read_exact_at, remove_if_there};
use crate::stream::Compression;
use crate::stream::SegmentName;

/// Written to the file at once.
const WRITE_BYTES: usize = 1024 * 1024;
/// Synced after so many bytes: one large writeback would stall the commits' own syncs.
const SYNC_BYTES: u64 = 4 * 1024 * 1024;

/// Writes one segment file, past the page cache where that can be had: filling fresh pages of the cache costs more than
/// anything else in sealing but the compression, and nobody reads a segment soon that was in the ring a moment ago.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    name: SegmentName,
    file: Arc<dyn StorageFile>,
    buffer: AlignedBuffer,
    position: u64,
    unsynced: u64,
    rows: Vec<BlockRow>,
}

impl SegmentWriter {
    /// Creates the file; one that an interrupted sealing left behind is replaced.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub(crate) fn create(storage: &dyn Storage, name: SegmentName) -> io::Result<Self> {
        remove_if_there(storage, &name.path())?;
        let file = storage.create_uncached(&name.path())?;
        let mut buffer = AlignedBuffer::new(WRITE_BYTES + WRITE_BYTES / 4);
        buffer.extend(&file_header(name));
        Ok(Self { name, file, buffer, position: 0, unsynced: 0, rows: Vec::new() })
    }

    /// `stored` is what `row` describes, already compressed.
    fn add(&mut self, mut row: BlockRow, stored: &[u8]) -> io::Result<()> {
        row.position = self.position + self.buffer.len() as u64;
        row.seal(stored);
        self.buffer.extend(&row.header());
        self.buffer.extend(stored);
        self.rows.push(row);
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Compresses the records that `row` describes, and appends them as a block.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub(crate) fn compress(
        &mut self,
        mut row: BlockRow,
        raw: &[u8],
        compressor: &mut Compressor,
        compression: Compression,
    ) -> io::Result<()> {
        let (codec, stored) = compressor.compress(raw, compression);
        row.codec = codec;
        row.raw_bytes = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        row.stored_bytes = u32::try_from(stored.len()).unwrap_or(u32::MAX);
        self.add(row, stored)
    }

    fn flush(&mut self) -> io::Result<()> {
        let aligned = self.buffer.aligned().len();
        self.file.write_at(self.buffer.aligned(), self.position)?;
        self.buffer.consume(aligned);
        self.position += aligned as u64;
        self.unsynced += aligned as u64;
        if self.unsynced >= SYNC_BYTES {
            let _: Synced = self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Writes index and footer and makes the file durable; its directory entry is the caller's to sync.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub(crate) fn finish(mut self) -> io::Result<Vec<BlockRow>> {
        let index_position = self.position + self.buffer.len() as u64;
        let index: Vec<u8> = self.rows.iter().flat_map(BlockRow::index_row).collect();
        let footer = Footer::new(self.name, index_position, self.rows.len(), &index);
        self.buffer.extend(&index);
        self.buffer.extend(&footer.encode());
        let length = self.position + self.buffer.len() as u64;
        self.buffer.pad();
        self.flush()?;
        self.file.set_length(length)?;
        let _: Synced = self.file.sync_data()?;
        Ok(self.rows)
    }
}

/// Why a part of a segment could not be read.
#[derive(Debug)]
pub(crate) enum SegmentError {
    /// The operating system's word.
    Io(io::Error),
    /// The bytes are not what was written: where, how many, and what is wrong.
    Damaged(u64, u64, &'static str),
}

impl From<io::Error> for SegmentError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What is wrong with a segment's index, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexDamage {
    /// The first byte.
    pub position: u64,
    /// How many.
    pub bytes: u64,
    /// In one sentence.
    pub what: &'static str,
}

/// An open segment file with its index.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    name: SegmentName,
    file: Arc<dyn StorageFile>,
    rows: Vec<BlockRow>,
}

impl SegmentReader {
    /// Opens a segment and reads its index. A damaged index is made anew from the blocks' own headers; the damage is
    /// returned beside the reader.
    ///
    /// # Errors
    /// When the file cannot be read now. Its index is then not known to be damaged.
    pub(crate) fn open(storage: &dyn Storage, name: SegmentName) -> io::Result<(Self, Option<IndexDamage>)> {
        let file = storage.open_read(&name.path())?;
        let (rows, damage) = match read_index(file.as_ref(), name) {
            Ok(rows) => (rows, None),
            Err(SegmentError::Damaged(position, bytes, what)) => {
                (scan_blocks(file.as_ref())?, Some(IndexDamage { position, bytes, what }))
            }
            Err(SegmentError::Io(error)) => return Err(error),
        };
        Ok((Self { name, file, rows }, damage))
    }

    /// The file's name.
    #[must_use]
    pub(crate) fn name(&self) -> SegmentName {
        self.name
    }

    /// Every block, ordered by stream, partition and offset.
    #[must_use]
    pub(crate) fn rows(&self) -> &[BlockRow] {
        &self.rows
    }

    /// The blocks of one partition that hold `offset` or come after it.
    #[must_use]
    pub(crate) fn rows_from(&self, stream: StreamId, partition: PartitionId, offset: Offset) -> &[BlockRow] {
        let key = (stream, partition);
        let from = self.rows.partition_point(|row| (row.stream, row.partition) < key);
        let rows = self.rows.get(from..).unwrap_or_default();
        let rows = &rows[..rows.partition_point(|row| (row.stream, row.partition) == key)];
        rows.get(rows.partition_point(|row| row.end() <= offset)..).unwrap_or_default()
    }

    /// Reads, checks and decompresses one block.
    ///
    /// # Errors
    /// [`SegmentError`].
    pub(crate) fn read(&self, row: &BlockRow) -> Result<Vec<u8>, SegmentError> {
        let stored_bytes = row.stored_bytes as usize;
        let damaged = |what| SegmentError::Damaged(row.position, row.file_bytes(), what);
        let mut bytes = vec![0; row.header().len() + stored_bytes];
        match read_exact_at(self.file.as_ref(), &mut bytes, row.position) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(damaged("the file ends inside of a block"));
            }
            result => result?,
        }
        let (header, stored) = bytes.split_at(bytes.len() - stored_bytes);
        if header != row.header() {
            return Err(damaged("a block's header differs from the index"));
        }
        if !row.matches(stored) {
            return Err(damaged("a block's checksum does not match"));
        }
        if row.codec == CODEC_NONE {
            bytes.drain(..header.len());
            return Ok(bytes);
        }
        decompress(row, stored).ok_or_else(|| damaged("a block does not decompress"))
    }
}

fn read_index(file: &dyn StorageFile, name: SegmentName) -> Result<Vec<BlockRow>, SegmentError> {
    let length = file.length()?;
    let damaged = |position, bytes, what| Err(SegmentError::Damaged(position, bytes, what));
    let header = file_header(name);
    let Some(footer_position) =
        length.checked_sub(Footer::BYTES as u64).filter(|position| *position >= header.len() as u64)
    else {
        return damaged(0, length, "the file is too short");
    };
    let mut bytes = vec![0; header.len()];
    read_exact_at(file, &mut bytes, 0)?;
    if bytes != header {
        return damaged(0, header.len() as u64, "the file's header is damaged");
    }
    let mut bytes = vec![0; Footer::BYTES];
    read_exact_at(file, &mut bytes, footer_position)?;
    let Some(footer) = Footer::decode(&bytes).filter(|footer| footer.name == name) else {
        return damaged(footer_position, Footer::BYTES as u64, "the footer is damaged");
    };
    let index_bytes = u64::from(footer.rows) * INDEX_ROW_BYTES as u64;
    if footer.index_position.checked_add(index_bytes) != Some(footer_position) {
        return damaged(footer_position, Footer::BYTES as u64, "the footer does not fit the file");
    }
    let mut index = vec![0; usize::try_from(index_bytes).unwrap_or(0)];
    read_exact_at(file, &mut index, footer.index_position)?;
    let rows: Option<Vec<_>> = index.chunks_exact(INDEX_ROW_BYTES).map(BlockRow::from_index_row).collect();
    match rows {
        Some(rows) if footer.covers(&index) => Ok(rows),
        _ => damaged(footer.index_position, index_bytes, "the index is damaged"),
    }
}

/// Finds blocks by their own headers. Blocks are not aligned, so after a damaged one the search goes byte by byte.
fn scan_blocks(file: &dyn StorageFile) -> io::Result<Vec<BlockRow>> {
    let length = usize::try_from(file.length()?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    read_exact_at(file, &mut bytes, 0)?;
    let mut rows: Vec<BlockRow> = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..)
        && !rest.is_empty()
    {
        match BlockRow::find(rest, at as u64) {
            Some(row) => {
                at += usize::try_from(row.file_bytes()).unwrap_or(1);
                rows.push(row);
            }
            None => at += 1,
        }
    }
    rows.sort_by_key(|row| (row.stream, row.partition, row.base));
    Ok(rows)
}
