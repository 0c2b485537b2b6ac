//! Stream processors for Python: their definitions and descriptions are JSON on both sides.

use forebay_core::Result;
use forebay_core::processor::ProcessorDefinition;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::raise;

/// Calls the engine without the GIL, and returns the JSON that it answers.
pub fn answer(py: Python<'_>, call: impl FnOnce() -> Result<Vec<u8>> + Send) -> PyResult<Bound<'_, PyBytes>> {
    py.detach(call).map(|json| PyBytes::new(py, &json)).map_err(|error| raise(py, &error))
}

/// Returns a definition with every default in it, once it is compiled.
#[pyfunction]
pub fn processor_definition<'py>(py: Python<'py>, definition: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    answer(py, || Ok(ProcessorDefinition::check(definition)?.to_json()))
}
