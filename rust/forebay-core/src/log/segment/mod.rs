//! Sealed records: immutable, compressed and indexed files, the thread that writes them and the one that merges them.

mod block;
pub(crate) mod columns;
mod merge;
mod packer;
mod reader;
mod seal_queue;
mod sealer;
mod writer;

pub(crate) use block::{BLOCK_BYTES, BlockRow, CODEC_COLUMNS, Compressor, FILE_HEADER_BYTES, Footer, file_header};
pub(crate) use merge::Merger;
pub(crate) use reader::{BlockBuffer, ColumnReader, DamagedRange, SegmentError, SegmentReader};
pub(crate) use seal_queue::{JournalContents, SealJob, SealQueue};
pub(crate) use sealer::Sealer;
pub(crate) use writer::SegmentWriter;
