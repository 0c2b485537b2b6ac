//! Deleting what is older or more than a stream keeps: whole segments, oldest first.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::commit_queue::{CommitQueue, OPS_BYTES};
use super::read::Reader;
use super::seal_queue::SealQueue;
use super::sealer::deletion;
use super::segment::{SEGMENT_DIRECTORY, SegmentName};
use super::status::Status;
use super::storage::Storage;
use super::table::TableOp;
use crate::ids::Timestamp;
use crate::stream::{Catalog, SegmentPart, Stream};
use crate::telemetry::Counters;

/// Applies every stream's retention.
#[derive(Debug)]
pub struct Retention {
    /// Where segments are.
    pub storage: Arc<dyn Storage>,
    /// The streams.
    pub catalog: Arc<Catalog>,
    /// How a deletion becomes durable.
    pub commits: Arc<CommitQueue>,
    /// Who may have a deleted segment open.
    pub reader: Arc<Reader>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Whether anything can be deleted.
    pub status: Arc<Status>,
    /// Who makes segments meanwhile.
    pub sealing: Arc<SealQueue>,
}

impl Retention {
    /// Deletes what is due at `now`. What fails is tried again at the next call.
    pub fn apply(&self, now: Timestamp) {
        let _alone = self.sealing.alone();
        let mut due: Vec<(Arc<Stream>, Arc<SegmentPart>)> = Vec::new();
        let mut ops: Vec<TableOp> = Vec::new();
        let mut bytes = 0;
        let streams = self.catalog.all();
        for (stream, part) in
            streams.iter().flat_map(|stream| expired(stream, now).into_iter().map(move |p| (stream, p)))
        {
            let deletion = deletion(stream.id(), &part);
            bytes += deletion.iter().map(TableOp::encoded_bytes).sum::<usize>();
            if bytes > OPS_BYTES && !due.is_empty() {
                break;
            }
            ops.extend(deletion);
            due.push((Arc::clone(stream), part));
        }
        if due.is_empty() {
            return;
        }
        if self.commits.change(ops).is_ok() {
            self.forget(&due);
        }
    }

    /// The deletion is durable: readers stop at the new start, then the files go.
    pub(super) fn forget(&self, deleted: &[(Arc<Stream>, Arc<SegmentPart>)]) {
        for (stream, part) in deleted {
            for (partition, base, records) in &part.spans {
                if let Some(log) = stream.partition(*partition) {
                    log.advance_start(base.plus(*records));
                }
            }
            stream.remove_part(part);
            self.counters.segments_deleted.increment();
            self.counters.segment_bytes_deleted.add(part.stored_bytes);
        }
        let streams = self.catalog.all();
        let named: BTreeSet<SegmentName> =
            streams.iter().flat_map(|stream| stream.parts()).map(|part| part.name).collect();
        let files: BTreeSet<SegmentName> = deleted.iter().map(|(_, part)| part.name).collect();
        for name in files.difference(&named) {
            self.reader.forget(*name);
            // A file that stays behind is an orphan, which the next start removes.
            let _ignored = self.storage.remove(&name.path());
        }
        let _ignored = self.storage.sync_directory(Path::new(SEGMENT_DIRECTORY));
    }
}

/// The oldest segments of a stream that it no longer keeps.
fn expired(stream: &Stream, now: Timestamp) -> Vec<Arc<SegmentPart>> {
    let definition = stream.definition();
    let parts = stream.parts();
    let mut excess = match definition.retention_bytes {
        Some(limit) => parts.iter().map(|part| part.stored_bytes).sum::<u64>().saturating_sub(limit),
        None => 0,
    };
    let oldest_kept = definition.retention_ms.map(|ms| now.0.saturating_sub_unsigned(ms.saturating_mul(1000)));
    let mut expired = Vec::new();
    for part in parts {
        let old = oldest_kept.is_some_and(|kept| part.newest_append.0 < kept);
        if !old && excess == 0 {
            break;
        }
        excess = excess.saturating_sub(part.stored_bytes);
        expired.push(part);
    }
    expired
}
