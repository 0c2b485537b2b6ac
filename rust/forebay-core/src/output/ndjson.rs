//! Records as lines of JSON, one a record: what `forebay read` prints.

use super::event_json::{Layout, write_key};
use crate::admission::AllowedKeys;
use crate::log::read::RecordBatch;
use crate::time::format_micros;

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
        write_key(record.key, out);
        out.extend_from_slice(b",\"value\":");
        Layout::OneLine.write(record.value, out);
        out.extend_from_slice(b"}\n");
    }
}
