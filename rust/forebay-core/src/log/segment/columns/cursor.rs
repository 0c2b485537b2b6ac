//! Reading the texts of an array one after the other, from any of them on.

use super::array::{Array, Chunk, Texts};
use super::block::Directory;
use super::clock::{DayText, TimeFormat};
use super::packed::{Codes, Numbers};
use super::wire::Text;
use crate::ids::Timestamp;

/// A place in an array.
#[derive(Debug)]
pub(crate) struct Cursor<'b> {
    directory: &'b Directory,
    body: &'b [u8],
    times: &'b [Timestamp],
    at: usize,
    kind: Kind<'b>,
}

#[derive(Debug)]
enum Kind<'b> {
    Const(&'b [u8]),
    Dictionary { entries: &'b [Text], codes: Codes<'b> },
    Decimal { min: i64, numbers: Numbers<'b> },
    Padded { digits: usize, min: i64, numbers: Numbers<'b> },
    Hex { digits: usize, bytes: &'b [u8] },
    Heap { chunks: &'b [Chunk], texts: Option<Texts> },
    Templates { pieces: Vec<&'b [Text]>, slots: Vec<Vec<Cursor<'b>>>, codes: Codes<'b> },
    Time { format: TimeFormat, day: DayText },
}

impl<'b> Cursor<'b> {
    /// Begins at that text. `times` are those of all records of the block.
    pub(crate) fn new(
        (directory, body, times): (&'b Directory, &'b [u8], &'b [Timestamp]),
        array: &'b Array,
        at: usize,
    ) -> Option<Self> {
        let kind = match array {
            Array::Const(text) => Kind::Const(directory.text(*text)),
            Array::Dictionary { entries, .. } => Kind::Dictionary { entries, codes: array.codes(body) },
            Array::Decimal { min, .. } => Kind::Decimal { min: *min, numbers: array.numbers(body) },
            Array::Padded { digits, min, .. } => {
                Kind::Padded { digits: usize::from(*digits), min: *min, numbers: array.numbers(body) }
            }
            Array::Hex { digits, numbers } => Kind::Hex { digits: usize::from(*digits), bytes: numbers.of(body) },
            Array::Heap(chunks) => Self::heap(chunks, body, at)?,
            Array::Templates { templates, .. } => {
                let codes = array.codes(body);
                let mut before = vec![0; templates.len()];
                codes.each(at, |_, code| {
                    if let Some(count) = before.get_mut(code) {
                        *count += 1;
                    }
                });
                let place = (directory, body, times);
                let slots = templates.iter().zip(before).map(|(template, before)| {
                    template.slots.iter().map(|slot| Cursor::new(place, slot, before)).collect::<Option<Vec<_>>>()
                });
                let slots = slots.collect::<Option<Vec<_>>>()?;
                Kind::Templates { pieces: templates.iter().map(|template| &*template.pieces).collect(), slots, codes }
            }
            Array::Time(format) => Kind::Time { format: *format, day: DayText::default() },
        };
        Some(Self { directory, body, times, at, kind })
    }

    fn heap(chunks: &'b [Chunk], body: &[u8], at: usize) -> Option<Kind<'b>> {
        let mut skipped = 0;
        let mut rest = chunks;
        while let Some((chunk, later)) = rest.split_first() {
            let end = skipped + chunk.count as usize;
            if at < end {
                let mut texts = chunk.texts(body)?;
                for _ in skipped..at {
                    let _: &[u8] = texts.next_text()?;
                }
                return Some(Kind::Heap { chunks: later, texts: Some(texts) });
            }
            (skipped, rest) = (end, later);
        }
        Some(Kind::Heap { chunks: rest, texts: None })
    }

    /// Appends the text, and goes on to the next one. `None` when there is none: the block is damaged.
    #[inline]
    pub(crate) fn next_into(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let at = self.at;
        self.at += 1;
        match &mut self.kind {
            Kind::Const(text) => out.extend_from_slice(text),
            Kind::Dictionary { entries, codes } => {
                out.extend_from_slice(self.directory.text(*entries.get(codes.get(at))?));
            }
            Kind::Decimal { min, numbers } => put_decimal(min.wrapping_add_unsigned(numbers.get(at)), out),
            Kind::Padded { digits, min, numbers } => {
                put_padded(min.wrapping_add_unsigned(numbers.get(at)).unsigned_abs(), *digits, out);
            }
            Kind::Hex { digits, bytes } => {
                let each = digits.div_ceil(2);
                put_digits(bytes.get(at * each..(at + 1) * each)?, *digits, out);
            }
            Kind::Heap { chunks, texts } => {
                while let Some((chunk, later)) = chunks.split_first() {
                    if let Some(text) = texts.as_mut().and_then(Texts::next_text) {
                        out.extend_from_slice(text);
                        return Some(());
                    }
                    *texts = Some(chunk.texts(self.body)?);
                    *chunks = later;
                }
                out.extend_from_slice(texts.as_mut()?.next_text()?);
            }
            Kind::Templates { pieces, slots, codes } => {
                let code = codes.get(at);
                let (pieces, slots) = (pieces.get(code)?, slots.get_mut(code)?);
                for (piece, slot) in pieces.iter().zip(slots.iter_mut()) {
                    out.extend_from_slice(self.directory.text(*piece));
                    slot.next_into(out)?;
                }
                out.extend_from_slice(self.directory.text(*pieces.get(slots.len())?));
            }
            Kind::Time { format, day } => format.write(day, *self.times.get(at)?, out),
        }
        Some(())
    }
}

static PAIRS: [[u8; 2]; 100] = pairs();

const fn pairs() -> [[u8; 2]; 100] {
    let mut all = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        all[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    all
}

/// Appends a number as it is written.
#[inline]
fn put_decimal(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    let number = number.unsigned_abs();
    put_padded(number, number.checked_ilog10().unwrap_or(0) as usize + 1, out);
}

/// Appends so many digits of a number, at most [`MAX_DIGITS`].
#[inline]
fn put_padded(number: u64, digits: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; MAX_DIGITS];
    let (mut rest, mut at) = (number, MAX_DIGITS);
    while rest > 0 && at >= 2 {
        at -= 2;
        let [high, low] = PAIRS[(rest % 100) as usize];
        (text[at], text[at + 1]) = (high, low);
        rest /= 100;
    }
    out.extend_from_slice(text.get(MAX_DIGITS.saturating_sub(digits)..).unwrap_or_default());
}

/// Those of the largest number of 64 bits.
const MAX_DIGITS: usize = 20;

/// Appends so many hexadecimal digits.
#[inline]
fn put_digits(bytes: &[u8], digits: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let end = out.len() + digits;
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    out.truncate(end);
}
