//! Ids for events that come without one: `evt_<milliseconds>_<token>`.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::log::dedup::Key;

/// Characters of a token, of five bits each: with 100 bits, a billion events of one millisecond share a token with a
/// probability below 10^-12.
const TOKEN_CHARACTERS: usize = 20;
/// The digits of base 32 (RFC 4648, section 7), in lower case.
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// The part of an id that tells apart what came at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; TOKEN_CHARACTERS]);

impl Token {
    fn of(bits: u128) -> Self {
        Self(std::array::from_fn(|index| DIGITS[(bits >> (5 * index)) as usize & 31]))
    }

    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // All of them are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where tokens come from: SipHash, with a key that the operating system's randomness gives once a process, of a count.
#[derive(Debug, Default)]
pub struct IdSource {
    random: RandomState,
    requests: AtomicU64,
}

impl IdSource {
    /// The tokens of one request. With an idempotency key they follow from the key and the body, so that a repeat is
    /// answered with the id that the first request's event was stored with.
    #[must_use]
    pub fn series(&self, key: Option<Key>, body: &[u8]) -> Series<'_> {
        match key {
            Some(key) => Series(IdKind::Keyed { key: key.bytes(), body: xxh3_64(body) }),
            None => {
                let request = self.requests.fetch_add(1, Ordering::Relaxed);
                Series(IdKind::Fresh { random: &self.random, request })
            }
        }
    }
}

/// The tokens of one request's events.
#[derive(Clone, Copy, Debug)]
pub struct Series<'s>(IdKind<'s>);

#[derive(Clone, Copy, Debug)]
enum IdKind<'s> {
    Fresh { random: &'s RandomState, request: u64 },
    Keyed { key: [u8; 16], body: u64 },
}

impl Series<'_> {
    /// The token of the event at `index`.
    #[must_use]
    pub fn token(&self, index: usize) -> Token {
        match self.0 {
            IdKind::Fresh { random, request } => {
                let half = |which: u8| u128::from(random.hash_one((request, index, which)));
                Token::of(half(0) << 64 | half(1))
            }
            IdKind::Keyed { key, body } => {
                let mut bytes = [0; 32];
                bytes[..16].copy_from_slice(&key);
                bytes[16..24].copy_from_slice(&body.to_le_bytes());
                bytes[24..].copy_from_slice(&(index as u64).to_le_bytes());
                Token::of(xxh3_128(&bytes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_are_the_same() {
        let source = IdSource::default();
        let mut seen = HashSet::new();
        for _ in 0..100 {
            let series = source.series(None, b"same");
            seen.extend((0..100).map(|index| series.token(index)));
        }
        let other = IdSource::default();
        seen.extend((0..100).map(|index| other.series(None, b"same").token(index)));
        assert_eq!(seen.len(), 10_100);
        assert!(seen.iter().all(|token| token.as_str().len() == TOKEN_CHARACTERS));
    }

    #[test]
    fn a_repeat_has_the_same_ones_and_another_body_others() {
        let source = IdSource::default();
        let key = Some(Key::new(b"token", "events", b"k").unwrap());
        let first: Vec<_> = (0..3).map(|index| source.series(key, b"a").token(index)).collect();
        let again: Vec<_> = (0..3).map(|index| IdSource::default().series(key, b"a").token(index)).collect();
        assert_eq!(first, again);
        assert_ne!(source.series(key, b"b").token(0), first[0]);
        assert_ne!(first[0], first[1]);
    }
}
