//! Finding out how many different texts there are, and giving each a number.

use super::values::{Span, Values, same};

/// Different texts that are told apart: as many as a byte tells.
pub(super) const MAX_ENTRIES: usize = 256;
/// Bytes of all of them together: a directory is read whole by each search.
const MAX_ENTRY_BYTES: usize = 8 * 1024;
/// Twice as many slots as texts, or more.
const SLOTS: usize = 1024;
const EMPTY: u16 = u16::MAX;

/// A table of the different texts of a column; serves one column after another.
#[derive(Debug)]
pub(super) struct Interner {
    slots: Box<[u16; SLOTS]>,
    hashes: Vec<u32>,
    pub(super) entries: Vec<Span>,
    pub(super) codes: Vec<u16>,
}

impl Default for Interner {
    fn default() -> Self {
        Self { slots: Box::new([EMPTY; SLOTS]), hashes: Vec::new(), entries: Vec::new(), codes: Vec::new() }
    }
}

impl Interner {
    /// Numbers all values by their first appearance; false when there are too many different ones, or nearly every value
    /// is another one.
    pub(super) fn take(&mut self, values: Values<'_>) -> bool {
        self.slots.fill(EMPTY);
        self.hashes.clear();
        self.entries.clear();
        self.codes.clear();
        self.codes.reserve(values.len());
        // A value in two may be new; of the first few all.
        let most = (values.len() / 2).clamp(1, MAX_ENTRIES);
        let mut bytes = 0;
        let (mut last, mut last_code) = (Span::default(), EMPTY);
        for span in values.spans {
            let text = span.of(values.raw);
            if last_code != EMPTY && same(last.of(values.raw), text) {
                self.codes.push(last_code);
                continue;
            }
            let code = match self.find(text, values.raw) {
                Ok(code) => code,
                Err(slot) => {
                    bytes += text.len();
                    if self.entries.len() >= most || bytes > MAX_ENTRY_BYTES {
                        return false;
                    }
                    let code = self.entries.len() as u16;
                    self.slots[slot] = code;
                    self.entries.push(*span);
                    self.hashes.push(hash(text));
                    code
                }
            };
            self.codes.push(code);
            (last, last_code) = (*span, code);
        }
        true
    }

    /// Returns the code of a text, or the slot where it belongs.
    #[inline(always)]
    fn find(&self, text: &[u8], raw: &[u8]) -> Result<u16, usize> {
        let hash = hash(text);
        let mut slot = hash as usize % SLOTS;
        loop {
            let code = self.slots[slot];
            if code == EMPTY {
                return Err(slot);
            }
            let index = usize::from(code);
            let is_it = self.hashes.get(index) == Some(&hash)
                && self.entries.get(index).is_some_and(|entry| same(entry.of(raw), text));
            if is_it {
                return Ok(code);
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// A hash of the length and both ends: texts of a column that are told apart only in the middle are rare, and slow then.
#[inline(always)]
fn hash(text: &[u8]) -> u32 {
    let first = text.first_chunk().map_or_else(|| short(text), |bytes| u64::from_le_bytes(*bytes));
    let last = text.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let mixed = (first ^ last.rotate_left(29) ^ text.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}

#[inline(always)]
fn short(text: &[u8]) -> u64 {
    text.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(interner: &mut Interner, texts: &[&str]) -> Option<(Vec<String>, Vec<u16>)> {
        let raw = texts.concat().into_bytes();
        let mut at = 0;
        let mut spans = Vec::new();
        for text in texts {
            spans.push(Span::new(at, at + text.len()));
            at += text.len();
        }
        let text = |span: &Span| String::from_utf8_lossy(span.of(&raw)).into_owned();
        let is_taken = interner.take(Values { raw: &raw, spans: &spans });
        is_taken.then(|| (interner.entries.iter().map(text).collect(), interner.codes.clone()))
    }

    #[test]
    fn texts_are_numbered_by_their_first_appearance() {
        let mut interner = Interner::default();
        let texts = ["info", "info", "error", "", "info", "", "a-very-long-0-one", "a-very-long-1-one"].repeat(2);
        let (entries, codes) = take(&mut interner, &texts).unwrap_or_default();
        assert_eq!(entries, ["info", "error", "", "a-very-long-0-one", "a-very-long-1-one"]);
        assert_eq!(codes[..8], [0, 0, 1, 2, 0, 2, 3, 4]);
        let many: Vec<String> = (0..2000).map(|n| format!("{}", n % 256)).collect();
        let all: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(take(&mut interner, &all).map(|(entries, _)| entries.len()), Some(256));
        let many: Vec<String> = (0..2000).map(|n| format!("{}", n % 257)).collect();
        let all: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(take(&mut interner, &all), None);
        assert_eq!(take(&mut interner, &["a", "b", "c", "d"]), None, "nearly all are different");
    }
}
