//! Which file a commit goes to, and what has no room in any.

use super::{Append, Committer, frame_size, refuse};
use crate::error::{Error, ErrorKind};
use crate::log::journal::{FREEING_BYTES, JournalError, Room, frame_bytes};

/// Small deletions get another small file when those before them have freed twice of what it takes: else any number of
/// them would use up the room that the large ones have made.
const PAID_BYTES: u64 = 2 * FREEING_BYTES;

impl Committer {
    /// Goes on in another file when the batch does not fit the active one; returns how many appends from its beginning
    /// fit now. Where none does, at least one was refused.
    pub(super) fn make_room(&mut self, batch: &mut Vec<Append>) -> usize {
        if self.journal.fits(frame_size(batch), Room::Records) {
            return batch.len();
        }
        match self.rotate() {
            // It holds any single append: what is larger was refused.
            Ok(()) => return self.fitting(batch, |_| Room::Records),
            Err(JournalError::NoFile(obstacle)) => {
                // Ingestion goes first, as long as the active file has room for it.
                let refusal = Error::new(ErrorKind::StorageUnavailable, obstacle.why.clone());
                refuse(batch.extract_if(.., |append| append.yields), &refusal);
                if batch.is_empty() || self.journal.fits(frame_size(batch), Room::Records) {
                    return batch.len();
                }
                self.status.obstruct(obstacle);
            }
            Err(JournalError::Failed(error)) => {
                self.status.journal_failed("ending a journal file", error);
                refuse(batch.drain(..), &self.refusal());
                return 0;
            }
        }
        refuse(batch.extract_if(.., |append| append.room == Room::Records), &self.refusal());
        self.make_room_for_deletions(batch)
    }

    /// Tries the space that is kept for deletions: deleting is how a full disk gets room.
    fn make_room_for_deletions(&mut self, batch: &mut Vec<Append>) -> usize {
        let Some(room) = batch.first().map(|append| append.room) else { return 0 };
        let mut fitting = self.fitting(batch, |append| append.room);
        if fitting == 0 && (room == Room::Freeing || self.freed >= PAID_BYTES) {
            match self.journal.rotate_to_reserve(room) {
                Ok(left) => self.hand_over(left),
                Err(JournalError::NoFile(_)) => {}
                Err(JournalError::Failed(error)) => {
                    self.status.journal_failed("ending a journal file", error);
                    refuse(batch.drain(..), &self.refusal());
                    return 0;
                }
            }
            fitting = self.fitting(batch, |append| append.room);
        }
        if fitting == 0 {
            refuse(batch.drain(..1), &self.refusal());
            return 0;
        }
        fitting
    }

    /// Returns how many appends from the batch's beginning fit the active file in one frame.
    fn fitting(&self, batch: &[Append], room: impl Fn(&Append) -> Room) -> usize {
        let (mut bytes, mut least) = (0, Room::Freeing);
        let fits = |append: &&Append| {
            bytes += append.frame_bytes();
            least = least.min(room(append));
            self.journal.fits(frame_bytes(0, 0, bytes), least)
        };
        batch.iter().take_while(fits).count()
    }

    /// A commit that fits no file would be refused only after one was left for it.
    pub(super) fn refuse_too_large(&self, batch: &mut Vec<Append>) {
        let size = |append: &Append| frame_size(std::slice::from_ref(append)) as u64;
        for append in batch.extract_if(.., |append| size(append) > self.largest_frame) {
            let detail = format!(
                "the change takes {} bytes, more than the {} of one commit: change less at once, or raise \
                 journal_file_bytes",
                size(&append),
                self.largest_frame
            );
            append.reply.finish_and_wake(Err(Error::new(ErrorKind::PayloadTooLarge, detail)));
        }
    }
}
