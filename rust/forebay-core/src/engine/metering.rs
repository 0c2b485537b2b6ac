//! The engine's side of `/api/metrics`.

use super::engine::Engine;
use crate::error::Result;
use crate::history::{History, HistoryAnswer, MAX_HISTORY_HOURS};
use crate::options::check_range;
use crate::telemetry::{HealthStatus, Metrics};

impl Engine {
    /// Returns the figures of `/api/metrics`. Takes some 40 µs, most of it for the percentiles.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.counters.live.metrics()
    }

    /// Says how the server is, for `/api/metrics` and its history.
    pub fn set_health(&self, status: HealthStatus) {
        self.counters.live.set_health(status);
    }

    /// Keeps a history of the metrics from now on, and gives what earlier processes kept. Later calls do nothing.
    ///
    /// # Errors
    /// `StorageUnavailable` when there can be no thread for it.
    pub fn keep_history(&self) -> Result<()> {
        self.history.start()
    }

    /// Returns the history, which is empty until it is kept.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Returns the points of the last `hours`, oldest first. Reads files.
    ///
    /// # Errors
    /// `InvalidRequest` for hours out of range.
    pub fn past_metrics(&self, hours: u32) -> Result<HistoryAnswer> {
        check_range("hours", hours.into(), 1, MAX_HISTORY_HOURS.into())?;
        Ok(self.history.answer(hours))
    }

    /// Begins anew what `/api/metrics` counts, and its history, durably. What is stored, and [`Engine::counters`] else,
    /// are not touched.
    ///
    /// # Errors
    /// `StorageUnavailable` when the history cannot be deleted; then nothing is reset.
    pub fn reset_metrics(&self) -> Result<()> {
        self.history.reset()
    }
}
