//! One watch a source stream, however many processors read it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::pool::Pool;
use super::processor::Processor;
use crate::error::Result;
use crate::ids::{CompletionId, Offset, PartitionId};
use crate::stream::{Stream, Watcher};

/// The processors that read a stream, and the watch that wakes them all.
///
/// None misses a record: the watch begins at the offset of a processor that has read everything before it; one that was
/// set for another processor earlier either began at the same offset or has ended, and then everybody has another turn.
#[derive(Debug)]
pub(super) struct SourceWatch {
    stream: Arc<Stream>,
    pool: Arc<Pool>,
    readers: Mutex<Vec<Arc<Processor>>>,
    is_set: AtomicBool,
    own: Weak<Self>,
}

impl SourceWatch {
    pub(super) fn new(stream: Arc<Stream>, pool: Arc<Pool>) -> Arc<Self> {
        let (readers, is_set) = (Mutex::default(), AtomicBool::new(false));
        Arc::new_cyclic(|own| Self { stream, pool, readers, is_set, own: own.clone() })
    }

    pub(super) fn add(&self, processor: &Arc<Processor>) {
        self.readers.lock().push(Arc::clone(processor));
    }

    /// Returns whether there is anybody left.
    pub(super) fn remove(&self, processor: &Processor) -> bool {
        let mut readers = self.readers.lock();
        readers.retain(|reader| reader.id != processor.id);
        !readers.is_empty()
    }

    /// Waits for a record at or beyond these offsets, unless somebody waits already.
    ///
    /// # Errors
    /// `Saturated` when too many wait; ask again later.
    pub(super) fn set(self: &Arc<Self>, next: &[Offset]) -> Result<()> {
        if self.is_set.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let positions: Vec<_> = (0..).map(PartitionId).zip(next.iter().copied()).collect();
        let committed = |partition| self.stream.partition(partition).map_or(Offset(0), |log| log.committed());
        let watcher: Arc<dyn Watcher> = self.clone();
        let added = self.stream.watches().add(&positions, watcher, CompletionId(0), committed);
        added.map(drop).inspect_err(|_| self.is_set.store(false, Ordering::Release))
    }

    /// Gives everybody a turn.
    pub(super) fn wake_readers(&self) {
        for reader in self.readers.lock().iter().filter(|reader| reader.is_running()) {
            self.pool.schedule(reader);
        }
    }
}

impl Watcher for SourceWatch {
    fn due(&self, _completion: CompletionId, _outcome: Result<()>) {
        // Before the turns: the first of them that has read everything sets it again. A stream that is gone is met by them.
        self.is_set.store(false, Ordering::Release);
        if let Some(own) = self.own.upgrade() {
            self.pool.wake(own);
        }
    }

    fn wake(&self) {}
}
