//! Deleting a whole stream: its rows and its name in one commit, then its memory and its files.

use std::sync::Arc;

use super::commit_queue::OPS_BYTES;
use super::retention::Retention;
use super::sealer::deletion;
use super::table::{Table, TableOp, number_key};
use crate::error::Result;
use crate::stream::{SegmentPart, Stream};

/// Rows of segments in the last commit, which also removes two rows a partition (at most 40 KiB): together they fit what
/// a full journal file keeps free.
const LAST_PARTS_BYTES: usize = OPS_BYTES / 4;

impl Retention {
    /// Deletes a stream with everything in it; durable when this returns. Appends under way to it are refused, and its
    /// identity is never given again.
    ///
    /// # Errors
    /// `StreamNotFound`, and why nothing can be written; then the stream is still there, though its oldest segments may
    /// be gone when it had thousands.
    pub fn delete_stream(&self, name: &str, allowed: impl FnOnce(&Stream) -> Result<()>) -> Result<()> {
        let _one_at_a_time = self.catalog.changing();
        let stream = self.catalog.named(name)?;
        allowed(&stream)?;
        self.status.refuse_change()?;
        let _alone = self.sealing.alone();
        self.shorten(&stream)?;
        let parts = stream.parts();
        let mut ops = vec![TableOp::delete(Table::Catalog, name.as_bytes()), self.catalog.next_id_row()];
        ops.extend(parts.iter().map(|part| TableOp::delete(Table::Segments, part.key(stream.id()))));
        for partition in 0..stream.partitions().len() as u64 {
            let key = number_key(stream.id().0, &[partition]);
            ops.extend([Table::Starts, Table::Ends].map(|table| TableOp::delete(table, key.clone())));
        }
        self.commits.delete(Arc::clone(&stream), ops)?;
        self.catalog.remove(&stream);
        self.forget(&of(&stream, parts));
        Ok(())
    }

    /// Deletes the oldest segments, as retention would, until the rows of the others fit one commit.
    fn shorten(&self, stream: &Arc<Stream>) -> Result<()> {
        let bytes = |ops: &[TableOp]| ops.iter().map(TableOp::encoded_bytes).sum::<usize>();
        loop {
            let parts = stream.parts();
            let sizes: Vec<usize> = parts.iter().map(|part| bytes(&deletion(stream.id(), part))).collect();
            if sizes.iter().sum::<usize>() <= LAST_PARTS_BYTES {
                return Ok(());
            }
            let mut sum = 0;
            let fits = |size: &&usize| {
                sum += **size;
                sum <= OPS_BYTES
            };
            let count = sizes.iter().take_while(fits).count().max(1);
            let due = of(stream, parts.into_iter().take(count).collect());
            let ops = due.iter().flat_map(|(stream, part)| deletion(stream.id(), part)).collect();
            self.commits.change(ops)?;
            self.forget(&due);
        }
    }
}

fn of(stream: &Arc<Stream>, parts: Vec<Arc<SegmentPart>>) -> Vec<(Arc<Stream>, Arc<SegmentPart>)> {
    parts.into_iter().map(|part| (Arc::clone(stream), part)).collect()
}
