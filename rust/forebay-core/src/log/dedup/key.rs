//! A client's key, hashed.

use xxhash_rust::xxh3::xxh3_128;

use crate::error::{Error, ErrorKind, Result};
use crate::ids::StreamId;

/// Longest key that a client may send.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 128;

/// A client's key, hashed together with whom and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u128);

impl Key {
    /// Returns the key `key` of the client `scope` for `stream`.
    ///
    /// # Errors
    /// `InvalidRequest` when the key is empty or longer than [`MAX_IDEMPOTENCY_KEY_BYTES`].
    pub fn new(scope: &[u8], stream: &str, key: &[u8]) -> Result<Self> {
        if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES {
            let detail =
                format!("the idempotency key has {} bytes, must have 1 to {MAX_IDEMPOTENCY_KEY_BYTES}", key.len());
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        // Lengths first, so that no two triples run together to the same bytes.
        let mut bytes = Vec::with_capacity(16 + scope.len() + stream.len() + key.len());
        bytes.extend_from_slice(&(scope.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&(stream.len() as u64).to_le_bytes());
        for part in [scope, stream.as_bytes(), key] {
            bytes.extend_from_slice(part);
        }
        Ok(Self(xxh3_128(&bytes)))
    }

    /// Returns the key for one stream of that name: a later one of the same name shares no keys with it.
    #[must_use]
    pub(crate) fn for_stream(self, stream: StreamId) -> Self {
        let mut bytes = self.bytes().to_vec();
        bytes.extend_from_slice(&stream.0.to_le_bytes());
        Self(xxh3_128(&bytes))
    }

    /// Returns the hash, little-endian.
    #[must_use]
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// Returns the key whose hash that is.
    pub(super) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }

    /// Returns a part of the hash: which of so many places is the key's.
    pub(super) fn place(self, places: usize) -> usize {
        // Other bits than those that a table of the place looks at.
        let high = (self.0 >> 96) as usize;
        high % places.max(1)
    }
}
