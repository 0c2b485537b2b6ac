//! The end of the last journal file, made durable before anything is built on it.

use std::io;
use std::path::Path;

use super::Recovery;
use crate::log::journal::{FrameHead, JOURNAL_DIRECTORY, JournalFile, JournalReader, PAGE_BYTES, UNFINISHED};
use crate::status::{Stage, StageError, StorageFailure};
use crate::storage::{Synced, remove_if_there};

impl Recovery<'_> {
    /// Cuts a torn tail: makes durable what stands before it, and ends the file there, so that the next start does not
    /// take the cut for damage.
    pub(super) fn close_tail(
        &self,
        file: &mut JournalFile,
        reader: &JournalReader,
        end: usize,
    ) -> Result<(), StageError> {
        let mut head = Vec::new();
        FrameHead::end(self.sequence).encode(file.life, &mut head);
        head.resize(PAGE_BYTES, 0);
        if reader.has_unsynced_commits() {
            // They are acknowledged, perhaps, and perhaps on the disk: a power loss while they are written over could
            // leave garbage. So they move to a file of their own, which takes the name when it is whole.
            match self.copy_tail(file, reader.before(end), &head) {
                Err(StageError { stage: Stage::Background, error })
                    if StorageFailure::of(&error) == StorageFailure::NoRoom => {}
                done => return done,
            }
        }
        let (position, bytes) = reader.unsynced(end);
        file.file.write_at(bytes, position)?;
        let _: Synced = file.file.sync_data()?;
        file.file.write_at(&head, end as u64)?;
        let _: Synced = file.file.sync_data()?;
        Ok(())
    }

    fn copy_tail(&self, file: &mut JournalFile, bytes: &[u8], end: &[u8]) -> Result<(), StageError> {
        let unfinished = Path::new(UNFINISHED);
        remove_if_there(self.storage.as_ref(), unfinished)?;
        let copy = self.storage.create(unfinished)?;
        let written = copy.write_at(bytes, 0).and_then(|()| copy.write_at(end, bytes.len() as u64));
        if let Err(error) = written {
            let _ignored = self.storage.remove(unfinished);
            return Err(error.into());
        }
        let _: Synced = copy.sync_data()?;
        self.storage.rename(unfinished, &file.path)?;
        self.storage.sync_directory(Path::new(JOURNAL_DIRECTORY)).map_err(StageError::unsettled)?;
        file.file = copy;
        file.bytes = (bytes.len() + end.len()) as u64;
        Ok(())
    }
}

/// Writes the end of the last file again, and syncs it. A process that died between the two, or whose sync failed, left
/// an end that is read now and that a power loss takes back: beside a later file its lack would be taken for damage.
pub(super) fn settle_end(file: &JournalFile, reader: &JournalReader) -> io::Result<()> {
    let Some((position, page)) = reader.end() else { return Ok(()) };
    file.file.write_at(page, position)?;
    let _: Synced = file.file.sync_data()?;
    Ok(())
}
