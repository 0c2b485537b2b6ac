//! A piece of ASCII that the stored bytes of a record must have somewhere, whatever its case.

use memchr::memmem::Finder;

use super::fold::fold;

/// A piece of a text that stands in stored JSON as it is: no quotation mark, backslash or slash, which may be escaped, no
/// control character, and nothing beyond ASCII. In small letters.
#[derive(Clone, Debug)]
pub(super) struct Needle(Finder<'static>);

impl Needle {
    /// Returns the longest such piece of a text; `None` when it has none.
    pub(super) fn of(text: &str) -> Option<Self> {
        let folded: String = text.chars().map(fold).collect();
        let pieces = folded.split(|letter| !is_plain(letter));
        let longest = pieces.max_by_key(|piece| piece.len()).filter(|piece| !piece.is_empty())?;
        Some(Self(Finder::new(longest.as_bytes()).into_owned()))
    }

    /// Returns its length: longer ones are rarer.
    pub(super) fn len(&self) -> usize {
        self.0.needle().len()
    }

    /// Returns it.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.needle()
    }

    /// Returns where it begins in bytes whose ASCII letters are small, from `from` on.
    #[inline]
    pub(super) fn find(&self, lowered: &[u8], from: usize) -> Option<usize> {
        Some(from + self.0.find(lowered.get(from..)?)?)
    }
}

fn is_plain(letter: char) -> bool {
    matches!(letter, ' '..='~') && !matches!(letter, '"' | '\\' | '/')
}

/// Returns where the next character begins that may be an ASCII letter in disguise: an escape by its number, or one of the
/// two characters beyond ASCII that are an ASCII letter in another case. What stands there has to be unescaped and folded.
pub(super) fn disguise(lowered: &[u8], from: usize) -> Option<usize> {
    let rest = lowered.get(from..)?;
    let escape = memchr::memmem::find_iter(rest, b"\\u").find(|at| is_letter(rest.get(at + 2..).unwrap_or_default()));
    let before = rest.get(..escape.unwrap_or(rest.len())).unwrap_or_default();
    if before.is_ascii() {
        return Some(from + escape?);
    }
    let letters = ["ſ", "\u{212a}"].map(|letter| memchr::memmem::find(before, letter.as_bytes()));
    letters.into_iter().flatten().chain(escape).min().map(|at| from + at)
}

/// Returns whether the number of an escape, in small letters, is that of printable ASCII, or of one that folds into it.
fn is_letter(number: &[u8]) -> bool {
    matches!(number, [b'0', b'0', b'2'..=b'7', ..]) || number.starts_with(b"017f") || number.starts_with(b"212a")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use super::*;

    fn needle(text: &str) -> Option<String> {
        Needle::of(text).map(|needle| String::from_utf8(needle.0.needle().to_vec()).unwrap())
    }

    #[test]
    fn a_needle_is_the_longest_piece_that_no_writer_escapes() {
        assert_eq!(needle("TimeOut").as_deref(), Some("timeout"));
        assert_eq!(needle("a/bcd\\ef\"ghij\nk").as_deref(), Some("ghij"));
        assert_eq!(needle("größer").as_deref(), Some("er"));
        assert_eq!(needle("\u{212a}elvin").as_deref(), Some("kelvin"));
        assert_eq!((needle("ошибка"), needle("//"), needle("")), (None, None, None));
    }

    #[test]
    fn a_disguise_is_found_wherever_it_stands() {
        let at = |text: &str| disguise(text.as_bytes(), 0);
        assert_eq!(at("plain \\n \\u00e9 \\u001b \\u20ac \\ud83d"), None);
        assert_eq!(at("ab\\u0061"), Some(2));
        assert_eq!(at("ü \\u212a"), Some(3));
        assert_eq!(at("ü ſ \\u0061"), Some(3));
        assert_eq!(at("ü \u{212a}"), Some(3));
        assert_eq!(at("ü \\u041e"), None);
        assert_eq!(disguise(b"\\u0061 x", 1), None);
    }
}
