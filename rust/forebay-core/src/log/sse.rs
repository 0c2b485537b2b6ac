//! Records as Server-Sent Events (HTML Living Standard, 9.2).

use std::io::Write;

use super::record::Record;
use crate::ids::{Offset, PartitionId, StreamId};
use crate::ingest::{format_millis, json};

/// Where a tail stands: the next offset to read of each partition. As the id of an event, `<stream id>:<offset>.<offset>…`,
/// it is all that a reader has to bring to go on behind that event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The stream; another one of the same name is not meant.
    pub stream: StreamId,
    /// Next offset by partition.
    pub next: Vec<Offset>,
}

impl Position {
    /// Appends `id: …` as a line.
    pub fn write_id(&self, out: &mut Vec<u8>) {
        // Writing into memory cannot fail.
        let _infallible = write!(out, "id: {}:", self.stream);
        for (index, offset) in self.next.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            let _infallible = write!(out, "{dot}{offset}");
        }
        out.push(b'\n');
    }
}

/// Appends one event: its id is the position behind it, its data
/// `{"eventId","partition","offset","timestamp","key","headers","value"}` on one line, `headers` only when there are any.
pub fn write_event(
    position: &Position,
    partition: PartitionId,
    offset: Offset,
    record: &Record<'_>,
    out: &mut Vec<u8>,
) {
    position.write_id(out);
    let (stream, time) = (position.stream, format_millis(record.timestamp));
    let _infallible = write!(
        out,
        r#"data: {{"eventId":"evt_{stream}_{partition}_{offset}","partition":{partition},"offset":{offset},"timestamp":"{time}","key":"#,
    );
    match record.key {
        // A key need not be UTF-8 when a program appended it; what is not shows as U+FFFD.
        Some(key) => {
            let _infallible = serde_json::to_writer(&mut *out, &String::from_utf8_lossy(key));
        }
        None => out.extend_from_slice(b"null"),
    }
    if !record.headers.is_empty() {
        out.extend_from_slice(b",\"headers\":");
        write_json(record.headers, out);
    }
    out.extend_from_slice(b",\"value\":");
    write_json(record.value, out);
    out.extend_from_slice(b"}\n\n");
}

/// Appends an event of type `gap`: records that a reader was to get next were deleted by retention.
pub fn write_gap(position: &Position, partition: PartitionId, from: Offset, to: Offset, out: &mut Vec<u8>) {
    position.write_id(out);
    let data = format!(r#"{{"partition":{partition},"from":{from},"to":{to}}}"#);
    let _infallible = write!(out, "event: gap\ndata: {data}\n\n");
}

/// A line end inside of the data would end its line.
fn write_json(value: &[u8], out: &mut Vec<u8>) {
    if value.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        json::minify(value, out);
    } else {
        out.extend_from_slice(value);
    }
}
