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
        quick_whole(text).map(|whole| Number::Whole(whole.into())).or_else(|| parse_any(text))
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
