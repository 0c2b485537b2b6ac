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

/// Returns whether two texts are the same. Most are short: comparing them here takes less than a call.
#[inline(always)]
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    if one.len() > 32 {
        return one == other;
    }
    let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    if let (Some(ends), Some(others)) = (one.last_chunk(), other.last_chunk()) {
        let (mut differs, mut at) = (number(ends) ^ number(others), 0);
        while let (true, Some(a), Some(b)) = (
            at + 8 < one.len(),
            one.get(at..).and_then(|rest| rest.first_chunk()),
            other.get(at..).and_then(|rest| rest.first_chunk()),
        ) {
            differs |= number(a) ^ number(b);
            at += 8;
        }
        return differs == 0;
    }
    one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_when_every_byte_is() {
        let text: Vec<u8> = (0..70).collect();
        for length in 0..70 {
            let one = &text[..length];
            assert!(same(one, &text[..length]) && !same(one, &text[..length + 1]));
            for at in 0..length {
                let mut other = one.to_vec();
                other[at] ^= 0x40;
                assert!(!same(one, &other), "{length} {at}");
            }
        }
    }
}
