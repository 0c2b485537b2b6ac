//! How far a directory has been read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts the bytes of a directory that is read whole, file by file. Other threads may look at it meanwhile.
#[derive(Debug, Default)]
pub struct ReadProgress {
    read: AtomicU64,
    total: AtomicU64,
}

impl ReadProgress {
    /// Returns the bytes of the files that have been read: in the end the total.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Relaxed)
    }

    /// Returns the bytes of all files of the engine; 0 until they are known.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// Begins anew, with files of `total` bytes.
    pub(crate) fn begin(&self, total: u64) {
        self.read.store(0, Relaxed);
        self.total.store(total, Relaxed);
    }

    /// Counts a file that has been read.
    pub(crate) fn count(&self, bytes: u64) {
        self.read.fetch_add(bytes, Relaxed);
    }
}
