//! Numbers in the narrowest whole bytes, and codes in the narrowest power of two of bits.

/// Returns the bytes that each number up to `largest` takes: 0 when there is none but zero.
pub(super) fn width_of(largest: u64) -> u8 {
    match largest {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xff_ffff => 3,
        0x100_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Appends a number in its lowest `width` bytes.
#[inline(always)]
pub(super) fn put_number(number: u64, width: u8, out: &mut Vec<u8>) {
    let bytes = number.to_le_bytes();
    match width {
        0 => {}
        1 => out.push(bytes[0]),
        2 => out.extend_from_slice(&bytes[..2]),
        3 => out.extend_from_slice(&bytes[..3]),
        4 => out.extend_from_slice(&bytes[..4]),
        _ => out.extend_from_slice(&bytes),
    }
}

/// Numbers of one width, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers<'b> {
    bytes: &'b [u8],
    width: u8,
}

impl<'b> Numbers<'b> {
    pub(super) fn new(bytes: &'b [u8], width: u8) -> Self {
        Self { bytes, width }
    }

    /// Returns whether all of them are 0, and take no bytes.
    pub(crate) fn is_constant(&self) -> bool {
        self.width == 0
    }

    /// Returns the number at an index; 0 beyond the last.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> u64 {
        let (bytes, width) = (self.bytes, usize::from(self.width));
        let at = index * width;
        match width {
            0 => 0,
            1 => bytes.get(at).copied().unwrap_or_default().into(),
            2 => bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |n| u16::from_le_bytes(*n).into()),
            3 => bytes
                .get(at..)
                .and_then(|rest| rest.first_chunk())
                .map_or(0, |[a, b, c]: &[u8; 3]| u64::from(*a) | u64::from(*b) << 8 | u64::from(*c) << 16),
            4 => bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |n| u32::from_le_bytes(*n).into()),
            _ => bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |n| u64::from_le_bytes(*n)),
        }
    }

    /// Gives the index of each number that is `wanted`. The loop is the same for every width, so that each is made of
    /// comparisons of whole vectors.
    pub(crate) fn each_equal(&self, wanted: u64, mut each: impl FnMut(usize)) {
        let [b0, b1, b2, b3, ..] = wanted.to_le_bytes();
        match self.width {
            1 if wanted <= 0xff => memchr::memchr_iter(b0, self.bytes).for_each(each),
            2 if wanted <= 0xffff => equal(self.bytes.as_chunks::<2>().0, [b0, b1], &mut each),
            3 if wanted <= 0xff_ffff => equal(self.bytes.as_chunks::<3>().0, [b0, b1, b2], &mut each),
            4 if wanted <= 0xffff_ffff => equal(self.bytes.as_chunks::<4>().0, [b0, b1, b2, b3], &mut each),
            8 => equal(self.bytes.as_chunks::<8>().0, wanted.to_le_bytes(), &mut each),
            _ => {}
        }
    }
}

/// Stretches are compared without a branch for each number, and looked at again when one of them is equal.
pub(super) fn equal<const N: usize>(numbers: &[[u8; N]], wanted: [u8; N], each: &mut impl FnMut(usize)) {
    const STRETCH: usize = 64;
    for (stretch, start) in numbers.chunks(STRETCH).zip((0..).step_by(STRETCH)) {
        let has_one = stretch.iter().fold(false, |has_one, number| has_one | (*number == wanted));
        if has_one {
            let at = stretch.iter().enumerate().filter(|(_, number)| **number == wanted);
            at.for_each(|(index, _)| each(start + index));
        }
    }
}

/// Returns the bits of the codes of so many entries: 0 for one, at most 16.
pub(super) fn bits_of(entries: usize) -> u8 {
    match entries {
        0 | 1 => 0,
        2 => 1,
        3..=4 => 2,
        5..=16 => 4,
        17..=256 => 8,
        _ => 16,
    }
}

/// Appends codes, the first in the lowest bits of the first byte.
pub(super) fn put_codes(codes: &[u16], bits: u8, out: &mut Vec<u8>) {
    match bits {
        0 => {}
        8 => out.extend(codes.iter().map(|code| *code as u8)),
        16 => out.extend(codes.iter().flat_map(|code| code.to_le_bytes())),
        _ => {
            let many = usize::from(8 / bits);
            let byte = |codes: &[u16]| codes.iter().rev().fold(0, |byte: u8, code| byte << bits | *code as u8);
            out.extend(codes.chunks(many).map(byte));
        }
    }
}

/// Codes of one width, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codes<'b> {
    bytes: &'b [u8],
    bits: u8,
}

impl<'b> Codes<'b> {
    pub(super) fn new(bytes: &'b [u8], bits: u8) -> Self {
        Self { bytes, bits }
    }

    /// Returns the code at an index; 0 beyond the last.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> usize {
        match self.bits {
            0 => 0,
            8 => self.bytes.get(index).copied().unwrap_or_default().into(),
            16 => {
                let bytes = self.bytes.get(2 * index..).and_then(|rest| rest.first_chunk());
                bytes.map_or(0, |code| u16::from_le_bytes(*code).into())
            }
            bits => {
                let at = index * usize::from(bits);
                let byte = self.bytes.get(at / 8).copied().unwrap_or_default();
                usize::from(byte >> (at % 8) & ((1 << bits) - 1))
            }
        }
    }

    /// Gives each of the first `count` codes with its index.
    #[inline(always)]
    pub(crate) fn each(&self, count: usize, mut each: impl FnMut(usize, usize)) {
        match self.bits {
            0 => (0..count).for_each(|index| each(index, 0)),
            8 => self.bytes.iter().take(count).enumerate().for_each(|(index, code)| each(index, usize::from(*code))),
            _ => (0..count).for_each(|index| each(index, self.get(index))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_come_back() {
        for largest in [0, 1, 255, 256, 65_535, 65_536, 0xff_ffff, 0x100_0000, 0xffff_ffff, u64::MAX] {
            let width = width_of(largest);
            let numbers: Vec<u64> = (0..300).map(|n| if n % 7 == 0 { largest } else { n % (largest.max(1)) }).collect();
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| put_number(*number, width, &mut bytes));
            assert_eq!(bytes.len(), numbers.len() * usize::from(width));
            let packed = Numbers::new(&bytes, width);
            assert!((0..300).all(|index| packed.get(index) == numbers[index]), "{largest}");
            assert_eq!(packed.get(300), 0);
            let mut found = Vec::new();
            packed.each_equal(largest, |index| found.push(index));
            let wanted: Vec<usize> = (0..300).filter(|index| numbers[*index] == largest).collect();
            assert!(width == 0 || found == wanted, "{largest}");
            if width < 8 {
                packed.each_equal(u64::MAX, |index| assert_eq!(index, usize::MAX, "there is no such number"));
            }
        }
    }

    #[test]
    fn codes_of_every_width_come_back() {
        for entries in [1, 2, 3, 5, 17, 257, 5000] {
            let bits = bits_of(entries);
            let codes: Vec<u16> = (0..1001).map(|n: usize| (n * 31 % entries) as u16).collect();
            let mut bytes = Vec::new();
            put_codes(&codes, bits, &mut bytes);
            assert_eq!(bytes.len(), (codes.len() * usize::from(bits)).div_ceil(8));
            let packed = Codes::new(&bytes, bits);
            let mut seen = 0;
            packed.each(codes.len(), |index, code| {
                assert_eq!((code, packed.get(index)), (usize::from(codes[index]), code), "{entries}");
                seen += 1;
            });
            assert_eq!(seen, codes.len());
        }
    }
}
