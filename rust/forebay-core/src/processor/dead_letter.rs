//! Records that could not be processed.

use std::time::Duration;

use crate::ids::{Offset, PartitionId};
use crate::options::Retention;
use crate::record::MAX_HEADER_BYTES;
use crate::stream::DEAD_LETTER_SUFFIX;

/// How long they are kept.
pub const DEAD_LETTER_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many bytes of them are kept at least: older ones are deleted beyond it.
pub const DEAD_LETTER_BYTES: u64 = 1 << 30;
/// The longest text of an error that is kept with a record.
const MAX_ERROR_CHARACTERS: usize = 1024;

/// What a dead letter has in its headers beside the text of its error: four numbers and names, with room to spare for the
/// short text of an error that is none of a function's.
pub(super) const MAX_ADDED_BYTES: usize = 768;

/// Returns the name of the stream of a processor's.
pub(super) fn stream_name(processor: &str) -> String {
    format!("{processor}{DEAD_LETTER_SUFFIX}")
}

/// Returns the retention of a stream of them.
pub(super) fn retention() -> Retention {
    Retention { age: Some(DEAD_LETTER_AGE), bytes: Some(DEAD_LETTER_BYTES) }
}

/// Returns the record's headers with where it came from and what is wrong with it: `forebay-error`, `forebay-operation`,
/// `forebay-source`, `forebay-partition`, `forebay-offset`. The record's own are left out where both do not fit.
pub(super) fn headers(
    own: &[u8],
    source: &str,
    (partition, offset): (PartitionId, Offset),
    (operation, error): (&str, &str),
) -> Vec<u8> {
    let error: String = error.chars().take(MAX_ERROR_CHARACTERS).collect();
    // Texts always serialise.
    let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let added = format!(
        r#""forebay-error":{},"forebay-operation":{},"forebay-source":{},"forebay-partition":"{partition}","forebay-offset":"{offset}"}}"#,
        text(&error),
        text(operation),
        text(source),
    );
    let inside = own.strip_suffix(b"}").filter(|inside| inside.len() > 1 && own.len() + added.len() < MAX_HEADER_BYTES);
    let mut headers = inside.unwrap_or(b"{").to_vec();
    if headers.len() > 1 {
        headers.push(b',');
    }
    headers.extend_from_slice(added.as_bytes());
    headers
}

/// What the headers of a dead letter say, and those that its record had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DeadLetter {
    pub(super) own: Vec<u8>,
    pub(super) error: String,
    pub(super) operation: String,
    pub(super) source: String,
    pub(super) partition: PartitionId,
    pub(super) offset: Offset,
}

impl DeadLetter {
    /// Reads what [`headers`] has written; `None` for other headers.
    pub(super) fn read(headers: &[u8]) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Added {
            #[serde(rename = "forebay-error")]
            error: String,
            #[serde(rename = "forebay-operation")]
            operation: String,
            #[serde(rename = "forebay-source")]
            source: String,
            #[serde(rename = "forebay-partition")]
            partition: String,
            #[serde(rename = "forebay-offset")]
            offset: String,
        }
        // What is added stands behind the record's own, in which no quotation mark is without a backslash within a text.
        let start = memchr::memmem::rfind(headers, b"\"forebay-error\":")?;
        let (before, added) = headers.split_at_checked(start)?;
        let added: Added = serde_json::from_slice(&[b"{", added].concat()).ok()?;
        let own = match before.strip_suffix(b",") {
            Some(inside) => [inside, b"}"].concat(),
            None => Vec::new(),
        };
        let (partition, offset) = (added.partition.parse().ok()?, added.offset.parse().ok()?);
        let (partition, offset) = (PartitionId(partition), Offset(offset));
        Some(Self { own, error: added.error, operation: added.operation, source: added.source, partition, offset })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    #[test]
    fn headers_say_where_a_record_came_from() {
        let place = (PartitionId(2), Offset(7));
        let wanted = r#""forebay-error":"no \"time\"","forebay-operation":"timestampField","forebay-source":"s","forebay-partition":"2","forebay-offset":"7"}"#;
        for (own, before) in [(&b""[..], "{"), (b"{}", "{"), (br#"{"a":"b"}"#, r#"{"a":"b","#)] {
            let made = headers(own, "s", place, ("timestampField", "no \"time\""));
            assert_eq!(String::from_utf8_lossy(&made), format!("{before}{wanted}"));
            let letter = DeadLetter::read(&made).unwrap();
            assert_eq!((letter.partition, letter.offset), place);
            assert_eq!((&*letter.error, &*letter.operation, &*letter.source), ("no \"time\"", "timestampField", "s"));
            assert_eq!(letter.own, if own.len() > 2 { own } else { b"" });
        }
        let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_HEADER_BYTES - 8)).into_bytes();
        let made = headers(&large, "s", place, ("o", &"é".repeat(5000)));
        assert!(made.len() < MAX_HEADER_BYTES && made.starts_with(br#"{"forebay-error""#));
        assert!(DeadLetter::read(&made).unwrap().own.is_empty());
        for other in [&b""[..], b"{}", br#"{"a":"b"}"#, br#"{"forebay-error":"x"}"#, br#"{"a":"\"forebay-error\":"}"#] {
            assert_eq!(DeadLetter::read(other), None);
        }
    }
}
