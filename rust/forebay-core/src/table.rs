//! Keyed state. Everything the engine remembers beside records (streams, segments, bounds, offsets, keys) is a row of
//! a table, and changes only through [`TableOp`]s, which are part of journal frames: one way in, one recovery path.

use std::collections::BTreeMap;

/// The row of [`Table::Counters`] that holds the identity of the next stream: above every one that was ever given.
pub const NEXT_STREAM_ID: &[u8] = b"next_stream_id";
/// The row of [`Table::Counters`] that holds the number of workers that was chosen while the engine ran.
pub const WORKERS: &[u8] = b"workers";

/// The tables. Numbers are part of the format and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Stream name → its definition.
    Catalog,
    /// (stream, segment) → what the segment holds of the stream.
    Segments,
    /// (stream, partition) → first offset that is kept.
    Starts,
    /// (stream, partition) → offset after the last sealed record.
    Ends,
    /// Idempotency key hash → receipt, as earlier versions wrote it.
    Idempotency,
    /// Name → u64: numbers of the whole engine.
    Counters,
    /// Consumer group → its definition.
    Groups,
    /// (consumer group, stream, partition) → next offset to read.
    Offsets,
    /// Idempotency key hash → receipt.
    Keys,
    /// Stream processor → its definition and status.
    Processors,
    /// Stream processor → the next offset to read of each partition of its source, and what it has counted.
    Positions,
    /// (stream processor, part of its state) → aggregates of open windows.
    WindowState,
    /// Job → what is to be done, and where it is on its way.
    Jobs,
    /// Queue of jobs → whether it is paused; (queue, minute) → how many jobs were completed in it.
    JobQueues,
}

impl Table {
    /// Every table.
    pub const ALL: [Table; 14] = [
        Table::Catalog,
        Table::Segments,
        Table::Starts,
        Table::Ends,
        Table::Idempotency,
        Table::Counters,
        Table::Groups,
        Table::Offsets,
        Table::Keys,
        Table::Processors,
        Table::Positions,
        Table::WindowState,
        Table::Jobs,
        Table::JobQueues,
    ];

    /// Returns the table's number in files.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Table::Catalog => 1,
            Table::Segments => 2,
            Table::Starts => 3,
            Table::Ends => 4,
            Table::Idempotency => 5,
            Table::Counters => 6,
            Table::Groups => 7,
            Table::Offsets => 8,
            Table::Keys => 9,
            Table::Processors => 10,
            Table::Positions => 11,
            Table::WindowState => 12,
            Table::Jobs => 13,
            Table::JobQueues => 14,
        }
    }

    /// Returns whether its rows are those of idempotency keys, of which there may be more than fit in memory.
    pub(crate) fn is_of_keys(self) -> bool {
        matches!(self, Table::Idempotency | Table::Keys)
    }

    /// Returns whether its rows are those of jobs, which have a place of their own in memory from the start.
    pub(crate) fn is_of_jobs(self) -> bool {
        matches!(self, Table::Jobs | Table::JobQueues)
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.number() == number)
    }
}

/// One change: an upsert, or a delete when there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOp {
    /// The row's table.
    pub table: Table,
    /// Which row.
    pub key: Vec<u8>,
    /// The row's new value; `None` deletes it.
    pub value: Option<Vec<u8>>,
}

/// Bytes of an encoded operation before its key: table, kind, key length, value length.
const OP_HEADER_BYTES: usize = 8;

impl TableOp {
    /// Returns an upsert.
    #[must_use]
    pub fn put(table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { table, key: key.into(), value: Some(value.into()) }
    }

    /// Returns a delete.
    #[must_use]
    pub fn delete(table: Table, key: impl Into<Vec<u8>>) -> Self {
        Self { table, key: key.into(), value: None }
    }

    /// Memory that it takes until it is sealed.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        ROW_BYTES + self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }

    /// Returns how many bytes [`TableOp::encode`] appends.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        OP_HEADER_BYTES + self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }

    /// Appends the operation: table u8, kind u8 (1 put, 0 delete), key length u16, value length u32, key, value.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let value = self.value.as_deref();
        out.extend_from_slice(&[self.table.number(), u8::from(value.is_some())]);
        out.extend_from_slice(&u16::try_from(self.key.len()).unwrap_or(u16::MAX).to_le_bytes());
        let length = value.map_or(0, <[u8]>::len);
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&self.key);
        out.extend_from_slice(value.unwrap_or_default());
    }

    /// Returns the operations encoded in `bytes`; `None` when they are not what [`TableOp::encode`] writes.
    #[must_use]
    pub fn decode_all(mut bytes: &[u8]) -> Option<Vec<Self>> {
        let mut ops = Vec::new();
        while !bytes.is_empty() {
            let (op, used) = Self::decode(bytes)?;
            ops.push(op);
            bytes = &bytes[used..];
        }
        Some(ops)
    }

    /// Returns the operation that `bytes` begin with, and how many it takes; `None` when they do not begin with a whole
    /// one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let stored = Stored::at(bytes)?;
        Some((stored.op(), stored.bytes()))
    }
}

/// An encoded operation, borrowed from where it is stored: whoever is not interested in it copies nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) table: Table,
    pub(crate) key: &'a [u8],
    value: &'a [u8],
    is_put: bool,
}

impl<'a> Stored<'a> {
    /// Returns the operation that `bytes` begin with; `None` when they do not begin with a whole one.
    pub(crate) fn at(bytes: &'a [u8]) -> Option<Self> {
        let (&[table, kind, k0, k1, v0, v1, v2, v3], rest) = bytes.split_first_chunk::<OP_HEADER_BYTES>()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([k0, k1])))?;
        let (value, _) = rest.split_at_checked(u32::from_le_bytes([v0, v1, v2, v3]) as usize)?;
        Some(Self { table: Table::from_number(table)?, key, value, is_put: kind == 1 })
    }

    /// Returns how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        OP_HEADER_BYTES + self.key.len() + self.value.len()
    }

    pub(crate) fn op(&self) -> TableOp {
        let value = self.is_put.then(|| self.value.to_vec());
        TableOp { table: self.table, key: self.key.to_vec(), value }
    }
}

/// Memory of a row in [`Changes`] beside the bytes of its key and value: 56 bytes in a tree whose nodes are at least half
/// full, and two allocations.
pub const ROW_BYTES: usize = 160;

/// The last change of each row in some span of the log, deletes included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    rows: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
    bytes: usize,
}

/// Returns the memory that a row counts for. Idempotency keys come with records, whose permits cover them.
fn charged((table, key): &(Table, Vec<u8>), value: Option<&Vec<u8>>) -> usize {
    let bytes = ROW_BYTES + key.len() + value.map_or(0, Vec::len);
    if table.is_of_keys() { 0 } else { bytes }
}

impl Changes {
    /// Takes in a later change.
    pub fn apply(&mut self, op: TableOp) {
        self.set((op.table, op.key), op.value);
    }

    fn set(&mut self, key: (Table, Vec<u8>), value: Option<Vec<u8>>) {
        let reservation = charged(&key, value.as_ref());
        let before = self.rows.get(&key).map_or(0, |value| charged(&key, value.as_ref()));
        self.bytes = self.bytes + reservation - before;
        self.rows.insert(key, value);
    }

    /// Takes in everything of a later span.
    pub fn merge(&mut self, later: Changes) {
        for (key, value) in later.rows {
            self.set(key, value);
        }
    }

    /// Forgets deleted rows: right for a base, which has nothing below it that a delete would have to hide.
    pub fn drop_deleted(&mut self) {
        self.rows.retain(|_, value| value.is_some());
        self.bytes = self.rows.iter().map(|(key, value)| charged(key, value.as_ref())).sum();
    }

    /// Memory of the rows that no record's permit covers, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the rows of one table that exist, in key order.
    pub fn rows(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows
            .range((table, Vec::new())..)
            .take_while(move |((row_table, _), _)| *row_table == table)
            .filter_map(|((_, key), value)| value.as_deref().map(|value| (key.as_slice(), value)))
    }

    /// Returns one row, if it exists.
    #[must_use]
    pub fn get(&self, table: Table, key: &[u8]) -> Option<&[u8]> {
        self.rows.get(&(table, key.to_vec()))?.as_deref()
    }

    /// Returns every change as an operation, in table and key order.
    pub fn ops(&self) -> impl Iterator<Item = TableOp> {
        self.ops_of(|_| true)
    }

    /// Returns the changes of some tables as operations, in table and key order.
    pub(crate) fn ops_of(&self, wanted: impl Fn(Table) -> bool) -> impl Iterator<Item = TableOp> {
        let rows = self.rows.iter().filter(move |((table, _), _)| wanted(*table));
        rows.map(|((table, key), value)| TableOp { table: *table, key: key.clone(), value: value.clone() })
    }

    /// Removes every row of one table, and returns those that exist, in key order.
    pub fn take(&mut self, table: Table) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + use<> {
        let mut taken = self.rows.split_off(&(table, Vec::new()));
        if let Some(next) = Table::ALL.into_iter().find(|other| *other > table) {
            self.rows.append(&mut taken.split_off(&(next, Vec::new())));
        }
        self.bytes -= taken.iter().map(|(key, value)| charged(key, value.as_ref())).sum::<usize>();
        taken.into_iter().filter_map(|((_, key), value)| Some((key, value?)))
    }

    /// Returns the number of rows that changed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Returns a row key made of numbers, big-endian so that keys sort as the numbers do.
#[must_use]
pub fn number_key(stream: u32, rest: &[u64]) -> Vec<u8> {
    let mut key = stream.to_be_bytes().to_vec();
    for number in rest {
        key.extend_from_slice(&number.to_be_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_come_back_and_cut_ones_do_not() {
        let ops = vec![
            TableOp::put(Table::Catalog, *b"logs", *b"{}"),
            TableOp::delete(Table::Segments, number_key(1, &[2, 3])),
            TableOp::put(Table::Ends, number_key(1, &[0]), Vec::new()),
        ];
        let mut bytes = Vec::new();
        for op in &ops {
            let before = bytes.len();
            op.encode(&mut bytes);
            assert_eq!(bytes.len() - before, op.encoded_bytes());
        }
        assert_eq!(TableOp::decode_all(&bytes).as_ref(), Some(&ops));
        assert_eq!(TableOp::decode_all(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn the_last_change_wins_and_deletes_hide() {
        let mut changes = Changes::default();
        changes.apply(TableOp::put(Table::Starts, *b"a", *b"1"));
        changes.apply(TableOp::put(Table::Starts, *b"b", *b"1"));
        changes.apply(TableOp::put(Table::Starts, *b"a", *b"2"));
        changes.apply(TableOp::delete(Table::Starts, *b"b"));
        changes.apply(TableOp::put(Table::Ends, *b"a", *b"9"));
        let rows: Vec<_> = changes.rows(Table::Starts).collect();
        assert_eq!(rows, [(&b"a"[..], &b"2"[..])]);
        assert_eq!(changes.len(), 3);
        assert_eq!(changes.bytes(), 3 * ROW_BYTES + 3 + 2, "keys of a byte each, two values of one");
        changes.drop_deleted();
        assert_eq!((changes.len(), changes.bytes()), (2, 2 * (ROW_BYTES + 2)));
        changes.apply(TableOp::put(Table::Idempotency, *b"k", *b"receipt"));
        changes.apply(TableOp::put(Table::Keys, *b"k", *b"receipt"));
        assert_eq!(changes.bytes(), 2 * (ROW_BYTES + 2), "records' permits cover keys");
        let mut later = Changes::default();
        later.apply(TableOp::delete(Table::Ends, *b"a"));
        changes.merge(later);
        assert_eq!(changes.bytes(), 2 * ROW_BYTES + 3);
    }

    #[test]
    fn a_table_is_taken_out_alone_and_counts_no_more() {
        for table in Table::ALL {
            let mut changes = Changes::default();
            for other in Table::ALL {
                for key in [&b""[..], b"a", b"c"] {
                    changes.apply(TableOp::put(other, key, [other.number()]));
                }
                changes.apply(TableOp::delete(other, *b"b"));
            }
            let (rows, bytes) = (changes.len(), changes.bytes());
            let taken: Vec<_> = changes.take(table).collect();
            let row = |key: &[u8]| (key.to_vec(), vec![table.number()]);
            assert_eq!(taken, [row(b""), row(b"a"), row(b"c")], "{table:?}");
            assert_eq!((changes.len(), changes.rows(table).count()), (rows - 4, 0));
            let of_table = if table.is_of_keys() { 0 } else { 4 * ROW_BYTES + 3 + 3 };
            assert_eq!(changes.bytes(), bytes - of_table, "{table:?}");
            assert_eq!(Table::ALL.iter().map(|other| changes.rows(*other).count()).sum::<usize>(), 39);
            assert_eq!(changes.take(table).count(), 0);
        }
    }

    /// State files are ordered by number, memory by the order of the declaration.
    #[test]
    fn tables_are_in_the_order_of_their_numbers() {
        let numbers: Vec<u8> = Table::ALL.iter().map(|table| table.number()).collect();
        assert_eq!(numbers, (1..=14).collect::<Vec<_>>());
        assert!(Table::ALL.is_sorted());
    }
}
