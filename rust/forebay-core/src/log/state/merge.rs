//! Merging the rows of idempotency keys: from many files, each in order, to one, without holding them in memory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::path::{Path, PathBuf};

use super::file::{Cursor, Reader};
use super::key_files::RowKey;
use crate::storage::Storage;
use crate::table::TableOp;

/// Rows of one file, in the order of their keys.
enum Source {
    File(Cursor),
    /// Rows of a file of an earlier version, which has them out of order or twice.
    Memory(std::collections::btree_map::IntoValues<RowKey, TableOp>),
}

impl Source {
    fn open(storage: &dyn Storage, path: &Path, unordered: bool) -> io::Result<Self> {
        let mut cursor = Reader::walk(storage, path, 0)?;
        if !unordered {
            return Ok(Self::File(cursor));
        }
        let mut rows = BTreeMap::new();
        while let Some(op) = cursor.next()? {
            if let Some(key) = key_of(&op) {
                rows.insert(key, op);
            }
        }
        Ok(Self::Memory(rows.into_values()))
    }

    fn next(&mut self) -> io::Result<Option<TableOp>> {
        match self {
            Self::Memory(rows) => Ok(rows.next()),
            Self::File(cursor) => loop {
                match cursor.next()? {
                    Some(op) if key_of(&op).is_none() => {}
                    next => return Ok(next),
                }
            },
        }
    }
}

/// Returns the key of a row of one; `None` for any other operation.
fn key_of(op: &TableOp) -> Option<RowKey> {
    op.table.is_of_keys().then(|| op.key.first_chunk().copied()).flatten()
}

/// Gives every key's newest row to `each`, in the order of the keys. Later files go before earlier ones.
pub(super) fn merge(
    storage: &dyn Storage,
    files: impl Iterator<Item = (PathBuf, bool)>,
    mut each: impl FnMut(TableOp) -> io::Result<()>,
) -> io::Result<()> {
    let mut sources =
        files.map(|(path, unordered)| Source::open(storage, &path, unordered)).collect::<io::Result<Vec<_>>>()?;
    let mut heads: Vec<Option<TableOp>> = Vec::with_capacity(sources.len());
    // The smallest key first, of one key that of the latest file.
    let mut order = BinaryHeap::new();
    for (index, source) in sources.iter_mut().enumerate() {
        let head = source.next()?;
        order.extend(head.as_ref().and_then(key_of).map(|key| (Reverse(key), index)));
        heads.push(head);
    }
    let mut last = None;
    while let Some((Reverse(key), index)) = order.pop() {
        let next = sources[index].next()?;
        order.extend(next.as_ref().and_then(key_of).map(|key| (Reverse(key), index)));
        if let Some(op) = std::mem::replace(&mut heads[index], next)
            && last.replace(key) != Some(key)
        {
            each(op)?;
        }
    }
    Ok(())
}
