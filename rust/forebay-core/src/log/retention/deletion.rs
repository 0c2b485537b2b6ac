//! Deleting a whole stream: its name and as many of its rows as fit in one commit, then its memory and its files, then
//! the rows that are left.

use std::collections::VecDeque;
use std::sync::Arc;

use super::retention::Retention;
use crate::error::Result;
use crate::ids::StreamId;
use crate::log::commit::OPS_BYTES;
use crate::stream::{Catalog, SegmentPart, Stream};
use crate::table::{Changes, Table, TableOp, number_key};

/// Tables whose keys begin with a stream's number.
const OF_STREAMS: [Table; 3] = [Table::Segments, Table::Starts, Table::Ends];

impl Retention {
    /// Deletes a stream with everything in it; durable when this returns. Appends under way to it are refused, and its
    /// identity is never given again. It is there whole, or not at all: what is left of its rows after the commit that
    /// takes its name means nothing to anybody, and is deleted in the background, at the latest after the next start.
    ///
    /// # Errors
    /// `StreamNotFound`, and why nothing can be written; then the stream is still there.
    pub(crate) fn delete_stream(&self, name: &str, allowed: impl FnOnce(&Stream) -> Result<()>) -> Result<()> {
        let _one_at_a_time = self.catalog.changing();
        let stream = self.catalog.named(name)?;
        allowed(&stream)?;
        self.status.refuse_change()?;
        let _changing = self.changing.lock();
        // Held for this one commit: whatever is sealed later knows that the stream is gone and makes no row of it.
        let alone = self.sealing.alone();
        let parts = stream.parts();
        let mut left = rows(&stream, &parts);
        let mut ops = vec![TableOp::delete(Table::Catalog, name.as_bytes()), self.catalog.next_id_row()];
        let mut bytes: usize = ops.iter().map(TableOp::encoded_bytes).sum();
        while let Some(op) = left.front()
            && bytes + op.encoded_bytes() <= OPS_BYTES
        {
            bytes += op.encoded_bytes();
            ops.extend(left.pop_front());
        }
        self.commits.delete(Arc::clone(&stream), ops)?;
        drop(alone);
        self.catalog.remove(&stream);
        self.leave_over(left);
        let deleted: Vec<_> = parts.into_iter().map(|part| (Arc::clone(&stream), part)).collect();
        self.forget(&deleted);
        Ok(())
    }

    /// Deletes these rows in the background.
    pub(crate) fn leave_over(&self, rows: impl IntoIterator<Item = TableOp>) {
        self.leftovers.lock().extend(rows);
        self.notify.ring();
    }
}

/// Makes the deletion of all rows of a stream but that of its name.
fn rows(stream: &Stream, parts: &[Arc<SegmentPart>]) -> VecDeque<TableOp> {
    let mut rows: VecDeque<_> =
        parts.iter().map(|part| TableOp::delete(Table::Segments, part.key(stream.id()))).collect();
    for partition in 0..stream.partitions().len() as u64 {
        let key = number_key(stream.id().0, &[partition]);
        rows.extend([Table::Starts, Table::Ends].map(|table| TableOp::delete(table, key.clone())));
    }
    rows
}

/// Makes the deletion of what an interrupted one has left: rows of streams that are not in the catalog.
pub(crate) fn leftovers(rows: &Changes, catalog: &Catalog) -> Vec<TableOp> {
    let of = |key: &[u8]| key.first_chunk().map(|stream| StreamId(u32::from_be_bytes(*stream)));
    let is_left = |key: &[u8]| of(key).is_some_and(|stream| catalog.by_id(stream).is_none());
    let deletions = OF_STREAMS.into_iter().flat_map(|table| rows.rows(table).map(move |(key, _)| (table, key)));
    deletions.filter(|(_, key)| is_left(key)).map(|(table, key)| TableOp::delete(table, key)).collect()
}
