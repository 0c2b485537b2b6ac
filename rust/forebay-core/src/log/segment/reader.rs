//! Reads a segment: its index, or the blocks' own headers where the index is damaged, and the blocks. The byte layout is in
//! [`super::block`].

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use super::block::{
    BLOCK_HEADER_BYTES, BlockRow, CODEC_COLUMNS, CODEC_NONE, Decompressor, FILE_HEADER_BYTES, Footer, INDEX_ROW_BYTES,
    decompress, is_file_header,
};
use super::columns::{Directory, HEADER_BYTES, Section, write_rows};
use crate::ids::{Offset, PartitionId, StreamId};
use crate::log::Strictness;
use crate::record::Records;
use crate::storage::{Storage, StorageFile, read_exact_at, read_readable_at};
use crate::stream::SegmentName;

/// A range of a segment file that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DamagedRange {
    /// The first byte.
    pub position: u64,
    /// Their number.
    pub bytes: u64,
    /// The damage, in one sentence.
    pub what: &'static str,
}

/// The reason why a part of a segment could not be read.
#[derive(Debug)]
pub(crate) enum SegmentError {
    /// The operating system's word.
    Io(io::Error),
    /// The bytes are not what was written.
    Damaged(DamagedRange),
}

impl SegmentError {
    fn damaged(position: u64, bytes: u64, what: &'static str) -> Self {
        Self::Damaged(DamagedRange { position, bytes, what })
    }
}

impl From<io::Error> for SegmentError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

const NOT_DECOMPRESSED: &str = "a block does not decompress";
const OTHER_HEADER: &str = "a block's header differs from the index";

/// Says what is wrong with a block.
fn damaged(row: &BlockRow, what: &'static str) -> SegmentError {
    SegmentError::damaged(row.position, row.file_bytes(), what)
}

/// Says why a part of a block was not read.
fn unread(row: &BlockRow, error: io::Error) -> SegmentError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return damaged(row, "the file ends inside of a block");
    }
    SegmentError::Io(error)
}

/// Returns what stands behind the header of a block, if both are what was written.
fn sound<'b>(row: &BlockRow, block: &'b [u8]) -> Result<&'b [u8], SegmentError> {
    let (header, stored) = block.split_at(BLOCK_HEADER_BYTES);
    if header != row.header() {
        return Err(damaged(row, OTHER_HEADER));
    }
    if row.matches(stored) { Ok(stored) } else { Err(damaged(row, "a block's checksum does not match")) }
}

/// Records of a block, one after the other.
#[derive(Debug)]
pub(crate) struct BlockPart {
    /// The first record's offset.
    pub(crate) base: Offset,
    /// How many there are to be.
    pub(crate) records: u32,
    /// The encoded records.
    pub(crate) bytes: Vec<u8>,
}

/// Reads parts of one block of columns, each with its own checksum: a search asks few of them.
#[derive(Debug)]
pub(crate) struct ColumnReader<'r> {
    reader: &'r SegmentReader,
    row: BlockRow,
    directory_bytes: usize,
}

/// Most directories are no larger: they are read with what stands before them.
const USUAL_DIRECTORY_BYTES: usize = 8 * 1024;

impl ColumnReader<'_> {
    /// Reads the directory, which has to be done first.
    ///
    /// # Errors
    /// [`SegmentError`].
    pub(crate) fn read_directory(&mut self) -> Result<Directory, SegmentError> {
        let whole = BLOCK_HEADER_BYTES + self.row.stored_bytes as usize;
        let first = whole.min(BLOCK_HEADER_BYTES + HEADER_BYTES + USUAL_DIRECTORY_BYTES);
        let mut bytes = self.read(self.row.position, first)?;
        if bytes.get(..BLOCK_HEADER_BYTES) != Some(&self.row.header()) {
            return Err(damaged(&self.row, OTHER_HEADER));
        }
        let head = bytes.get(BLOCK_HEADER_BYTES..).and_then(Directory::head);
        let (length, crc) = head.ok_or_else(|| damaged(&self.row, NOT_DECOMPRESSED))?;
        let start = BLOCK_HEADER_BYTES + HEADER_BYTES;
        let end = start.saturating_add(length);
        if end > whole {
            return Err(damaged(&self.row, NOT_DECOMPRESSED));
        }
        if end > bytes.len() {
            bytes.extend(self.read(self.row.position + bytes.len() as u64, end - bytes.len())?);
        }
        bytes.truncate(end);
        bytes.drain(..start);
        if crc32c::crc32c(&bytes) != crc {
            return Err(damaged(&self.row, "the checksum of a block's directory does not match"));
        }
        self.directory_bytes = length;
        let directory = Directory::read(bytes).filter(|directory| directory.rows == self.row.records as usize);
        let directory = directory.ok_or_else(|| damaged(&self.row, NOT_DECOMPRESSED))?;
        if directory.body_bytes as usize + HEADER_BYTES + length != self.row.stored_bytes as usize {
            return Err(damaged(&self.row, NOT_DECOMPRESSED));
        }
        Ok(directory)
    }

    /// Reads an array into memory of its length.
    ///
    /// # Errors
    /// [`SegmentError`].
    pub(crate) fn read_section(&self, section: Section, into: &mut [u8]) -> Result<(), SegmentError> {
        let before = BLOCK_HEADER_BYTES + HEADER_BYTES + self.directory_bytes + section.at as usize;
        let position = self.row.position + before as u64;
        match &self.reader.source {
            Source::File(file) => {
                read_exact_at(file.as_ref(), into, position).map_err(|error| unread(&self.row, error))?
            }
            Source::Memory(_) => into.copy_from_slice(&self.read(position, into.len())?),
        }
        if section.matches(into) { Ok(()) } else { Err(damaged(&self.row, "the checksum of a column does not match")) }
    }

    fn read(&self, position: u64, length: usize) -> Result<Vec<u8>, SegmentError> {
        let read = self.reader.source.read(position, length);
        read.map(Cow::into_owned).map_err(|error| unread(&self.row, error))
    }
}

/// The source of the bytes.
#[derive(Debug)]
enum Source {
    /// A file that is read piece by piece.
    File(Arc<dyn StorageFile>),
    /// A file that was read whole, with zeros where the medium gave nothing back.
    Memory(Vec<u8>),
}

impl Source {
    fn length(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => file.length(),
            Self::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Fails with `UnexpectedEof` where the file ends before the range.
    fn read(&self, position: u64, length: usize) -> io::Result<Cow<'_, [u8]>> {
        match self {
            Self::File(file) => {
                let mut bytes = vec![0; length];
                read_exact_at(file.as_ref(), &mut bytes, position)?;
                Ok(Cow::Owned(bytes))
            }
            Self::Memory(bytes) => {
                let rest = usize::try_from(position).ok().and_then(|from| bytes.get(from..));
                let range = rest.and_then(|rest| rest.get(..length));
                range.map(Cow::Borrowed).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
        }
    }
}

/// Memory that blocks are read into, one after another: a scan would else allocate and clear it for each.
#[derive(Debug, Default)]
pub(crate) struct BlockBuffer {
    block: Vec<u8>,
    raw: Vec<u8>,
    decompressor: Decompressor,
}

/// An open segment file with its index.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    name: SegmentName,
    source: Source,
    strictness: Strictness,
    rows: Vec<BlockRow>,
}

impl SegmentReader {
    /// Opens a segment and reads its index. A damaged index is made anew from the blocks' own headers. The damages of
    /// header, index and footer are returned beside the reader.
    ///
    /// # Errors
    /// When the file cannot be read now. Its index is then not known to be damaged.
    pub(crate) fn open(
        storage: &dyn Storage,
        name: SegmentName,
        strictness: Strictness,
    ) -> io::Result<(Self, Vec<DamagedRange>)> {
        let file = storage.open_read(&name.path())?;
        let source = match strictness {
            Strictness::Trusting => Source::File(file),
            Strictness::Salvaging => Source::Memory(read_readable_at(file.as_ref(), (0, file.length()?))?.0),
        };
        let mut reader = Self { name, source, strictness, rows: Vec::new() };
        let mut damages = Vec::new();
        match reader.read_index(&mut damages) {
            Ok(rows) => reader.rows = rows,
            Err(SegmentError::Damaged(range)) => {
                damages.push(range);
                reader.rows = reader.scan_blocks()?;
            }
            Err(SegmentError::Io(error)) => return Err(error),
        }
        Ok((reader, damages))
    }

    /// Returns the file's name.
    #[must_use]
    pub(crate) fn name(&self) -> SegmentName {
        self.name
    }

    /// Returns the file's length.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        self.source.length()
    }

    /// Returns every block, ordered by stream, partition and offset.
    #[must_use]
    pub(crate) fn rows(&self) -> &[BlockRow] {
        &self.rows
    }

    /// Returns the blocks of one partition that hold `offset` or come after it.
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
        let block = self.read_whole(row)?;
        let stored = sound(row, &block)?;
        let records = if row.codec == CODEC_NONE {
            stored.to_vec()
        } else {
            decompress(row, stored).ok_or_else(|| damaged(row, NOT_DECOMPRESSED))?
        };
        if self.strictness == Strictness::Salvaging {
            check_records(row, &records).map_err(|what| damaged(row, what))?;
        }
        Ok(records)
    }

    /// Reads and checks one block as it is stored.
    ///
    /// # Errors
    /// [`SegmentError`].
    pub(crate) fn read_stored(&self, row: &BlockRow) -> Result<Vec<u8>, SegmentError> {
        sound(row, &self.read_whole(row)?).map(<[u8]>::to_vec)
    }

    /// Reads a block with its header, as it is in the file.
    fn read_whole(&self, row: &BlockRow) -> Result<Cow<'_, [u8]>, SegmentError> {
        let length = BLOCK_HEADER_BYTES + row.stored_bytes as usize;
        self.source.read(row.position, length).map_err(|error| unread(row, error))
    }

    /// Reads a block, of which only what comes from `offset` on is wanted, and only about so many records or bytes of that.
    /// Of columns it does not make rows that nobody asked for: a block of them has as many as a hundred fetches take.
    ///
    /// # Errors
    /// [`SegmentError`].
    pub(crate) fn read_from(
        &self,
        row: &BlockRow,
        offset: Offset,
        (most_records, most_bytes): (usize, usize),
    ) -> Result<BlockPart, SegmentError> {
        if row.codec != CODEC_COLUMNS {
            return Ok(BlockPart { base: row.base, records: row.records, bytes: self.read(row)? });
        }
        let damaged = || damaged(row, NOT_DECOMPRESSED);
        let block = self.read_whole(row)?;
        let (directory, body) = Directory::split(sound(row, &block)?).ok_or_else(damaged)?;
        let directory = Directory::read(directory.to_vec()).ok_or_else(damaged)?;
        let rows = row.records as usize;
        if directory.rows != rows {
            return Err(damaged());
        }
        let start = usize::try_from(offset.0.saturating_sub(row.base.0)).unwrap_or(rows).min(rows);
        let mean = (row.raw_bytes / row.records.max(1)).max(1) as usize;
        let end = rows.min(start.saturating_add(most_records.min(most_bytes / mean + 1)));
        let mut bytes = Vec::with_capacity((end - start) * mean);
        write_rows(&directory, body, start..end, &mut bytes).ok_or_else(damaged)?;
        let (base, records) = (row.base.plus(start as u64), (end - start) as u32);
        Ok(BlockPart { base, records, bytes })
    }

    /// Returns a reader of the parts of a block of columns.
    pub(crate) fn columns<'r>(&'r self, row: &BlockRow) -> ColumnReader<'r> {
        ColumnReader { reader: self, row: *row, directory_bytes: 0 }
    }

    /// Reads a block as [`SegmentReader::read`] does, into memory that serves one block after another.
    ///
    /// # Errors
    /// [`SegmentError`].
    pub(crate) fn read_into<'b>(&self, row: &BlockRow, into: &'b mut BlockBuffer) -> Result<&'b [u8], SegmentError> {
        let Source::File(file) = &self.source else {
            into.raw = self.read(row)?;
            return Ok(&into.raw);
        };
        into.block.resize(BLOCK_HEADER_BYTES + row.stored_bytes as usize, 0);
        read_exact_at(file.as_ref(), &mut into.block, row.position).map_err(|error| unread(row, error))?;
        let stored = sound(row, &into.block)?;
        if row.codec == CODEC_NONE {
            return Ok(stored);
        }
        let is_whole = into.decompressor.decompress(row, stored, &mut into.raw);
        if is_whole { Ok(&into.raw) } else { Err(damaged(row, NOT_DECOMPRESSED)) }
    }

    /// Reads the index by way of the footer. A damaged header does not speak against them, and goes to `damages`.
    fn read_index(&self, damages: &mut Vec<DamagedRange>) -> Result<Vec<BlockRow>, SegmentError> {
        let length = self.source.length()?;
        let footer_bytes = Footer::BYTES as u64;
        let footer_at = length.checked_sub(footer_bytes).filter(|position| *position >= FILE_HEADER_BYTES as u64);
        let footer_at = footer_at.ok_or(SegmentError::damaged(0, length, "the file is too short"))?;
        if !is_file_header(&self.source.read(0, FILE_HEADER_BYTES)?, self.name) {
            let (position, bytes, what) = (0, FILE_HEADER_BYTES as u64, "the file's header is damaged");
            damages.push(DamagedRange { position, bytes, what });
        }
        let footer = Footer::decode(&self.source.read(footer_at, Footer::BYTES)?);
        let Some(footer) = footer.filter(|footer| footer.name == self.name) else {
            return Err(SegmentError::damaged(footer_at, footer_bytes, "the footer is damaged"));
        };
        let index_bytes = u64::from(footer.rows) * INDEX_ROW_BYTES as u64;
        if footer.index_position.checked_add(index_bytes) != Some(footer_at) {
            return Err(SegmentError::damaged(footer_at, footer_bytes, "the footer does not fit the file"));
        }
        let damaged = |what| SegmentError::damaged(footer.index_position, index_bytes, what);
        let index = self.source.read(footer.index_position, usize::try_from(index_bytes).unwrap_or(0))?;
        let rows: Option<Vec<_>> = index.chunks_exact(INDEX_ROW_BYTES).map(BlockRow::from_index_row).collect();
        let rows = rows.filter(|_| footer.covers(&index)).ok_or_else(|| damaged("the index is damaged"))?;
        let ordered = rows.is_sorted_by_key(|row| (row.stream, row.partition, row.base));
        if ordered { Ok(rows) } else { Err(damaged("the index is not in order")) }
    }

    /// Finds blocks by their own headers. Blocks are not aligned, so after a damaged one the search goes byte by byte.
    fn scan_blocks(&self) -> io::Result<Vec<BlockRow>> {
        let length = usize::try_from(self.source.length()?).unwrap_or(usize::MAX);
        let bytes = self.source.read(0, length)?;
        let mut rows: Vec<BlockRow> = Vec::new();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..)
            && !rest.is_empty()
        {
            match BlockRow::find(rest, at as u64).filter(|row| self.believes(row, rest)) {
                Some(row) => {
                    at += usize::try_from(row.file_bytes()).unwrap_or(1);
                    rows.push(row);
                }
                None => at += 1,
            }
        }
        rows.sort_by_key(|row| (row.stream, row.partition, row.base));
        // Bytes inside of a damaged block may look like a block that stands elsewhere: no offset is taken twice.
        rows.dedup_by(|later, kept| {
            (later.stream, later.partition) == (kept.stream, kept.partition) && later.base < kept.end()
        });
        Ok(rows)
    }

    /// Decides whether the block at the start of `bytes`, whose checksum matches, holds what its header says.
    fn believes(&self, row: &BlockRow, bytes: &[u8]) -> bool {
        let stored = || bytes.get(BLOCK_HEADER_BYTES..)?.get(..row.stored_bytes as usize);
        self.strictness == Strictness::Trusting
            || stored().and_then(|stored| decompress(row, stored)).is_some_and(|raw| check_records(row, &raw).is_ok())
    }
}

/// Compares the records of a block with what its header says of them.
fn check_records(row: &BlockRow, raw: &[u8]) -> Result<(), &'static str> {
    let mut records = Records::new(raw);
    let mut count = 0_u64;
    for (record, _) in records.by_ref() {
        count += 1;
        if !(row.min_time..=row.max_time).contains(&record.timestamp) {
            return Err("a record's time is outside of its block's");
        }
    }
    if count == u64::from(row.records) && records.rest().is_empty() {
        Ok(())
    } else {
        Err("a block does not hold the records that it says")
    }
}
