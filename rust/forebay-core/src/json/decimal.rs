use std::cmp::Ordering;

/// Whole numbers of more digits are written with an exponent.
const PLAIN_DIGITS: i64 = 21;

/// Exponents are kept within this: beyond it numbers of one sign are equal, which takes a number of a mebibyte.
const MAX_EXPONENT: i64 = i64::MAX / 4;

/// A number as it was written: 0.d₁d₂d₃… × 10^exponent, with d₁ not 0; without digits it is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: Box<[u8]>,
    exponent: i64,
}

impl Decimal {
    /// Reads a number as JSON writes it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent.as_bytes())?),
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
    pub(crate) fn is_zero(&self) -> bool {
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
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let by_size = || self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
        self.sign().cmp(&other.sign()).then_with(|| if self.negative { by_size().reverse() } else { by_size() })
    }

    /// Appends it as JSON, in one text for each value: plainly where it is not long, else with one digit before the point.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Self { negative, digits, exponent } = self;
        if self.is_zero() {
            return out.push(b'0');
        }
        if *negative {
            out.push(b'-');
        }
        let count = digits.len() as i64;
        if (1..=PLAIN_DIGITS).contains(exponent) {
            let whole = (*exponent).min(count) as usize;
            out.extend_from_slice(&digits[..whole]);
            out.extend(std::iter::repeat_n(b'0', (exponent - count).max(0) as usize));
            if count > *exponent {
                out.push(b'.');
                out.extend_from_slice(&digits[whole..]);
            }
        } else if (-5..=0).contains(exponent) {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-exponent) as usize));
            out.extend_from_slice(digits);
        } else {
            out.push(digits[0]);
            if count > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.extend_from_slice(format!("e{}", exponent - 1).as_bytes());
        }
    }

    /// Returns the order beside a double, which stands for the number that its shortest name spells: an expression that
    /// says 1e30 means that, and not the nearest number that a double can be. Its exact value is equal to it as well.
    /// `None` for what is no number.
    pub(crate) fn order_double(&self, double: f64) -> Option<Ordering> {
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

/// Reads what stands behind an `e`, as far as numbers go; `None` for what is no whole number.
pub(crate) fn read_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |size: i64, digit: &u8| size.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    let size = digits.iter().fold(0, add).min(MAX_EXPONENT);
    Some(if negative { -size } else { size })
}
