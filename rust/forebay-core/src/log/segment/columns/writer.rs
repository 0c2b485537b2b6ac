//! Writes the records of a block as columns.

use super::encode::Encoder;
use super::shape::{Place, Shape};
use super::values::{Span, Values};
use super::wire::Sink;
use super::{HEADER_BYTES, MAX_COLUMN_BLOCK_BYTES, MIN_COLUMN_ROWS};
use crate::ids::Timestamp;
use crate::log::segment::block::Compressor;
use crate::record::{Record, Records};
use crate::stream::Compression;

use super::packed::{bits_of, put_codes, put_number, width_of};

/// A block has up to this many shapes, and one more for each [`ROWS_PER_SHAPE`] rows, and no more than a byte tells.
const FREE_SHAPES: usize = 16;
const ROWS_PER_SHAPE: usize = 32;
const MAX_SHAPES: usize = 256;
/// The most columns: each search reads the description of all.
const MAX_COLUMNS: usize = 1024;

/// No record has a key.
pub(super) const KEYS_NONE: u8 = 0;
/// Keys are a column of their own.
pub(super) const KEYS_OWN: u8 = 1;
/// Keys are what a column of the values says.
pub(super) const KEYS_OF_COLUMN: u8 = 2;

/// Writes one block after another.
#[derive(Debug)]
pub(crate) struct ColumnWriter {
    encoder: Encoder,
    shapes: Vec<ShapeColumns>,
    /// Places in `shapes`, the ones that were met last first.
    recent: Vec<u16>,
    columns: Vec<Column>,
    column_count: usize,
    codes: Vec<u16>,
    keys: Vec<Span>,
    headers: Vec<Span>,
    times: Vec<Timestamp>,
    values: Vec<Span>,
    out: Vec<u8>,
}

#[derive(Debug)]
struct ShapeColumns {
    shape: Shape,
    columns: Vec<u16>,
}

#[derive(Debug)]
struct Column {
    place: Place,
    spans: Vec<Span>,
}

impl Default for ColumnWriter {
    fn default() -> Self {
        Self {
            encoder: Encoder::new(),
            shapes: Vec::new(),
            recent: Vec::new(),
            columns: Vec::new(),
            column_count: 0,
            codes: Vec::new(),
            keys: Vec::new(),
            headers: Vec::new(),
            times: Vec::new(),
            values: Vec::new(),
            out: Vec::new(),
        }
    }
}

impl ColumnWriter {
    /// Returns the records as columns; `None` when they have too little in common, and are kept as rows.
    pub(crate) fn write(&mut self, raw: &[u8], compressor: &mut Compressor, compression: Compression) -> Option<&[u8]> {
        if raw.len() > MAX_COLUMN_BLOCK_BYTES {
            return None;
        }
        self.clear();
        self.split(raw)?;
        if self.codes.len() < MIN_COLUMN_ROWS {
            return None;
        }
        self.encode(raw, compressor, compression);
        let Sink { directory, body } = &self.encoder.sink;
        self.out.clear();
        self.out.extend_from_slice(&u32::try_from(directory.len()).ok()?.to_le_bytes());
        self.out.extend_from_slice(&crc32c::crc32c(directory).to_le_bytes());
        debug_assert_eq!(self.out.len(), HEADER_BYTES);
        self.out.extend_from_slice(directory);
        self.out.extend_from_slice(body);
        Some(&self.out)
    }

    fn clear(&mut self) {
        self.shapes.clear();
        self.recent.clear();
        self.column_count = 0;
        self.codes.clear();
        self.keys.clear();
        self.headers.clear();
        self.times.clear();
        self.encoder.sink.directory.clear();
        self.encoder.sink.body.clear();
    }

    fn split(&mut self, raw: &[u8]) -> Option<()> {
        let mut records = Records::new(raw);
        let mut at = 0;
        for (record, stored) in records.by_ref() {
            let end = at + stored.len();
            let value = end - record.value.len();
            let headers = value - record.headers.len();
            if let Some(key) = record.key {
                self.keys.push(Span::new(headers - key.len(), headers));
            }
            self.headers.push(Span::new(headers, value));
            self.times.push(record.timestamp);
            let shape = self.shape_of(&record, value)?;
            self.codes.push(shape);
            at = end;
        }
        let is_whole = records.rest().is_empty();
        (is_whole && (self.keys.is_empty() || self.keys.len() == self.codes.len())).then_some(())
    }

    /// Finds the record's shape, and gives its values to their columns.
    #[inline]
    fn shape_of(&mut self, record: &Record<'_>, at: usize) -> Option<u16> {
        let found = self.recent.iter().position(|code| {
            let known = self.shapes.get(usize::from(*code));
            known.is_some_and(|known| known.shape.find(record.value, at, &mut self.values))
        });
        let code = match found {
            Some(0) => *self.recent.first()?,
            Some(index) => {
                self.recent.get_mut(..=index)?.rotate_right(1);
                *self.recent.first()?
            }
            None => self.add_shape(record.value, at)?,
        };
        let shape = self.shapes.get(usize::from(code))?;
        for (column, span) in shape.columns.iter().zip(&self.values) {
            if let Some(column) = self.columns.get_mut(usize::from(*column)) {
                column.spans.push(*span);
            }
        }
        Some(code)
    }

    #[cold]
    fn add_shape(&mut self, value: &[u8], at: usize) -> Option<u16> {
        let most = (FREE_SHAPES + self.codes.len() / ROWS_PER_SHAPE).min(MAX_SHAPES);
        let shape = Shape::of(value).filter(|_| self.shapes.len() < most)?;
        if !shape.find(value, at, &mut self.values) {
            return None;
        }
        let columns = shape.places.iter().map(|place| self.column(place)).collect::<Option<Vec<_>>>()?;
        let code = self.shapes.len() as u16;
        self.shapes.push(ShapeColumns { shape, columns });
        self.recent.insert(0, code);
        Some(code)
    }

    fn column(&mut self, place: &Place) -> Option<u16> {
        let used = self.columns.get(..self.column_count)?;
        if let Some(index) = used.iter().position(|column| column.place == *place) {
            return Some(index as u16);
        }
        if self.column_count == MAX_COLUMNS {
            return None;
        }
        if self.column_count == self.columns.len() {
            self.columns.push(Column { place: place.clone(), spans: Vec::new() });
        }
        let column = self.columns.get_mut(self.column_count)?;
        column.place.clone_from(place);
        column.spans.clear();
        self.column_count += 1;
        Some(self.column_count as u16 - 1)
    }

    fn encode(&mut self, raw: &[u8], compressor: &mut Compressor, compression: Compression) {
        let columns = self.columns.get(..self.column_count).unwrap_or_default();
        let encoder = &mut self.encoder;
        encoder.sink.number(self.codes.len() as u64);
        put_times(&self.times, &mut encoder.sink);
        put_keys((raw, &self.keys), columns, encoder, compressor, compression);
        encoder.texts(Values { raw, spans: &self.headers }, compressor, compression);
        let bits = bits_of(self.shapes.len());
        encoder.sink.number(self.shapes.len() as u64);
        encoder.sink.byte(bits);
        encoder.sink.section(|out| put_codes(&self.codes, bits, out));
        for ShapeColumns { shape, columns } in &self.shapes {
            encoder.sink.number(columns.len() as u64);
            for (piece, column) in shape.pieces.iter().zip(columns) {
                encoder.sink.text(piece);
                encoder.sink.number((*column).into());
            }
            encoder.sink.text(shape.pieces.last().map(Vec::as_slice).unwrap_or_default());
        }
        encoder.sink.number(columns.len() as u64);
        for column in columns {
            encoder.sink.text(&column.place.path);
            encoder.sink.byte(column.place.is_string.into());
            encoder.sink.number(column.spans.len() as u64);
            let values = Values { raw, spans: &column.spans };
            if column.place.is_string {
                encoder.strings(values, &self.times, compressor, compression);
            } else {
                encoder.texts(values, compressor, compression);
            }
        }
    }
}

/// Writes times as what each is more than the one before it.
fn put_times(times: &[Timestamp], sink: &mut Sink) {
    // Times that are further apart than a number tells wrap around, which only steps of one undo.
    let is_near =
        times.windows(2).all(|pair| matches!(pair, [before, after] if after.0.checked_sub(before.0).is_some()));
    let divides = |unit: &i64| *unit == 1 || is_near && times.iter().all(|time| time.0 % unit == 0);
    let unit = [1_000_000, 1000, 1].into_iter().find(divides).unwrap_or(1);
    let first = times.first().map_or(0, |time| time.0);
    let steps = || {
        times.windows(2).map(move |pair| match pair {
            [before, after] => zigzag(after.0.wrapping_sub(before.0) / unit),
            _ => 0,
        })
    };
    let width = width_of(steps().max().unwrap_or(0));
    sink.signed(first);
    sink.number(unit.cast_unsigned());
    sink.byte(width);
    sink.section(|out| steps().for_each(|step| put_number(step, width, out)));
}

/// Small numbers of either sign as small ones without.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn put_keys(
    (raw, keys): (&[u8], &[Span]),
    columns: &[Column],
    encoder: &mut Encoder,
    compressor: &mut Compressor,
    compression: Compression,
) {
    if keys.is_empty() {
        encoder.sink.byte(KEYS_NONE);
        return;
    }
    let is_key = |column: &Column| {
        let spans = &column.spans;
        let is_so = |(span, key): (&Span, &Span)| span.of(raw) == key.of(raw);
        column.place.is_string && spans.len() == keys.len() && spans.iter().zip(keys).all(is_so)
    };
    if let Some(index) = columns.iter().position(is_key) {
        encoder.sink.byte(KEYS_OF_COLUMN);
        encoder.sink.number(index as u64);
        return;
    }
    encoder.sink.byte(KEYS_OWN);
    encoder.texts(Values { raw, spans: keys }, compressor, compression);
}
