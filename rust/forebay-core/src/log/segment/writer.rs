//! Writes a segment: a sealed file, immutable, compressed in blocks, indexed. The byte layout is in [`super::block`].

use std::io;
use std::sync::Arc;

use super::block::{BlockRow, Compressor, Footer, file_header};
use crate::storage::{AlignedBuffer, Storage, StorageFile, Synced, remove_if_there};
use crate::stream::{Compression, SegmentName};

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

    /// Appends a block as it is: `stored` is what `row` describes, already compressed.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub(super) fn add(&mut self, mut row: BlockRow, stored: &[u8]) -> io::Result<()> {
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
