//! Texts that stand somewhere in the records of a block.

/// One text: where it begins in the block's records, and its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) length: u32,
}

impl Span {
    /// Blocks have far less than four GiB, which their writer checks.
    #[inline(always)]
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, length: (end - start) as u32 }
    }

    #[inline(always)]
    pub(super) fn of(self, raw: &[u8]) -> &[u8] {
        let start = self.start as usize;
        raw.get(start..start + self.length as usize).unwrap_or_default()
    }
}

/// Texts of one column, in the order of their rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'r> {
    pub(super) raw: &'r [u8],
    pub(super) spans: &'r [Span],
}

impl<'r> Values<'r> {
    #[inline(always)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        let raw = self.raw;
        self.spans.iter().map(move |span| span.of(raw))
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }
}
