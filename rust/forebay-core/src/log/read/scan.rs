//! Reading parts whole, one after another and each once: nothing of them is kept open, so that those who read a few places
//! again and again find theirs.

use std::io;
use std::sync::Arc;

use super::reader::Reader;
use crate::error::{Error, ErrorKind, Result};
use crate::log::segment::{BlockBuffer, BlockRow, DamagedRange, SegmentError, SegmentReader};
use crate::stream::{SegmentName, SegmentPart, Stream};

/// A part that was to be opened.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Its file.
    Segment(Arc<SegmentReader>),
    /// The stream has it no more: what it held was merged into another part, or deleted.
    Replaced,
    /// Its file is missing, which was reported.
    Missing,
}

impl Reader {
    /// Opens a part.
    ///
    /// # Errors
    /// `StorageUnavailable` when it cannot be read now.
    pub(crate) fn open_part(&self, stream: &Stream, part: &SegmentPart) -> Result<Opened> {
        match self.open_apart(part, stream) {
            Ok(reader) => Ok(Opened::Segment(reader)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if stream.part_named(part.name).is_none() {
                    return Ok(Opened::Replaced);
                }
                self.report(part.name, None, stream, "the file is missing");
                Ok(Opened::Missing)
            }
            Err(error) => Err(self.unreadable_part(part.name, stream, &error)),
        }
    }

    /// Reads a block; `None` when it is damaged, which is reported.
    ///
    /// # Errors
    /// `StorageUnavailable` when it cannot be read now.
    pub(crate) fn read_block<'b>(
        &self,
        stream: &Stream,
        reader: &SegmentReader,
        row: &BlockRow,
        into: &'b mut BlockBuffer,
    ) -> Result<Option<&'b [u8]>> {
        match reader.read_into(row, into) {
            Ok(records) => Ok(Some(records)),
            Err(error) => self.judge(stream, reader, error).map(|()| None),
        }
    }

    /// Reports a block that is damaged.
    ///
    /// # Errors
    /// `StorageUnavailable` when it could not be read now.
    pub(crate) fn judge(&self, stream: &Stream, reader: &SegmentReader, error: SegmentError) -> Result<()> {
        match error {
            SegmentError::Damaged(DamagedRange { position, bytes, what }) => {
                self.report(reader.name(), Some((position, bytes)), stream, what);
                Ok(())
            }
            SegmentError::Io(error) => Err(self.unreadable_part(reader.name(), stream, &error)),
        }
    }

    fn unreadable_part(&self, name: SegmentName, stream: &Stream, error: &io::Error) -> Error {
        self.failed();
        let (file, stream) = (name.path(), stream.name());
        let detail = format!(
            "segment {} of stream {stream:?} cannot be read ({error}); nothing is skipped: the same read may succeed later",
            file.display()
        );
        Error::new(ErrorKind::StorageUnavailable, detail)
    }
}
