//! Places of the rows of idempotency keys in the state files, so that one is found again.
//!
//! A delta has its rows in the order of their keys, and a base too since they are written merged. A mark every 64 KiB then
//! leads to a row by one read.

use std::io;
use std::sync::Arc;

use parking_lot::RwLock;

use super::StateFileKind;
use super::file::Reader;
use crate::ids::Generation;
use crate::storage::Storage;
use crate::table::{Table, TableOp};

/// Bytes between two marks, about.
const MARK_BYTES: u64 = 64 * 1024;
/// A merge may remove the file that was chosen; each try looks at the files as they are then.
const TRIES: usize = 3;

/// A key, as it is in a row.
pub(crate) type RowKey = [u8; 16];

/// The rows of one state file.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyMarks {
    marks: Vec<(RowKey, u64)>,
    last: Option<RowKey>,
    /// Rows are not in order, or of the older table: the file is read from its beginning.
    unordered: bool,
}

impl KeyMarks {
    /// Takes in the next operation of the file, on that row and at `position` of its body.
    pub(super) fn note(&mut self, table: Table, key: &[u8], position: u64) {
        self.unordered |= table == Table::Idempotency;
        let (Table::Keys, Some(key)) = (table, key.first_chunk()) else { return };
        self.unordered |= self.last.is_some_and(|last| last >= *key);
        self.last = Some(*key);
        if self.marks.last().is_none_or(|(_, at)| position - at >= MARK_BYTES) {
            self.marks.push((*key, position));
        }
    }

    pub(super) fn is_unordered(&self) -> bool {
        self.unordered
    }

    /// Returns the place to read from for a key.
    fn before(&self, key: &RowKey) -> u64 {
        if self.unordered {
            return 0;
        }
        let after = self.marks.partition_point(|(mark, _)| mark <= key);
        after.checked_sub(1).map_or(u64::MAX, |before| self.marks[before].1)
    }
}

#[derive(Clone, Debug)]
struct KeyFile {
    kind: StateFileKind,
    generation: Generation,
    marks: Arc<KeyMarks>,
}

/// The state files that there are.
#[derive(Debug)]
pub struct KeyFiles {
    storage: Arc<dyn Storage>,
    files: RwLock<Vec<KeyFile>>,
}

impl KeyFiles {
    /// Makes an empty list.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, files: RwLock::default() }
    }

    pub(super) fn add(&self, kind: StateFileKind, generation: Generation, marks: KeyMarks) {
        let mut files = self.files.write();
        if kind == StateFileKind::Base {
            files.retain(|file| file.generation > generation);
        }
        files.push(KeyFile { kind, generation, marks: Arc::new(marks) });
    }

    /// Returns the row of a key that was committed to the journal file `generation`, or to an earlier one by a later
    /// base.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub(crate) fn find(&self, key: RowKey, generation: Generation) -> io::Result<Option<TableOp>> {
        for attempt in 1.. {
            let Some(file) = self.holding(generation) else { return Ok(None) };
            match self.search(&file, &key) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < TRIES => {}
                found => return found,
            }
        }
        Ok(None)
    }

    fn holding(&self, generation: Generation) -> Option<KeyFile> {
        let files = self.files.read();
        let delta = files.iter().find(|file| file.kind == StateFileKind::Delta && file.generation == generation);
        delta
            .or_else(|| files.iter().find(|file| file.kind == StateFileKind::Base && file.generation >= generation))
            .cloned()
    }

    fn search(&self, file: &KeyFile, key: &RowKey) -> io::Result<Option<TableOp>> {
        let path = file.kind.path(file.generation);
        let mut cursor = Reader::walk(self.storage.as_ref(), &path, file.marks.before(key))?;
        let mut found = None;
        while let Some(op) = cursor.next_of(Table::is_of_keys)? {
            if op.key == key {
                found = Some(op);
            } else if file.marks.unordered || op.key.as_slice() < key {
                continue;
            }
            if !file.marks.unordered {
                break;
            }
        }
        Ok(found)
    }
}
