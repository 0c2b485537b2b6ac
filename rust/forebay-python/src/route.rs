//! The table of the routes that take events, for the server's routes and their description.

use forebay_core::ingest::route::ROUTES;
use pyo3::prelude::*;

/// One row.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct IngestRoute(pub &'static forebay_core::IngestRoute);

#[pymethods]
impl IngestRoute {
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name
    }

    #[getter]
    fn method(&self) -> &'static str {
        self.0.method
    }

    #[getter]
    fn path(&self) -> String {
        self.0.path.to_string()
    }

    #[getter]
    fn stream(&self) -> Option<&'static str> {
        self.0.stream
    }

    #[getter]
    fn api(&self) -> &'static str {
        self.0.api.name()
    }

    #[getter]
    fn role(&self) -> &'static str {
        self.0.role.name()
    }

    #[getter]
    fn projects(&self) -> bool {
        self.0.projects
    }

    #[getter]
    fn quarantine(&self) -> bool {
        self.0.quarantine
    }

    #[getter]
    fn max_events(&self) -> usize {
        self.0.max_events
    }

    #[getter]
    fn summary(&self) -> &'static str {
        self.0.summary
    }

    fn body_limit(&self, max_body_bytes: usize) -> usize {
        self.0.body_limit(max_body_bytes)
    }

    fn __repr__(&self) -> String {
        format!("<IngestRoute {} {}>", self.0.method, self.0.path)
    }
}

/// Every row.
#[pyfunction]
pub fn ingest_routes() -> Vec<IngestRoute> {
    ROUTES.into_iter().map(IngestRoute).collect()
}
