//! The engine's side of `/api/metrics`.

use crate::engine::Engine;
use crate::telemetry::{HealthStatus, Metrics};

impl Engine {
    /// What `/api/metrics` shows now. Takes some 100 µs, most of it for the percentiles.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.counters.live.metrics()
    }

    /// Says how the server is, for `/api/metrics` and its history.
    pub fn set_health(&self, status: HealthStatus) {
        self.counters.live.set_health(status);
    }

    /// Begins anew what `/api/metrics` counts. What is stored, and [`Engine::counters`] else, are not touched.
    pub fn reset_metrics(&self) {
        self.counters.live.reset();
    }
}
