//! The changes of one commit that deletes sealed parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{Offset, PartitionId, StreamId};
use crate::log::commit::OPS_BYTES;
use crate::stream::{SegmentPart, Stream};
use crate::table::{Table, TableOp, number_key};

/// Bytes of the change that deletes a part's row, and of the one that moves a partition's start: each has 8 before its
/// key.
const ROW_BYTES: usize = 8 + 20;
const START_BYTES: usize = 8 + 12 + 8;

/// Parts that one commit deletes. However many parts of a stream there are in it, it moves each partition's start once:
/// what retention has to write a part falls as what is due grows.
#[derive(Debug, Default)]
pub(crate) struct Discard {
    /// The parts, oldest first in each stream.
    pub(crate) parts: Vec<(Arc<Stream>, Arc<SegmentPart>)>,
    starts: BTreeMap<(StreamId, PartitionId), Offset>,
}

impl Discard {
    /// Takes a part in, unless the commit would be larger than one may be; the first always fits, since it has a row for
    /// each of at most 1,024 partitions.
    pub(crate) fn take(&mut self, stream: &Arc<Stream>, part: &Arc<SegmentPart>) -> bool {
        let key = |partition: PartitionId| (stream.id(), partition);
        let mut more = 0;
        let mut last = None;
        for (partition, _, _) in &part.spans {
            // A partition with holes has several spans, one after the other.
            if last != Some(partition) && !self.starts.contains_key(&key(*partition)) {
                more += 1;
            }
            last = Some(partition);
        }
        let bytes = (self.parts.len() + 1) * ROW_BYTES + (self.starts.len() + more) * START_BYTES;
        if bytes > OPS_BYTES && !self.parts.is_empty() {
            return false;
        }
        for (partition, base, records) in &part.spans {
            let start = self.starts.entry(key(*partition)).or_default();
            *start = (*start).max(base.plus(*records));
        }
        self.parts.push((Arc::clone(stream), Arc::clone(part)));
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns bytes of the parts on the disk.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.parts.iter().map(|(_, part)| part.stored_bytes).sum()
    }

    /// Returns the changes of the tables.
    pub(crate) fn ops(&self) -> Vec<TableOp> {
        let rows = self.parts.iter().map(|(stream, part)| TableOp::delete(Table::Segments, part.key(stream.id())));
        let starts = self.starts.iter().map(|((stream, partition), start)| {
            TableOp::put(Table::Starts, number_key(stream.0, &[partition.0.into()]), start.0.to_le_bytes())
        });
        rows.chain(starts).collect()
    }
}
