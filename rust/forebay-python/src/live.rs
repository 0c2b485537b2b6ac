//! What `/api/metrics` shows, as JSON: it is encoded once and sent as it is.

use forebay_core::telemetry::HealthStatus;
use forebay_core::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::engine::Engine;
use crate::error::raise;

#[pymethods]
impl Engine {
    fn live<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let json = py.detach(|| serde_json::to_vec(&self.core.metrics()));
        let json = json.map_err(|error| raise(py, &Error::new(ErrorKind::Internal, error.to_string())))?;
        Ok(PyBytes::new(py, &json))
    }

    fn reset_live(&self, py: Python<'_>) {
        py.detach(|| self.core.reset_metrics());
    }

    fn set_health(&self, py: Python<'_>, status: &str) -> PyResult<()> {
        let known = HealthStatus::named(status)
            .ok_or_else(|| Error::new(ErrorKind::InvalidRequest, format!("there is no health status {status:?}")));
        self.core.set_health(known.map_err(|error| raise(py, &error))?);
        Ok(())
    }
}
