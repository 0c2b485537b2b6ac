use super::aggregate::{Aggregates, Cell, Sample};
use super::codec::{Reader, put_bytes};
use super::key_table::KeyTable;

/// The cells of every key in one part of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Pane {
    keys: KeyTable,
    /// By key's number, as many for each as the plan has.
    cells: Vec<Cell>,
    /// By key's number, how its row stands.
    rows: Vec<Row>,
    /// The keys whose rows are to be written.
    changed: Vec<usize>,
    /// Bytes that cells take beside their own.
    heap_bytes: usize,
    /// Bytes of all rows that were written.
    written: usize,
    /// Those of the newest of each key.
    live: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    length: u32,
    is_changed: bool,
}

/// What is to be written of a pane's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// The rows of some keys: they count instead of earlier ones.
    Some(Vec<u8>),
    /// The rows of all keys.
    All(Vec<u8>),
}

impl Pane {
    /// Adds a record. Returns how many cells could make nothing of their field.
    pub(super) fn add(&mut self, plan: &Aggregates, key: &[u8], sample: &Sample<'_>) -> u64 {
        let number = self.number_of(plan, key);
        let skipped = self.change(plan, number, |cells| plan.add(cells, sample));
        if !std::mem::replace(&mut self.rows[number].is_changed, true) {
            self.changed.push(number);
        }
        skipped
    }

    /// Adds all that another one has. A window that closes is made in this way, and is not written.
    pub(super) fn merge(&mut self, plan: &Aggregates, other: &Self) {
        for theirs in 0..other.keys.len() {
            let ours = self.number_of(plan, other.keys.get(theirs));
            self.change(plan, ours, |cells| {
                for (cell, other) in cells.iter_mut().zip(other.cells_of(plan, theirs)) {
                    cell.merge(other);
                }
            });
        }
    }

    /// Returns what has changed since the last time: a pane whose rows are mostly old ones is written anew.
    pub(super) fn take_chunk(&mut self, plan: &Aggregates) -> Option<Chunk> {
        if self.changed.is_empty() {
            return None;
        }
        let mut chunk = Vec::new();
        for number in std::mem::take(&mut self.changed) {
            self.write_row(plan, number, &mut chunk);
        }
        self.written += chunk.len();
        if self.written <= 2 * self.live {
            return Some(Chunk::Some(chunk));
        }
        chunk.clear();
        for number in 0..self.keys.len() {
            self.write_row(plan, number, &mut chunk);
        }
        self.written = chunk.len();
        Some(Chunk::All(chunk))
    }

    /// Takes up rows that were written; `None` when they are damaged.
    pub(super) fn restore(&mut self, plan: &Aggregates, chunk: &[u8]) -> Option<()> {
        let mut reader = Reader(chunk);
        while !reader.is_empty() {
            let before = reader.0.len();
            let key = reader.bytes()?;
            let cells = plan.decode(&mut reader)?;
            let number = self.number_of(plan, key);
            self.change(plan, number, |kept| kept.clone_from_slice(&cells));
            self.note_row(number, before - reader.0.len());
        }
        self.written += chunk.len();
        Some(())
    }

    /// Returns whether rows of it were written.
    pub(super) fn has_rows(&self) -> bool {
        self.written > 0
    }

    /// Returns the numbers of the keys in the order of their texts.
    pub(super) fn sorted(&self) -> Vec<usize> {
        self.keys.sorted()
    }

    pub(super) fn key(&self, number: usize) -> &[u8] {
        self.keys.get(number)
    }

    pub(super) fn cells_of(&self, plan: &Aggregates, number: usize) -> &[Cell] {
        &self.cells[number * plan.cells()..(number + 1) * plan.cells()]
    }

    /// Returns the memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let rows = self.rows.capacity() * size_of::<Row>() + self.changed.capacity() * size_of::<usize>();
        self.keys.heap_bytes() + self.cells.capacity() * size_of::<Cell>() + rows + self.heap_bytes
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
        let cells = &mut self.cells[number * plan.cells()..(number + 1) * plan.cells()];
        let before = heap_bytes(cells);
        let result = change(cells);
        self.heap_bytes = self.heap_bytes + heap_bytes(cells) - before;
        result
    }

    fn write_row(&mut self, plan: &Aggregates, number: usize, out: &mut Vec<u8>) {
        let before = out.len();
        put_bytes(out, self.keys.get(number));
        for cell in self.cells_of(plan, number) {
            cell.encode(out);
        }
        self.note_row(number, out.len() - before);
    }

    fn note_row(&mut self, number: usize, length: usize) {
        let row = &mut self.rows[number];
        self.live = self.live + length - row.length as usize;
        *row = Row { length: u32::try_from(length).unwrap_or(u32::MAX), is_changed: false };
    }
}

fn heap_bytes(cells: &[Cell]) -> usize {
    cells.iter().map(Cell::heap_bytes).sum()
}
