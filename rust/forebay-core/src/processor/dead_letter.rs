//! Records that could not be processed.

use std::time::Duration;

use crate::ids::{Offset, PartitionId};
use crate::options::Retention;
use crate::record::MAX_HEADER_BYTES;

/// How long they are kept.
pub const DEAD_LETTER_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many bytes of them are kept at least: older ones are deleted beyond it.
pub const DEAD_LETTER_BYTES: u64 = 1 << 30;
/// The longest text of an error that is kept with a record.
const MAX_ERROR_CHARACTERS: usize = 1024;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_where_a_record_came_from() {
        let place = (PartitionId(2), Offset(7));
        let wanted = r#""forebay-error":"no \"time\"","forebay-operation":"timestampField","forebay-source":"s","forebay-partition":"2","forebay-offset":"7"}"#;
        for (own, before) in [(&b""[..], "{"), (b"{}", "{"), (br#"{"a":"b"}"#, r#"{"a":"b","#)] {
            let made = headers(own, "s", place, ("timestampField", "no \"time\""));
            assert_eq!(String::from_utf8_lossy(&made), format!("{before}{wanted}"));
        }
        let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_HEADER_BYTES - 8)).into_bytes();
        let made = headers(&large, "s", place, ("o", &"é".repeat(5000)));
        assert!(made.len() < MAX_HEADER_BYTES && made.starts_with(br#"{"forebay-error""#));
    }
}
