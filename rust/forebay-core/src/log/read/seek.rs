//! Finding the offset that a time begins at, by the time ranges of segments' blocks and of the ring's runs.

use std::io;
use std::sync::Arc;

use super::reader::{Reader, part_end};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId, Timestamp};
use crate::log::segment::{SegmentError, SegmentReader};
use crate::record::Records;
use crate::stream::{SegmentPart, Stream};

/// Runs of the ring that are looked at under one hold of its lock.
const RUNS_AT_ONCE: usize = 1024;

impl Reader {
    /// The offset of the first record of a partition whose time is `time` or later; the partition's end when there is
    /// none. Event times need not rise with the offsets: what follows may be older again.
    ///
    /// Reads the indexes of the partition's segments and one block; blocks and runs that end before `time` are skipped
    /// by their ranges.
    ///
    /// # Errors
    /// `InvalidRequest` for a partition that is not there; `StorageUnavailable` when a segment cannot be read now.
    pub(crate) fn seek(&self, stream: &Stream, partition: PartitionId, time: Timestamp) -> Result<Offset> {
        let Some(log) = stream.partition(partition) else {
            let detail = format!("stream {:?} has no partition {partition}", stream.name());
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        };
        let committed = log.committed();
        let mut offset = log.start();
        while offset < committed {
            let runs = log.runs_from(offset, RUNS_AT_ONCE, usize::MAX);
            for run in &runs {
                if run.times.max >= time
                    && let Some(found) = first_since(run.base, run.bytes(), offset, time)
                {
                    return Ok(found);
                }
                offset = run.end();
            }
            if !runs.is_empty() {
                continue;
            }
            let found = self.find(stream, partition, offset);
            // Nothing holds this offset: it was damaged away, or lies between the segments and the ring.
            let Some((part, opened)) = found.filter(|(part, _)| part_end(part, partition) > offset) else {
                offset = log.ring_start().filter(|start| *start > offset).unwrap_or(committed);
                continue;
            };
            if let Some(found) = seek_in_part((stream, &part), opened, (partition, offset), time)? {
                return Ok(found);
            }
            offset = part_end(&part, partition);
        }
        Ok(committed)
    }
}

fn seek_in_part(
    (stream, part): (&Stream, &SegmentPart),
    opened: io::Result<Arc<SegmentReader>>,
    (partition, from): (PartitionId, Offset),
    time: Timestamp,
) -> Result<Option<Offset>> {
    let unreadable = |error: io::Error| {
        let detail = format!("segment {} cannot be read: {error}", part.name.path().display());
        Error::new(ErrorKind::StorageUnavailable, detail)
    };
    let reader = match opened {
        Ok(reader) => reader,
        // Retention removed it after the look-up, or it is damage that reading names.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let rows = reader.rows_from(stream.id(), partition, from).iter();
    for row in rows.filter(|row| row.max_time >= time) {
        match reader.read(row) {
            Ok(records) => {
                if let Some(found) = first_since(row.base, &records, from, time) {
                    return Ok(Some(found));
                }
            }
            // Left out, as by a read.
            Err(SegmentError::Damaged(..)) => {}
            Err(SegmentError::Io(error)) => return Err(unreadable(error)),
        }
    }
    Ok(None)
}

/// The first record from offset `from` on whose time is `time` or later; `bytes` begin with offset `base`.
fn first_since(base: Offset, bytes: &[u8], from: Offset, time: Timestamp) -> Option<Offset> {
    let mut offsets = (base.0..).map(Offset);
    let found =
        Records::new(bytes).zip(&mut offsets).find(|((record, _), offset)| *offset >= from && record.timestamp >= time);
    found.map(|(_, offset)| offset)
}
