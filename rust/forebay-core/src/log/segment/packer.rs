//! Turns records into the blocks of a segment: columns, or rows.

use std::io;

use super::block::{BLOCK_BYTES, BlockRow, CODEC_COLUMNS, Compressor};
use super::columns::{COLUMN_BLOCK_BYTES, ColumnWriter};
use super::writer::SegmentWriter;
use crate::record::Records;
use crate::stream::{Compression, Layout, StreamDefinition, Times};

/// How a stream's records are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    /// The compression of blocks of rows, and of what of columns is neither a number nor repeats.
    pub(crate) compression: Compression,
    /// Columns, where the records allow it, or rows.
    pub(crate) layout: Layout,
}

impl Packing {
    /// Returns the packing that a stream's definition says.
    pub(crate) fn of(definition: &StreamDefinition) -> Self {
        Self { compression: definition.compression, layout: definition.layout() }
    }

    /// Returns rows of that compression.
    pub(crate) fn rows(compression: Compression) -> Self {
        Self { compression, layout: Layout::Rows }
    }

    /// Returns the bytes of records that a block is to have.
    pub(crate) fn block_bytes(self) -> usize {
        match self.layout {
            Layout::Rows => BLOCK_BYTES,
            Layout::Columns => COLUMN_BLOCK_BYTES,
        }
    }
}

/// Packs one block after another; keeps its tables between them.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    compressor: Compressor,
    columns: ColumnWriter,
}

impl Packer {
    /// Appends the records that `row` describes: as one block of columns, or as blocks of rows when they are to be rows or
    /// have too little in common.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub(crate) fn pack(
        &mut self,
        writer: &mut SegmentWriter,
        mut row: BlockRow,
        raw: &[u8],
        packing: Packing,
    ) -> io::Result<()> {
        let Self { compressor, columns } = self;
        if packing.layout == Layout::Columns
            && let Some(stored) = columns.write(raw, compressor, packing.compression)
        {
            row.codec = CODEC_COLUMNS;
            row.raw_bytes = u32::try_from(raw.len()).unwrap_or(u32::MAX);
            row.stored_bytes = u32::try_from(stored.len()).unwrap_or(u32::MAX);
            return writer.add(row, stored);
        }
        if raw.len() <= BLOCK_BYTES {
            return writer.compress(row, raw, compressor, packing.compression);
        }
        self.pack_rows(writer, row, raw, packing.compression)
    }

    /// Cuts records into blocks of rows. When each was appended is not known any more: the newest stands for all.
    fn pack_rows(
        &mut self,
        writer: &mut SegmentWriter,
        whole: BlockRow,
        raw: &[u8],
        compression: Compression,
    ) -> io::Result<()> {
        let mut row = BlockRow::empty(whole.stream, whole.partition, whole.base);
        let (mut start, mut end) = (0, 0);
        for (record, stored) in Records::new(raw) {
            if row.records > 0 && end - start + stored.len() > BLOCK_BYTES {
                let next = BlockRow::empty(row.stream, row.partition, row.end());
                let block = raw.get(start..end).unwrap_or_default();
                writer.compress(std::mem::replace(&mut row, next), block, &mut self.compressor, compression)?;
                start = end;
            }
            let mut times = Times::default();
            times.take_in(record.timestamp);
            row.take_in(1, times, whole.newest_append);
            end += stored.len();
        }
        writer.compress(row, raw.get(start..end).unwrap_or_default(), &mut self.compressor, compression)
    }
}
