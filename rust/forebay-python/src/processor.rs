//! Stream processors for Python: their definitions and descriptions are JSON on both sides.

use std::time::Duration;

use forebay_core::Result;
use forebay_core::processor::{ProcessorDefinition, Processors};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::raise;

/// Calls the engine without the GIL, and returns the JSON that it answers.
pub fn answer(py: Python<'_>, call: impl FnOnce() -> Result<Vec<u8>> + Send) -> PyResult<Bound<'_, PyBytes>> {
    py.detach(call).map(|json| PyBytes::new(py, &json)).map_err(|error| raise(py, &error))
}

/// Waits without the GIL for a call of a function that runs in this process: its number and its body.
pub fn take_call<'py>(
    py: Python<'py>,
    processors: &Processors,
    timeout: Duration,
) -> PyResult<Option<(u64, Bound<'py, PyBytes>)>> {
    let taken = py.detach(|| processors.local_calls().take(timeout)).map_err(|error| raise(py, &error))?;
    Ok(taken.map(|(ticket, body)| (ticket.0, PyBytes::new(py, &body))))
}

/// Returns a definition with every default in it, once it is compiled.
#[pyfunction]
pub fn processor_definition<'py>(py: Python<'py>, definition: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    answer(py, || Ok(ProcessorDefinition::check(definition)?.to_json()))
}
