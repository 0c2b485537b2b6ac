//! The tables on disk: a base, and one delta for each journal file sealed since.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic `FBSTATE3`; `FBSTATE2` and `FBSTATE1` of earlier versions are read |
//! | 8..16 | generation: everything up to this journal file is included |
//! | 16..24 | sequence of the last commit that is included |
//! | 24..32 | sequence that the file builds on (0 for a base) |
//! | 32..40 | bytes of operations |
//! | 40..44 | CRC32C of the operations |
//! | 44..48 | CRC32C of the 44 bytes before |
//! | 48.. | operations, encoded as in a frame |
//!
//! The rename of a delta to its name is the moment at which its journal file counts as sealed.

mod file;
mod key_files;
mod merge;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use file::{Reader, Span, Writer, settle};
pub use key_files::KeyFiles;
use key_files::KeyMarks;
use merge::{Rows, merge};

use crate::ids::{Generation, Sequence};
use crate::log::dedup::Dedup;
use crate::status::{Damage, StageError, StorageFailure};
use crate::storage::{Storage, remove_if_there};
use crate::table::{Changes, Stored, TableOp};

/// The directory of state files.
pub const STATE_DIRECTORY: &str = "state";

/// Deltas are merged into a new base when they are larger than it, but not for less than this.
const MERGE_BYTES: u64 = 256 * 1024;
/// Or when there are so many, unless that would write a base again for an eighth of its size.
const MERGE_FILES: usize = 64;
/// Or when there are so many that opening them shows in the start.
const MAX_FILES: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StateFileKind {
    Base,
    Delta,
}

impl StateFileKind {
    const fn suffix(self) -> &'static str {
        match self {
            StateFileKind::Base => "base",
            StateFileKind::Delta => "delta",
        }
    }

    fn path(self, generation: Generation) -> PathBuf {
        PathBuf::from(format!("{STATE_DIRECTORY}/{:020}.{}", generation.0, self.suffix()))
    }
}

/// The tables as they were when the last journal file was sealed.
#[derive(Debug, Default)]
pub struct StateFiles {
    /// The last sealed journal file.
    pub generation: Generation,
    /// The last sealed commit.
    pub sequence: Sequence,
    /// Every row.
    pub rows: Changes,
    /// Files that are not what was written.
    pub damages: Vec<Damage>,
    base: Option<(Generation, u64)>,
    deltas: Vec<(Generation, u64)>,
    /// Places of idempotency keys.
    keys: Vec<(StateFileKind, Generation, KeyMarks)>,
    /// Files that an interrupted merge did not come to remove.
    superseded: Vec<PathBuf>,
}

/// Writes deltas, and merges them.
#[derive(Debug)]
pub struct StateWriter {
    sequence: Sequence,
    base: Option<(Generation, u64)>,
    deltas: Vec<(Generation, u64)>,
    dedup: Arc<Dedup>,
}

impl StateFiles {
    /// Reads base and deltas. A damaged or missing one is reported; what the others hold is there.
    ///
    /// # Errors
    /// When the directory itself cannot be read, or a file for want of descriptors or memory: that says nothing of it.
    pub fn load(storage: &dyn Storage) -> io::Result<Self> {
        let mut rows = Changes::default();
        let state = Self::walk(storage, &mut |stored, _| rows.apply(stored.op()))?;
        Ok(Self { rows, ..state })
    }

    /// Loads the files; rows of idempotency keys and of jobs go to `apart` as they are read, with the generation of their
    /// file, later ones of the same key after earlier ones: there may be more of keys than fit in memory, and a million jobs
    /// must not be there twice.
    ///
    /// # Errors
    /// Fails as [`StateFiles::load`] does.
    pub fn load_apart(storage: &dyn Storage, apart: &mut dyn FnMut(TableOp, Generation)) -> io::Result<Self> {
        let mut rows = Changes::default();
        let mut each = |stored: Stored<'_>, generation| {
            let is_apart = stored.table.is_of_keys() || stored.table.is_of_jobs();
            if is_apart { apart(stored.op(), generation) } else { rows.apply(stored.op()) }
        };
        let state = Self::walk(storage, &mut each)?;
        Ok(Self { rows, ..state })
    }

    /// Reads the files, and gives every operation to `each` as it is read, with the generation of its file; no row is
    /// kept.
    fn walk(storage: &dyn Storage, each: &mut dyn FnMut(Stored<'_>, Generation)) -> io::Result<Self> {
        let mut state = Self::default();
        let entries = storage.list(Path::new(STATE_DIRECTORY))?;
        let named = |kind: StateFileKind| {
            entries.iter().filter_map(move |entry| {
                let number = entry.name.strip_suffix(kind.suffix())?.strip_suffix('.')?;
                Some((Generation(number.parse().ok()?), entry.bytes))
            })
        };
        for (generation, bytes) in named(StateFileKind::Base).collect::<Vec<_>>().into_iter().rev() {
            if state.take_in(storage, (StateFileKind::Base, generation), each)? {
                state.base = Some((generation, bytes));
                break;
            }
        }
        let from = state.generation;
        let based = state.base.is_some();
        let old_base = named(StateFileKind::Base)
            .filter(|(generation, _)| *generation < from)
            .map(|(g, _)| StateFileKind::Base.path(g));
        let old_delta = named(StateFileKind::Delta).filter(|(generation, _)| based && *generation <= from);
        state.superseded =
            old_base.chain(old_delta.map(|(generation, _)| StateFileKind::Delta.path(generation))).collect();
        for (generation, bytes) in named(StateFileKind::Delta).filter(|(generation, _)| !based || *generation > from) {
            state.take_in(storage, (StateFileKind::Delta, generation), each)?;
            state.deltas.push((generation, bytes));
        }
        Ok(state)
    }

    fn take_in(
        &mut self,
        storage: &dyn Storage,
        (kind, generation): (StateFileKind, Generation),
        each: &mut dyn FnMut(Stored<'_>, Generation),
    ) -> io::Result<bool> {
        let path = kind.path(generation);
        let file = path.to_string_lossy().into_owned();
        let mut damage =
            |what: String| self.damages.push(Damage { file: file.clone(), range: None, stream: None, what });
        let reader = match Reader::open(storage, &path) {
            Ok(Some(reader)) => reader,
            Ok(None) => {
                damage("the state file's checksum does not match".to_owned());
                return Ok(false);
            }
            Err(error) if StorageFailure::of(&error) == StorageFailure::Refused => return Err(error),
            Err(error) => {
                damage(format!("the state file cannot be read: {error}"));
                return Ok(false);
            }
        };
        if kind == StateFileKind::Delta && reader.span.builds_on != self.sequence {
            damage(format!("a state file before this one is missing: it builds on commit {}", reader.span.builds_on));
        }
        (self.generation, self.sequence) = (reader.span.generation, reader.span.sequence);
        let mut marks = KeyMarks::default();
        let read = reader.ops(|stored, position| {
            marks.note(stored.table, stored.key, position);
            each(stored, generation);
        });
        self.keys.push((kind, generation, marks));
        match read {
            Ok(true) => {}
            Ok(false) => damage("the state file holds something else than operations".to_owned()),
            Err(error) if StorageFailure::of(&error) == StorageFailure::Refused => return Err(error),
            Err(error) => damage(format!("the state file cannot be read: {error}")),
        }
        Ok(true)
    }

    /// Returns the writer that goes on from here.
    #[must_use]
    pub fn writer(&self, dedup: Arc<Dedup>) -> StateWriter {
        for (kind, generation, marks) in &self.keys {
            dedup.files().add(*kind, *generation, marks.clone());
        }
        StateWriter { sequence: self.sequence, base: self.base, deltas: self.deltas.clone(), dedup }
    }
}

impl StateWriter {
    /// Writes a delta and gives it its name: once [`StateWriter::settle`] made that durable, the journal file
    /// `generation` is sealed.
    ///
    /// # Errors
    /// Whatever the storage says; then there is no such delta.
    pub fn write_delta(
        &mut self,
        storage: &dyn Storage,
        generation: Generation,
        sequence: Sequence,
        changes: &Changes,
    ) -> io::Result<()> {
        let span = Span { generation, sequence, builds_on: self.sequence };
        let (bytes, marks) = write(storage, StateFileKind::Delta, span, changes)?;
        self.sequence = sequence;
        self.deltas.push((generation, bytes));
        self.dedup.files().add(StateFileKind::Delta, generation, marks);
        self.dedup.sealed(changes);
        Ok(())
    }

    /// Makes the name of the last delta durable.
    ///
    /// # Errors
    /// Whatever the storage says. Until this succeeds, neither the segments that the delta names nor its journal file may
    /// be written anew: a start may find it or not.
    pub fn settle(&self, storage: &dyn Storage) -> Result<(), StageError> {
        settle(storage)
    }

    /// Merges the deltas into a new base when they have outgrown the old one.
    ///
    /// # Errors
    /// Whatever the storage says; then the old files stay valid, and the next call tries again.
    pub fn merge_when_due(&mut self, storage: &dyn Storage) -> io::Result<()> {
        let delta_bytes: u64 = self.deltas.iter().map(|(_, bytes)| bytes).sum();
        let base_bytes = self.base.map_or(0, |(_, bytes)| bytes);
        let due = delta_bytes >= base_bytes.max(MERGE_BYTES)
            || self.deltas.len() >= MERGE_FILES && delta_bytes >= base_bytes / 8
            || self.deltas.len() >= MAX_FILES;
        if due { self.merge(storage) } else { Ok(()) }
    }

    /// Merges all files into a new base, row by row: there may be more rows than fit in memory.
    fn merge(&mut self, storage: &dyn Storage) -> io::Result<()> {
        let state = StateFiles::walk(storage, &mut |_, _| {})?;
        if let Some(damage) = state.damages.first() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {}", damage.file, damage.what)));
        }
        let mut writer = Writer::create(storage)?;
        let files = || state.keys.iter().map(|(kind, number, marks)| (kind.path(*number), marks.is_unordered()));
        merge(storage, Rows::Keys, files(), |op| self.dedup.kept(&op).map_or(Ok(()), |op| writer.put(&op)))?;
        // There is nothing below a base that a delete would have to hide.
        merge(storage, Rows::Others, files(), |op| if op.value.is_some() { writer.put(&op) } else { Ok(()) })?;
        let span = Span { generation: state.generation, sequence: state.sequence, builds_on: Sequence(0) };
        let (bytes, marks) = writer.finish(StateFileKind::Base, span)?;
        // The old files stand for the same until they are removed, so this may fail as anything before.
        settle(storage).map_err(|failed| failed.error)?;
        self.dedup.files().add(StateFileKind::Base, state.generation, marks);
        // A try before this one may have removed some of them.
        for (generation, _) in &self.deltas {
            remove_if_there(storage, &StateFileKind::Delta.path(*generation))?;
        }
        if let Some((generation, _)) = self.base {
            remove_if_there(storage, &StateFileKind::Base.path(generation))?;
        }
        for path in &state.superseded {
            // It only takes room.
            let _ignored = storage.remove(path);
        }
        self.deltas.clear();
        self.base = Some((state.generation, bytes));
        Ok(())
    }
}

/// Writes all of the tables as one new base, which stands for every state file up to `generation`.
///
/// # Errors
/// Whatever the storage says; then the old files stay valid.
pub(crate) fn write_base(
    storage: &dyn Storage,
    (generation, sequence): (Generation, Sequence),
    rows: &Changes,
) -> io::Result<PathBuf> {
    write(storage, StateFileKind::Base, Span { generation, sequence, builds_on: Sequence(0) }, rows)?;
    settle(storage).map_err(|failed| failed.error)?;
    Ok(StateFileKind::Base.path(generation))
}

fn write(storage: &dyn Storage, kind: StateFileKind, span: Span, changes: &Changes) -> io::Result<(u64, KeyMarks)> {
    let mut writer = Writer::create(storage)?;
    changes.ops().try_for_each(|op| writer.put(&op))?;
    writer.finish(kind, span)
}

#[cfg(test)]
mod tests;
