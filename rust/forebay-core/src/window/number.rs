use std::cmp::Ordering;

use super::codec::Reader;
use crate::json::read_exponent;

/// Digits behind the decimal point that are added exactly.
pub(super) const FRACTION_DIGITS: usize = 9;

/// The units of one: a unit is the last of those digits.
const ONE: u128 = 1_000_000_000;

/// Numbers from here on are added as doubles: 10²⁰, in units. All integers of 64 bits are below.
const EXACT_LIMIT: u128 = 100_000_000_000_000_000_000 * ONE;

/// More digits than this are no exact number, unless they are zeros.
const MANTISSA_LIMIT: u128 = 10_u128.pow(36);

/// Numbers from here on are no numbers to aggregates: 2⁹⁶⁰. No count of smaller ones adds up to more than a double holds.
const TOO_LARGE: f64 = f64::from_bits((1023 + 960) << 52);

/// A number as aggregates see it. What it becomes depends on its value alone, and not on how it was written: 1, 1.0 and
/// 10e-1 are the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// Below 10²⁰ with at most nine digits behind the point, in units of 10⁻⁹.
    Exact(i128),
    /// Any other, as the nearest double.
    Double(f64),
}

impl Number {
    /// Reads a JSON value; `None` for what is no number, and for numbers of 2⁹⁶⁰ and more.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let (negative, digits) = match json {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        if !digits.first().is_some_and(u8::is_ascii_digit) {
            return None;
        }
        if let Some(units) = exact_units(digits) {
            return Some(Self::Exact(if negative { -units } else { units }));
        }
        let double: f64 = std::str::from_utf8(json).ok()?.parse().ok()?;
        match double {
            0.0 => Some(Self::Exact(0)),
            double if double.abs() < TOO_LARGE => Some(Self::Double(double)),
            _ => None,
        }
    }

    /// Returns the nearest double.
    pub(super) fn to_f64(self) -> f64 {
        match self {
            Self::Exact(units) => exact_to_f64(units),
            Self::Double(double) => double,
        }
    }

    /// Returns the order by value. Where two of different kinds have the same nearest double, the exact one is less.
    pub(super) fn order(self, other: Self) -> Ordering {
        self.to_f64().total_cmp(&other.to_f64()).then_with(|| match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => one.cmp(&other),
            (Self::Exact(_), Self::Double(_)) => Ordering::Less,
            (Self::Double(_), Self::Exact(_)) => Ordering::Greater,
            (Self::Double(_), Self::Double(_)) => Ordering::Equal,
        })
    }

    /// Appends it as the state's rows have it.
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::Exact(units) => {
                out.push(0);
                out.extend_from_slice(&units.to_le_bytes());
            }
            Self::Double(double) => {
                out.push(1);
                out.extend_from_slice(&double.to_le_bytes());
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.array()? {
            [0] => Some(Self::Exact(i128::from_le_bytes(reader.array()?))),
            [1] => Some(Self::Double(f64::from_le_bytes(reader.array()?))),
            _ => None,
        }
    }

    /// Appends it as JSON.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Exact(units) => write_units(units < 0, &units.unsigned_abs().to_string(), out),
            Self::Double(double) => write_double(double, out),
        }
    }
}

/// Returns the units of a number without its sign; `None` when it is not exactly so many, or too many.
fn exact_units(text: &[u8]) -> Option<i128> {
    let (mut mantissa, mut exponent, mut is_fraction, mut rest) = (0_u128, 0_i64, false, text);
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'.' => is_fraction = true,
            b'0'..=b'9' if mantissa < MANTISSA_LIMIT => {
                mantissa = mantissa * 10 + u128::from(byte - b'0');
                exponent -= i64::from(is_fraction);
            }
            b'0' => exponent += i64::from(!is_fraction),
            b'1'..=b'9' => return None,
            _ => {
                exponent = exponent.saturating_add(read_exponent(tail)?);
                break;
            }
        }
    }
    if mantissa == 0 {
        return Some(0);
    }
    let power = exponent.saturating_add(FRACTION_DIGITS as i64);
    let factor = u32::try_from(power.unsigned_abs()).ok().and_then(|power| 10_u128.checked_pow(power))?;
    let units = if power >= 0 {
        mantissa.checked_mul(factor)?
    } else if mantissa % factor == 0 {
        mantissa / factor
    } else {
        return None;
    };
    if units < EXACT_LIMIT { i128::try_from(units).ok() } else { None }
}

fn exact_to_f64(units: i128) -> f64 {
    // Both are exact below 2^53, and a division rounds once.
    if units.unsigned_abs() < 1 << 53 {
        return units as f64 / ONE as f64;
    }
    let mut text = Vec::new();
    Number::Exact(units).write(&mut text);
    parse_f64(&text)
}

/// Reads a decimal number that this module has written: the standard library rounds it once, to the nearest.
pub(super) fn parse_f64(text: &[u8]) -> f64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// Appends as many units of 10⁻⁹ as the decimal digits say, without zeros at the end.
pub(super) fn write_units(negative: bool, digits: &str, out: &mut Vec<u8>) {
    let padded = format!("{digits:0>width$}", width = FRACTION_DIGITS + 1);
    let (whole, fraction) = padded.split_at(padded.len() - FRACTION_DIGITS);
    let fraction = fraction.trim_end_matches('0');
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(whole.as_bytes());
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

/// Appends the shortest text that reads as this double; `null` for what JSON has no text for.
pub(super) fn write_double(double: f64, out: &mut Vec<u8>) {
    match serde_json::to_string(&double) {
        Ok(text) => out.extend_from_slice(text.strip_suffix(".0").unwrap_or(&text).as_bytes()),
        Err(_no_such_number) => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<Number> {
        Number::parse(text.as_bytes())
    }

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        parse(text).unwrap().write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_value_alone_decides() {
        for same in ["1", "1.0", "1e0", "10e-1", "0.1e1", "1.000000000000000000000000000000000000000000000", "100E-2"] {
            assert_eq!(parse(same), Some(Number::Exact(1_000_000_000)), "{same}");
        }
        for zero in ["0", "-0", "0.0", "0e99", "1e-400", "-1e-999999999999999999999"] {
            assert_eq!(parse(zero), Some(Number::Exact(0)), "{zero}");
        }
        assert_eq!(parse("0.000000001"), Some(Number::Exact(1)));
        assert_eq!(parse("0.0000000001"), Some(Number::Double(1e-10)));
        assert_eq!(parse("99999999999999999999"), Some(Number::Exact(99_999_999_999_999_999_999 * 1_000_000_000)));
        assert_eq!(parse("100000000000000000000"), Some(Number::Double(1e20)));
        assert_eq!(parse("1e20"), Some(Number::Double(1e20)));
        for none in ["null", "true", "\"1\"", "[1]", "{}", "1e400", "-1e289", ""] {
            assert_eq!(parse(none), None, "{none}");
        }
    }

    #[test]
    fn texts() {
        for (text, wanted) in [
            ("1028274.24", "1028274.24"),
            ("-0.5", "-0.5"),
            ("1e3", "1000"),
            ("18446744073709551615", "18446744073709551615"),
            ("0.1234567891", "0.1234567891"),
            ("1e30", "1e+30"),
            ("123456789012345678901234567890", "1.2345678901234568e+29"),
        ] {
            let found = written(text);
            assert_eq!(found.replace("e+", "e"), wanted.replace("e+", "e"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_values(left in any::<i64>(), right in any::<i64>(), shift in 0_u32..12) {
            let text = |number: i64| format!("{number}e-{shift}");
            let (one, other) = (parse(&text(left)).unwrap(), parse(&text(right)).unwrap());
            // Numbers of either kind that have the same nearest double are told apart where both are exact.
            let wanted = left.cmp(&right);
            prop_assert!(one.order(other) == wanted || (one.to_f64() == other.to_f64() && one.to_f64().abs() > 0.0));
            prop_assert_eq!(one.order(other), other.order(one).reverse());
        }

        #[test]
        fn an_exact_number_is_written_as_it_is(units in -EXACT_LIMIT_I.. EXACT_LIMIT_I) {
            let mut out = Vec::new();
            Number::Exact(units).write(&mut out);
            prop_assert_eq!(Number::parse(&out), Some(Number::Exact(units)));
        }

        #[test]
        fn doubles_are_read_to_the_nearest(double in -1e280..1e280) {
            let text = format!("{double:e}");
            prop_assert_eq!(parse(&text).unwrap().to_f64(), double);
        }
    }

    const EXACT_LIMIT_I: i128 = 100_000_000_000_000_000_000_000_000_000;
}
