//! Chooses how the texts of a column are kept, and writes them.

use super::array::{
    CONST, DECIMAL, DICTIONARY, HEAP, HEX, MAX_DECIMAL_DIGITS, MAX_HEX_DIGITS, PADDED, TEMPLATES, TIME,
};
use super::clock::{DayText, TimeFormat};
use super::interner::Interner;
use super::packed::{bits_of, put_codes, put_number, width_of};
use super::templates::TemplateFinder;
use super::values::{Span, Values, same};
use super::wire::Sink;
use super::words::WordsWriter;
use crate::ids::Timestamp;
use crate::log::segment::block::Compressor;
use crate::stream::Compression;

/// Texts that are compressed together: few enough that reading one of them does not take long.
const CHUNK_VALUES: usize = 4096;
/// Chunks of fewer texts have no filter: reading them is as quick.
const MIN_FILTERED: usize = 256;
/// Chunks of fewer bytes stay as they are.
const MIN_COMPRESSED: usize = 64;

/// What the columns of all blocks share: memory and tables.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) sink: Sink,
    interner: Interner,
    finder: TemplateFinder,
    words: WordsWriter,
    numbers: Vec<i64>,
    heap: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            sink: Sink::default(),
            interner: Interner::default(),
            finder: TemplateFinder::default(),
            words: WordsWriter::default(),
            numbers: Vec::new(),
            heap: Vec::new(),
        }
    }

    /// Writes a column of strings.
    pub(super) fn strings(
        &mut self,
        values: Values<'_>,
        times: &[Timestamp],
        compressor: &mut Compressor,
        compression: Compression,
    ) {
        if let Some(format) = time_format(values, times) {
            self.sink.byte(TIME);
            self.sink.directory.extend_from_slice(&format.bytes());
            return;
        }
        if self.short(values) {
            return;
        }
        let mut finder = std::mem::take(&mut self.finder);
        if finder.take(values) {
            self.templates(values.raw, &finder, compressor, compression);
        } else {
            self.heap(values, compressor, compression);
        }
        self.finder = finder;
    }

    /// Writes a column of texts without white space in them, such as numbers.
    pub(super) fn texts(&mut self, values: Values<'_>, compressor: &mut Compressor, compression: Compression) {
        if !self.short(values) {
            self.heap(values, compressor, compression);
        }
    }

    fn templates(
        &mut self,
        raw: &[u8],
        finder: &TemplateFinder,
        compressor: &mut Compressor,
        compression: Compression,
    ) {
        let templates = finder.templates();
        let bits = bits_of(templates.len());
        self.sink.byte(TEMPLATES);
        self.sink.number(templates.len() as u64);
        self.sink.byte(bits);
        self.sink.section(|out| put_codes(finder.codes(), bits, out));
        for template in templates {
            self.sink.number(template.rows.into());
            self.sink.number(template.slots.len() as u64);
            template.pieces.iter().for_each(|piece| self.sink.text(piece.of(raw)));
            for spans in &template.slots {
                self.texts(Values { raw, spans }, compressor, compression);
            }
        }
    }

    /// Writes texts that are few, or numbers; false when they are neither.
    fn short(&mut self, values: Values<'_>) -> bool {
        let first = values.spans.first().copied().unwrap_or_default();
        if values.iter().all(|text| text == first.of(values.raw)) {
            self.sink.byte(CONST);
            self.sink.text(first.of(values.raw));
            return true;
        }
        if self.interner.take(values) {
            let bits = bits_of(self.interner.entries.len());
            let entries = &self.interner.entries;
            let is_narrower = |width: u8| width * 8 <= bits;
            let span = span_of_decimals(Values { raw: values.raw, spans: entries });
            if span.is_some_and(|span| is_narrower(width_of(span))) {
                return self.decimals(values);
            }
            self.sink.byte(DICTIONARY);
            self.sink.number(entries.len() as u64);
            entries.iter().for_each(|entry| self.sink.text(entry.of(values.raw)));
            self.sink.byte(bits);
            let codes = &self.interner.codes;
            self.sink.section(|out| put_codes(codes, bits, out));
            return true;
        }
        self.decimals(values) || self.padded(values) || self.hexadecimals(values)
    }

    fn decimals(&mut self, values: Values<'_>) -> bool {
        self.numbers.clear();
        self.numbers.reserve(values.len());
        for text in values.iter() {
            let Some(number) = canonical(text) else { return false };
            self.numbers.push(number);
        }
        self.sink.byte(DECIMAL);
        self.put_numbers();
        true
    }

    fn padded(&mut self, values: Values<'_>) -> bool {
        let digits = values.spans.first().map_or(0, |first| first.length as usize);
        if digits == 0 || digits > MAX_DECIMAL_DIGITS {
            return false;
        }
        self.numbers.clear();
        for text in values.iter() {
            if text.len() != digits || !text.iter().all(u8::is_ascii_digit) {
                return false;
            }
            self.numbers.push(text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')));
        }
        self.sink.byte(PADDED);
        self.sink.byte(digits as u8);
        self.put_numbers();
        true
    }

    fn put_numbers(&mut self) {
        let min = self.numbers.iter().copied().min().unwrap_or(0);
        let max = self.numbers.iter().copied().max().unwrap_or(0);
        let width = width_of(max.abs_diff(min));
        self.sink.signed(min);
        self.sink.byte(width);
        let numbers = &self.numbers;
        self.sink.section(|out| numbers.iter().for_each(|number| put_number(number.abs_diff(min), width, out)));
    }

    fn hexadecimals(&mut self, values: Values<'_>) -> bool {
        let digits = values.spans.first().map_or(0, |first| first.length as usize);
        let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        let fits = |text: &[u8]| text.len() == digits && text.iter().all(is_digit);
        if !(2..=MAX_HEX_DIGITS).contains(&digits) || !values.iter().all(fits) {
            return false;
        }
        self.sink.byte(HEX);
        self.sink.byte(digits as u8);
        self.sink.section(|out| values.iter().for_each(|text| put_hex(text, out)));
        true
    }

    fn heap(&mut self, values: Values<'_>, compressor: &mut Compressor, compression: Compression) {
        self.sink.byte(HEAP);
        self.sink.number(values.len().div_ceil(CHUNK_VALUES) as u64);
        for spans in values.spans.chunks(CHUNK_VALUES) {
            let width = width_of(spans.iter().map(|span| span.length).max().unwrap_or(0).into());
            self.heap.clear();
            spans.iter().for_each(|span| put_number(span.length.into(), width, &mut self.heap));
            for span in spans {
                let text = span.of(values.raw);
                self.heap.extend_from_slice(text);
                if spans.len() >= MIN_FILTERED {
                    self.words.take(text);
                }
            }
            self.sink.number(spans.len() as u64);
            self.sink.number(self.heap.len() as u64);
            self.sink.byte(width);
            let compresses = compression != Compression::None && self.heap.len() >= MIN_COMPRESSED;
            let stored = if compresses { compressor.compress(&self.heap, Compression::Zstd).1 } else { &self.heap };
            // What does not become smaller is given back as it is.
            self.sink.byte((stored.len() < self.heap.len()).into());
            self.sink.section(|out| out.extend_from_slice(stored));
            let words = &mut self.words;
            self.sink.section(|out| {
                if spans.len() >= MIN_FILTERED {
                    words.finish(out);
                }
            });
        }
    }
}

/// Returns the format by which all texts are the times of their records.
fn time_format(values: Values<'_>, times: &[Timestamp]) -> Option<TimeFormat> {
    let (first, time) = (values.iter().next()?, *times.first()?);
    let format = TimeFormat::of(first, time).filter(|_| values.len() == times.len())?;
    let (mut day, mut text) = (DayText::default(), Vec::with_capacity(first.len()));
    let mut is_so = |(value, time): (&[u8], &Timestamp)| {
        text.clear();
        format.write(&mut day, *time, &mut text);
        same(&text, value)
    };
    values.iter().zip(times).all(&mut is_so).then_some(format)
}

/// Returns the number that a text is, if it is written as that number is.
#[inline(always)]
pub(crate) fn canonical(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let is_plain = match digits {
        [b'0'] => !is_negative,
        [b'1'..=b'9', ..] => digits.len() <= MAX_DECIMAL_DIGITS,
        _ => false,
    };
    if !is_plain {
        return None;
    }
    let mut number = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + i64::from(digit);
    }
    Some(if is_negative { -number } else { number })
}

/// Returns how far numbers are apart, if all texts are numbers.
fn span_of_decimals(values: Values<'_>) -> Option<u64> {
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    for text in values.iter() {
        let number = canonical(text)?;
        (min, max) = (min.min(number), max.max(number));
    }
    Some(max.abs_diff(min))
}

/// Appends hexadecimal digits, two a byte.
pub(super) fn put_hex(digits: &[u8], out: &mut Vec<u8>) {
    let nibble = |digit: u8| if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 };
    for pair in digits.chunks(2) {
        let (high, low) = (pair.first().copied().unwrap_or(b'0'), pair.get(1).copied().unwrap_or(b'0'));
        out.push(nibble(high) << 4 | nibble(low));
    }
}

/// The texts of variables of one template.
pub(super) type SlotSpans = Vec<Span>;
