//! One record as it is stored: the same bytes in the ring, in a journal frame and in a segment's block.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | length of the value |
//! | 4..6 | length of the key, `0xffff` for none |
//! | 6..8 | length of the headers |
//! | 8..16 | timestamp, microseconds since 1970 UTC |
//! | 16.. | key, headers, value |

use super::event::Event;
use crate::ids::Timestamp;

/// Bytes before a record's key.
pub(crate) const RECORD_HEADER_BYTES: usize = 16;
/// Longest headers, as the JSON object that is stored.
pub(crate) const MAX_HEADER_BYTES: usize = 32 * 1024;

const NO_KEY: u16 = u16::MAX;

/// One record, borrowed from wherever it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The record's time.
    pub timestamp: Timestamp,
    /// The key, if it has one.
    pub key: Option<&'a [u8]>,
    /// A JSON object of strings, or empty.
    pub headers: &'a [u8],
    /// The value: JSON.
    pub value: &'a [u8],
}

/// Returns the bytes that the event takes as a record.
#[must_use]
pub(crate) fn encoded_bytes(event: &Event<'_>) -> usize {
    RECORD_HEADER_BYTES + event.key.as_ref().map_or(0, |key| key.len()) + event.headers.len() + event.value.len()
}

/// Appends the event as a record. The caller has checked the lengths against the limits above.
pub(crate) fn encode(event: &Event<'_>, out: &mut Vec<u8>) {
    let key = event.key.as_deref();
    out.extend_from_slice(&header(event.value.len(), key, &event.headers, event.timestamp));
    out.extend_from_slice(key.unwrap_or_default());
    out.extend_from_slice(&event.headers);
    out.extend_from_slice(&event.value);
}

/// Appends a record of these parts whose value `write` appends.
pub(crate) fn encode_record(
    (timestamp, key, headers): (Timestamp, Option<&[u8]>, &[u8]),
    write: impl FnOnce(&mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(&header(0, key, headers, timestamp));
    out.extend_from_slice(key.unwrap_or_default());
    out.extend_from_slice(headers);
    let value = out.len();
    write(out);
    let length = out.len() - value;
    if let Some(at) = out.get_mut(start..).and_then(|record| record.first_chunk_mut()) {
        *at = value_length(length);
    }
}

fn header(value: usize, key: Option<&[u8]>, headers: &[u8], timestamp: Timestamp) -> [u8; RECORD_HEADER_BYTES] {
    // The limits are far below what the fields hold; saturation would be caught by the decoder's bounds check.
    let [v0, v1, v2, v3] = value_length(value);
    let [k0, k1] = key.map_or(NO_KEY, |key| u16::try_from(key.len()).unwrap_or(NO_KEY - 1)).to_le_bytes();
    let [h0, h1] = u16::try_from(headers.len()).unwrap_or(u16::MAX).to_le_bytes();
    let [t0, t1, t2, t3, t4, t5, t6, t7] = timestamp.0.to_le_bytes();
    [v0, v1, v2, v3, k0, k1, h0, h1, t0, t1, t2, t3, t4, t5, t6, t7]
}

fn value_length(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

/// Returns the record at the start of `bytes`, and how many bytes it takes; `None` when `bytes` does not hold it whole.
#[must_use]
pub(crate) fn decode(bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    let (header, rest) = bytes.split_first_chunk::<RECORD_HEADER_BYTES>()?;
    let [v0, v1, v2, v3, k0, k1, h0, h1, time @ ..] = *header;
    let value_length = u32::from_le_bytes([v0, v1, v2, v3]) as usize;
    let key_length = u16::from_le_bytes([k0, k1]);
    let has_key = key_length != NO_KEY;
    let key_length = if has_key { usize::from(key_length) } else { 0 };
    let (key, rest) = rest.split_at_checked(key_length)?;
    let (headers, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([h0, h1])))?;
    let value = rest.get(..value_length)?;
    let timestamp = Timestamp(i64::from_le_bytes(time));
    let taken = RECORD_HEADER_BYTES + key.len() + headers.len() + value.len();
    Some((Record { timestamp, key: has_key.then_some(key), headers, value }, taken))
}

/// Walks the records of a run of bytes; ends early at bytes that are not a whole record.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
}

impl<'a> Records<'a> {
    /// Returns the records stored one after the other in `bytes`.
    #[must_use]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Returns the bytes that have not been walked yet.
    #[must_use]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (Record<'a>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (record, taken) = decode(self.bytes)?;
        let (stored, rest) = self.bytes.split_at(taken);
        self.bytes = rest;
        Some((record, stored))
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn records_come_back_as_they_were() {
        let events = [
            (None, &b""[..], &b"1"[..]),
            (Some(&b""[..]), b"", b"{}"),
            (Some(&b"key"[..]), br#"{"a":"b"}"#, br#"{"x":1}"#),
        ];
        let mut bytes = Vec::new();
        for (i, (key, headers, value)) in events.iter().enumerate() {
            let event = Event {
                value: Cow::Borrowed(value),
                key: key.map(Cow::Borrowed),
                headers: Cow::Borrowed(headers),
                timestamp: Timestamp(-(i as i64)),
            };
            let before = bytes.len();
            encode(&event, &mut bytes);
            assert_eq!(bytes.len() - before, encoded_bytes(&event));
            let mut written = b"before".to_vec();
            encode_record((event.timestamp, *key, headers), |out| out.extend_from_slice(value), &mut written);
            assert_eq!(&written[6..], &bytes[before..]);
        }
        let read: Vec<_> = Records::new(&bytes).map(|(record, _)| record).collect();
        assert_eq!(read.len(), events.len());
        for (i, (record, (key, headers, value))) in read.iter().zip(events).enumerate() {
            let wanted = Record { timestamp: Timestamp(-(i as i64)), key, headers, value };
            assert_eq!(*record, wanted);
        }
        for cut in 0..bytes.len() {
            let mut records = Records::new(&bytes[..cut]);
            assert!(records.by_ref().count() < events.len());
        }
    }
}
