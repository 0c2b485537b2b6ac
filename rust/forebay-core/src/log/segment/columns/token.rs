//! What of a text repeats from record to record, and what varies.
//!
//! A *variable* is a run of ASCII letters and digits that has a digit, or that is four or more digits of a hexadecimal
//! number. Everything else of a text is its *template*. An escape of JSON belongs to the template, and no letter of it to a
//! run: what is behind `\n` is not a word that begins with n.

use std::ops::Range;

/// A run without a digit is a variable from this length on, if it may be hexadecimal: one in fifty groups of an UUID has
/// no digit, and each would be a template of its own.
const HEX_BYTES: usize = 4;

const LETTER: u8 = 1;
const HEX: u8 = 2;
const DIGIT: u8 = 4;
/// Anything that ends a run.
const OTHER: u8 = 0;
/// Bits of a letter that no hexadecimal number has.
const BEYOND_HEX: u8 = 8;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut all = [OTHER; 256];
    let mut byte = 0;
    while byte < 128 {
        let letter = byte as u8;
        all[byte] = match letter {
            b'0'..=b'9' => LETTER | HEX | DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => LETTER | HEX,
            b'g'..=b'z' | b'G'..=b'Z' => LETTER | BEYOND_HEX,
            _ => OTHER,
        };
        byte += 1;
    }
    all
}

/// Gives the ranges of the variables of a text, in order. `text` is as JSON writes it, or has no backslash.
#[inline]
pub(crate) fn each_variable(text: &[u8], mut each: impl FnMut(Range<usize>)) {
    each_run(text, |range, is_variable| {
        if is_variable {
            each(range);
        }
    });
}

/// Gives the ranges of the runs of letters and digits, and whether each is a variable.
#[inline(always)]
pub(crate) fn each_run(text: &[u8], mut each: impl FnMut(Range<usize>, bool)) {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let mut class = CLASSES[usize::from(*byte)];
        if class == OTHER {
            at += match (byte, text.get(at + 1)) {
                (b'\\', Some(b'u')) => 6,
                (b'\\', _) => 2,
                _ => 1,
            };
            continue;
        }
        let (start, mut seen) = (at, 0);
        while class != OTHER {
            seen |= class;
            at += 1;
            class = text.get(at).map_or(OTHER, |byte| CLASSES[usize::from(*byte)]);
        }
        let is_hex = seen & BEYOND_HEX == 0 && at - start >= HEX_BYTES;
        each(start..at, seen & DIGIT != 0 || is_hex);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> Vec<&str> {
        let mut all = Vec::new();
        each_variable(text.as_bytes(), |range| all.push(&text[range]));
        all
    }

    #[test]
    fn what_varies_is_told_from_what_repeats() {
        assert_eq!(variables("GET /a/17 took 12.5ms"), ["17", "12", "5ms"]);
        assert_eq!(variables("10.42.17.99:80"), ["10", "42", "17", "99", "80"]);
        assert_eq!(variables("id beef-dead-a1 add FACE x_9 é5"), ["beef", "dead", "a1", "FACE", "9", "5"]);
        assert_eq!(variables(r#"line\n42 \u00415 \"7\\8"#), ["42", "5", "7", "8"]);
        assert_eq!(variables("words only, no numbers"), [""; 0]);
        assert_eq!(variables("\\"), [""; 0]);
        assert_eq!(variables(""), [""; 0]);
    }
}
