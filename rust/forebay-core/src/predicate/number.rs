//! A number of any size, and its order among others by value.

use std::borrow::Cow;
use std::cmp::Ordering;

use cel::common::types::{CelDouble, CelInt, CelUInt};
use cel::common::value::Val;

use super::decimal::Decimal;

/// Whole numbers up to here are doubles as well, each a different one.
const MAX_EXACT: u128 = 1 << f64::MANTISSA_DIGITS;
/// Digits that an `i64` holds whatever they are.
const MAX_QUICK_DIGITS: usize = 18;

/// Digits of a decimal number that are a whole number which a double holds.
const MAX_QUICK_DECIMAL_DIGITS: usize = 15;
/// The powers of ten that doubles hold, as far as so few digits have them behind the point.
const POWERS_OF_TEN: [f64; MAX_QUICK_DECIMAL_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A number in the type that holds it.
#[derive(Clone, Debug)]
pub(super) enum Number<'n> {
    /// Of at most 65 bits.
    Whole(i128),
    Double(f64),
    /// What neither holds.
    Decimal(Cow<'n, Decimal>),
}

impl Number<'_> {
    /// Reads a number as JSON writes it: whole numbers are so up to 64 bits, others doubles within their range.
    #[inline]
    pub(super) fn parse(text: &[u8]) -> Option<Number<'static>> {
        let whole = quick_whole(text).map(|whole| Number::Whole(whole.into()));
        whole.or_else(|| quick_decimal(text).map(Number::Double)).or_else(|| parse_any(text))
    }

    /// Returns the order by value; `None` beside what is no number.
    #[inline]
    pub(super) fn order(&self, other: &Number<'_>) -> Option<Ordering> {
        match (self, other) {
            (Number::Whole(left), Number::Whole(right)) => Some(left.cmp(right)),
            (Number::Double(left), Number::Double(right)) => left.partial_cmp(right),
            (Number::Decimal(left), Number::Decimal(right)) => Some(left.order(right)),
            (Number::Whole(whole), Number::Double(double)) => order_whole(*whole, *double),
            (Number::Decimal(left), Number::Double(double)) => left.order_double(*double),
            (Number::Decimal(left), Number::Whole(whole)) => {
                Decimal::parse(&whole.to_string()).map(|right| left.order(&right))
            }
            (Number::Double(_), Number::Whole(_) | Number::Decimal(_)) | (Number::Whole(_), Number::Decimal(_)) => {
                other.order(self).map(Ordering::reverse)
            }
        }
    }

    /// Returns the number as a value of the interpreter.
    pub(super) fn into_val<'v>(self) -> Option<Box<dyn Val + 'v>> {
        Some(match self {
            Number::Double(double) => Box::new(CelDouble::from(double)),
            Number::Decimal(decimal) => Box::new(decimal.into_owned()),
            Number::Whole(whole) => match i64::try_from(whole) {
                Ok(whole) => Box::new(CelInt::from(whole)),
                Err(_) => Box::new(CelUInt::from(u64::try_from(whole).ok()?)),
            },
        })
    }
}

/// Reads what most numbers are: a few digits.
#[inline]
fn quick_whole(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || digits.len() > MAX_QUICK_DIGITS {
        return None;
    }
    let mut whole = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        whole = whole * 10 + i64::from(digit);
    }
    Some(if digits.len() < text.len() { -whole } else { whole })
}

/// Reads a few digits with a point among them, such as an amount of money: the nearest double, as both the digits without
/// the point and the power of ten are doubles, and a division rounds once. 0 is left to others: what is said of it depends
/// on how it is written.
#[inline]
fn quick_decimal(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.len() > MAX_QUICK_DECIMAL_DIGITS + 1 {
        return None;
    }
    let (mut whole, mut point) = (0_u64, None);
    for (index, byte) in digits.iter().enumerate() {
        match byte.wrapping_sub(b'0') {
            digit @ 0..=9 => whole = whole * 10 + u64::from(digit),
            _ if *byte == b'.' && point.is_none() => point = Some(index),
            _ => return None,
        }
    }
    let point = point?;
    let places = digits.len() - 1 - point;
    if whole == 0 || places == 0 || point == 0 {
        return None;
    }
    let double = whole as f64 / POWERS_OF_TEN.get(places)?;
    Some(if digits.len() < text.len() { -double } else { double })
}

fn parse_any(text: &[u8]) -> Option<Number<'static>> {
    let text = std::str::from_utf8(text).ok()?;
    if !text.contains(['.', 'e', 'E']) {
        // The sign of -0 matters to a division alone.
        let whole = text.parse::<i64>().map(i128::from).or_else(|_| text.parse::<u64>().map(i128::from));
        return whole.ok().map(Number::Whole).or_else(|| decimal(text));
    }
    let double: f64 = text.parse().ok()?;
    if double.is_infinite() || double == 0.0 {
        let written = Decimal::parse(text)?;
        if !written.is_zero() {
            return Some(Number::Decimal(Cow::Owned(written)));
        }
    }
    Some(Number::Double(double))
}

fn decimal(text: &str) -> Option<Number<'static>> {
    Decimal::parse(text).map(|decimal| Number::Decimal(Cow::Owned(decimal)))
}

/// A whole number of at most 65 bits beside a double.
fn order_whole(whole: i128, double: f64) -> Option<Ordering> {
    if whole.unsigned_abs() <= MAX_EXACT {
        return (whole as f64).partial_cmp(&double);
    }
    if double.is_nan() {
        return None;
    }
    // The conversion saturates far beyond any of the whole numbers, and cuts what is behind the point.
    let cut = double as i128;
    let fraction = double.fract();
    let rest = if fraction > 0.0 {
        Ordering::Less
    } else if fraction < 0.0 {
        Ordering::Greater
    } else {
        Ordering::Equal
    };
    Some(whole.cmp(&cut).then(rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn few_digits_are_read_to_the_nearest_double(text in "-?(0|[1-9][0-9]{0,8})\\.[0-9]{1,9}") {
            let wanted: f64 = text.parse().unwrap_or(f64::NAN);
            if let Some(found) = quick_decimal(text.as_bytes()) {
                prop_assert_eq!(found.to_bits(), wanted.to_bits());
            } else {
                prop_assert!(text.len() > MAX_QUICK_DECIMAL_DIGITS || wanted == 0.0, "{}", text);
            }
        }
    }

    #[test]
    fn what_has_no_point_or_digits_around_it_is_not_quick() {
        for text in
            ["", "-", ".", "1", "1.", ".5", "-.5", "1.2.3", "1e5", "1.5e3", "0.0", "-0.00", "+1.5", "12345678.90123456"]
        {
            assert_eq!(quick_decimal(text.as_bytes()), None, "{text}");
        }
        assert_eq!(quick_decimal(b"-1234567890123.45"), Some(-1_234_567_890_123.45));
    }
}
