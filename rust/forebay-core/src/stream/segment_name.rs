//! The name of a segment file, which is also where the catalogue finds a stream's records.

use std::path::PathBuf;

use crate::ids::Generation;

/// The directory of the segments, inside of the data directory.
pub(crate) const SEGMENT_DIRECTORY: &str = "segments";

/// A segment file's name: the journal file it was sealed from, and a number within that. A merged one is named after the
/// last of its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The journal file's generation.
    pub generation: Generation,
    /// The number within the generation: from 0; of a merged file, from 1,024 on and of no other file.
    pub ordinal: u32,
}

impl SegmentName {
    /// Returns the file's path.
    #[must_use]
    pub fn path(self) -> PathBuf {
        PathBuf::from(format!("{SEGMENT_DIRECTORY}/{:020}-{:04}.segment", self.generation.0, self.ordinal))
    }

    /// Parses the name of a file inside of the directory.
    #[must_use]
    pub fn parse(file: &str) -> Option<Self> {
        let (generation, ordinal) = file.strip_suffix(".segment")?.split_once('-')?;
        Some(Self { generation: Generation(generation.parse().ok()?), ordinal: ordinal.parse().ok()? })
    }
}
