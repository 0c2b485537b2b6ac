//! The load test of the engine itself.

use std::sync::{Arc, Weak};

use super::engine::Engine;
use crate::error::Result;
use crate::ids::CompletionId;
use crate::ingest::Request;
use crate::load_test::{LoadTest, LoadTestSpec, Submit};
use crate::log::commit::Completer;

impl Submit for Engine {
    fn submit(&self, request: Request, completer: Arc<dyn Completer>, completion: CompletionId) -> Result<()> {
        Self::submit(self, request, completer, completion)
    }
}

impl Engine {
    /// Starts a load test: an open loop of synthetic events of the source `load_test`, which go to the stream `events`
    /// as those of any sender do.
    ///
    /// # Errors
    /// `InvalidRequest` naming what is out of range, `Conflict` while one runs, `StorageUnavailable` and `Closed` when
    /// nothing can be written, `Internal` when the operating system has no thread left.
    pub fn start_load_test(self: &Arc<Self>, spec: LoadTestSpec) -> Result<()> {
        let engine: Weak<Self> = Arc::downgrade(self);
        self.load_test.start(spec, engine, &self.status, || self.check_writable())
    }

    /// The load test that runs, or the last one since the start.
    #[must_use]
    pub fn load_test(&self) -> &LoadTest {
        &self.load_test
    }
}
