use super::aggregate::{Aggregates, Cell, Sample};
use super::key_table::KeyTable;

/// The cells of every key in one part of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Pane {
    keys: KeyTable,
    /// By key's number, as many for each as the plan has.
    cells: Vec<Cell>,
    /// Bytes that cells take beside their own.
    heap_bytes: usize,
}

impl Pane {
    /// Adds a record. Returns how many cells could make nothing of their field.
    pub(super) fn add(&mut self, plan: &Aggregates, key: &[u8], sample: &Sample<'_>) -> u64 {
        let (number, is_new) = self.keys.add(key);
        if is_new {
            plan.begin(&mut self.cells);
        }
        let cells = &mut self.cells[number * plan.cells()..(number + 1) * plan.cells()];
        let before = heap_bytes(cells);
        let skipped = plan.add(cells, sample);
        self.heap_bytes = self.heap_bytes + heap_bytes(cells) - before;
        skipped
    }

    /// Adds all that another one has.
    pub(super) fn merge(&mut self, plan: &Aggregates, other: &Self) {
        for theirs in 0..other.keys.len() {
            let (ours, is_new) = self.keys.add(other.keys.get(theirs));
            let their_cells = other.cells_of(plan, theirs);
            if is_new {
                self.cells.extend_from_slice(their_cells);
                self.heap_bytes += heap_bytes(their_cells);
                continue;
            }
            let cells = &mut self.cells[ours * plan.cells()..(ours + 1) * plan.cells()];
            let before = heap_bytes(cells);
            cells.iter_mut().zip(their_cells).for_each(|(cell, other)| cell.merge(other));
            self.heap_bytes = self.heap_bytes + heap_bytes(cells) - before;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.len() == 0
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
        self.keys.heap_bytes() + self.cells.capacity() * size_of::<Cell>() + self.heap_bytes
    }
}

fn heap_bytes(cells: &[Cell]) -> usize {
    cells.iter().map(Cell::heap_bytes).sum()
}
