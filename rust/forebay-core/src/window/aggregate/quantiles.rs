use super::super::codec::{Reader, put, put_signed};
use super::super::number::write_double;

/// Bits of a number's mantissa that a bucket's number has: 64 buckets from a power of two to the next.
const MANTISSA_BITS: u32 = 6;

/// Smaller numbers count as 0, and others as the largest: 2⁻⁶⁴ and 2⁶⁴. So a sketch has 16,385 buckets at most.
const EXPONENTS: i64 = 64;
const LAST_BUCKET: i64 = ((2 * EXPONENTS) << MANTISSA_BITS) - 1;

/// How far a quantile may lie from the number of that rank, in parts of it: half of a bucket.
pub const QUANTILE_ERROR: f64 = 1.0 / 128.0;

/// Quantiles from counts of buckets whose bounds are fixed, and so the same for every order of the numbers. DDSketch
/// (C. Masson and others, 2019) with buckets that are linear between powers of two, as those of HdrHistogram are: a
/// number's bucket is a part of its bits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Quantiles {
    /// Numbers.
    count: u64,
    /// Buckets with their counts, in order: of negative numbers below 0, of 0 itself, of positive ones above.
    buckets: Vec<(i16, u64)>,
}

impl Quantiles {
    pub(super) fn add(&mut self, number: f64) {
        self.add_to(bucket(number), 1);
    }

    fn add_to(&mut self, bucket: i16, count: u64) {
        self.count += count;
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            self.add_to(*bucket, *count);
        }
    }

    /// Appends the number of the nearest rank as JSON: the least one that at least so many of a hundred do not exceed.
    /// `null` without numbers.
    pub(super) fn write(&self, percent: u64, out: &mut Vec<u8>) {
        let rank = (u128::from(self.count) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0_u128;
        for (bucket, count) in &self.buckets {
            seen += u128::from(*count);
            if seen >= rank {
                return write_double(middle(*bucket), out);
            }
        }
        out.extend_from_slice(b"null");
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.buckets.len() as u64);
        for (bucket, count) in &self.buckets {
            put_signed(out, i64::from(*bucket));
            put(out, *count);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut quantiles = Self::default();
        for _ in 0..reader.count(2)? {
            let bucket =
                i16::try_from(reader.signed()?).ok().filter(|one| i64::from(one.unsigned_abs()) <= LAST_BUCKET + 1)?;
            let count = reader.number()?;
            if quantiles.buckets.last().is_some_and(|(last, _)| *last >= bucket) {
                return None;
            }
            quantiles.count = quantiles.count.checked_add(count)?;
            quantiles.buckets.push((bucket, count));
        }
        Some(quantiles)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(i16, u64)>()
    }
}

fn bucket(number: f64) -> i16 {
    let top = (number.abs().to_bits() >> (f64::MANTISSA_DIGITS - 1 - MANTISSA_BITS)) as i64;
    let first = (1023 - EXPONENTS) << MANTISSA_BITS;
    let size = if top < first { 0 } else { (top - first).min(LAST_BUCKET) + 1 };
    (if number < 0.0 { -size } else { size }) as i16
}

fn middle(bucket: i16) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let top = (i64::from(bucket).abs() - 1 + ((1023 - EXPONENTS) << MANTISSA_BITS)) as u64;
    let half = 1 << (f64::MANTISSA_DIGITS - 2 - MANTISSA_BITS);
    let middle = f64::from_bits(top << (f64::MANTISSA_DIGITS - 1 - MANTISSA_BITS) | half);
    if bucket < 0 { -middle } else { middle }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quantile(sketch: &Quantiles, percent: u64) -> f64 {
        let mut out = Vec::new();
        sketch.write(percent, &mut out);
        String::from_utf8(out).unwrap().parse().unwrap()
    }

    #[test]
    fn without_numbers_there_is_none() {
        let mut out = Vec::new();
        Quantiles::default().write(50, &mut out);
        assert_eq!(out, b"null");
    }

    #[test]
    fn the_bounds_hold_what_is_beyond_them() {
        for (number, wanted) in [(1e300, 2_f64.powi(64)), (-1e300, -2_f64.powi(64)), (1e-300, 0.0), (0.0, 0.0)] {
            let mut sketch = Quantiles::default();
            sketch.add(number);
            assert!((quantile(&sketch, 99) - wanted).abs() <= wanted.abs() / 64.0, "{number}");
        }
    }

    proptest! {
        #[test]
        fn quantiles_are_within_the_stated_error(
            mut numbers in prop::collection::vec(prop_oneof![-1e6..1e6, -1e-3..1e-3, 1.0..1.01], 1..300), cut in any::<prop::sample::Index>()
        ) {
            let (mut whole, mut left, mut right) = (Quantiles::default(), Quantiles::default(), Quantiles::default());
            for (index, number) in numbers.iter().enumerate() {
                whole.add(*number);
                if index < cut.index(numbers.len()) { &mut left } else { &mut right }.add(*number);
            }
            right.merge(&left);
            prop_assert_eq!(&right, &whole);
            numbers.sort_by(f64::total_cmp);
            for percent in [50, 95, 99] {
                let rank = (numbers.len() * percent).div_ceil(100).max(1);
                let (wanted, found) = (numbers[rank - 1], quantile(&whole, percent as u64));
                prop_assert!((found - wanted).abs() <= wanted.abs() * QUANTILE_ERROR + 1e-19, "{found} {wanted}");
            }
        }
    }
}
