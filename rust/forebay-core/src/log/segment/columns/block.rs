//! A block of columns as it is read: its directory, and where its arrays are.

use super::array::Array;
use super::packed::{Codes, Numbers};
use super::wire::{Section, Source, Text};
use super::writer::{KEYS_NONE, KEYS_OF_COLUMN, KEYS_OWN};
use super::{ELEMENT, HEADER_BYTES, MEMBER};
use crate::bytes::u32_at;
use crate::ids::Timestamp;

/// The keys of a block's records.
#[derive(Debug)]
pub(crate) enum Keys {
    /// There are none.
    None,
    /// Each record has one.
    Own(Array),
    /// Each record has the text that this column has in its place.
    OfColumn(usize),
}

/// A shape of values.
#[derive(Debug)]
pub(crate) struct ShapeRow {
    /// What stands before each value, and the value's column.
    pub(super) values: Vec<(Text, usize)>,
    /// What stands behind the last one.
    pub(super) end: Text,
}

/// The values at one path.
#[derive(Debug)]
pub(crate) struct Column {
    /// The way to them: [`MEMBER`] and a name, or [`ELEMENT`], for each step.
    pub(crate) path: Text,
    /// They are strings, as JSON escapes them, without their quotation marks.
    pub(crate) is_string: bool,
    /// How many.
    pub(crate) count: usize,
    /// They.
    pub(crate) array: Array,
}

/// What a block says of itself before its arrays.
#[derive(Debug)]
pub(crate) struct Directory {
    bytes: Vec<u8>,
    /// Number of records.
    pub(crate) rows: usize,
    first_time: i64,
    time_unit: i64,
    time_width: u8,
    times: Section,
    /// Their keys.
    pub(crate) keys: Keys,
    /// Their headers.
    pub(crate) headers: Array,
    /// The shapes of their values.
    pub(crate) shapes: Vec<ShapeRow>,
    shape_bits: u8,
    shape_codes: Section,
    /// The values.
    pub(crate) columns: Vec<Column>,
    /// Bytes of all arrays.
    pub(crate) body_bytes: u32,
}

impl Directory {
    /// Returns the length and the checksum of a directory, from the first bytes of a block.
    pub(crate) fn head(stored: &[u8]) -> Option<(usize, u32)> {
        Some((u32_at(stored, 0)? as usize, u32_at(stored, 4)?))
    }

    /// Returns the bytes of a whole block as its directory and its body.
    pub(crate) fn split(stored: &[u8]) -> Option<(&[u8], &[u8])> {
        let (length, _) = Self::head(stored)?;
        stored.get(HEADER_BYTES..)?.split_at_checked(length)
    }

    /// Reads a directory whose checksum was looked at.
    pub(crate) fn read(bytes: Vec<u8>) -> Option<Self> {
        let source = &mut Source::new(&bytes);
        let rows = usize::try_from(source.number()?).ok()?;
        let (first_time, time_unit) = (source.signed()?, source.number()?.cast_signed());
        let (time_width, times) = (source.byte()?, source.section()?);
        let keys = match source.byte()? {
            KEYS_NONE => Keys::None,
            KEYS_OWN => Keys::Own(Array::read(source, true)?),
            KEYS_OF_COLUMN => Keys::OfColumn(usize::try_from(source.number()?).ok()?),
            _ => return None,
        };
        let headers = Array::read(source, true)?;
        let (shape_count, shape_bits) = (source.count()?, source.bits()?);
        let shape_codes = source.section()?;
        let shapes = (0..shape_count).map(|_| ShapeRow::read(source)).collect::<Option<Vec<_>>>()?;
        let column_count = source.count()?;
        let columns = (0..column_count).map(|_| Column::read(source)).collect::<Option<Vec<_>>>()?;
        let body_bytes = source.end()?;
        let is_known = |(_, column): &(Text, usize)| *column < columns.len();
        let is_sound = shapes.iter().all(|shape| shape.values.iter().all(is_known))
            && !matches!(&keys, Keys::OfColumn(column) if *column >= columns.len());
        is_sound.then_some(Self {
            rows,
            first_time,
            time_unit,
            time_width,
            times,
            keys,
            headers,
            shapes,
            shape_bits,
            shape_codes,
            columns,
            body_bytes,
            bytes,
        })
    }

    /// Returns how many bytes it has.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns a text of the directory.
    #[inline]
    pub(crate) fn text(&self, text: Text) -> &[u8] {
        text.of(&self.bytes)
    }

    /// Returns the section of the shapes' codes.
    pub(crate) fn shape_section(&self) -> Section {
        self.shape_codes
    }

    /// Returns the section of the times.
    pub(crate) fn time_section(&self) -> Section {
        self.times
    }

    /// Returns the place of each record's shape.
    pub(crate) fn shape_codes<'b>(&self, body: &'b [u8]) -> Codes<'b> {
        Codes::new(self.shape_codes.of(body), self.shape_bits)
    }

    /// Puts the times of all records in the place of what `times` holds.
    pub(crate) fn times(&self, body: &[u8], times: &mut Vec<Timestamp>) {
        let steps = Numbers::new(self.times.of(body), self.time_width);
        times.clear();
        times.reserve(self.rows);
        let mut time = self.first_time;
        for index in 0..self.rows {
            if index > 0 {
                let step = steps.get(index - 1);
                let step = (step >> 1).cast_signed() ^ -((step & 1).cast_signed());
                time = time.wrapping_add(step.wrapping_mul(self.time_unit));
            }
            times.push(Timestamp(time));
        }
    }

    /// Returns how often each record of a shape has a value in that column.
    pub(crate) fn values_per_row(&self, column: usize) -> Vec<usize> {
        let count = |shape: &ShapeRow| shape.values.iter().filter(|(_, of)| *of == column).count();
        self.shapes.iter().map(count).collect()
    }

    /// Gives the columns whose values the full text of a record has: at this path, and below it if `below`.
    pub(crate) fn columns_at<'s>(&'s self, path: &'s [u8], below: bool) -> impl Iterator<Item = (usize, &'s Column)> {
        self.columns.iter().enumerate().filter(move |(_, column)| {
            let rest = self.text(column.path).strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || below && matches!(rest.first(), Some(&(MEMBER | ELEMENT))))
        })
    }

    /// Gives every section of the body.
    pub(crate) fn each_section(&self, each: &mut impl FnMut(Section)) {
        each(self.times);
        each(self.shape_codes);
        if let Keys::Own(keys) = &self.keys {
            keys.each_section(each);
        }
        self.headers.each_section(each);
        self.columns.iter().for_each(|column| column.array.each_section(each));
    }
}

impl ShapeRow {
    fn read(source: &mut Source<'_>) -> Option<Self> {
        let count = source.count()?;
        let value = |source: &mut Source<'_>| Some((source.text()?, usize::try_from(source.number()?).ok()?));
        let values = (0..count).map(|_| value(source)).collect::<Option<Vec<_>>>()?;
        Some(Self { values, end: source.text()? })
    }
}

impl Column {
    fn read(source: &mut Source<'_>) -> Option<Self> {
        let (path, is_string) = (source.text()?, source.byte()? != 0);
        let count = usize::try_from(source.number()?).ok()?;
        Some(Self { path, is_string, count, array: Array::read(source, false)? })
    }
}
