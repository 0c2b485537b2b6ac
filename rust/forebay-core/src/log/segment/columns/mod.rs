//! Records as columns: what repeats from record to record is kept once, what varies in arrays of its own.
//!
//! Every record reads back byte for byte. Its value is a *shape*, which is the JSON text without its strings, numbers and
//! words, and those, each in the column of its path. A column is kept in the narrowest of a few ways, which
//! [`array`] lists; docs/format.md has the bytes. A search reads a block's directory, and of its arrays those that it asks.
//!
//! Texts split into templates and variables after CLP (Rodrigues, Luo, Yuan: "CLP: Efficient and Scalable Search on
//! Compressed Text Logs", OSDI 2021); here the variables are typed, and in arrays that are compared as they are.

mod array;
mod block;
mod clock;
mod cursor;
mod encode;
mod interner;
mod packed;
mod rows;
mod shape;
mod templates;
mod token;
mod values;
mod wire;
mod words;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use array::{Array, Template};
pub(crate) use block::{Column, Directory, Keys};
pub(crate) use cursor::Cursor;
pub(crate) use encode::canonical;
pub(crate) use rows::{Rows, write_rows};
pub(crate) use shape::{ELEMENT, MEMBER};
pub(crate) use token::each_run;
pub(crate) use wire::{Section, Text};
pub(crate) use words::{is_plain, may_have};
pub(crate) use writer::ColumnWriter;

/// Records are gathered into blocks of about this size: large enough that a search looks at few directories, small enough to
/// be held whole when all of it is read.
pub(crate) const COLUMN_BLOCK_BYTES: usize = 4 * 1024 * 1024;
/// The largest block: one record more than is aimed at, and records have up to a MiB.
pub(crate) const MAX_COLUMN_BLOCK_BYTES: usize = 64 * 1024 * 1024;
/// Fewer records than this are kept as rows: what describes columns would be larger than they are.
pub(crate) const MIN_COLUMN_ROWS: usize = 256;
/// Bytes before a directory: its length, and its CRC32C.
pub(crate) const HEADER_BYTES: usize = 8;

/// Rows that are written between two looks at how much was written.
const ROWS_AT_ONCE: usize = 1024;

/// Returns the records of a whole block, which are so many and have so many bytes; `None` when it does not hold them.
pub(super) fn records(stored: &[u8], rows: usize, raw_bytes: usize) -> Option<Vec<u8>> {
    let (directory, body) = Directory::split(stored)?;
    let directory = Directory::read(directory.to_vec()).filter(|directory| directory.rows == rows)?;
    let mut out = Vec::with_capacity(raw_bytes.min(MAX_COLUMN_BLOCK_BYTES));
    let mut times = Vec::new();
    directory.times(body, &mut times);
    let mut all = Rows::new((&directory, body, &times), 0)?;
    for start in (0..rows).step_by(ROWS_AT_ONCE) {
        all.write(start..rows.min(start + ROWS_AT_ONCE), &mut out)?;
        if out.len() > raw_bytes {
            return None;
        }
    }
    (out.len() == raw_bytes).then_some(out)
}
