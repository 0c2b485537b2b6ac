//! The tables on disk: a base, and one delta for each journal file sealed since.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic `FBSTATE1` |
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

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use file::{Reader, Span, Writer};

use super::dedup::Dedup;
use super::status::Damage;
use super::storage::Storage;
use super::table::{Changes, Table, TableOp};
use crate::clock::LogClock;
use crate::ids::{Generation, Sequence};

/// The directory of state files.
pub const STATE_DIRECTORY: &str = "state";

/// Deltas are merged into a new base when they are larger than it, but not for less than this.
const MERGE_BYTES: u64 = 256 * 1024;
/// Or when there are so many, unless that would write a base again for an eighth of its size.
const MERGE_FILES: usize = 64;
/// Or when there are so many that opening them shows in the start.
const MAX_FILES: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Base,
    Delta,
}

impl Kind {
    const fn suffix(self) -> &'static str {
        match self {
            Kind::Base => "base",
            Kind::Delta => "delta",
        }
    }

    fn path(self, generation: Generation) -> PathBuf {
        PathBuf::from(format!("{STATE_DIRECTORY}/{:020}.{}", generation.0, self.suffix()))
    }
}

/// The tables as they were when the last journal file was sealed.
#[derive(Debug, Default)]
pub struct State {
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
    /// What a merge that was interrupted did not come to remove.
    superseded: Vec<PathBuf>,
}

/// Writes deltas, and merges them.
#[derive(Debug)]
pub struct StateWriter {
    sequence: Sequence,
    base: Option<(Generation, u64)>,
    deltas: Vec<(Generation, u64)>,
    /// How long a key is kept whose row does not say it, and by which clock.
    dedup_window: Duration,
    clock: Arc<LogClock>,
}

impl State {
    /// Reads base and deltas. A damaged or missing one is reported; what the others hold is there.
    ///
    /// # Errors
    /// When the directory itself cannot be read.
    pub fn load(storage: &dyn Storage) -> io::Result<Self> {
        let mut keys = Vec::new();
        let mut state = Self::load_apart(storage, &mut |op| keys.push(op))?;
        keys.into_iter().for_each(|op| state.rows.apply(op));
        Ok(state)
    }

    /// The same, but rows of idempotency keys go to `keys` as they are read, later ones of the same key after earlier
    /// ones: there may be more of them than fit in memory.
    ///
    /// # Errors
    /// When the directory itself cannot be read.
    pub fn load_apart(storage: &dyn Storage, keys: &mut dyn FnMut(TableOp)) -> io::Result<Self> {
        let mut state = Self::default();
        let entries = storage.list(Path::new(STATE_DIRECTORY))?;
        let named = |kind: Kind| {
            entries.iter().filter_map(move |entry| {
                let number = entry.name.strip_suffix(kind.suffix())?.strip_suffix('.')?;
                Some((Generation(number.parse().ok()?), entry.bytes))
            })
        };
        for (generation, bytes) in named(Kind::Base).collect::<Vec<_>>().into_iter().rev() {
            if state.take_in(storage, (Kind::Base, generation), keys) {
                state.base = Some((generation, bytes));
                break;
            }
        }
        let from = state.generation;
        let based = state.base.is_some();
        let old_base = named(Kind::Base).filter(|(generation, _)| *generation < from).map(|(g, _)| Kind::Base.path(g));
        let old_delta = named(Kind::Delta).filter(|(generation, _)| based && *generation <= from);
        state.superseded = old_base.chain(old_delta.map(|(generation, _)| Kind::Delta.path(generation))).collect();
        for (generation, bytes) in named(Kind::Delta).filter(|(generation, _)| !based || *generation > from) {
            state.take_in(storage, (Kind::Delta, generation), keys);
            state.deltas.push((generation, bytes));
        }
        Ok(state)
    }

    fn take_in(
        &mut self,
        storage: &dyn Storage,
        (kind, generation): (Kind, Generation),
        keys: &mut dyn FnMut(TableOp),
    ) -> bool {
        let path = kind.path(generation);
        let file = path.to_string_lossy().into_owned();
        let mut damage =
            |what: String| self.damages.push(Damage { file: file.clone(), range: None, stream: None, what });
        let reader = match Reader::open(storage, &path) {
            Ok(Some(reader)) => reader,
            Ok(None) => {
                damage("the state file's checksum does not match".to_owned());
                return false;
            }
            Err(error) => {
                damage(format!("the state file cannot be read: {error}"));
                return false;
            }
        };
        if kind == Kind::Delta && reader.span.builds_on != self.sequence {
            damage(format!("a state file before this one is missing: it builds on commit {}", reader.span.builds_on));
        }
        (self.generation, self.sequence) = (reader.span.generation, reader.span.sequence);
        let rows = &mut self.rows;
        let read = reader.ops(|op| if op.table == Table::Idempotency { keys(op) } else { rows.apply(op) });
        match read {
            Ok(true) => {}
            Ok(false) => damage("the state file holds something else than operations".to_owned()),
            Err(error) => damage(format!("the state file cannot be read: {error}")),
        }
        true
    }

    /// The writer that goes on from here.
    #[must_use]
    pub fn writer(&self, dedup_window: Duration, clock: Arc<LogClock>) -> StateWriter {
        let (sequence, base, deltas) = (self.sequence, self.base, self.deltas.clone());
        StateWriter { sequence, base, deltas, dedup_window, clock }
    }
}

impl StateWriter {
    /// Makes a delta durable. From then on the journal file `generation` is sealed.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn write_delta(
        &mut self,
        storage: &dyn Storage,
        generation: Generation,
        sequence: Sequence,
        changes: &Changes,
    ) -> io::Result<()> {
        let span = Span { generation, sequence, builds_on: self.sequence };
        let bytes = write(storage, Kind::Delta, span, changes)?;
        self.sequence = sequence;
        self.deltas.push((generation, bytes));
        Ok(())
    }

    /// Merges the deltas into a new base when they have outgrown the old one.
    ///
    /// # Errors
    /// Whatever the storage says; then the old files stay valid.
    pub fn merge_when_due(&mut self, storage: &dyn Storage) -> io::Result<()> {
        let delta_bytes: u64 = self.deltas.iter().map(|(_, bytes)| bytes).sum();
        let base_bytes = self.base.map_or(0, |(_, bytes)| bytes);
        let due = delta_bytes >= base_bytes.max(MERGE_BYTES)
            || self.deltas.len() >= MERGE_FILES && delta_bytes >= base_bytes / 8
            || self.deltas.len() >= MAX_FILES;
        if !due {
            return Ok(());
        }
        let (dedup_window, now) = (self.dedup_window, self.clock.window());
        let mut writer = Writer::create(storage)?;
        let mut written = Ok(());
        let mut state = State::load_apart(storage, &mut |op| {
            let kept = op.value.as_deref().is_some_and(|value| !Dedup::is_past(value, dedup_window, now));
            if kept && written.is_ok() {
                written = writer.put(&op);
            }
        })?;
        written?;
        if !state.damages.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the state files are damaged"));
        }
        state.rows.drop_deleted();
        state.rows.ops().try_for_each(|op| writer.put(&op))?;
        let span = Span { generation: state.generation, sequence: state.sequence, builds_on: Sequence(0) };
        let bytes = writer.finish(Kind::Base, span)?;
        for (generation, _) in &self.deltas {
            storage.remove(&Kind::Delta.path(*generation))?;
        }
        if let Some((generation, _)) = self.base {
            storage.remove(&Kind::Base.path(generation))?;
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
    write(storage, Kind::Base, Span { generation, sequence, builds_on: Sequence(0) }, rows)?;
    Ok(Kind::Base.path(generation))
}

fn write(storage: &dyn Storage, kind: Kind, span: Span, changes: &Changes) -> io::Result<u64> {
    let mut writer = Writer::create(storage)?;
    changes.ops().try_for_each(|op| writer.put(&op))?;
    writer.finish(kind, span)
}
