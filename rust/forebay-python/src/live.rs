//! The current and past figures of `/api/metrics`, as JSON that is encoded once and sent unchanged.

use forebay_core::telemetry::HealthStatus;
use forebay_core::{Error, ErrorKind, Result};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Serialize;

use crate::engine::Engine;
use crate::error::raise;

fn json<T: Serialize>(shown: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(shown).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
}

#[pymethods]
impl Engine {
    fn live<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let encoded = py.detach(|| json(&self.core.metrics()));
        encoded.map(|bytes| PyBytes::new(py, &bytes)).map_err(|error| raise(py, &error))
    }

    fn history<'py>(&self, py: Python<'py>, hours: u32) -> PyResult<Bound<'py, PyBytes>> {
        let encoded = py.detach(|| self.core.past_metrics(hours).and_then(|answer| json(&answer)));
        encoded.map(|bytes| PyBytes::new(py, &bytes)).map_err(|error| raise(py, &error))
    }

    fn keep_history(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.core.keep_history()).map_err(|error| raise(py, &error))
    }

    fn history_problem(&self) -> Option<String> {
        self.core.history().problem()
    }

    fn history_skipped(&self) -> u64 {
        self.core.history().skipped()
    }

    fn reset_live(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.core.reset_metrics()).map_err(|error| raise(py, &error))
    }

    fn set_health(&self, py: Python<'_>, status: &str) -> PyResult<()> {
        let known = HealthStatus::named(status)
            .ok_or_else(|| Error::new(ErrorKind::InvalidRequest, format!("there is no health status {status:?}")));
        self.core.set_health(known.map_err(|error| raise(py, &error))?);
        Ok(())
    }
}
