//! The write-ahead log: files, frames, reading them again, and making files ready ahead of time.

mod files;
mod frame;
mod journal;
mod preallocator;
mod reader;

pub(crate) use files::JournalFiles;
pub(crate) use frame::{Decoded, FRAME_ROW_BYTES, FrameRow, frame_bytes};
pub use frame::{FRAME_HEADER_BYTES, FrameHead, FrameKind, Life, PAGE_BYTES};
pub(crate) use journal::{FREEING_BYTES, JOURNAL_DIRECTORY, Journal, JournalError, Room};
pub use journal::{JournalFile, RESERVED_BYTES};
pub(crate) use preallocator::{JournalPreallocator, UNFINISHED};
pub(crate) use reader::{JournalReader, Step, Tail};
