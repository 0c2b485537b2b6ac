use std::cmp::Ordering;

use super::super::codec::{Reader, put};
use super::super::number::{Number, parse_f64, write_double, write_units};

/// Decimal digits that a quotient is followed to: more than twice those of a double.
const QUOTIENT_DIGITS: usize = 40;

/// A sum without rounding, and so the same for every order of its terms.
///
/// Exact numbers add up in 192 bits, of which no number of records fills the last. Doubles add up in an expansion, whose
/// parts do not overlap (J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic", 1997), and which is rounded once
/// when it is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ExactSum {
    /// Terms.
    pub(super) count: u64,
    low: u128,
    high: i64,
    doubles: Vec<f64>,
}

impl ExactSum {
    pub(super) fn add(&mut self, number: Number) {
        self.count += 1;
        match number {
            Number::Exact(units) => self.add_wide(units as u128, if units < 0 { -1 } else { 0 }),
            Number::Double(double) => add_double(&mut self.doubles, double),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.add_wide(other.low, other.high);
        for part in &other.doubles {
            add_double(&mut self.doubles, *part);
        }
    }

    fn add_wide(&mut self, low: u128, high: i64) {
        let (sum, carry) = self.low.overflowing_add(low);
        self.low = sum;
        self.high = self.high.wrapping_add(high).wrapping_add(i64::from(carry));
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.doubles.capacity() * size_of::<f64>()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.count);
        out.extend_from_slice(&self.low.to_le_bytes());
        out.extend_from_slice(&self.high.to_le_bytes());
        put(out, self.doubles.len() as u64);
        self.doubles.iter().for_each(|part| out.extend_from_slice(&part.to_le_bytes()));
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let count = reader.number()?;
        let (low, high) = (u128::from_le_bytes(reader.array()?), i64::from_le_bytes(reader.array()?));
        let parts = reader.count(size_of::<f64>())?;
        let doubles = (0..parts).map(|_| reader.array().map(f64::from_le_bytes)).collect::<Option<_>>()?;
        Some(Self { count, low, high, doubles })
    }

    /// Appends the sum as JSON: every digit of it when all terms were exact, else the nearest double.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.doubles.is_empty() {
            write_units(self.high < 0, &decimal(self.magnitude()), out);
        } else {
            write_double(self.rounded(), out);
        }
    }

    /// Appends the mean as JSON: the double that is nearest to it when all terms were exact.
    pub(super) fn write_mean(&self, out: &mut Vec<u8>) {
        if self.doubles.is_empty() {
            write_double(self.exact_mean(), out);
        } else {
            write_double(self.rounded() / self.count as f64, out);
        }
    }

    fn exact_mean(&self) -> f64 {
        let (quotient, mut rest) = divided(self.magnitude(), self.count.max(1));
        let mut digits = decimal(quotient);
        for _ in 0..QUOTIENT_DIGITS {
            rest *= 10;
            digits.push(char::from(b'0' + (rest / u128::from(self.count.max(1))) as u8));
            rest %= u128::from(self.count.max(1));
        }
        // What is left only decides whether it is a tie.
        digits.push(if rest == 0 { '0' } else { '1' });
        let sign = if self.high < 0 { "-" } else { "" };
        let exponent = super::super::number::FRACTION_DIGITS + QUOTIENT_DIGITS + 1;
        parse_f64(format!("{sign}{digits}e-{exponent}").as_bytes())
    }

    /// Returns the sum of both kinds of terms, rounded once, but for the part of the exact ones behind the point, which
    /// is a double of its own.
    fn rounded(&self) -> f64 {
        let mut all = self.doubles.clone();
        let (whole, fraction) = divided(self.magnitude(), 1_000_000_000);
        let sign = if self.high < 0 { -1.0 } else { 1.0 };
        let mut weight = 1.0;
        for limb in whole {
            add_double(&mut all, sign * f64::from(limb) * weight);
            weight *= 4_294_967_296.0;
        }
        add_double(&mut all, sign * (fraction as f64 / 1e9));
        rounded(&all)
    }

    /// Returns the exact terms' sum without its sign, least limb first.
    fn magnitude(&self) -> [u32; 6] {
        let (low, high) = match self.high.cmp(&0) {
            Ordering::Less => {
                let (low, carry) = (!self.low).overflowing_add(1);
                (low, (!self.high as u64).wrapping_add(u64::from(carry)))
            }
            Ordering::Equal | Ordering::Greater => (self.low, self.high as u64),
        };
        [low as u32, (low >> 32) as u32, (low >> 64) as u32, (low >> 96) as u32, high as u32, (high >> 32) as u32]
    }
}

/// Returns quotient and rest.
fn divided(number: [u32; 6], by: u64) -> ([u32; 6], u128) {
    let (mut quotient, mut rest) = (number, 0_u128);
    for limb in quotient.iter_mut().rev() {
        let part = rest << 32 | u128::from(*limb);
        *limb = (part / u128::from(by)) as u32;
        rest = part % u128::from(by);
    }
    (quotient, rest)
}

fn decimal(mut number: [u32; 6]) -> String {
    let mut groups = Vec::new();
    while number != [0; 6] {
        let (quotient, rest) = divided(number, 1_000_000_000);
        groups.push(rest);
        number = quotient;
    }
    let mut text = groups.pop().unwrap_or_default().to_string();
    for group in groups.iter().rev() {
        text.push_str(&format!("{group:09}"));
    }
    text
}

/// Adds to an expansion, whose parts grow and do not overlap.
fn add_double(parts: &mut Vec<f64>, term: f64) {
    let (mut sum, mut kept) = (term, 0);
    for index in 0..parts.len() {
        let (large, small) = if sum.abs() < parts[index].abs() { (parts[index], sum) } else { (sum, parts[index]) };
        sum = large + small;
        let error = small - (sum - large);
        if error != 0.0 {
            parts[kept] = error;
            kept += 1;
        }
    }
    parts.truncate(kept);
    parts.push(sum);
}

/// Returns the double that is nearest to the sum of an expansion's parts; of two that are as near, the even one.
fn rounded(parts: &[f64]) -> f64 {
    let Some((last, mut rest)) = parts.split_last() else { return 0.0 };
    let (mut sum, mut error) = (*last, 0.0);
    while let Some((part, further)) = rest.split_last() {
        let before = sum;
        sum = before + part;
        error = part - (sum - before);
        rest = further;
        if error != 0.0 {
            break;
        }
    }
    // Half of the last place was cut off, and the next part says in which direction the sum lies from there.
    if rest.last().is_some_and(|next| (error < 0.0 && *next < 0.0) || (error > 0.0 && *next > 0.0)) {
        let nudged = sum + error * 2.0;
        if nudged - sum == error * 2.0 {
            return nudged;
        }
    }
    sum
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum_of(texts: &[String]) -> ExactSum {
        let mut sum = ExactSum::default();
        for text in texts {
            sum.add(Number::parse(text.as_bytes()).unwrap());
        }
        sum
    }

    fn read(sum: &ExactSum) -> (String, String) {
        let (mut total, mut mean) = (Vec::new(), Vec::new());
        sum.write(&mut total);
        sum.write_mean(&mut mean);
        (String::from_utf8(total).unwrap(), String::from_utf8(mean).unwrap())
    }

    fn of(texts: &[&str]) -> (String, String) {
        read(&sum_of(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()))
    }

    #[test]
    fn decimals_add_up_as_decimals() {
        assert_eq!(of(&["0.1", "0.2"]), ("0.3".into(), "0.15".into()));
        assert_eq!(of(&["0.1", "0.2", "0.3"]), ("0.6".into(), "0.2".into()));
        assert_eq!(of(&["1", "1", "2"]), ("4".into(), "1.3333333333333333".into()));
        assert_eq!(of(&["-0.5", "0.25"]), ("-0.25".into(), "-0.125".into()));
        let largest = "18446744073709551615";
        assert_eq!(of(&[largest; 3]), ("55340232221128654845".into(), "1.8446744073709552e+19".into()));
        assert_eq!(of(&["99999999999999999999.999999999", "-99999999999999999999.999999999"]).0, "0");
    }

    #[test]
    fn doubles_lose_nothing_on_the_way() {
        assert_eq!(of(&["1e30", "1", "-1e30"]).0, "1");
        assert_eq!(of(&["1e100", "0.25", "-1e100", "0.5"]).0, "0.75");
        // The half of the last place, and what lies behind it.
        assert_eq!(of(&["9007199254740992.0000000000001e200", "1e200"]).0.get(..3), Some("9.0"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_order_of_the_terms_is_nothing_to_the_sum(
            numbers in prop::collection::vec((any::<i32>(), -30_i32..30), 1..60), seed in any::<u64>(), cut in any::<prop::sample::Index>()
        ) {
            let texts: Vec<_> = numbers.iter().map(|(mantissa, exponent)| format!("{mantissa}e{exponent}")).collect();
            let mut shuffled = texts.clone();
            shuffled.sort_by_key(|text| xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), seed));
            prop_assert_eq!(read(&sum_of(&texts)), read(&sum_of(&shuffled)));
            let (left, right) = shuffled.split_at(cut.index(shuffled.len()));
            let mut merged = sum_of(right);
            merged.merge(&sum_of(left));
            prop_assert_eq!(read(&sum_of(&texts)), read(&merged));
        }

        #[test]
        fn integers_are_summed_as_integers(numbers in prop::collection::vec(any::<i64>(), 1..200)) {
            let texts: Vec<_> = numbers.iter().map(i64::to_string).collect();
            let (total, mean) = read(&sum_of(&texts));
            let wanted: i128 = numbers.iter().map(|number| i128::from(*number)).sum();
            prop_assert_eq!(total, wanted.to_string());
            let near = wanted as f64 / numbers.len() as f64;
            let mean: f64 = mean.parse().unwrap();
            prop_assert!((mean - near).abs() <= near.abs() * 1e-15, "{} {}", mean, near);
        }
    }
}
