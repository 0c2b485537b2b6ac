//! Numbers and texts of a block's directory.

/// The place and the checksum of a piece of a block's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    /// The first byte, from the body's start.
    pub(crate) at: u32,
    /// How many bytes.
    pub(crate) length: u32,
    /// CRC32C of them.
    pub(crate) crc: u32,
}

impl Section {
    /// Returns its bytes; nothing where the body ends before it.
    #[inline]
    pub(crate) fn of(self, body: &[u8]) -> &[u8] {
        let start = self.at as usize;
        body.get(start..start + self.length as usize).unwrap_or_default()
    }

    /// Returns whether they are what was written.
    pub(crate) fn matches(self, bytes: &[u8]) -> bool {
        bytes.len() == self.length as usize && crc32c::crc32c(bytes) == self.crc
    }
}

/// A block in the making: what describes it, and the arrays.
#[derive(Debug, Default)]
pub(super) struct Sink {
    pub(super) directory: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Sink {
    pub(super) fn byte(&mut self, byte: u8) {
        self.directory.push(byte);
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    pub(super) fn number(&mut self, number: u64) {
        let mut rest = number;
        while rest >= 0x80 {
            self.directory.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.directory.push(rest as u8);
    }

    pub(super) fn signed(&mut self, number: i64) {
        self.directory.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.directory.extend_from_slice(text);
    }

    /// Appends what `write` does to the body, and describes it.
    pub(super) fn section(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.body.len();
        write(&mut self.body);
        let bytes = self.body.get(start..).unwrap_or_default();
        let (length, crc) = (bytes.len() as u64, crc32c::crc32c(bytes));
        self.number(length);
        self.directory.extend_from_slice(&crc.to_le_bytes());
    }
}

/// A range of the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    start: u32,
    end: u32,
}

impl Text {
    #[inline(always)]
    pub(crate) fn of(self, directory: &[u8]) -> &[u8] {
        directory.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Reads a directory from its start to its end. `None` is for what no writer writes.
#[derive(Debug)]
pub(super) struct Source<'d> {
    directory: &'d [u8],
    at: usize,
    /// Where the next section begins.
    section_at: u32,
}

impl<'d> Source<'d> {
    pub(super) fn new(directory: &'d [u8]) -> Self {
        Self { directory, at: 0, section_at: 0 }
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = *self.directory.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A number of things that take at least a byte each: more of them than the directory has are none.
    pub(super) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.directory.len()).then_some(count)
    }

    /// The bits of a code.
    pub(super) fn bits(&mut self) -> Option<u8> {
        self.byte().filter(|bits| matches!(bits, 0 | 1 | 2 | 4 | 8 | 16))
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let bytes = self.directory.get(self.at..)?.first_chunk()?;
        self.at += 8;
        Some(i64::from_le_bytes(*bytes))
    }

    pub(super) fn text(&mut self) -> Option<Text> {
        let length = self.count()?;
        let (start, end) = (self.at, self.at + length);
        let _: &[u8] = self.directory.get(start..end)?;
        self.at = end;
        Some(Text { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }

    pub(super) fn section(&mut self) -> Option<Section> {
        let length = u32::try_from(self.number()?).ok()?;
        let crc = crate::bytes::u32_at(self.directory, self.at)?;
        self.at += 4;
        let at = self.section_at;
        self.section_at = at.checked_add(length)?;
        Some(Section { at, length, crc })
    }

    /// Returns the length of the body, at the directory's end.
    pub(super) fn end(&self) -> Option<u32> {
        (self.at == self.directory.len()).then_some(self.section_at)
    }
}
