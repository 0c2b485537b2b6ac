//! The write-ahead log's files, and the writer that the committer owns.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::frame::{FrameHead, FrameKind, Life, PAGE_BYTES, frame_bytes};
use super::preallocator::JournalPreallocator;
use crate::bytes::{u32_at, u64_at};
use crate::ids::{Generation, Sequence, Timestamp};
use crate::status::Obstacle;
use crate::storage::{AlignedBuffer, StorageFile, Synced, read_exact_at};
use crate::telemetry::Counters;

/// The directory of journal files.
pub(crate) const JOURNAL_DIRECTORY: &str = "journal";

/// Kept free at a journal file's end for deletions and the end: retention has to be able to delete, and so to make room,
/// when the disk is full and no further file can be made. Nothing else may use it.
pub const RESERVED_BYTES: u64 = 64 * PAGE_BYTES as u64;
/// The part of it that is left to deletions which free at least [`FREEING_BYTES`]: any number of small ones, each of
/// which takes a page and may free nothing, must not keep the large one from happening that helps.
const RESERVED_FOR_FREEING_BYTES: u64 = RESERVED_BYTES / 2;
/// The length of a small journal file, which has the reserve and the header alone. A deletion that frees as much has
/// made room for the next reserve.
pub(crate) const FREEING_BYTES: u64 = RESERVED_BYTES + PAGE_BYTES as u64;

const MAGIC: &[u8; 8] = b"FBJOURN3";
/// What earlier versions wrote: the same but for the tables of jobs, and before that those of stream processors, which they
/// do not know.
const OLDER_MAGICS: [&[u8; 8]; 2] = [b"FBJOURN2", b"FBJOURN1"];
/// A frame is copied together and written in pieces of at most this much: a copy in memory costs less than the page
/// cache, which would make it too, and a commit of many megabytes must not keep as much memory for ever.
const WRITE_BYTES: usize = 1024 * 1024;

/// Returns the path of a generation's file.
#[must_use]
pub(super) fn journal_path(generation: Generation) -> PathBuf {
    PathBuf::from(format!("{JOURNAL_DIRECTORY}/{:020}.journal", generation.0))
}

/// Places of the two copies of the header in the first page: a flipped byte in one copy has no effect.
const HEADER_COPIES: [usize; 2] = [0, PAGE_BYTES / 2];
const HEADER_BYTES: usize = 36;

/// A journal file in one life of it. The first page holds the header twice: magic, generation u64, salt u64, file bytes
/// u64, CRC32C u32 of what comes before.
#[derive(Debug)]
pub struct JournalFile {
    /// The open file.
    pub file: Arc<dyn StorageFile>,
    /// Its path.
    pub path: PathBuf,
    /// Its life.
    pub life: Life,
    /// Its preallocated length.
    pub bytes: u64,
}

impl JournalFile {
    /// Begins a new life: writes the header and makes it durable.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn begin(file: Arc<dyn StorageFile>, path: PathBuf, life: Life, bytes: u64) -> io::Result<Self> {
        let mut header = MAGIC.to_vec();
        for number in [life.generation.0, life.salt, bytes] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
        let mut page = AlignedBuffer::new(PAGE_BYTES);
        for at in HEADER_COPIES {
            page.zero_to(at);
            page.extend(&header);
        }
        page.pad();
        file.write_at(page.content(), 0)?;
        let _: Synced = file.sync_data()?;
        Ok(Self { file, path, life, bytes })
    }

    /// Reads the header of an existing file; `None` when it is not a sound one.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn identify(file: Arc<dyn StorageFile>, path: PathBuf) -> io::Result<Option<Self>> {
        let length = file.length()?;
        let mut page = [0; PAGE_BYTES];
        match read_exact_at(file.as_ref(), &mut page, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        let header = HEADER_COPIES.iter().find_map(|at| read_header(&page[*at..at + HEADER_BYTES]));
        // A tail that was cut by copying is shorter than the header says: such a file is not used again.
        Ok(header.map(|(life, bytes)| Self { file, path, life, bytes: bytes.min(length) }))
    }

    /// Writes a frame without syncing it; returns the bytes that it takes. `buffer` only lends its memory.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn write_frame(
        &self,
        head: &[u8],
        payload: &[&[u8]],
        position: u64,
        buffer: &mut AlignedBuffer,
    ) -> io::Result<u64> {
        let mut end = position;
        buffer.clear();
        for part in std::iter::once(&head).chain(payload) {
            for piece in part.chunks(WRITE_BYTES) {
                if buffer.len() + piece.len() > WRITE_BYTES {
                    self.file.write_at(buffer.aligned(), end)?;
                    let written = buffer.aligned().len();
                    end += written as u64;
                    buffer.consume(written);
                }
                buffer.extend(piece);
            }
        }
        buffer.pad();
        self.file.write_at(buffer.content(), end)?;
        Ok(end + buffer.len() as u64 - position)
    }
}

fn read_header(header: &[u8]) -> Option<(Life, u64)> {
    let known = header.starts_with(MAGIC) || OLDER_MAGICS.iter().any(|magic| header.starts_with(*magic));
    let sound = known && u32_at(header, 32)? == crc32c::crc32c(&header[..32]);
    let life = Life { generation: Generation(u64_at(header, 8)?), salt: u64_at(header, 16)? };
    sound.then_some((life, u64_at(header, 24)?))
}

/// The reason why a frame was not written.
#[derive(Debug)]
pub(crate) enum JournalError {
    /// No further file can be made now; nothing was written, and nothing is lost.
    NoFile(Obstacle),
    /// The storage failed at a write or a sync: what is on the disk is unknown.
    Failed(io::Error),
}

impl From<io::Error> for JournalError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// The committer's end of the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    /// The file that is written to; `None` after a start on a full disk, until there is room for one.
    active: Option<JournalFile>,
    position: u64,
    opened: Instant,
    spares: Arc<JournalPreallocator>,
    counters: Arc<Counters>,
    sequence: Sequence,
    synced_through: Sequence,
    /// True if anything but a marker was written since the last sync or marker.
    unmarked: bool,
    head: Vec<u8>,
    buffer: AlignedBuffer,
}

/// Which space of a journal file a commit may use. In order of what it leaves free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// All but the reserve: for records, markers, and every change of tables that is no deletion.
    Records,
    /// Half of the reserve too: of deletions.
    Deletion,
    /// All but the place of the end: for deletions that free at least [`FREEING_BYTES`].
    Freeing,
}

impl Room {
    /// Returns the room of a deletion that frees so many bytes.
    #[must_use]
    pub fn of_deletion(frees: u64) -> Self {
        if frees >= FREEING_BYTES { Self::Freeing } else { Self::Deletion }
    }

    const fn left_free(self) -> u64 {
        match self {
            Self::Records => RESERVED_BYTES,
            Self::Deletion => RESERVED_FOR_FREEING_BYTES,
            Self::Freeing => PAGE_BYTES as u64,
        }
    }
}

impl Journal {
    /// Starts a journal in a fresh file, after the commit `sequence`, which is synced. Without a file, the first frame
    /// waits for one.
    #[must_use]
    pub(crate) fn new(
        active: Option<JournalFile>,
        spares: Arc<JournalPreallocator>,
        counters: Arc<Counters>,
        sequence: Sequence,
    ) -> Self {
        Self {
            active,
            position: PAGE_BYTES as u64,
            opened: Instant::now(),
            spares,
            counters,
            sequence,
            synced_through: sequence,
            unmarked: false,
            head: Vec::new(),
            buffer: AlignedBuffer::new(WRITE_BYTES + PAGE_BYTES),
        }
    }

    /// Returns the file that is written to.
    #[must_use]
    pub(crate) fn generation(&self) -> Generation {
        self.active.as_ref().map_or(Generation(0), |file| file.life.generation)
    }

    /// Returns the last commit's number.
    #[must_use]
    pub(crate) fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// When the file was taken into use, if it holds anything.
    #[must_use]
    pub(crate) fn opened(&self) -> Option<Instant> {
        (self.position > PAGE_BYTES as u64).then_some(self.opened)
    }

    /// Returns whether a commit is waiting for its sync or marker.
    #[must_use]
    pub(crate) fn is_unmarked(&self) -> bool {
        self.unmarked
    }

    /// Returns whether the last commits are not synced yet.
    #[must_use]
    pub(crate) fn is_unsynced(&self) -> bool {
        self.synced_through < self.sequence
    }

    /// Returns whether a frame of that size fits the active file.
    #[must_use]
    pub(crate) fn fits(&self, bytes: usize, room: Room) -> bool {
        let end = self.position + bytes as u64 + room.left_free();
        self.active.as_ref().is_some_and(|file| end <= file.bytes)
    }

    /// Returns the largest frame that fits an empty file of so many bytes.
    #[must_use]
    pub(crate) const fn largest_frame(file_bytes: u64) -> u64 {
        file_bytes - RESERVED_BYTES - PAGE_BYTES as u64
    }

    /// Ends the active file, if there is one, and goes on in the next one; returns the file that was left, synced whole.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn rotate(&mut self) -> Result<Option<JournalFile>, JournalError> {
        let next = self.spares.take().map_err(JournalError::NoFile)?;
        Ok(self.go_on_in(next)?)
    }

    /// Moves to a small file that has room for deletions alone, when none for records can be made.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn rotate_to_reserve(&mut self, room: Room) -> Result<Option<JournalFile>, JournalError> {
        let next = self.spares.take_small(room).map_err(JournalError::NoFile)?;
        Ok(self.go_on_in(next)?)
    }

    fn go_on_in(&mut self, next: JournalFile) -> io::Result<Option<JournalFile>> {
        self.end()?;
        self.position = PAGE_BYTES as u64;
        self.opened = Instant::now();
        Ok(self.active.replace(next))
    }

    /// Ends the active file, if it holds anything: one that does not is removed at the next start, which may need its
    /// room.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if self.active.is_some() && self.opened().is_some() {
            let _synced = self.mark(FrameKind::End)?;
        }
        Ok(())
    }

    fn active(&self) -> io::Result<&JournalFile> {
        self.active.as_ref().ok_or_else(|| io::Error::other("there is no journal file"))
    }

    /// Writes one commit; it is durable only after [`Journal::sync`].
    ///
    /// # Errors
    /// Whatever the storage says.
    pub(crate) fn commit(&mut self, mut head: FrameHead, payload: &[&[u8]]) -> io::Result<u64> {
        self.sequence.0 += 1;
        head.sequence = self.sequence;
        head.synced_through = self.synced_through;
        self.unmarked = true;
        self.write(&head, payload)
    }

    /// Makes every commit so far durable.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub(crate) fn sync(&mut self) -> io::Result<Synced> {
        let synced = self.sync_file()?;
        self.synced_through = self.sequence;
        Ok(synced)
    }

    /// Syncs, then says so in a marker or the end, which is synced too.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub(crate) fn mark(&mut self, kind: FrameKind) -> io::Result<Synced> {
        if self.is_unsynced() {
            let _synced = self.sync()?;
        }
        let head = FrameHead {
            kind,
            sequence: self.sequence,
            synced_through: self.synced_through,
            append_time: Timestamp::now(),
            rows: Vec::new(),
            ops: Vec::new(),
        };
        self.write(&head, &[])?;
        self.unmarked = false;
        self.sync_file()
    }

    /// Returns every sync that the journal asks for, counted.
    fn sync_file(&self) -> io::Result<Synced> {
        let synced = self.active()?.file.sync_data();
        match &synced {
            Ok(_) => self.counters.syncs.increment(),
            Err(_) => self.counters.sync_failures.increment(),
        }
        synced
    }

    /// Returns whether a marker still fits.
    #[must_use]
    pub(crate) fn has_room_for_marker(&self) -> bool {
        self.fits(frame_bytes(0, 0, 0), Room::Records)
    }

    fn write(&mut self, head: &FrameHead, payload: &[&[u8]]) -> io::Result<u64> {
        let Some(active) = &self.active else { return Err(io::Error::other("there is no journal file")) };
        head.encode(active.life, &mut self.head);
        let written = active.write_frame(&self.head, payload, self.position, &mut self.buffer)?;
        self.position += written;
        Ok(written)
    }
}
