//! One key in memory.

use super::key::Key;
use super::remembered::Remembered;
use crate::ids::{Generation, Timestamp};

/// Receipts up to this length are kept in memory: that of one run of records is mostly shorter.
pub(super) const INLINE_BYTES: usize = 13;
/// The first byte of a receipt that is not in the entry.
const ELSEWHERE: u8 = u8::MAX;
/// The first byte of an entry that holds no key.
const FREE: u8 = u8::MAX - 1;
/// The entry has no next one in its chain.
pub(super) const NONE: u32 = u32::MAX;

/// A key and what is remembered of its request, in 52 bytes without padding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    key: [u32; 4],
    body: [u32; 2],
    /// When the window ends, in whole seconds, rounded up.
    end: u32,
    /// Milliseconds since 1970 when the request came in, 48 bits: answers say no less.
    accepted: [u16; 3],
    /// Its length and its bytes; or [`ELSEWHERE`], the generation of the journal file that it was committed to (5 bytes),
    /// and its length in the row (3 bytes).
    receipt: [u8; INLINE_BYTES + 1],
    pub(super) next: u32,
}

const _: () = assert!(size_of::<Entry>() == 52);

impl Entry {
    pub(super) fn new(key: Key, remembered: &Remembered, generation: Generation) -> Self {
        let bytes = &remembered.receipt;
        let mut receipt = [0; INLINE_BYTES + 1];
        if bytes.len() <= INLINE_BYTES {
            receipt[0] = bytes.len() as u8;
            receipt[1..=bytes.len()].copy_from_slice(bytes);
        } else {
            receipt[0] = ELSEWHERE;
            receipt[1..6].copy_from_slice(&generation.0.to_le_bytes()[..5]);
            receipt[6..9].copy_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()[..3]);
        }
        let millis = remembered.accepted.millis().cast_unsigned();
        Self {
            key: words(key),
            body: [remembered.body as u32, (remembered.body >> 32) as u32],
            end: u32::try_from(remembered.end.0.max(0).unsigned_abs().div_ceil(1_000_000)).unwrap_or(u32::MAX),
            accepted: [millis as u16, (millis >> 16) as u16, (millis >> 32) as u16],
            receipt,
            next: NONE,
        }
    }

    /// Returns one that holds no key.
    pub(super) fn free(next: u32) -> Self {
        let mut receipt = [0; INLINE_BYTES + 1];
        receipt[0] = FREE;
        Self { key: [0; 4], body: [0; 2], end: 0, accepted: [0; 3], receipt, next }
    }

    pub(super) fn is_free(&self) -> bool {
        self.receipt[0] == FREE
    }

    pub(super) fn is_of(&self, key: Key) -> bool {
        self.key == words(key)
    }

    pub(super) fn key(&self) -> Key {
        let number = self.key.iter().rev().fold(0, |number, word| number << 32 | u128::from(*word));
        Key::from_bytes(number.to_le_bytes())
    }

    pub(super) fn body(&self) -> u64 {
        u64::from(self.body[1]) << 32 | u64::from(self.body[0])
    }

    pub(super) fn accepted(&self) -> Timestamp {
        let [low, middle, high] = self.accepted.map(i64::from);
        // The sign is that of the highest of the 48 bits.
        let millis = (high << 48 | middle << 32 | low << 16) >> 16;
        Timestamp(millis * 1000)
    }

    pub(super) fn is_past(&self, now: Timestamp) -> bool {
        now.0.div_euclid(1_000_000) >= i64::from(self.end)
    }

    /// Returns the receipt, if it is here.
    pub(super) fn receipt(&self) -> Option<&[u8]> {
        self.receipt.get(1..=usize::from(self.receipt[0]))
    }

    /// Returns the journal file that the receipt was committed to, where it is not here.
    pub(super) fn generation(&self) -> Generation {
        let mut bytes = [0; 8];
        bytes[..5].copy_from_slice(&self.receipt[1..6]);
        Generation(u64::from_le_bytes(bytes))
    }

    /// Returns the length of the receipt where it is not here; else 0.
    pub(super) fn bytes_elsewhere(&self) -> u64 {
        if self.receipt[0] != ELSEWHERE {
            return 0;
        }
        u32::from_le_bytes([self.receipt[6], self.receipt[7], self.receipt[8], 0]).into()
    }
}

fn words(key: Key) -> [u32; 4] {
    let number = u128::from_le_bytes(key.bytes());
    [0, 32, 64, 96].map(|shift| (number >> shift) as u32)
}
