//! The files that a survey reads.

use std::io;
use std::path::Path;

use crate::log::journal::JOURNAL_DIRECTORY;
use crate::log::state::STATE_DIRECTORY;
use crate::storage::{Entry, Storage};
use crate::stream::{SEGMENT_DIRECTORY, SegmentName};

/// The engine's files by their kind, in the order of their names.
#[derive(Debug)]
pub(super) struct Files {
    /// State files.
    pub(super) state: Vec<Entry>,
    /// Journal files, with the numbers that their names have.
    pub(super) journals: Vec<(u64, Entry)>,
    /// Segment files.
    pub(super) segments: Vec<(SegmentName, Entry)>,
}

impl Files {
    /// Lists them.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub(super) fn of(storage: &dyn Storage) -> io::Result<Self> {
        let list = |directory| storage.list(Path::new(directory)).map(Vec::into_iter);
        let is_state = |entry: &Entry| entry.name.ends_with(".base") || entry.name.ends_with(".delta");
        let journal = |entry: Entry| Some((entry.name.strip_suffix(".journal")?.parse().ok()?, entry));
        let segment = |entry: Entry| Some((SegmentName::parse(&entry.name)?, entry));
        Ok(Self {
            state: list(STATE_DIRECTORY)?.filter(is_state).collect(),
            journals: list(JOURNAL_DIRECTORY)?.filter_map(journal).collect(),
            segments: list(SEGMENT_DIRECTORY)?.filter_map(segment).collect(),
        })
    }

    /// Returns the bytes of all of them.
    pub(super) fn bytes(&self) -> u64 {
        let journals = self.journals.iter().map(|(_, entry)| entry);
        let segments = self.segments.iter().map(|(_, entry)| entry);
        self.state.iter().chain(journals).chain(segments).map(|entry| entry.bytes).sum()
    }
}
