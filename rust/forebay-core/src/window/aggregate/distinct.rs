use super::super::codec::{Reader, put};
use xxhash_rust::xxh3::xxh3_64;

/// Values that are counted exactly. Beyond, their hashes would take more memory than the registers.
const EXACT_VALUES: usize = 2048;

/// Bits of a hash that choose its register.
const INDEX_BITS: u32 = 14;
const REGISTERS: usize = 1 << INDEX_BITS;

/// What a register holds at most: all bits of the rest of a hash, and one.
const LONGEST_RUN: u8 = 64 - INDEX_BITS as u8 + 1;

/// Stands for a number of hashes where there are registers.
const IN_REGISTERS: u64 = EXACT_VALUES as u64 + 1;

/// The standard error of a count beyond [`EXACT_VALUES`]: 1.04 / √2¹⁴.
pub const DISTINCT_ERROR: f64 = 0.008_2;

/// The number of different values: exact up to 2,048 of them, then by HyperLogLog with 2¹⁴ registers (P. Flajolet and
/// others, 2007), read with the estimator of O. Ertl ("New cardinality estimation algorithms for HyperLogLog sketches",
/// 2017), which needs no tables. It depends on the set of values alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Distinct {
    /// Hashes, in order.
    Exact(Vec<u64>),
    /// By register, the longest run of zeros that was met, and one.
    Registers(Box<[u8]>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl Distinct {
    /// Adds a value by its canonical text.
    pub(super) fn add(&mut self, value: &[u8]) {
        self.add_hash(xxh3_64(value));
    }

    fn add_hash(&mut self, hash: u64) {
        match self {
            Self::Registers(registers) => note(registers, hash),
            Self::Exact(hashes) => {
                let Err(at) = hashes.binary_search(&hash) else { return };
                hashes.insert(at, hash);
                if hashes.len() > EXACT_VALUES {
                    let mut registers = vec![0; REGISTERS].into_boxed_slice();
                    hashes.iter().for_each(|hash| note(&mut registers, *hash));
                    *self = Self::Registers(registers);
                }
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        match other {
            Self::Exact(hashes) => hashes.iter().for_each(|hash| self.add_hash(*hash)),
            Self::Registers(theirs) => {
                if let Self::Exact(hashes) = self {
                    let hashes = std::mem::take(hashes);
                    *self = Self::Registers(theirs.clone());
                    hashes.iter().for_each(|hash| self.add_hash(*hash));
                } else if let Self::Registers(registers) = self {
                    for (register, other) in registers.iter_mut().zip(theirs) {
                        *register = (*register).max(*other);
                    }
                }
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Exact(hashes) => hashes.len() as u64,
            Self::Registers(registers) => estimate(registers),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Exact(hashes) => {
                put(out, hashes.len() as u64);
                hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
            }
            Self::Registers(registers) => {
                put(out, IN_REGISTERS);
                out.extend_from_slice(registers);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let count = reader.number()?;
        if count == IN_REGISTERS {
            let registers: [u8; REGISTERS] = reader.array()?;
            return registers.iter().all(|run| *run <= LONGEST_RUN).then(|| Self::Registers(registers.into()));
        }
        let count = usize::try_from(count).ok().filter(|count| *count <= EXACT_VALUES)?;
        let hashes = (0..count).map(|_| reader.array().map(u64::from_le_bytes)).collect::<Option<Vec<_>>>()?;
        hashes.is_sorted_by(|one, next| one < next).then_some(Self::Exact(hashes))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Exact(hashes) => hashes.capacity() * size_of::<u64>(),
            Self::Registers(registers) => registers.len(),
        }
    }
}

fn note(registers: &mut [u8], hash: u64) {
    let index = (hash >> (64 - INDEX_BITS)) as usize;
    // The bit behind the hash ends a run of zeros.
    let run = (hash << INDEX_BITS | 1 << (INDEX_BITS - 1)).leading_zeros() as u8 + 1;
    if let Some(register) = registers.get_mut(index) {
        *register = (*register).max(run);
    }
}

/// Ertl's improved raw estimator (algorithm 6).
fn estimate(registers: &[u8]) -> u64 {
    const LONGEST: usize = LONGEST_RUN as usize - 1;
    let mut runs = [0_u32; LONGEST + 2];
    registers.iter().for_each(|run| runs[usize::from(*run)] += 1);
    let all = registers.len() as f64;
    let mut sum = all * tau(1.0 - f64::from(runs[LONGEST + 1]) / all);
    for run in (1..=LONGEST).rev() {
        sum = 0.5 * (sum + f64::from(runs[run]));
    }
    sum += all * sigma(f64::from(runs[0]) / all);
    (all * all / (2.0 * std::f64::consts::LN_2 * sum)).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut sum) = (1.0, x);
    loop {
        let before = sum;
        x *= x;
        sum += x * y;
        y += y;
        if sum == before {
            return sum;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut sum) = (1.0, 1.0 - x);
    loop {
        let before = sum;
        x = x.sqrt();
        y *= 0.5;
        sum -= (1.0 - x).powi(2) * y;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: std::ops::Range<u64>) -> Distinct {
        let mut distinct = Distinct::default();
        for number in range {
            distinct.add(number.to_string().as_bytes());
        }
        distinct
    }

    #[test]
    fn few_are_counted_exactly() {
        let mut distinct = of(0..2048);
        assert_eq!(distinct.count(), 2048);
        distinct.merge(&of(1000..2048));
        assert_eq!(distinct.count(), 2048);
        assert_eq!(Distinct::default().count(), 0);
    }

    #[test]
    fn many_are_estimated_within_the_stated_error() {
        for count in [2_049, 5_000, 20_000, 60_000, 300_000] {
            let found = of(0..count).count() as f64;
            let error = (found / count as f64 - 1.0).abs();
            assert!(error < 4.0 * DISTINCT_ERROR, "{count}: {found}");
        }
    }

    #[test]
    fn the_set_alone_decides() {
        let whole = of(0..10_000);
        let (mut one, mut other) = (of(0..5_000), of(5_000..10_000));
        let (first, small) = (one.clone(), of(0..10));
        one.merge(&other);
        other.merge(&first);
        assert_eq!(one, whole);
        assert_eq!(other, whole);
        let mut grown = small.clone();
        grown.merge(&whole);
        one.merge(&small);
        assert_eq!(grown, whole);
        assert_eq!(one, whole);
    }
}
