use std::borrow::Cow;

use super::error::{JsonError, JsonFault};

/// A string of a JSON text: what stands between its quotation marks, already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonStr<'a> {
    raw: &'a [u8],
    /// The index of the first escape in `raw`, or `raw`'s length. A flag would do, but its padding made copies of this
    /// struct slow enough to be seen.
    plain: usize,
}

impl<'a> JsonStr<'a> {
    /// Takes what stands between the quotation marks of a string that was checked when it came in. `plain` is the index of
    /// its first escape, or its length.
    #[inline(always)]
    pub(super) fn checked(raw: &'a [u8], plain: usize) -> Self {
        Self { raw, plain }
    }

    /// Takes a whole string of a text that was checked when it came in, with its quotation marks.
    #[must_use]
    #[inline]
    pub fn of_value(value: &'a [u8]) -> Self {
        Self::of_raw(value.get(1..value.len().saturating_sub(1)).unwrap_or_default())
    }

    /// Takes what stands between the quotation marks of a string that was checked when it came in.
    #[must_use]
    #[inline]
    pub(crate) fn of_raw(raw: &'a [u8]) -> Self {
        Self { raw, plain: memchr::memchr(b'\\', raw).unwrap_or(raw.len()) }
    }

    /// Returns the bytes as sent, escapes included.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Returns whether the bytes as sent contain an escape. If not, they are the string.
    #[must_use]
    pub fn is_escaped(&self) -> bool {
        self.plain < self.raw.len()
    }

    /// Returns whether the string is empty. No escape stands for nothing, so this needs no unescaping.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Returns the string itself, as UTF-8.
    #[must_use]
    #[inline(always)]
    pub fn unescape(&self) -> Cow<'a, [u8]> {
        if self.is_escaped() { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

/// Reads the string whose opening quotation mark is just before `start`; its closing one follows the raw bytes.
#[inline(always)]
pub(super) fn read(bytes: &[u8], start: usize) -> Result<JsonStr<'_>, JsonError> {
    let end = find_special(bytes, start);
    if bytes.get(end) == Some(&b'"') {
        let raw = bytes.get(start..end).unwrap_or_default();
        return Ok(JsonStr { raw, plain: end - start });
    }
    read_escaped(bytes, start, end)
}

/// Continues [`read`] for a string whose first quote, escape or control byte, at `special`, is not its end.
#[inline(never)]
fn read_escaped(bytes: &[u8], start: usize, special: usize) -> Result<JsonStr<'_>, JsonError> {
    let mut at = special;
    loop {
        match bytes.get(at) {
            Some(b'"') => {
                let raw = bytes.get(start..at).unwrap_or_default();
                return Ok(JsonStr { raw, plain: special - start });
            }
            Some(b'\\') => at = find_special(bytes, end_of_escape(bytes, at)?),
            Some(_) => return Err(JsonError::new(JsonFault::ControlCharacter, at)),
            None => return Err(JsonError::new(JsonFault::Truncated, bytes.len())),
        }
    }
}

const ONES: u64 = u64::MAX / 0xff;
const TOPS: u64 = ONES * 0x80;

/// Returns the index of the first quotation mark, backslash or control character from `start` on, or the length.
#[inline(always)]
pub(crate) fn find_special(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    for word in bytes.get(start..).unwrap_or_default().as_chunks().0 {
        let found = specials(u64::from_le_bytes(*word));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|&byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at
}

/// The top bit of the lowest byte of `word` that is special is the lowest bit set. Bits above that one mean nothing:
/// the subtractions borrow, but only from a byte that is special itself.
#[inline(always)]
fn specials(word: u64) -> u64 {
    // Flipping bit 1 moves `"` to 0x20, beside the control characters, and moves none of them out nor another one in.
    let quote_or_control = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * 0x5c)).wrapping_sub(ONES);
    (quote_or_control | backslash) & !word & TOPS
}

/// Returns the index after the escape whose backslash is at `start`.
fn end_of_escape(bytes: &[u8], start: usize) -> Result<usize, JsonError> {
    match bytes.get(start + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(start + 2),
        Some(b'u') => match hex4(bytes, start + 2)? {
            0xdc00..=0xdfff => Err(JsonError::new(JsonFault::Surrogate, start)),
            0xd800..=0xdbff => {
                let paired = bytes.get(start + 6..start + 8) == Some(b"\\u");
                if !paired || !(0xdc00..=0xdfff).contains(&hex4(bytes, start + 8)?) {
                    return Err(JsonError::new(JsonFault::Surrogate, start));
                }
                Ok(start + 12)
            }
            _ => Ok(start + 6),
        },
        Some(_) => Err(JsonError::new(JsonFault::Escape, start)),
        None => Err(JsonError::new(JsonFault::Truncated, bytes.len())),
    }
}

/// Returns the four hexadecimal digits at `start`.
fn hex4(bytes: &[u8], start: usize) -> Result<u32, JsonError> {
    let mut value = 0;
    for index in start..start + 4 {
        let byte = bytes.get(index).ok_or(JsonError::new(JsonFault::Truncated, bytes.len()))?;
        let digit = char::from(*byte).to_digit(16).ok_or(JsonError::new(JsonFault::Escape, index))?;
        value = value * 16 + digit;
    }
    Ok(value)
}

/// Returns the text that `raw`, a string that [`read`] has checked, stands for.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        text.extend_from_slice(plain);
        let (character, length) = unescape_one(escape);
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(length..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    text
}

/// Returns the character that the escape at the beginning of `escape` stands for, and the escape's length.
fn unescape_one(escape: &[u8]) -> (char, usize) {
    let plain = match escape.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            // The defaults are never used: a `JsonStr` exists only when its escapes are whole.
            let first = hex4(escape, 2).unwrap_or(0);
            let (code, length) = match first {
                0xd800..=0xdbff => {
                    let second = hex4(escape, 8).unwrap_or(0xdc00);
                    (0x1_0000 + ((first - 0xd800) << 10) + second.wrapping_sub(0xdc00), 12)
                }
                _ => (first, 6),
            };
            return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), length);
        }
        Some(byte) => char::from(*byte),
        None => char::REPLACEMENT_CHARACTER,
    };
    (plain, 2)
}
