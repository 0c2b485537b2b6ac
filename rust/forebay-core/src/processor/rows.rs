//! A processor's rows: its definition and status, its position, and the chunks of its windows.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::definition::ProcessorDefinition;
use super::newest_windows::NewestWindows;
use super::status::Stored;
use super::totals::Totals;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, StreamId, Timestamp};
use crate::table::{Table, TableOp};
use crate::window::{GivenUpTo, StatePlace};

/// The row of [`Table::Counters`] that holds the number of the next processor: above every one that was ever given.
pub(super) const NEXT_PROCESSOR: &[u8] = b"next_processor";

/// A processor's number: never given twice in a data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessorId(pub u32);

impl ProcessorId {
    /// Reads an id as it is shown; `None` for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let id = Self(text.strip_prefix("proc_")?.parse().ok()?);
        (id.to_string() == text).then_some(id)
    }
}

impl std::fmt::Display for ProcessorId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "proc_{}", self.0)
    }
}

/// The definition's row, stored as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ProcessorRow {
    /// The definition, as it reads with every default in it.
    pub(super) definition: Box<RawValue>,
    /// The source's identity: a stream that is made under its name later is another one.
    pub(super) source: u32,
    /// The number of shards of the keys, which is that of the sink's partitions when the processor was made.
    pub(super) shards: u32,
    /// When it was made, in microseconds since 1970.
    pub(super) created_us: i64,
    /// Whether it runs.
    pub(super) status: Stored,
}

impl ProcessorRow {
    pub(super) fn new(
        definition: &ProcessorDefinition,
        source: StreamId,
        shards: u32,
        created: Timestamp,
        status: Stored,
    ) -> Self {
        // Texts and numbers always serialise.
        let definition = to_raw_value(definition).unwrap_or_default();
        Self { definition, source: source.0, shards, created_us: created.0, status }
    }

    pub(super) fn put(&self, id: ProcessorId) -> TableOp {
        // Texts and numbers always serialise.
        TableOp::put(Table::Processors, id.0.to_be_bytes(), serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn source(&self) -> StreamId {
        StreamId(self.source)
    }
}

pub(super) fn delete_row(id: ProcessorId) -> TableOp {
    TableOp::delete(Table::Processors, id.0.to_be_bytes())
}

pub(super) fn delete_position(id: ProcessorId) -> TableOp {
    TableOp::delete(Table::Positions, id.0.to_be_bytes())
}

/// Returns the number that a row's key begins with.
pub(super) fn id_of(key: &[u8]) -> Option<ProcessorId> {
    key.first_chunk().map(|bytes| ProcessorId(u32::from_be_bytes(*bytes)))
}

/// How far a processor has come: it changes in the commit that stores what was made of the records before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PositionRow {
    /// The next offset of each partition of the source.
    pub(super) next: Vec<Offset>,
    /// What [`crate::window::Watermarks::write`] writes.
    pub(super) watermarks: Vec<u8>,
    /// How far the results of each shard are given.
    pub(super) given: Vec<GivenUpTo>,
    pub(super) totals: Totals,
    /// The newest windows that are closed.
    pub(super) newest: NewestWindows,
    pub(super) letters: Letters,
}

/// How far the dead letters are dealt with: those before `next` are, and those before `until` are to be replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Letters {
    pub(super) next: Offset,
    pub(super) until: Offset,
}

impl Letters {
    /// Returns those behind which the replay stands that is under way; `None` without one.
    pub(super) fn due(self) -> Option<Self> {
        (self.next < self.until).then_some(self)
    }
}

/// The format of the row; what a later release adds gets another number. The first had no [`Letters`].
const VERSION: u8 = 2;
const WITHOUT_LETTERS: u8 = 1;

impl PositionRow {
    pub(super) fn put(&self, id: ProcessorId) -> TableOp {
        let mut value = vec![VERSION];
        put_count(&mut value, self.next.len());
        self.next.iter().for_each(|offset| value.extend_from_slice(&offset.0.to_le_bytes()));
        put_bytes(&mut value, &self.watermarks);
        put_count(&mut value, self.given.len());
        for given in &self.given {
            let mut bytes = Vec::new();
            given.write(&mut bytes);
            put_bytes(&mut value, &bytes);
        }
        self.totals.encode(&mut value);
        self.newest.encode(&mut value);
        value.extend_from_slice(&self.letters.next.0.to_le_bytes());
        value.extend_from_slice(&self.letters.until.0.to_le_bytes());
        TableOp::put(Table::Positions, id.0.to_be_bytes(), value)
    }

    /// # Errors
    /// `Internal`: the row is damaged, or of a later release.
    pub(super) fn decode(value: &[u8]) -> Result<Self> {
        Self::read(value).ok_or_else(|| Error::new(ErrorKind::Internal, "the row of its position cannot be read"))
    }

    fn read(value: &[u8]) -> Option<Self> {
        let (&version @ (VERSION | WITHOUT_LETTERS), mut rest) = value.split_first()? else { return None };
        let rest = &mut rest;
        let mut next = Vec::new();
        for _ in 0..take_count(rest)? {
            next.push(Offset(u64::from_le_bytes(take_array(rest)?)));
        }
        let watermarks = take_bytes(rest)?.to_vec();
        let mut given = Vec::new();
        for _ in 0..take_count(rest)? {
            given.push(GivenUpTo::read(take_bytes(rest)?)?);
        }
        let (totals, newest) = (Totals::decode(rest)?, NewestWindows::decode(rest)?);
        let mut offset = || take_array(rest).map(|bytes| Offset(u64::from_le_bytes(bytes)));
        let letters = match version {
            WITHOUT_LETTERS => Letters::default(),
            _ => Letters { next: offset()?, until: offset()? },
        };
        Some(Self { next, watermarks, given, totals, newest, letters })
    }
}

/// The key of a chunk of a shard's windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChunkKey {
    pub(super) shard: u32,
    pub(super) place: StatePlace,
    pub(super) number: u32,
}

impl ChunkKey {
    fn bytes(self, id: ProcessorId) -> Vec<u8> {
        let mut key = id.0.to_be_bytes().to_vec();
        key.extend_from_slice(&self.shard.to_be_bytes());
        key.extend_from_slice(&self.place.to_bytes());
        key.extend_from_slice(&self.number.to_be_bytes());
        key
    }

    pub(super) fn put(self, id: ProcessorId, chunk: Vec<u8>) -> TableOp {
        TableOp::put(Table::WindowState, self.bytes(id), chunk)
    }

    pub(super) fn delete(self, id: ProcessorId) -> TableOp {
        TableOp::delete(Table::WindowState, self.bytes(id))
    }

    /// Reads a key behind the processor's number.
    pub(super) fn read(key: &[u8]) -> Option<Self> {
        let mut rest = key.get(4..)?;
        let shard = u32::from_be_bytes(take_array(&mut rest)?);
        let place = StatePlace::from_bytes(take_array(&mut rest)?)?;
        let number = u32::from_be_bytes(take_array(&mut rest)?);
        rest.is_empty().then_some(Self { shard, place, number })
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub(super) fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*bytes)
}

fn take_count(rest: &mut &[u8]) -> Option<usize> {
    let count = u32::from_le_bytes(take_array(rest)?) as usize;
    // Each thing that is counted takes a byte at least, so that damage asks for no memory.
    (count <= rest.len()).then_some(count)
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_count(rest)?;
    let (bytes, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(bytes)
}
