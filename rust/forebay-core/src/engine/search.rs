//! Searching the stream of the drain.

use super::engine::Engine;
use crate::error::Result;
use crate::search::{
    Caller, ExportRequest, ExportStep, SearchOutcome, SearchRequest, Searched, StatsOutcome, StatsRequest,
};
use crate::stream::{LOGS, Stream};

impl Engine {
    /// Finds a page of the log events that a request asks for, newest first. A search whose budget is spent ends with what
    /// it has, and its outcome says so.
    ///
    /// # Errors
    /// `InvalidRequest` naming the field; `Saturated` when too many searches run; `StorageUnavailable` when a segment cannot
    /// be read now; `StreamNotFound`, `Closed`.
    pub fn search(&self, request: &SearchRequest, caller: Caller<'_>) -> Result<SearchOutcome> {
        self.searched(|searched| self.searches.search(searched, request, caller))
    }

    /// Counts the log events that a request asks for.
    ///
    /// # Errors
    /// Fails as [`Engine::search`] does.
    pub fn search_stats(&self, request: &StatsRequest, caller: Caller<'_>) -> Result<StatsOutcome> {
        self.searched(|searched| self.searches.stats(searched, request, caller))
    }

    /// Takes one step through all log events that a request asks for, in the order of the log.
    ///
    /// # Errors
    /// Fails as [`Engine::search`] does.
    pub fn search_export(&self, request: &ExportRequest, caller: Caller<'_>) -> Result<ExportStep> {
        self.searched(|searched| self.searches.export(searched, request, caller))
    }

    fn searched<T>(&self, search: impl FnOnce(Searched<'_>) -> Result<T>) -> Result<T> {
        self.check_open()?;
        let stream: std::sync::Arc<Stream> = self.catalog.named(LOGS)?;
        search(Searched { reader: &self.reader, stream: &stream })
    }
}
