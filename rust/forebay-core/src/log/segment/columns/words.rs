//! A filter of the words that a chunk of texts has: what it lacks is in none of them.
//!
//! A blocked Bloom filter (Putze, Sanders, Singler 2007): a word sets four bits of one line of 64 bytes.

use super::token::each_run;

const LINE_BITS: u64 = 512;
const BITS: u32 = 4;
/// Bits for each different word: one in forty words that are not there is thought to be.
const BITS_PER_WORD: usize = 8;
/// Shorter numbers are in nearly every chunk.
const MIN_DECIMAL_BYTES: usize = 4;

/// The words of a chunk in the making.
#[derive(Debug, Default)]
pub(super) struct WordsWriter {
    table: Vec<u64>,
    count: usize,
    lowered: Vec<u8>,
    /// A text has letters that may be ASCII in disguise: nothing is known then.
    is_odd: bool,
}

impl WordsWriter {
    pub(super) fn take(&mut self, text: &[u8]) {
        if self.is_odd {
            return;
        }
        if !is_plain(text) {
            self.is_odd = true;
            return;
        }
        let mut lowered = std::mem::take(&mut self.lowered);
        lowered.clear();
        lowered.extend_from_slice(text);
        lowered.make_ascii_lowercase();
        each_run(&lowered, |range, _| {
            if let Some(word) = lowered.get(range).filter(|word| is_kept(word)) {
                self.insert(xxhash_rust::xxh3::xxh3_64(word));
            }
        });
        self.lowered = lowered;
    }

    fn insert(&mut self, hash: u64) {
        if self.count * 2 >= self.table.len() {
            let larger = vec![0; (self.table.len() * 2).max(1024)];
            let smaller = std::mem::replace(&mut self.table, larger);
            self.count = 0;
            smaller.into_iter().filter(|hash| *hash != 0).for_each(|hash| self.place(hash));
        }
        // A word whose hash is 0 is kept as 1, which is looked for as well.
        self.place(hash.max(1));
    }

    #[inline]
    fn place(&mut self, hash: u64) {
        let mask = self.table.len() - 1;
        let mut at = (hash >> 20) as usize & mask;
        while let Some(slot) = self.table.get_mut(at) {
            if *slot == hash {
                return;
            }
            if *slot == 0 {
                *slot = hash;
                self.count += 1;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// Appends the filter, nothing if nothing is known, and forgets the words.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.is_odd {
            let lines = (self.count * BITS_PER_WORD).div_ceil(LINE_BITS as usize).max(1);
            let start = out.len();
            out.resize(start + lines * LINE_BITS as usize / 8, 0);
            let filter = out.get_mut(start..).unwrap_or_default();
            for hash in self.table.iter().filter(|hash| **hash != 0) {
                each_bit(*hash, lines, |byte, bit| {
                    if let Some(byte) = filter.get_mut(byte) {
                        *byte |= 1 << bit;
                    }
                });
            }
        }
        self.table.fill(0);
        (self.count, self.is_odd) = (0, false);
    }
}

#[inline(always)]
fn each_bit(hash: u64, lines: usize, mut each: impl FnMut(usize, u32)) {
    let line = (((hash >> 32) * lines as u64) >> 32) as usize;
    for index in 0..BITS {
        let bit = ((hash >> (index * 8)) & 0xff) | ((hash >> (8 + index)) & (1 << 8));
        let bit = bit % LINE_BITS;
        each(line * 64 + (bit / 8) as usize, (bit % 8) as u32);
    }
}

/// Returns whether a word is in the filter: small letters and digits, a whole run of them.
pub(crate) fn may_have(filter: &[u8], word: &[u8]) -> bool {
    let lines = filter.len() * 8 / LINE_BITS as usize;
    if lines == 0 || !is_kept(word) {
        return true;
    }
    let mut has_all = true;
    each_bit(xxhash_rust::xxh3::xxh3_64(word).max(1), lines, |byte, bit| {
        has_all &= filter.get(byte).is_some_and(|byte| byte >> bit & 1 == 1);
    });
    has_all
}

fn is_kept(word: &[u8]) -> bool {
    word.len() >= MIN_DECIMAL_BYTES || !word.iter().all(u8::is_ascii_digit)
}

/// Returns whether no letter of a text, as JSON writes it, is ASCII only when it is unescaped or folded.
pub(crate) fn is_plain(text: &[u8]) -> bool {
    if text.is_ascii() {
        return memchr::memchr(b'\\', text).is_none() || memchr::memmem::find(text, b"\\u").is_none();
    }
    let has = |piece: &str| memchr::memmem::find(text, piece.as_bytes()).is_some();
    !has("\\u") && !has("ſ") && !has("\u{212a}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_chunk_has_is_found_and_most_else_is_not() {
        let mut words = WordsWriter::default();
        let mut all = b"before".to_vec();
        for round in 0..2 {
            (0..5000).for_each(|n| words.take(format!("Word{n} at 10.0.0.{n} {}", n * 7919).as_bytes()));
            all.truncate(6);
            words.finish(&mut all);
            let filter = &all[6..];
            for n in 0..5000 {
                assert!(may_have(filter, format!("word{n}").as_bytes()), "{round} {n}");
                assert!(may_have(filter, (n * 7919).to_string().as_bytes()), "{n}");
            }
            let wrong = (5000..15_000).filter(|n| may_have(filter, format!("word{n}").as_bytes())).count();
            assert!(wrong < 1000, "{wrong} of 10,000");
            assert!(may_have(filter, b"999"), "short numbers are left out");
        }
        words.take("\u{212a}elvin".as_bytes());
        let mut none = Vec::new();
        words.finish(&mut none);
        assert!(none.is_empty() && may_have(&none, b"anything"));
    }
}
