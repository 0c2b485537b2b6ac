//! The engine's side of waiting for records.

use std::sync::Arc;

use super::engine::{Engine, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CompletionId, Offset, PartitionId};
use crate::stream::{WatchId, Watcher};

impl Engine {
    /// Waits for a record at or beyond one of the positions (a partition, and the offset to be read next): the commit
    /// that makes one visible hands `completion` to `watcher`, and this call does when there is one already. Without
    /// positions it ends only with the stream or the engine.
    ///
    /// # Errors
    /// `StreamNotFound`, `InvalidRequest` for a partition that is not there, `Saturated` when too many wait, `Closed`.
    /// The watcher itself is told `StreamNotFound` when the stream is deleted, and `Closed` when the engine closes.
    pub fn watch(
        &self,
        stream: &str,
        positions: &[(PartitionId, Offset)],
        watcher: Arc<dyn Watcher>,
        completion: CompletionId,
    ) -> Result<WatchId> {
        let stream = self.catalog.named(stream)?;
        if let Some((partition, _)) = positions.iter().find(|(partition, _)| stream.partition(*partition).is_none()) {
            let detail = format!("stream {:?} has no partition {partition}", stream.name());
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        // A stream that is made after this check, while the engine closes, is watched until its engine is dropped.
        self.check_open()?;
        let committed = |partition| stream.partition(partition).map_or(Offset(0), |log| log.committed());
        let number = stream.watches().add(positions, watcher, completion, committed)?;
        Ok(WatchId { stream: stream.id(), number })
    }

    /// Takes a watch back, and returns its completion: its watcher will hear nothing of it. `None`: its end is on the way or
    /// was handed over already.
    pub fn unwatch(&self, watch: WatchId) -> Option<CompletionId> {
        self.catalog.by_id(watch.stream)?.watches().remove(watch.number)
    }

    /// Tells everybody who waits that the engine closes.
    pub(crate) fn end_watches(&self) {
        for stream in self.catalog.all() {
            stream.watches().end(closed());
        }
    }
}
