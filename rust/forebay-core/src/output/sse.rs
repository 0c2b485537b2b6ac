//! Records as Server-Sent Events (HTML Living Standard, 9.2).

use std::io::Write;

use super::event_json::EventWriter;
use crate::ids::{Offset, StreamId};
use crate::log::read::Gap;
use crate::record::Record;

/// The position of a tail: the next offset to read of each partition. As the id of an event, `<stream
/// id>:<offset>.<offset>…`, it is all that a reader has to bring to go on behind that event.
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

/// Appends one event: its id is the position behind it, its data is what `writer` makes of it, which has to be on one
/// line.
pub(crate) fn write_event(
    position: &Position,
    writer: &mut EventWriter,
    offset: Offset,
    record: &Record<'_>,
    out: &mut Vec<u8>,
) {
    position.write_id(out);
    out.extend_from_slice(b"data: ");
    writer.write(offset, record, out);
    out.extend_from_slice(b"\n\n");
}

/// The reason why records that a reader was to get next are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Retention deleted them.
    Expired,
    /// Their bytes are damaged.
    Damaged,
}

impl Missing {
    /// Returns the reason's name in the event.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Missing::Expired => "expired",
            Missing::Damaged => "damaged",
        }
    }
}

/// Appends an event of type `gap`: records that a reader was to get next are not there. Its id is the position behind
/// them.
pub(crate) fn write_gap(position: &Position, gap: Gap, why: Missing, out: &mut Vec<u8>) {
    position.write_id(out);
    let Gap { partition, from, to } = gap;
    let reason = why.name();
    let data = format!(r#"{{"partition":{partition},"from":{from},"to":{to},"reason":"{reason}"}}"#);
    let _infallible = write!(out, "event: gap\ndata: {data}\n\n");
}
