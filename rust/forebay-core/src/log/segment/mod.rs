//! Sealed records: immutable, compressed and indexed files, the thread that writes them and the one that merges them.

mod block;
pub mod merge;
mod seal_queue;
mod sealer;
mod segment;

pub(crate) use block::{
    BLOCK_BYTES, BLOCK_HEADER_BYTES, BlockRow, Compressor, Footer, INDEX_ROW_BYTES, decompress, file_header,
};
pub(crate) use seal_queue::{JournalContents, SealJob, SealQueue};
pub(crate) use sealer::Sealer;
pub(crate) use segment::{IndexDamage, SegmentError, SegmentReader, SegmentWriter};
