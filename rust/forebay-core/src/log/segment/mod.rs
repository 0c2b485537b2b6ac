//! Sealed records: immutable, compressed and indexed files, the thread that writes them and the one that merges them.

mod block;
mod merge;
mod reader;
mod seal_queue;
mod sealer;
mod writer;

pub(crate) use block::{BLOCK_BYTES, BlockRow, Compressor, FILE_HEADER_BYTES, Footer, file_header};
pub(crate) use merge::Merger;
pub(crate) use reader::{BlockBuffer, DamagedRange, SegmentError, SegmentReader};
pub(crate) use seal_queue::{JournalContents, SealJob, SealQueue};
pub(crate) use sealer::Sealer;
pub(crate) use writer::SegmentWriter;
