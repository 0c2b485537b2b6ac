//! Records as events in JSON: the one writer of what consumers and tails get, and the parts that lines share with it.

use crate::ids::{EventId, Offset, PartitionId, StreamId, Timestamp};
use crate::json;
use crate::record::Record;
use crate::time::format_millis;

const MICROS_PER_SECOND: i64 = 1_000_000;
/// The length of `2024-05-31T15:30:45.`.
const WHOLE_SECONDS_BYTES: usize = 20;

/// The way that values and headers, which are JSON already, are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Events as they are stored.
    Stored,
    /// On one line, for formats in which a line end means something.
    OneLine,
}

impl Layout {
    /// Appends a JSON value.
    pub(crate) fn write(self, value: &[u8], out: &mut Vec<u8>) {
        match self {
            Layout::OneLine if value.iter().any(|byte| matches!(byte, b'\n' | b'\r')) => json::minify(value, out),
            Layout::OneLine | Layout::Stored => out.extend_from_slice(value),
        }
    }
}

/// Writes the events of one partition as `{"eventId","partition","offset","timestamp","key","headers","value"}`,
/// `headers` only when there are any. Timestamps are RFC 3339 with milliseconds; a record without a key has `null`.
#[derive(Debug)]
pub(crate) struct EventWriter {
    /// The text up to the offset in the event's id.
    head: String,
    /// The text from there to the offset itself.
    middle: String,
    seconds: Seconds,
    layout: Layout,
}

impl EventWriter {
    /// Makes a writer of the events of that partition.
    #[must_use]
    pub(crate) fn new(stream: StreamId, partition: PartitionId, layout: Layout) -> Self {
        let head = format!(r#"{{"eventId":"{}"#, EventId::prefix(stream, partition));
        let middle = format!(r#"","partition":{partition},"offset":"#);
        Self { head, middle, seconds: Seconds::default(), layout }
    }

    /// Appends one event.
    pub(crate) fn write(&mut self, offset: Offset, record: &Record<'_>, out: &mut Vec<u8>) {
        let mut digits = [0; 20];
        let offset = decimal(offset.0, &mut digits);
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(offset);
        out.extend_from_slice(self.middle.as_bytes());
        out.extend_from_slice(offset);
        out.extend_from_slice(br#","timestamp":""#);
        self.seconds.write(record.timestamp, out);
        out.extend_from_slice(br#"","key":"#);
        write_key(record.key, out);
        if !record.headers.is_empty() {
            out.extend_from_slice(br#","headers":"#);
            self.layout.write(record.headers, out);
        }
        out.extend_from_slice(br#","value":"#);
        self.layout.write(record.value, out);
        out.push(b'}');
    }
}

/// Appends a key as a JSON string, or `null` for none; what is not UTF-8, which only a program can have appended, shows
/// as U+FFFD.
pub(super) fn write_key(key: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(key) = key else {
        out.extend_from_slice(b"null");
        return;
    };
    if key.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        out.push(b'"');
        out.extend_from_slice(key);
        out.push(b'"');
    } else {
        // Writing JSON of a string into memory cannot fail.
        let _infallible = serde_json::to_writer(out, &String::from_utf8_lossy(key));
    }
}

/// Writes times, remembering the last whole second: records that follow each other mostly share it.
#[derive(Debug, Default)]
struct Seconds {
    second: Option<i64>,
    text: String,
}

impl Seconds {
    fn write(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        let second = time.0.div_euclid(MICROS_PER_SECOND);
        if self.second != Some(second) {
            self.text = format_millis(time);
            self.second = Some(second);
        }
        if self.text.len() != WHOLE_SECONDS_BYTES + 4 {
            // A year beyond 9999.
            out.extend_from_slice(format_millis(time).as_bytes());
            return;
        }
        let millis = time.0.rem_euclid(MICROS_PER_SECOND) / 1000;
        let digit = |power: i64| b'0' + u8::try_from(millis / power % 10).unwrap_or(0);
        out.extend_from_slice(&self.text.as_bytes()[..WHOLE_SECONDS_BYTES]);
        out.extend_from_slice(&[digit(100), digit(10), digit(1), b'Z']);
    }
}

/// Returns the decimal digits of a number.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn key(key: &[u8]) -> String {
        let mut out = Vec::new();
        write_key(Some(key), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn keys_are_json_strings() {
        assert_eq!(key(b"user-123"), r#""user-123""#);
        assert_eq!(key(b""), r#""""#);
        assert_eq!(key(b"a\"b\\c\n"), r#""a\"b\\c\n""#);
        assert_eq!(key("é".as_bytes()), r#""é""#);
        assert_eq!(key(b"\xff"), "\"\u{fffd}\"");
        let mut none = Vec::new();
        write_key(None, &mut none);
        assert_eq!(none, b"null");
    }

    #[test]
    fn times_are_those_of_the_one_formatter() {
        let mut seconds = Seconds::default();
        for micros in [0, 999, 1_000, 999_999, 1_000_000, -1, 1_736_937_000_123_456, 253_402_300_800_000_000, 5] {
            let mut out = Vec::new();
            seconds.write(Timestamp(micros), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), format_millis(Timestamp(micros)));
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 1234, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_line_end_stays_only_where_it_may() {
        let record = Record { timestamp: Timestamp(0), key: None, headers: b"{\"a\":\n\"b\"}", value: b"[1,\r\n2]" };
        let event = |layout| {
            let mut out = Vec::new();
            EventWriter::new(StreamId(7), PartitionId(2), layout).write(Offset(30), &record, &mut out);
            String::from_utf8(out).unwrap()
        };
        let head =
            r#"{"eventId":"evt_7_2_30","partition":2,"offset":30,"timestamp":"1970-01-01T00:00:00.000Z","key":null"#;
        assert_eq!(event(Layout::OneLine), format!(r#"{head},"headers":{{"a":"b"}},"value":[1,2]}}"#));
        assert_eq!(event(Layout::Stored), format!("{head},\"headers\":{{\"a\":\n\"b\"}},\"value\":[1,\r\n2]}}"));
        assert!(event(Layout::OneLine).contains(&EventId::new(StreamId(7), PartitionId(2), Offset(30)).to_string()));
    }
}
