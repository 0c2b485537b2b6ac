//! Whole numbers in JSON, however they are written.

/// Digits of the largest `i64`.
const MAX_DIGITS: usize = 19;

/// The value of a JSON number that is whole: `13`, `13.0`, `1.3e1`. JSON knows one kind of number, and encoders of
/// languages that know one kind as well write whole ones with a fraction.
///
/// The value is exact, by the digits and not by a float. `None` for what is no number, not whole, or beyond 64 bits.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    if let Ok(value) = std::str::from_utf8(text).ok()?.parse() {
        return Some(value);
    }
    written_otherwise(text)
}

fn written_otherwise(text: &[u8]) -> Option<i64> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b"0"[..]),
    };
    let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &b""[..]),
    };
    let digits = || whole.iter().chain(fraction).copied();
    if !digits().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let Some(first) = digits().position(|digit| digit != b'0') else {
        return (!whole.is_empty()).then_some(0);
    };
    let zeros_behind = digits().rev().take_while(|digit| *digit == b'0').count();
    let significant = digits().count() - first - zeros_behind;
    // With an exponent beyond 64 bits the number is zero, as above, or not a whole one of 64 bits.
    let exponent = std::str::from_utf8(exponent).ok()?.parse::<i64>().ok()?;
    let places = exponent.checked_add(zeros_behind as i64)?.checked_sub(fraction.len() as i64)?;
    let zeros = usize::try_from(places).ok().filter(|zeros| significant + zeros <= MAX_DIGITS)?;
    let digits = digits().skip(first).take(significant).chain(std::iter::repeat_n(b'0', zeros));
    let size = digits.fold(0_u128, |size, digit| size * 10 + u128::from(digit - b'0'));
    let value = i128::try_from(size).ok()?;
    i64::try_from(if negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use super::integer;

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        for (text, value) in [
            ("13", 13),
            ("-13", -13),
            ("13.0", 13),
            ("-13.000", -13),
            ("1.3e1", 13),
            ("1.3E+1", 13),
            ("1300e-2", 13),
            ("0.13e2", 13),
            ("1e3", 1000),
            ("1e18", 1_000_000_000_000_000_000),
            ("1640995200000.0", 1_640_995_200_000),
            ("0", 0),
            ("-0", 0),
            ("-0.0", 0),
            ("0e9999999999999999999999", 0),
            ("0.000e-5", 0),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("9223372036854775807.0", i64::MAX),
            ("-9223372036854775808.0", i64::MIN),
            ("9223372036854775807000e-3", i64::MAX),
            ("0.0000000000000000000000000000000000000001e41", 10),
        ] {
            assert_eq!(integer(text.as_bytes()), Some(value), "{text}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for text in [
            "1.5",
            "1e-1",
            "13.0000000000000000000001",
            "9223372036854775808",
            "9223372036854775808.0",
            "-9223372036854775809.0",
            "1e19",
            "1e400",
            "1e9999999999999999999999",
            "1e-9999999999999999999999",
            "\"13\"",
            "true",
            "null",
            "[1]",
            "{}",
            "",
            "-",
            "e",
            "é",
        ] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_way_to_write_one_gives_it_back() {
        for value in [1_i64, 7, 10, 1_640_995_200_000, 900_000, i64::MAX, i64::MIN + 1, 100_000_000_000_000_000] {
            let digits = value.to_string();
            for places in 0..25_usize {
                assert_eq!(integer(format!("{digits}{}e-{places}", "0".repeat(places)).as_bytes()), Some(value));
                assert_eq!(integer(format!("{digits}.{}", "0".repeat(places + 1)).as_bytes()), Some(value));
                let (sign, size) = digits.strip_prefix('-').map_or(("", &*digits), |size| ("-", size));
                let small = format!("{sign}0.{}{size}e{}", "0".repeat(places), places + size.len());
                assert_eq!(integer(small.as_bytes()), Some(value), "{small}");
            }
        }
    }
}
