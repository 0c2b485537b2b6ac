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

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::dedup::Dedup;
use super::frame::{u32_at, u64_at};
use super::status::Damage;
use super::storage::{Storage, Synced, read_exact_at, remove_if_there};
use super::table::{Changes, Table, TableOp};
use crate::ids::{Generation, Sequence, Timestamp};

/// The directory of state files.
pub const STATE_DIRECTORY: &str = "state";

const MAGIC: &[u8; 8] = b"FBSTATE1";
const HEADER_BYTES: usize = 48;
const UNFINISHED: &str = "state/unfinished";
/// Deltas are merged into a new base when they are larger than it, but not for less than this.
const MERGE_BYTES: u64 = 256 * 1024;
/// Or when there are so many that opening them shows in the start.
const MERGE_FILES: usize = 64;

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
}

#[derive(Debug)]
struct StateFile {
    generation: Generation,
    sequence: Sequence,
    builds_on: Sequence,
    ops: Vec<TableOp>,
}

impl State {
    /// Reads base and deltas. A damaged or missing one is reported; what the others hold is there.
    ///
    /// # Errors
    /// When the directory itself cannot be read.
    pub fn load(storage: &dyn Storage) -> io::Result<Self> {
        let mut state = Self::default();
        let entries = storage.list(Path::new(STATE_DIRECTORY))?;
        let named = |kind: Kind| {
            entries.iter().filter_map(move |entry| {
                let number = entry.name.strip_suffix(kind.suffix())?.strip_suffix('.')?;
                Some((Generation(number.parse().ok()?), entry.bytes))
            })
        };
        for (generation, bytes) in named(Kind::Base).collect::<Vec<_>>().into_iter().rev() {
            if state.take_in(storage, Kind::Base, generation) {
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
            state.take_in(storage, Kind::Delta, generation);
            state.deltas.push((generation, bytes));
        }
        Ok(state)
    }

    fn take_in(&mut self, storage: &dyn Storage, kind: Kind, generation: Generation) -> bool {
        let path = kind.path(generation);
        let file = path.to_string_lossy().into_owned();
        let damage = |what: String| Damage { file: file.clone(), range: None, stream: None, what };
        match read(storage, &path) {
            Ok(Some(read)) => {
                if kind == Kind::Delta && read.builds_on != self.sequence {
                    let what =
                        format!("a state file before this one is missing: it builds on commit {}", read.builds_on);
                    self.damages.push(damage(what));
                }
                self.generation = read.generation;
                self.sequence = read.sequence;
                for op in read.ops {
                    self.rows.apply(op);
                }
                true
            }
            Ok(None) => {
                self.damages.push(damage("the state file's checksum does not match".to_owned()));
                false
            }
            Err(error) => {
                self.damages.push(damage(format!("the state file cannot be read: {error}")));
                false
            }
        }
    }

    /// The writer that goes on from here.
    #[must_use]
    pub fn writer(&self) -> StateWriter {
        StateWriter { sequence: self.sequence, base: self.base, deltas: self.deltas.clone() }
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
        let bytes = write(storage, Kind::Delta, (generation, sequence, self.sequence), changes)?;
        self.sequence = sequence;
        self.deltas.push((generation, bytes));
        Ok(())
    }

    /// Merges the deltas into a new base when they have outgrown the old one.
    ///
    /// # Errors
    /// Whatever the storage says; then the old files stay valid.
    pub fn merge_when_due(&mut self, storage: &dyn Storage, dedup_window: Duration) -> io::Result<()> {
        let delta_bytes: u64 = self.deltas.iter().map(|(_, bytes)| bytes).sum();
        let base_bytes = self.base.map_or(0, |(_, bytes)| bytes);
        if delta_bytes < base_bytes.max(MERGE_BYTES) && self.deltas.len() < MERGE_FILES {
            return Ok(());
        }
        let mut state = State::load(storage)?;
        if !state.damages.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the state files are damaged"));
        }
        state.rows.drop_deleted();
        let now = Timestamp::now();
        state.rows.retain(Table::Idempotency, |value| !Dedup::is_expired(value, dedup_window, now));
        let bytes = write(storage, Kind::Base, (state.generation, state.sequence, Sequence(0)), &state.rows)?;
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
    write(storage, Kind::Base, (generation, sequence, Sequence(0)), rows)?;
    Ok(Kind::Base.path(generation))
}

fn write(
    storage: &dyn Storage,
    kind: Kind,
    (generation, sequence, builds_on): (Generation, Sequence, Sequence),
    changes: &Changes,
) -> io::Result<u64> {
    let mut body = Vec::new();
    for op in changes.ops() {
        op.encode(&mut body);
    }
    let mut header = MAGIC.to_vec();
    for number in [generation.0, sequence.0, builds_on.0, body.len() as u64] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    remove_if_there(storage, Path::new(UNFINISHED))?;
    let file = storage.create(Path::new(UNFINISHED))?;
    file.write_at(&[IoSlice::new(&header), IoSlice::new(&body)], 0)?;
    let _: Synced = file.sync_data()?;
    storage.rename(Path::new(UNFINISHED), &kind.path(generation))?;
    // Whether the file is there is unknown when this fails, also for want of room: nothing may be tried again.
    storage.sync_directory(Path::new(STATE_DIRECTORY)).map_err(io::Error::other)?;
    Ok((header.len() + body.len()) as u64)
}

fn read(storage: &dyn Storage, path: &Path) -> io::Result<Option<StateFile>> {
    let file = storage.open_read(path)?;
    let length = usize::try_from(file.length()?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    read_exact_at(file.as_ref(), &mut bytes, 0)?;
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Option<StateFile> {
    let (header, body) = bytes.split_at_checked(HEADER_BYTES)?;
    let sound = header.starts_with(MAGIC)
        && u32_at(header, 44)? == crc32c::crc32c(&header[..44])
        && u64_at(header, 32)? == body.len() as u64
        && u32_at(header, 40)? == crc32c::crc32c(body);
    sound.then_some(())?;
    Some(StateFile {
        generation: Generation(u64_at(header, 8)?),
        sequence: Sequence(u64_at(header, 16)?),
        builds_on: Sequence(u64_at(header, 24)?),
        ops: TableOp::decode_all(body)?,
    })
}
