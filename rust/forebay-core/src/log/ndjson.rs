//! Records as lines of JSON, one a record: what `forebay read` prints.

use super::read::RecordBatch;
use crate::ingest::request::AllowedKeys;
use crate::ingest::{format_micros, json};

/// Appends a line a record: `{"partition","offset","timestamp","key","value"}`, the timestamp in RFC 3339 with six
/// fractional digits, the value as the JSON that it is, on one line. `allowed` leaves out every record whose key is not
/// among them, and those without a key.
pub fn write_lines(batch: &RecordBatch, allowed: Option<&AllowedKeys>, out: &mut Vec<u8>) {
    for (offset, record) in batch.iter() {
        if allowed.is_some_and(|keys| !record.key.is_some_and(|key| keys.contains(key))) {
            continue;
        }
        out.extend_from_slice(format!("{{\"partition\":{},\"offset\":{offset},", batch.partition()).as_bytes());
        out.extend_from_slice(format!("\"timestamp\":\"{}\",\"key\":", format_micros(record.timestamp)).as_bytes());
        match record.key {
            // A key need not be UTF-8 when a program appended it; what is not shows as U+FFFD.
            Some(key) => write_string(&String::from_utf8_lossy(key), out),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"value\":");
        if record.value.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            json::minify(record.value, out);
        } else {
            out.extend_from_slice(record.value);
        }
        out.extend_from_slice(b"}\n");
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    // Writing JSON of a string into memory cannot fail.
    let _infallible = serde_json::to_writer(out, text);
}
