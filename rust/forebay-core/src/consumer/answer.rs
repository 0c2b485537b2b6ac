//! The answer to a consumer as JSON, in one buffer: values are copied as they are stored, nothing is parsed.

use super::fetch::{Fetched, Reached};
use crate::ids::{Offset, Timestamp};
use crate::ingest::format_millis;
use crate::log::read::RecordBatch;

/// Bytes of a record's JSON beside key, headers and value, generously.
const RECORD_OVERHEAD_BYTES: usize = 160;
const MICROS_PER_SECOND: i64 = 1_000_000;
/// The length of `2024-05-31T15:30:45.`.
const WHOLE_SECONDS_BYTES: usize = 20;

/// `{"events":[{eventId,partition,offset,timestamp,key,headers?,value}],"metadata":{consumerGroup,lag,nextOffset,
/// nextOffsets,lags}}`. Timestamps are RFC 3339 with milliseconds; a record without a key has `null`.
#[must_use]
pub fn write_answer(group: &str, fetched: &Fetched) -> Vec<u8> {
    let records: usize = fetched.batches.iter().map(|batch| batch.bytes() + batch.len() * RECORD_OVERHEAD_BYTES).sum();
    let mut out = Vec::with_capacity(records + 256 + fetched.reached.len() * 32);
    out.extend_from_slice(br#"{"events":["#);
    let mut seconds = Seconds::default();
    let mut first = true;
    for batch in &fetched.batches {
        write_batch(fetched.stream.id().0, batch, &mut seconds, &mut first, &mut out);
    }
    write_metadata(group, fetched, &mut out);
    out
}

fn write_batch(stream: u32, batch: &RecordBatch, seconds: &mut Seconds, first: &mut bool, out: &mut Vec<u8>) {
    let partition = batch.partition();
    let head = format!(r#"{{"eventId":"evt_{stream}_{partition}_"#);
    let middle = format!(r#"","partition":{partition},"offset":"#);
    for (offset, record) in batch.iter() {
        if !std::mem::replace(first, false) {
            out.push(b',');
        }
        let mut digits = [0; 20];
        let offset = decimal(offset.0, &mut digits);
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(offset);
        out.extend_from_slice(middle.as_bytes());
        out.extend_from_slice(offset);
        out.extend_from_slice(br#","timestamp":""#);
        seconds.write(record.timestamp, out);
        match record.key {
            Some(key) => {
                out.extend_from_slice(br#"","key":"#);
                write_key(key, out);
            }
            None => out.extend_from_slice(br#"","key":null"#),
        }
        if !record.headers.is_empty() {
            out.extend_from_slice(br#","headers":"#);
            out.extend_from_slice(record.headers);
        }
        out.extend_from_slice(br#","value":"#);
        out.extend_from_slice(record.value);
        out.push(b'}');
    }
}

fn write_metadata(group: &str, fetched: &Fetched, out: &mut Vec<u8>) {
    let lag = |reached: &Reached| reached.end.0 - reached.next.0;
    let total: u64 = fetched.reached.iter().map(lag).sum();
    // Where to go on after the last record; with several partitions, in that record's.
    let last = fetched.batches.last().map(RecordBatch::partition);
    let last = last.or_else(|| fetched.reached.first().map(|reached| reached.partition));
    let next =
        fetched.reached.iter().find(|reached| Some(reached.partition) == last).map_or(Offset(0), |last| last.next);
    // A group's name needs no escape.
    let head =
        format!(r#"],"metadata":{{"consumerGroup":"{group}","lag":{total},"nextOffset":{next},"nextOffsets":{{"#);
    out.extend_from_slice(head.as_bytes());
    write_by_partition(fetched, |reached| reached.next.0, out);
    out.extend_from_slice(br#"},"lags":{"#);
    write_by_partition(fetched, lag, out);
    out.extend_from_slice(b"}}}");
}

fn write_by_partition(fetched: &Fetched, of: impl Fn(&Reached) -> u64, out: &mut Vec<u8>) {
    for (index, reached) in fetched.reached.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        out.extend_from_slice(format!(r#"{comma}"{}":{}"#, reached.partition, of(reached)).as_bytes());
    }
}

/// A key as a JSON string; what is not UTF-8, which only a program can have appended, shows as U+FFFD.
fn write_key(key: &[u8], out: &mut Vec<u8>) {
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

/// The decimal digits of a number.
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
    use super::*;

    fn key(key: &[u8]) -> String {
        let mut out = Vec::new();
        write_key(key, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn keys_are_json_strings() {
        assert_eq!(key(b"user-123"), r#""user-123""#);
        assert_eq!(key(b""), r#""""#);
        assert_eq!(key(b"a\"b\\c\n"), r#""a\"b\\c\n""#);
        assert_eq!(key("é".as_bytes()), r#""é""#);
        assert_eq!(key(b"\xff"), "\"\u{fffd}\"");
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
}
