//! Predicates over records.

use pyo3::prelude::*;

use crate::error::raise;

/// A compiled predicate.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Filter(pub forebay_core::Filter);

#[pymethods]
impl Filter {
    #[new]
    fn new(py: Python<'_>, expression: &str) -> PyResult<Self> {
        let compiled = py.detach(|| forebay_core::Filter::new(expression));
        compiled.map(Self).map_err(|error| raise(py, &error))
    }

    #[getter]
    fn expression(&self) -> &str {
        self.0.source()
    }
}
