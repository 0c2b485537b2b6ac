//! How the texts of one column, or of one variable of its templates, are kept.

use super::clock::TimeFormat;
use super::encode::put_hex;
use super::packed::{Codes, Numbers, equal};
use super::wire::{Section, Source, Text};

/// All texts are one.
pub(super) const CONST: u8 = 0;
/// Few different texts, and a code for each row.
pub(super) const DICTIONARY: u8 = 1;
/// Whole numbers, written without a leading zero.
pub(super) const DECIMAL: u8 = 2;
/// Whole numbers of one number of digits.
pub(super) const PADDED: u8 = 3;
/// Hexadecimal numbers in small letters, of one number of digits.
pub(super) const HEX: u8 = 4;
/// Anything.
pub(super) const HEAP: u8 = 5;
/// Texts that repeat but for their variables.
pub(super) const TEMPLATES: u8 = 6;
/// The record's time.
pub(super) const TIME: u8 = 7;

/// The most digits of a number that is kept as one: all of them fit 64 bits.
pub(super) const MAX_DECIMAL_DIGITS: usize = 18;
/// The most digits of a hexadecimal number: those of the longest hashes in logs.
pub(super) const MAX_HEX_DIGITS: usize = 64;

/// The texts of a column, in the order of their rows.
#[derive(Debug)]
pub(crate) enum Array {
    /// The same in every row.
    Const(Text),
    /// One of a few.
    Dictionary {
        /// The different texts.
        entries: Vec<Text>,
        /// Bits of a code.
        bits: u8,
        /// An entry's place for each row.
        codes: Section,
    },
    /// Numbers.
    Decimal {
        /// The smallest.
        min: i64,
        /// Bytes of each.
        width: u8,
        /// What is to be added to the smallest.
        numbers: Section,
    },
    /// Numbers with zeros before them.
    Padded {
        /// How many digits.
        digits: u8,
        /// The smallest.
        min: i64,
        /// Bytes of each.
        width: u8,
        /// What is to be added to the smallest.
        numbers: Section,
    },
    /// Hexadecimal numbers.
    Hex {
        /// How many digits.
        digits: u8,
        /// The digits of each, two a byte, and a zero at the end when they are odd.
        numbers: Section,
    },
    /// Texts one after the other.
    Heap(Vec<Chunk>),
    /// Texts by their templates.
    Templates {
        /// The templates.
        templates: Vec<Template>,
        /// Bits of a code.
        bits: u8,
        /// A template's place for each row.
        codes: Section,
    },
    /// Times of the records.
    Time(TimeFormat),
}

/// A stretch of texts that is compressed for itself.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// How many texts.
    pub(crate) count: u32,
    /// Bytes of a length.
    width: u8,
    /// Bytes before compression: lengths, then texts.
    raw_bytes: u32,
    is_compressed: bool,
    section: Section,
    /// The filter of their words.
    pub(crate) words: Section,
}

/// A text but for its variables.
#[derive(Debug)]
pub(crate) struct Template {
    /// What stands before the first variable, between two, and behind the last one.
    pub(crate) pieces: Vec<Text>,
    /// The variables.
    pub(crate) slots: Vec<Array>,
    /// How many rows have it.
    pub(crate) rows: u32,
}

impl Array {
    /// Reads a description. `is_slot` when it is that of a variable, which has no templates of its own.
    pub(super) fn read(source: &mut Source<'_>, is_slot: bool) -> Option<Self> {
        Some(match source.byte()? {
            CONST => Self::Const(source.text()?),
            DICTIONARY => {
                let count = source.count()?;
                let entries = (0..count).map(|_| source.text()).collect::<Option<Vec<_>>>()?;
                Self::Dictionary { entries, bits: source.bits()?, codes: source.section()? }
            }
            DECIMAL => Self::Decimal { min: source.signed()?, width: source.byte()?, numbers: source.section()? },
            PADDED => {
                let (digits, min) = (source.byte()?, source.signed()?);
                Self::Padded { digits, min, width: source.byte()?, numbers: source.section()? }
            }
            HEX => Self::Hex { digits: source.byte()?, numbers: source.section()? },
            HEAP => {
                let count = source.count()?;
                Self::Heap((0..count).map(|_| Chunk::read(source)).collect::<Option<Vec<_>>>()?)
            }
            TEMPLATES if !is_slot => {
                let (count, bits) = (source.count()?, source.bits()?);
                let codes = source.section()?;
                let templates = (0..count).map(|_| Template::read(source)).collect::<Option<Vec<_>>>()?;
                Self::Templates { templates, bits, codes }
            }
            TIME if !is_slot => Self::Time(TimeFormat::from_bytes([source.byte()?, source.byte()?, source.byte()?])?),
            _ => return None,
        })
    }

    /// Gives the sections that hold its texts.
    pub(crate) fn each_section(&self, each: &mut impl FnMut(Section)) {
        match self {
            Self::Const(_) | Self::Time(_) => {}
            Self::Dictionary { codes, .. } => each(*codes),
            Self::Decimal { numbers, .. } | Self::Padded { numbers, .. } | Self::Hex { numbers, .. } => each(*numbers),
            Self::Heap(chunks) => chunks.iter().for_each(|chunk| each(chunk.section)),
            Self::Templates { templates, codes, .. } => {
                each(*codes);
                for slot in templates.iter().flat_map(|template| &template.slots) {
                    slot.each_section(each);
                }
            }
        }
    }
}

impl Template {
    fn read(source: &mut Source<'_>) -> Option<Self> {
        let rows = u32::try_from(source.number()?).ok()?;
        let slots = source.count()?;
        let pieces = (0..=slots).map(|_| source.text()).collect::<Option<Vec<_>>>()?;
        let slots = (0..slots).map(|_| Array::read(source, true)).collect::<Option<Vec<_>>>()?;
        Some(Self { pieces, slots, rows })
    }
}

impl Chunk {
    fn read(source: &mut Source<'_>) -> Option<Self> {
        let number = |source: &mut Source<'_>| u32::try_from(source.number()?).ok();
        let (count, raw_bytes) = (number(source)?, number(source)?);
        let (width, is_compressed) = (source.byte()?, source.byte()? != 0);
        Some(Self { count, width, raw_bytes, is_compressed, section: source.section()?, words: source.section()? })
    }

    /// Returns its texts.
    pub(crate) fn texts(&self, body: &[u8]) -> Option<Texts> {
        let stored = self.section.of(body);
        // What a damaged directory says must not take memory that its block could not have had.
        let bytes = if self.is_compressed {
            zstd::bulk::decompress(stored, (self.raw_bytes as usize).min(super::MAX_COLUMN_BLOCK_BYTES)).ok()?
        } else {
            stored.to_vec()
        };
        let at = self.count as usize * usize::from(self.width);
        (bytes.len() == self.raw_bytes as usize && at <= bytes.len()).then_some(Texts {
            bytes,
            width: self.width,
            count: self.count as usize,
            index: 0,
            at,
        })
    }

    /// Returns the section of its texts.
    pub(crate) fn section(&self) -> Section {
        self.section
    }
}

/// The texts of a chunk, one after the other.
#[derive(Debug)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    width: u8,
    count: usize,
    index: usize,
    at: usize,
}

impl Texts {
    /// Returns the next text.
    #[inline]
    pub(crate) fn next_text(&mut self) -> Option<&[u8]> {
        if self.index >= self.count {
            return None;
        }
        let length = Numbers::new(&self.bytes, self.width).get(self.index) as usize;
        self.index += 1;
        let start = self.at;
        self.at = start.checked_add(length)?;
        self.bytes.get(start..self.at)
    }

    /// Returns all texts as one, without what tells them apart.
    pub(crate) fn joined(&self) -> &[u8] {
        self.bytes.get(self.count * usize::from(self.width)..).unwrap_or_default()
    }
}

impl Array {
    /// Returns the codes of a dictionary or of templates.
    pub(crate) fn codes<'b>(&self, body: &'b [u8]) -> Codes<'b> {
        match self {
            Self::Dictionary { bits, codes, .. } | Self::Templates { bits, codes, .. } => {
                Codes::new(codes.of(body), *bits)
            }
            Self::Const(_)
            | Self::Decimal { .. }
            | Self::Padded { .. }
            | Self::Hex { .. }
            | Self::Heap(_)
            | Self::Time(_) => Codes::new(&[], 0),
        }
    }

    /// Returns the numbers that are added to the smallest.
    pub(crate) fn numbers<'b>(&self, body: &'b [u8]) -> Numbers<'b> {
        match self {
            Self::Decimal { width, numbers, .. } | Self::Padded { width, numbers, .. } => {
                Numbers::new(numbers.of(body), *width)
            }
            Self::Const(_)
            | Self::Dictionary { .. }
            | Self::Hex { .. }
            | Self::Heap(_)
            | Self::Templates { .. }
            | Self::Time(_) => Numbers::new(&[], 0),
        }
    }

    /// Gives the index of each hexadecimal number that is that one.
    pub(crate) fn each_hex(&self, body: &[u8], wanted: &[u8], mut each: impl FnMut(usize)) {
        let Self::Hex { numbers, .. } = self else { return };
        let (bytes, mut one) = (numbers.of(body), Vec::new());
        put_hex(wanted, &mut one);
        match one.as_slice().first_chunk::<4>() {
            Some(wanted) if one.len() == 4 => equal(bytes.as_chunks::<4>().0, *wanted, &mut each),
            _ => {
                let all = bytes.chunks_exact(one.len().max(1)).enumerate();
                all.filter(|(_, number)| *number == one).for_each(|(index, _)| each(index));
            }
        }
    }

    /// Returns the section of the codes.
    pub(crate) fn codes_section(&self) -> Option<Section> {
        match self {
            Self::Dictionary { codes, .. } | Self::Templates { codes, .. } => Some(*codes),
            Self::Const(_)
            | Self::Decimal { .. }
            | Self::Padded { .. }
            | Self::Hex { .. }
            | Self::Heap(_)
            | Self::Time(_) => None,
        }
    }
}
