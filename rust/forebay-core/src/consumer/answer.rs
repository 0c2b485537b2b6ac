//! The answer to a consumer as JSON, in one buffer: values are copied as they are stored, nothing is parsed.

use super::fetch::{Fetched, Reached};
use crate::error::Error;
use crate::ids::{Offset, PartitionId};
use crate::log::read::{Gap, RecordBatch};
use crate::output::{EventWriter, Layout};

/// Bytes of a record's JSON beside key, headers and value, generously.
const RECORD_OVERHEAD_BYTES: usize = 160;

/// `{"events":[{eventId,partition,offset,timestamp,key,headers?,value}],"metadata":{consumerGroup,lag,nextOffset,
/// nextOffsets,lags,recordsLost,gaps?,unreadable?}}`, the events as [`EventWriter`] writes them.
#[must_use]
pub fn write_answer(group: &str, fetched: &Fetched) -> Vec<u8> {
    let records: usize = fetched.batches.iter().map(|batch| batch.bytes() + batch.len() * RECORD_OVERHEAD_BYTES).sum();
    let mut out = Vec::with_capacity(records + 256 + fetched.reached.len() * 32);
    out.extend_from_slice(br#"{"events":["#);
    let mut first = true;
    for batch in &fetched.batches {
        let mut writer = EventWriter::new(fetched.stream.id(), batch.partition(), Layout::Stored);
        for (offset, record) in batch.iter() {
            if !std::mem::replace(&mut first, false) {
                out.push(b',');
            }
            writer.write(offset, &record, &mut out);
        }
    }
    write_metadata(group, fetched, &mut out);
    out
}

fn write_metadata(group: &str, fetched: &Fetched, out: &mut Vec<u8>) {
    let lag = |reached: &Reached| reached.end.0 - reached.next.0;
    let total: u64 = fetched.reached.iter().map(lag).sum();
    // The answer names where to go on after the last record; with several partitions, in that record's.
    let last = fetched.batches.iter().rfind(|batch| !batch.is_empty()).map(RecordBatch::partition);
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
    out.push(b'}');
    write_losses(fetched, out);
    out.extend_from_slice(b"}}");
}

/// Writes how many records were left out and where, and what could not be read and why; of the latter two only what
/// there is.
fn write_losses(fetched: &Fetched, out: &mut Vec<u8>) {
    let lost: u64 = fetched.gaps.iter().map(Gap::records).sum();
    out.extend_from_slice(format!(r#","recordsLost":{lost}"#).as_bytes());
    let gap = |Gap { partition, from, to }: &Gap| format!(r#"{{"partition":{partition},"from":{from},"to":{to}}}"#);
    if !fetched.gaps.is_empty() {
        let gaps: Vec<_> = fetched.gaps.iter().map(gap).collect();
        out.extend_from_slice(format!(r#","gaps":[{}]"#, gaps.join(",")).as_bytes());
    }
    // A text always serialises.
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let why = |(partition, error): &(PartitionId, Error)| format!(r#""{partition}":{}"#, quoted(error.detail()));
    if !fetched.unreadable.is_empty() {
        let unreadable: Vec<_> = fetched.unreadable.iter().map(why).collect();
        out.extend_from_slice(format!(r#","unreadable":{{{}}}"#, unreadable.join(",")).as_bytes());
    }
}

fn write_by_partition(fetched: &Fetched, of: impl Fn(&Reached) -> u64, out: &mut Vec<u8>) {
    for (index, reached) in fetched.reached.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        out.extend_from_slice(format!(r#"{comma}"{}":{}"#, reached.partition, of(reached)).as_bytes());
    }
}
