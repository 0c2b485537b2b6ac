//! One state file, written and read a piece at a time: what is kept of idempotency keys may be larger than the memory
//! that may be spent on it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::key_files::KeyMarks;
use super::{STATE_DIRECTORY, StateFileKind};
use crate::bytes::{u32_at, u64_at};
use crate::ids::{Generation, Sequence};
use crate::status::StageError;
use crate::storage::{Storage, StorageFile, Synced, read_exact_at, remove_if_there};
use crate::table::{Stored, Table, TableOp};

const MAGIC: &[u8; 8] = b"FBSTATE3";
/// What earlier versions wrote: the same but for the tables of jobs, and before that those of stream processors, which they
/// do not know.
const OLDER_MAGICS: [&[u8; 8]; 2] = [b"FBSTATE2", b"FBSTATE1"];
const HEADER_BYTES: usize = 48;
const UNFINISHED: &str = "state/unfinished";
/// Bytes that are read or written at a time.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes that are read at a time from one of many files that are read together.
const WALK_BYTES: usize = 64 * 1024;

/// The part of the log's history that a file covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Everything up to this journal file is included.
    pub(super) generation: Generation,
    /// The last commit that is included.
    pub(super) sequence: Sequence,
    /// The one that the file builds on; 0 for a base.
    pub(super) builds_on: Sequence,
}

/// A file that is being made. It counts for nothing until it is finished.
pub(super) struct Writer<'a> {
    storage: &'a dyn Storage,
    file: Arc<dyn StorageFile>,
    /// Bytes that are not written yet; the header's place is left free until the rest goes out together with the
    /// header.
    piece: Vec<u8>,
    /// Bytes of the body that are written, and their checksum.
    written: u64,
    crc: u32,
    marks: KeyMarks,
}

impl<'a> Writer<'a> {
    pub(super) fn create(storage: &'a dyn Storage) -> io::Result<Self> {
        remove_if_there(storage, Path::new(UNFINISHED))?;
        let file = storage.create(Path::new(UNFINISHED))?;
        Ok(Self { storage, file, piece: Vec::new(), written: 0, crc: 0, marks: KeyMarks::default() })
    }

    pub(super) fn put(&mut self, op: &TableOp) -> io::Result<()> {
        self.marks.note(op.table, &op.key, self.written + self.piece.len() as u64);
        op.encode(&mut self.piece);
        if self.piece.len() < PIECE_BYTES {
            return Ok(());
        }
        self.file.write_at(&self.piece, HEADER_BYTES as u64 + self.written)?;
        self.take_in_piece();
        self.piece.clear();
        Ok(())
    }

    fn take_in_piece(&mut self) {
        self.crc = crc32c::crc32c_append(self.crc, &self.piece);
        self.written += self.piece.len() as u64;
    }

    /// Makes the file durable and gives it its name, which is durable after [`settle`]; how many bytes it has,
    /// and where its keys are.
    pub(super) fn finish(mut self, kind: StateFileKind, span: Span) -> io::Result<(u64, KeyMarks)> {
        let before = self.written;
        self.take_in_piece();
        let mut header = MAGIC.to_vec();
        for number in [span.generation.0, span.sequence.0, span.builds_on.0, self.written] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header.extend_from_slice(&self.crc.to_le_bytes());
        header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
        if before == 0 {
            header.extend_from_slice(&self.piece);
            self.file.write_at(&header, 0)?;
        } else {
            self.file.write_at(&self.piece, HEADER_BYTES as u64 + before)?;
            self.file.write_at(&header, 0)?;
        }
        let _: Synced = self.file.sync_data()?;
        self.storage.rename(Path::new(UNFINISHED), &kind.path(span.generation))?;
        Ok((HEADER_BYTES as u64 + self.written, self.marks))
    }
}

/// A file whose header is sound.
pub(super) struct Reader {
    file: Arc<dyn StorageFile>,
    body_bytes: u64,
    pub(super) span: Span,
}

/// Makes the names of the state files durable. Whether one is there is unknown when this fails.
pub(super) fn settle(storage: &dyn Storage) -> Result<(), StageError> {
    storage.sync_directory(Path::new(STATE_DIRECTORY)).map_err(StageError::unsettled)
}

impl Reader {
    /// Reads all of a file; `None` when it is not what was written.
    pub(super) fn open(storage: &dyn Storage, path: &Path) -> io::Result<Option<Self>> {
        let Some((reader, crc)) = Self::open_header(storage, path)? else { return Ok(None) };
        let mut found = 0;
        reader.pieces(|piece| {
            found = crc32c::crc32c_append(found, piece);
            piece.len()
        })?;
        Ok((found == crc).then_some(reader))
    }

    fn open_header(storage: &dyn Storage, path: &Path) -> io::Result<Option<(Self, u32)>> {
        let file = storage.open_read(path)?;
        let length = file.length()?;
        let mut header = [0; HEADER_BYTES];
        if length < HEADER_BYTES as u64 {
            return Ok(None);
        }
        read_exact_at(file.as_ref(), &mut header, 0)?;
        let sound = parse(&header, length);
        Ok(sound.map(|(span, crc)| (Self { file, body_bytes: length - HEADER_BYTES as u64, span }, crc)))
    }

    /// Walks the operations from the one that stands at `position` of the body on, without looking at the checksum of all
    /// of them.
    ///
    /// # Errors
    /// `InvalidData` when the header is damaged; else whatever the storage says.
    pub(super) fn walk(storage: &dyn Storage, path: &Path, position: u64) -> io::Result<Cursor> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the state file's header is damaged");
        let (Self { file, body_bytes, .. }, _) = Self::open_header(storage, path)?.ok_or_else(damaged)?;
        Ok(Cursor { file, body_bytes, position: position.min(body_bytes), piece: Vec::new(), used: 0 })
    }

    /// Gives every operation and its position to `each`, in the order in which they were written. Returns whether the body
    /// is of nothing else.
    pub(super) fn ops(&self, mut each: impl FnMut(Stored<'_>, u64)) -> io::Result<bool> {
        let mut position = 0;
        let left = self.pieces(|piece| {
            let mut used = 0;
            while let Some(stored) = Stored::at(&piece[used..]) {
                each(stored, position);
                used += stored.bytes();
                position += stored.bytes() as u64;
            }
            used
        })?;
        Ok(left == 0)
    }

    /// Gives the body to `take` piece by piece, each beginning with what it left of the one before. Returns how much
    /// it left of the last.
    fn pieces(&self, mut take: impl FnMut(&[u8]) -> usize) -> io::Result<usize> {
        let (mut piece, mut position) = (Vec::new(), 0);
        while position < self.body_bytes {
            let more = usize::try_from(self.body_bytes - position).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            let kept = piece.len();
            piece.resize(kept + more, 0);
            read_exact_at(self.file.as_ref(), &mut piece[kept..], HEADER_BYTES as u64 + position)?;
            position += more as u64;
            let used = take(&piece);
            piece.drain(..used);
        }
        Ok(piece.len())
    }
}

/// Reads a file operation by operation.
pub(super) struct Cursor {
    file: Arc<dyn StorageFile>,
    body_bytes: u64,
    /// The position of the next read.
    position: u64,
    piece: Vec<u8>,
    /// Bytes of the piece that were given out.
    used: usize,
}

impl Cursor {
    /// Returns the next operation on some tables; `None` at the end.
    ///
    /// # Errors
    /// `InvalidData` for bytes that are no operation; else whatever the storage says.
    pub(super) fn next_of(&mut self, wanted: impl Fn(Table) -> bool) -> io::Result<Option<TableOp>> {
        loop {
            while let Some(stored) = self.piece.get(self.used..).and_then(Stored::at) {
                self.used += stored.bytes();
                if wanted(stored.table) {
                    return Ok(Some(stored.op()));
                }
            }
            self.piece.drain(..self.used);
            self.used = 0;
            let left = usize::try_from(self.body_bytes - self.position).unwrap_or(usize::MAX);
            if left == 0 {
                let what = "the state file holds something else than operations";
                let rest = io::Error::new(io::ErrorKind::InvalidData, what);
                return if self.piece.is_empty() { Ok(None) } else { Err(rest) };
            }
            let kept = self.piece.len();
            self.piece.resize(kept + left.min(WALK_BYTES), 0);
            read_exact_at(self.file.as_ref(), &mut self.piece[kept..], HEADER_BYTES as u64 + self.position)?;
            self.position += (self.piece.len() - kept) as u64;
        }
    }
}

fn parse(header: &[u8], length: u64) -> Option<(Span, u32)> {
    let sound = (header.starts_with(MAGIC) || OLDER_MAGICS.iter().any(|magic| header.starts_with(*magic)))
        && u32_at(header, 44)? == crc32c::crc32c(&header[..44])
        && u64_at(header, 32)?.checked_add(HEADER_BYTES as u64)? == length;
    sound.then_some(())?;
    let span = Span {
        generation: Generation(u64_at(header, 8)?),
        sequence: Sequence(u64_at(header, 16)?),
        builds_on: Sequence(u64_at(header, 24)?),
    };
    Some((span, u32_at(header, 40)?))
}
