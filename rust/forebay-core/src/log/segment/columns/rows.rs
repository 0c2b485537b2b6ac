//! Rows from columns: records as they were.

use std::ops::Range;

use super::block::{Directory, Keys};
use super::cursor::Cursor;
use crate::ids::Timestamp;
use crate::record::encode_record;

/// Appends the records of a range of a block's rows, as they were encoded. `body` has what [`Directory::each_section`]
/// gives. `None` when they are not there whole: the block is damaged.
pub(crate) fn write_rows(directory: &Directory, body: &[u8], range: Range<usize>, out: &mut Vec<u8>) -> Option<()> {
    let mut times = Vec::new();
    directory.times(body, &mut times);
    Rows::new((directory, body, &times), range.start)?.write(range, out)
}

/// Rows from one on.
#[derive(Debug)]
pub(crate) struct Rows<'b> {
    directory: &'b Directory,
    body: &'b [u8],
    times: &'b [Timestamp],
    columns: Vec<Cursor<'b>>,
    keys: Option<Cursor<'b>>,
    headers: Cursor<'b>,
    key: Vec<u8>,
    header: Vec<u8>,
}

impl<'b> Rows<'b> {
    pub(crate) fn new(place: (&'b Directory, &'b [u8], &'b [Timestamp]), start: usize) -> Option<Self> {
        let (directory, body, times) = place;
        let before = positions(directory, body, start);
        let cursors = directory.columns.iter().zip(before).map(|(column, at)| Cursor::new(place, &column.array, at));
        let keys = match &directory.keys {
            Keys::None => None,
            Keys::Own(keys) => Some(Cursor::new(place, keys, start)?),
            Keys::OfColumn(column) => Some(Cursor::new(place, &directory.columns.get(*column)?.array, start)?),
        };
        Some(Self {
            directory,
            body,
            times,
            columns: cursors.collect::<Option<Vec<_>>>()?,
            keys,
            headers: Cursor::new(place, &directory.headers, start)?,
            key: Vec::new(),
            header: Vec::new(),
        })
    }

    /// Appends rows, which follow those that were written before.
    pub(crate) fn write(&mut self, range: Range<usize>, out: &mut Vec<u8>) -> Option<()> {
        let codes = self.directory.shape_codes(self.body);
        for row in range {
            self.key.clear();
            self.header.clear();
            if let Some(keys) = &mut self.keys {
                keys.next_into(&mut self.key)?;
            }
            self.headers.next_into(&mut self.header)?;
            let shape = self.directory.shapes.get(codes.get(row))?;
            let (directory, columns) = (self.directory, &mut self.columns);
            let key = self.keys.is_some().then_some(self.key.as_slice());
            let mut is_whole = true;
            let value = |out: &mut Vec<u8>| {
                for (piece, column) in &shape.values {
                    out.extend_from_slice(directory.text(*piece));
                    is_whole &= columns.get_mut(*column).and_then(|column| column.next_into(out)).is_some();
                }
                out.extend_from_slice(directory.text(shape.end));
            };
            encode_record((*self.times.get(row)?, key, &self.header), value, out);
            if !is_whole {
                return None;
            }
        }
        Some(())
    }
}

/// Returns how many values each column has before a row.
fn positions(directory: &Directory, body: &[u8], row: usize) -> Vec<usize> {
    let mut rows = vec![0; directory.shapes.len()];
    directory.shape_codes(body).each(row, |_, code| {
        if let Some(count) = rows.get_mut(code) {
            *count += 1;
        }
    });
    let mut positions = vec![0; directory.columns.len()];
    for (shape, count) in directory.shapes.iter().zip(rows) {
        for (_, column) in &shape.values {
            if let Some(position) = positions.get_mut(*column) {
                *position += count;
            }
        }
    }
    positions
}
