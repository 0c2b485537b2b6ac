use std::ops::Range;

use super::aggregate::{Aggregates, Cell, Sample};
use super::chunk_log::{ChunkChange, ChunkHeader, ChunkLog, RowPlace};
use super::codec::{Reader, put_bytes};
use super::key_table::KeyTable;

/// What the length of a key takes at most.
const LENGTH_BYTES: usize = 3;

/// The most memory that is kept for the next pane: that of half a million keys. It counts as state.
const MAX_SPARE_BYTES: usize = 32 * 1024 * 1024;

/// The cells of every key in one part of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Pane {
    keys: KeyTable,
    /// By key's number, as many for each as the plan has.
    cells: Vec<Cell>,
    /// By key's number, how its row stands.
    rows: Vec<Row>,
    /// The keys whose rows are to be written.
    changed: Vec<u32>,
    /// What these rows take at most.
    changed_bytes: usize,
    log: ChunkLog<u32>,
    /// The keys whose results are to be given early.
    updated: Vec<u32>,
    /// Bytes that cells take beside their own.
    heap_bytes: usize,
    /// Records.
    events: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    place: RowPlace,
    is_changed: bool,
    is_updated: bool,
}

impl Pane {
    /// Adds a record, and takes note of its key when early results are given. Returns how many cells could make nothing
    /// of their field.
    pub(super) fn add(&mut self, plan: &Aggregates, key: &[u8], sample: &Sample<'_>, is_update: bool) -> u64 {
        let number = self.number_of(plan, key);
        let before = self.heap_bytes;
        let skipped = self.change(plan, number, |cells| plan.add(cells, sample));
        self.events += 1;
        if std::mem::replace(&mut self.rows[number].is_changed, true) {
            self.changed_bytes = self.changed_bytes + self.heap_bytes - before;
        } else {
            self.changed.push(number as u32);
            self.changed_bytes += row_bound(key, self.cells_of(plan, number));
        }
        if is_update {
            self.note_update(number);
        }
        skipped
    }

    /// Adds all that another one has. A window that closes is made in this way, and is not written.
    pub(super) fn merge(&mut self, plan: &Aggregates, other: &Self) {
        self.events += other.events;
        if self.rows.is_empty() {
            self.keys.copy_from(&other.keys);
            self.cells.clone_from(&other.cells);
            self.heap_bytes = heap_bytes(&self.cells);
            self.rows.resize(other.rows.len(), Row::default());
            return;
        }
        for theirs in 0..other.keys.len() {
            let ours = self.number_of(plan, other.keys.get(theirs));
            self.change(plan, ours, |cells| {
                for (cell, other) in cells.iter_mut().zip(other.cells_of(plan, theirs)) {
                    cell.merge(other);
                }
            });
        }
    }

    /// Returns it without records, and with the memory that it has; `None` where that is more than the next one is likely
    /// to need, or than is kept for it.
    pub(super) fn emptied(mut self) -> Option<Self> {
        if !self.keys.is_well_filled() {
            return None;
        }
        self.keys.clear();
        self.cells.clear();
        self.rows.clear();
        self.changed.clear();
        self.updated.clear();
        let Self { keys, cells, rows, changed, updated, .. } = self;
        let emptied = Self { keys, cells, rows, changed, updated, ..Self::default() };
        (emptied.bytes() <= MAX_SPARE_BYTES).then_some(emptied)
    }

    /// Returns whether there are keys whose results are to be given early.
    pub(super) fn has_updates(&self) -> bool {
        !self.updated.is_empty()
    }

    /// Takes these keys' numbers out.
    pub(super) fn take_updates(&mut self) -> Vec<u32> {
        let updated = std::mem::take(&mut self.updated);
        updated.iter().for_each(|number| self.rows[*number as usize].is_updated = false);
        updated
    }

    /// Gives what has changed in the chunks since the last time, and removes at most `removes` of them. Some of the keys
    /// `are_updated` when they are part of a round of early results.
    pub(super) fn changes(
        &mut self,
        plan: &Aggregates,
        are_updated: bool,
        removes: &mut usize,
        write: &mut dyn FnMut(ChunkChange),
    ) {
        if self.changed.is_empty() {
            return;
        }
        let header = ChunkHeader { events: self.events, has_updates: are_updated || self.has_updates() };
        let mut writer = self.log.writer(header, write);
        let (keys, cells) = (&self.keys, &self.cells);
        let encode = |number: u32, out: &mut Vec<u8>| {
            put_bytes(out, keys.get(number as usize));
            cells[cells_at(plan, number as usize)].iter().for_each(|cell| cell.encode(out));
        };
        for number in self.changed.drain(..) {
            let row = &mut self.rows[number as usize];
            row.place = writer.add(number, row.place, |out| encode(number, out));
            row.is_changed = false;
        }
        while let Some((number, chunk)) = writer.next_old(removes) {
            let row = &mut self.rows[number as usize];
            if row.place.is_in(chunk) {
                row.place = writer.add(number, row.place, |out| encode(number, out));
            }
        }
        writer.finish();
        self.changed_bytes = 0;
    }

    /// Returns what [`Pane::changes`] would write at most now.
    pub(super) fn unwritten(&self) -> usize {
        self.log.with_cleaning(self.changed_bytes)
    }

    /// Takes up a chunk that was written; `None` when it is damaged. When early results are given, all of its keys are
    /// noted if some of them were: one may come twice, and none is lost.
    pub(super) fn restore(
        &mut self,
        plan: &Aggregates,
        chunk_number: u32,
        chunk: &[u8],
        gives_updates: bool,
    ) -> Option<()> {
        let mut reader = Reader(chunk);
        let header = ChunkHeader::read(&mut reader)?;
        self.events = header.events;
        let mut rows = 0;
        while !reader.is_empty() {
            let before = reader.0.len();
            let key = reader.bytes()?;
            let cells = plan.decode(&mut reader)?;
            let number = self.number_of(plan, key);
            self.change(plan, number, |kept| kept.clone_from_slice(&cells));
            let (row, length) = (&mut self.rows[number], before - reader.0.len());
            row.place = self.log.restore_row(u64::from(chunk_number), number as u32, row.place, length);
            if header.has_updates && gives_updates {
                self.note_update(number);
            }
            rows += 1;
        }
        self.log.restored(u64::from(chunk_number), chunk.len(), rows)
    }

    /// Returns the numbers of the chunks that were written. They end before 2³²: that many steps are not made in the
    /// time of a window.
    pub(super) fn chunks(&self) -> impl Iterator<Item = u32> {
        self.log.numbers().map(|number| number as u32)
    }

    /// Returns the numbers of the keys in the order of their texts.
    pub(super) fn sorted(&self) -> Vec<usize> {
        self.keys.sorted()
    }

    /// Returns how many records it has.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Returns the cells of a key; `None` when it has no record here.
    pub(super) fn find(&self, plan: &Aggregates, key: &[u8]) -> Option<&[Cell]> {
        Some(self.cells_of(plan, self.keys.find(key)?))
    }

    pub(super) fn key(&self, number: usize) -> &[u8] {
        self.keys.get(number)
    }

    pub(super) fn cells_of(&self, plan: &Aggregates, number: usize) -> &[Cell] {
        &self.cells[cells_at(plan, number)]
    }

    /// Returns the memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let noted = self.changed.capacity() + self.updated.capacity();
        let rows = self.rows.capacity() * size_of::<Row>() + noted * size_of::<u32>();
        let cells = self.cells.capacity() * size_of::<Cell>() + self.heap_bytes;
        self.keys.heap_bytes() + cells + rows + self.log.heap_bytes()
    }

    fn note_update(&mut self, number: usize) {
        if !std::mem::replace(&mut self.rows[number].is_updated, true) {
            self.updated.push(number as u32);
        }
    }

    fn number_of(&mut self, plan: &Aggregates, key: &[u8]) -> usize {
        let (number, is_new) = self.keys.add(key);
        if is_new {
            let before = self.cells.len();
            plan.begin(&mut self.cells);
            self.heap_bytes += heap_bytes(&self.cells[before..]);
            self.rows.push(Row::default());
        }
        number
    }

    /// Changes the cells of a key, and keeps count of their bytes.
    fn change<T>(&mut self, plan: &Aggregates, number: usize, change: impl FnOnce(&mut [Cell]) -> T) -> T {
        let cells = &mut self.cells[cells_at(plan, number)];
        let before = heap_bytes(cells);
        let result = change(cells);
        self.heap_bytes = self.heap_bytes + heap_bytes(cells) - before;
        result
    }
}

fn cells_at(plan: &Aggregates, number: usize) -> Range<usize> {
    number * plan.cells()..(number + 1) * plan.cells()
}

/// Returns what the row of a key takes at most: no cell is longer on the disk than in memory.
fn row_bound(key: &[u8], cells: &[Cell]) -> usize {
    LENGTH_BYTES + key.len() + size_of_val(cells) + heap_bytes(cells)
}

fn heap_bytes(cells: &[Cell]) -> usize {
    cells.iter().map(Cell::heap_bytes).sum()
}
