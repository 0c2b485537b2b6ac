//! Numbers that neither `int`, `uint` nor `double` hold: whole ones beyond 64 bits, and others beyond `double`'s range.

use std::any::Any;
use std::cmp::Ordering;

use cel::ExecutionError;
use cel::common::traits::Comparer;
use cel::common::types::Type;
use cel::common::value::{StaticVal, Val};

use super::compare;

/// The type's name in expressions.
pub(super) static DECIMAL: Type = Type::new_unspecified_type("decimal");

/// Exponents are kept within this: beyond it numbers of one sign are equal, which takes a number of a mebibyte.
const MAX_EXPONENT: i64 = i64::MAX / 4;

/// A number as it was written: 0.d₁d₂d₃… × 10^exponent, with d₁ not 0; without digits it is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    digits: Box<[u8]>,
    exponent: i64,
}

impl Decimal {
    /// Reads a number as JSON writes it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole.as_bytes(), fraction.as_bytes()].concat();
        if whole.is_empty() || !all.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let zeros = all.iter().take_while(|digit| **digit == b'0').count();
        let end = all.iter().rposition(|digit| *digit != b'0').map_or(zeros, |last| last + 1);
        let digits: Box<[u8]> = all[zeros..end].into();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        let places = |count: usize| i64::try_from(count).unwrap_or(MAX_EXPONENT);
        let exponent = (exponent + places(whole.len()) - places(zeros)).clamp(-MAX_EXPONENT, MAX_EXPONENT);
        Some(Self { negative, digits, exponent })
    }

    /// Returns whether it is 0.
    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    fn sign(&self) -> i8 {
        match (self.is_zero(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    /// Returns the order by value.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let by_size = || self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
        self.sign().cmp(&other.sign()).then_with(|| if self.negative { by_size().reverse() } else { by_size() })
    }

    /// Returns the order beside a double, which stands for the number that its shortest name spells: an expression that
    /// says 1e30 means that, and not the nearest number that a double can be. Its exact value is equal to it as well.
    /// `None` for what is no number.
    pub(super) fn order_double(&self, double: f64) -> Option<Ordering> {
        if double.is_nan() {
            return None;
        }
        if double.is_infinite() {
            return Some(if double > 0.0 { Ordering::Less } else { Ordering::Greater });
        }
        // A double is whole from here on, and every digit of it is written.
        if double.abs() >= 2_f64.powi(53) && Self::parse(&format!("{double:.0}")).is_some_and(|exact| exact == *self) {
            return Some(Ordering::Equal);
        }
        Self::parse(&format!("{double:e}")).map(|named| self.order(&named))
    }
}

fn read_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(MAX_EXPONENT).min(MAX_EXPONENT);
    Some(if negative { -size } else { size })
}

impl Val for Decimal {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &DECIMAL
    }

    fn as_comparer(&self) -> Option<&dyn Comparer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        compare::order(self, other) == Some(Ordering::Equal)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Decimal {}

impl Comparer for Decimal {
    fn compare(&self, rhs: &dyn Val) -> Result<Ordering, ExecutionError> {
        compare::order(self, rhs).ok_or_else(|| ExecutionError::no_such_overload("compare", Vec::new()))
    }
}
