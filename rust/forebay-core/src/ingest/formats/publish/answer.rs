//! Answers to publications: what was asked for beside where it went.

use std::io::Write;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, ErrorKind, Result};
use crate::ids::{EventId, Offset, PartitionId, StreamId, Timestamp};
use crate::ingest::answer::limits_changed;
use crate::log::commit::{Receipt, Respond};
use crate::stream::Compression;
use crate::time::format_millis;

/// An event of a batch that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishFailure {
    /// Its index in the batch.
    pub index: usize,
    /// Why.
    pub error: Error,
}

/// The part of a publication's answer that is known before the commit. The same request has the same plan when it is
/// repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishPlan {
    /// Where the events go.
    pub stream: StreamId,
    /// The partition of each accepted event, in order.
    pub partitions: Vec<PartitionId>,
    /// The refused ones, in order.
    pub failures: Vec<PublishFailure>,
    /// The event's own time when the request is a single event; outside of it `None` for a batch.
    pub single: Option<Option<Timestamp>>,
    /// When the request came in.
    pub arrival: Timestamp,
    /// Echoed.
    pub compression: Option<Compression>,
    /// XXH3-64 of the body: names a batch of which nothing was stored.
    pub body: u64,
}

impl Respond for PublishPlan {
    fn respond(&self, receipt: &Receipt) -> Result<(u16, Vec<u8>)> {
        let stored = receipt.records();
        let expected = |partition: PartitionId| self.partitions.iter().filter(|of| **of == partition).count() as u64;
        let same = receipt.repeats.is_none()
            || receipt.placed.iter().all(|placed| expected(placed.partition) == u64::from(placed.records));
        if stored != self.partitions.len() as u64 || !same {
            return Err(limits_changed());
        }
        let places = receipt.places(&self.partitions);
        match (self.single, places.first()) {
            (Some(own), Some((partition, offset))) => {
                let time = own.or(receipt.repeats).unwrap_or(self.arrival);
                Ok((201, self.single_body(*partition, *offset, time)))
            }
            _ => Ok((if places.is_empty() { 400 } else { 200 }, self.batch_body(receipt, &places))),
        }
    }

    fn results(&self) -> usize {
        self.partitions.len() + self.failures.len()
    }
}

impl PublishPlan {
    fn single_body(&self, partition: PartitionId, offset: Offset, time: Timestamp) -> Vec<u8> {
        let (id, time) = (EventId::new(self.stream, partition, offset), format_millis(time));
        format!(
            r#"{{"eventId":"{id}","partition":{partition},"offset":{offset},"timestamp":"{time}","status":"published"}}"#
        )
        .into_bytes()
    }

    fn batch_body(&self, receipt: &Receipt, places: &[(PartitionId, Offset)]) -> Vec<u8> {
        let (good, bad) = (places.len(), self.failures.len());
        let mut out = Vec::with_capacity(160 + 80 * good + 240 * bad);
        let mut write = |text: std::fmt::Arguments<'_>| {
            // Writing into memory cannot fail.
            let _infallible = out.write_fmt(text);
        };
        let (id, total) = (self.batch_id(receipt), good + bad);
        write(format_args!(
            r#"{{"batchId":"batch_{id:016x}","totalEvents":{total},"successCount":{good},"failureCount":{bad},"#
        ));
        if let Some(compression) = self.compression {
            write(format_args!(r#""compression":"{}","#, compression.name()));
        }
        write(format_args!(r#""results":["#));
        let (mut places, mut failures) = (places.iter(), self.failures.iter().peekable());
        for index in 0..total {
            if index > 0 {
                write(format_args!(","));
            }
            if let Some(failure) = failures.next_if(|failure| failure.index == index) {
                let detail = serde_json::to_string(failure.error.detail()).unwrap_or_default();
                let (code, message) = (failure.error.kind().number(), message(failure.error.kind()));
                write(format_args!(r#"{{"error":{{"code":{code},"message":"{message}","detail":{detail}}}}}"#));
            } else if let Some((partition, offset)) = places.next() {
                let id = EventId::new(self.stream, *partition, *offset);
                write(format_args!(r#"{{"eventId":"{id}","partition":{partition},"offset":{offset}}}"#));
            }
        }
        write(format_args!("]}}"));
        out
    }

    /// By where the batch is, so that a repeat has the same; by the body when nothing is stored.
    fn batch_id(&self, receipt: &Receipt) -> u64 {
        let mut bytes = self.stream.0.to_le_bytes().to_vec();
        match receipt.placed.first() {
            Some(first) => {
                bytes.extend_from_slice(&first.partition.0.to_le_bytes());
                bytes.extend_from_slice(&first.base.0.to_le_bytes());
            }
            None => bytes.extend_from_slice(&self.body.to_le_bytes()),
        }
        xxh3_64(&bytes)
    }
}

/// The name that the streams API has for what one event may be refused with.
fn message(kind: ErrorKind) -> &'static str {
    if kind == ErrorKind::PayloadTooLarge { "PAYLOAD_TOO_LARGE" } else { "SERIALIZATION_ERROR" }
}
