//! Merging state files: rows of many files, each in order, to one, without holding them in memory.
//!
//! A file is held open with the row that comes next of it, so the memory that a merge takes is that of as many rows, and of
//! 64 KiB, as there are files: at most 1024 of them, however many rows.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::path::{Path, PathBuf};

use super::file::{Cursor, Reader};
use super::key_files::RowKey;
use crate::storage::Storage;
use crate::table::{Table, TableOp};

/// The rows that are merged, which are in an order of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// Those of idempotency keys, in the order of their keys, whichever of the two tables they are of.
    Keys,
    /// All others, by table and key.
    Others,
}

impl Rows {
    fn holds(self, table: Table) -> bool {
        table.is_of_keys() == (self == Self::Keys)
    }
}

/// The place of a row among those that it is merged with.
fn place(op: &TableOp) -> (Option<Table>, &[u8]) {
    ((!op.table.is_of_keys()).then_some(op.table), &op.key)
}

/// Rows of one file, in their order.
enum Source {
    File(Cursor, Rows),
    /// Rows of idempotency keys of a file of an earlier version, which has them out of order or twice.
    Memory(std::collections::btree_map::IntoValues<RowKey, TableOp>),
}

impl Source {
    fn open(storage: &dyn Storage, path: &Path, rows: Rows, unordered: bool) -> io::Result<Self> {
        let mut cursor = Reader::walk(storage, path, 0)?;
        if !unordered {
            return Ok(Self::File(cursor, rows));
        }
        let mut found = BTreeMap::new();
        while let Some(op) = cursor.next_of(|table| rows.holds(table))? {
            if let Some(key) = op.key.first_chunk() {
                found.insert(*key, op);
            }
        }
        Ok(Self::Memory(found.into_values()))
    }

    fn next(&mut self) -> io::Result<Option<TableOp>> {
        match self {
            Self::Memory(rows) => Ok(rows.next()),
            Self::File(cursor, rows) => cursor.next_of(|table| rows.holds(table)),
        }
    }
}

/// The next row of a file. The greatest is the one that is merged next: the smallest row, of one row that of the latest
/// file.
struct Head {
    op: TableOp,
    source: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        place(&other.op).cmp(&place(&self.op)).then(self.source.cmp(&other.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

struct Merge {
    sources: Vec<Source>,
    heads: BinaryHeap<Head>,
}

impl Merge {
    fn open(sources: Vec<Source>) -> io::Result<Self> {
        let mut merge = Self { heads: BinaryHeap::with_capacity(sources.len()), sources };
        for source in 0..merge.sources.len() {
            let next = merge.sources[source].next()?;
            merge.heads.extend(next.map(|op| Head { op, source }));
        }
        Ok(merge)
    }

    /// Returns the next row of any file, and which file that is.
    fn pop(&mut self) -> io::Result<Option<Head>> {
        let Some(head) = self.heads.pop() else { return Ok(None) };
        let next = self.sources[head.source].next()?;
        if next.as_ref().is_some_and(|next| place(next) < place(&head.op)) {
            // A merge would take an older row for the newest.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the rows of a state file are not in order"));
        }
        self.heads.extend(next.map(|op| Head { op, source: head.source }));
        Ok(Some(head))
    }

    /// Returns the newest of the smallest row.
    fn newest(&mut self) -> io::Result<Option<TableOp>> {
        let Some(mut newest) = self.pop()? else { return Ok(None) };
        while self.heads.peek().is_some_and(|head| place(&head.op) == place(&newest.op)) {
            // The last of a row counts in a file, too.
            let older = self.pop()?;
            newest = older.filter(|older| older.source == newest.source).unwrap_or(newest);
        }
        Ok(Some(newest.op))
    }
}

/// Gives the newest of each row to `each`, deletes included, in order. Later files go before earlier ones; of a file it is
/// said whether its idempotency keys are out of order.
pub(super) fn merge(
    storage: &dyn Storage,
    rows: Rows,
    files: impl Iterator<Item = (PathBuf, bool)>,
    mut each: impl FnMut(TableOp) -> io::Result<()>,
) -> io::Result<()> {
    let open = |(path, unordered): (PathBuf, bool)| Source::open(storage, &path, rows, unordered && rows == Rows::Keys);
    let mut merge = Merge::open(files.map(open).collect::<io::Result<Vec<_>>>()?)?;
    while let Some(op) = merge.newest()? {
        each(op)?;
    }
    Ok(())
}
