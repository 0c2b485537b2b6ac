//! Group keys: typed, so that "1" is not 1, and in one text for each value, so that 1 and 1.0 are one key.

use std::borrow::Cow;

use crate::json::{Decimal, JsonStr, minify};

/// The longest key of a group, as JSON.
pub const MAX_KEY_BYTES: usize = 4096;

/// The most digits of a number that is not taken apart: all that an integer of 64 bits has, and fewer than are written
/// with an exponent.
const MAX_PLAIN_DIGITS: usize = 20;

/// The key is longer than [`MAX_KEY_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTooLong;

/// Appends the key of the values that a record is grouped by, each valid JSON, as one JSON text: `null` for none, the
/// value itself for one, an array for several. A value that is missing is `null`.
///
/// # Errors
/// [`KeyTooLong`] for a key of more than [`MAX_KEY_BYTES`]; `out` is then as it was.
pub fn group_key(values: &[Option<&[u8]>], out: &mut Vec<u8>) -> Result<(), KeyTooLong> {
    let before = out.len();
    match values {
        [] => out.extend_from_slice(b"null"),
        [value] => write_canonical(value.unwrap_or(b"null"), out),
        values => {
            for (index, value) in values.iter().enumerate() {
                out.push(if index == 0 { b'[' } else { b',' });
                write_canonical(value.unwrap_or(b"null"), out);
            }
            out.push(b']');
        }
    }
    if out.len() - before <= MAX_KEY_BYTES {
        return Ok(());
    }
    out.truncate(before);
    Err(KeyTooLong)
}

/// Returns a group's key as a record's key has it: a text without its quotation marks, all else as JSON.
#[must_use]
pub fn key_text(key: &[u8]) -> Cow<'_, [u8]> {
    if key.first() == Some(&b'"') { JsonStr::of_value(key).unescape() } else { Cow::Borrowed(key) }
}

/// Appends a value in the text that all that are equal to it have: strings with the fewest escapes, numbers by value;
/// arrays and objects as they stand, without spaces.
pub(super) fn write_canonical(json: &[u8], out: &mut Vec<u8>) {
    match json.first() {
        Some(b'"') => {
            let text = JsonStr::of_value(json);
            if text.is_escaped() {
                write_string(&text.unescape(), out);
            } else {
                out.extend_from_slice(json);
            }
        }
        Some(b'-' | b'0'..=b'9') if is_plain_whole(json) => out.extend_from_slice(json),
        Some(b'-' | b'0'..=b'9') => write_number(json, out),
        Some(b'[' | b'{') => minify(json, out),
        _ => out.extend_from_slice(json),
    }
}

/// Returns whether it is a number as most identifiers are, and as all that are equal to it are written.
fn is_plain_whole(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    digits.len() <= MAX_PLAIN_DIGITS
        && digits.first().is_some_and(|first| *first != b'0')
        && digits.iter().all(u8::is_ascii_digit)
}

fn write_string(text: &[u8], out: &mut Vec<u8>) {
    // What was unescaped is valid UTF-8, and a string is always written.
    let text = String::from_utf8_lossy(text);
    out.extend_from_slice(serde_json::to_string(&text).unwrap_or_default().as_bytes());
}

fn write_number(text: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(text).ok().and_then(Decimal::parse) {
        Some(number) => number.write(out),
        // Stored JSON has none such.
        None => out.extend_from_slice(text),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(values: &[Option<&str>]) -> String {
        let mut out = Vec::new();
        group_key(&values.iter().map(|value| value.map(str::as_bytes)).collect::<Vec<_>>(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn keys_have_types_and_one_text() {
        for (same, wanted) in [
            (&["1", "1.0", "1e0", "10e-1", "0.1e1", "1.000"][..], "1"),
            (&["\"1\"", r#""\u0031""#], "\"1\""),
            (&["\"a\"", r#""\u0061""#], "\"a\""),
            (&[r#""\"\\\/""#], r#""\"\\/""#),
            (&["\"é\"", r#""\u00e9""#], "\"é\""),
            (&["0", "-0", "0.0", "-0e7"], "0"),
            (&["-12.50", "-1.25e1", "-1250e-2"], "-12.5"),
            (&["0.001", "1e-3"], "0.001"),
            (&["1e-7", "0.0000001"], "1e-7"),
            (&["9007199254740993", "9007199254740993.0"], "9007199254740993"),
            (&["1e21", "1000000000000000000000e0"], "1e21"),
            (&["123e20", "1.23e22"], "1.23e22"),
            (&["12345678901234567890", "1.234567890123456789e19"], "12345678901234567890"),
            (&["-1200", "-1.2e3"], "-1200"),
            (&["100000000000000000000"], "100000000000000000000"),
            (&["true"], "true"),
            (&["[1, 2.0]"], "[1,2.0]"),
            (&[r#"{ "b": 1, "a": [ ] }"#], r#"{"b":1,"a":[]}"#),
        ] {
            for one in same {
                assert_eq!(key(&[Some(one)]), wanted, "{one}");
            }
        }
        assert_eq!(key(&[]), "null");
        assert_eq!(key(&[None]), "null");
        assert_eq!(key(&[Some("1.0"), None, Some("\"x\"")]), r#"[1,null,"x"]"#);
    }

    #[test]
    fn a_long_key_leaves_nothing() {
        let long = format!("\"{}\"", "x".repeat(MAX_KEY_BYTES - 2));
        let mut out = b"before".to_vec();
        assert_eq!(group_key(&[Some(long.as_bytes())], &mut out), Ok(()));
        out.truncate(6);
        let longer = format!("\"{}\"", "x".repeat(MAX_KEY_BYTES - 1));
        assert_eq!(group_key(&[Some(longer.as_bytes())], &mut out), Err(KeyTooLong));
        assert_eq!(out, b"before");
    }

    #[test]
    fn texts_of_keys() {
        assert_eq!(&*key_text(b"\"a\\\"b\""), b"a\"b");
        assert_eq!(&*key_text(b"12"), b"12");
        assert_eq!(&*key_text(b"[\"a\"]"), b"[\"a\"]");
    }

    proptest! {
        #[test]
        fn a_number_keeps_its_value(mantissa in any::<i64>(), shift in -40_i64..40) {
            let text = format!("{mantissa}e{shift}");
            let canonical = key(&[Some(&text)]);
            prop_assert_eq!(key(&[Some(&canonical)]), canonical.clone());
            let (one, other): (f64, f64) = (text.parse().unwrap(), canonical.parse().unwrap());
            prop_assert_eq!(one, other);
        }
    }
}
