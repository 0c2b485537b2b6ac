//! Events as one payload, grouped by partition.

use std::sync::Arc;

use super::append::Chunk;
use super::footprint::batch_bytes;
use crate::admission::Permit;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::PartitionId;
use crate::record::{Event, record};
use crate::stream::{Payload, Stream, Times};

/// The way that the partitions of events are found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Placement<'a> {
    /// The key decides; all events without one go to the next partition in turn.
    ByKey,
    /// All go to one partition.
    One(PartitionId),
    /// Each has its own; as many as there are events, all of them there.
    Each(&'a [PartitionId]),
}

/// The destination of a batch's events.
#[derive(Debug)]
pub(crate) struct Destination<'a, 'e> {
    /// The stream.
    pub stream: &'a Arc<Stream>,
    /// Which partitions.
    pub placement: Placement<'a>,
    /// The events, in the order of the request.
    pub events: &'a [Event<'e>],
}

/// Encodes events into one payload, grouped by partition and in order within each.
///
/// # Errors
/// `PayloadTooLarge` when the batch can never fit, `Saturated` when it does not fit now.
pub(crate) fn encode(destinations: &[Destination<'_, '_>], max_bytes: usize, mut permit: Permit) -> Result<Encoded> {
    let total: usize = destinations.iter().flat_map(|to| to.events).map(record::encoded_bytes).sum();
    check_size(total, max_bytes)?;
    let grouped: Vec<Grouped> = destinations.iter().map(Grouped::new).collect();
    let runs = grouped.iter().map(|grouped| grouped.runs).sum();
    permit.resize((total + batch_bytes(runs)) as u64)?;
    let mut bytes = Vec::with_capacity(total);
    let mut chunks = Vec::with_capacity(runs);
    let mut partitions = Vec::new();
    for (destination, grouped) in destinations.iter().zip(grouped) {
        encode_destination(destination, &grouped, &mut bytes, &mut chunks);
        partitions.extend_from_slice(&grouped.partitions);
    }
    Ok(Encoded { chunks, partitions, payload: Arc::new(Payload::new(bytes, permit)) })
}

/// Records of one partition that are encoded already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodedRun<'a> {
    /// The stream.
    pub stream: &'a Arc<Stream>,
    /// The partition.
    pub partition: PartitionId,
    /// The number of records.
    pub records: u32,
    /// Their times.
    pub times: Times,
    /// The records.
    pub bytes: &'a [u8],
}

/// Puts runs of encoded records into one payload, in their order.
///
/// # Errors
/// As [`encode`].
pub(crate) fn gather(runs: &[EncodedRun<'_>], max_bytes: usize, mut permit: Permit) -> Result<Encoded> {
    let total: usize = runs.iter().map(|run| run.bytes.len()).sum();
    check_size(total, max_bytes)?;
    permit.resize((total + batch_bytes(runs.len())) as u64)?;
    let mut bytes = Vec::with_capacity(total);
    let mut chunks = Vec::with_capacity(runs.len());
    for run in runs {
        let from = bytes.len();
        bytes.extend_from_slice(run.bytes);
        chunks.push(Chunk {
            stream: Arc::clone(run.stream),
            partition: run.partition,
            records: run.records,
            range: from..bytes.len(),
            crc: crc32c::crc32c(run.bytes),
            times: run.times,
        });
    }
    Ok(Encoded { chunks, partitions: Vec::new(), payload: Arc::new(Payload::new(bytes, permit)) })
}

fn check_size(total: usize, max_bytes: usize) -> Result<()> {
    if total > max_bytes {
        let detail = format!("the batch takes {total} bytes in the log, more than the {max_bytes} of one commit");
        return Err(Error::new(ErrorKind::PayloadTooLarge, detail));
    }
    Ok(())
}

/// The output of [`encode`] and [`gather`].
#[derive(Debug)]
pub struct Encoded {
    /// The runs of records.
    pub chunks: Vec<Chunk>,
    /// The partition of each event, in the order of the request; none of records that were gathered.
    pub partitions: Vec<PartitionId>,
    /// Their bytes.
    pub payload: Arc<Payload>,
}

/// A destination's events by partition: how many runs they make is known before any is encoded.
struct Grouped {
    /// The partition of each event.
    partitions: Vec<PartitionId>,
    /// The events' indices, partition by partition, in order within each.
    indices: Vec<u32>,
    /// Ends of each partition's indices.
    ends: Vec<usize>,
    /// Partitions that have events.
    runs: usize,
}

impl Grouped {
    fn new(to: &Destination<'_, '_>) -> Self {
        let partitions = partitions(to);
        let mut ends = vec![0; to.stream.partitions().len()];
        for partition in &partitions {
            ends[partition.0 as usize] += 1;
        }
        let runs = ends.iter().filter(|count| **count > 0).count();
        // The counts become where each begins; putting the indices in moves that on to where it ends.
        let mut next = 0;
        for end in &mut ends {
            next += std::mem::replace(end, next);
        }
        let mut indices = vec![0; partitions.len()];
        for (partition, index) in partitions.iter().zip(0..) {
            let end = &mut ends[partition.0 as usize];
            indices[*end] = index;
            *end += 1;
        }
        Self { partitions, indices, ends, runs }
    }
}

fn partitions(to: &Destination<'_, '_>) -> Vec<PartitionId> {
    match to.placement {
        Placement::One(partition) => to.events.iter().map(|_| partition).collect(),
        Placement::Each(each) => each.to_vec(),
        Placement::ByKey => {
            let without = to.events.iter().any(|event| event.key.is_none());
            let in_turn = if without { to.stream.partition_in_turn() } else { PartitionId(0) };
            let of = |event: &Event<'_>| event.key.as_ref().map_or(in_turn, |key| to.stream.partition_of(key));
            to.events.iter().map(of).collect()
        }
    }
}

fn encode_destination(to: &Destination<'_, '_>, grouped: &Grouped, bytes: &mut Vec<u8>, chunks: &mut Vec<Chunk>) {
    let mut start = 0;
    for (partition, end) in (0..).map(PartitionId).zip(&grouped.ends) {
        let group = &grouped.indices[std::mem::replace(&mut start, *end)..*end];
        if group.is_empty() {
            continue;
        }
        let from = bytes.len();
        let mut times = Times::default();
        for index in group {
            let event = &to.events[*index as usize];
            times.take_in(event.timestamp);
            record::encode(event, bytes);
        }
        chunks.push(Chunk {
            stream: Arc::clone(to.stream),
            partition,
            records: u32::try_from(group.len()).unwrap_or(u32::MAX),
            range: from..bytes.len(),
            crc: crc32c::crc32c(&bytes[from..]),
            times,
        });
    }
}
