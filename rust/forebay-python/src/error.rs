//! Core errors as Python exceptions: `forebay.errors` has a class for each row of the table.

use forebay_core::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

static FROM_KIND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Makes the exception object of an error, to be raised or handed to a future.
pub fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let from_kind =
        FROM_KIND.get_or_try_init(py, || py.import("forebay.errors")?.getattr("from_kind").map(Bound::unbind))?;
    from_kind.bind(py).call1((
        error.kind().number(),
        error.detail(),
        error.retry_after().map(|wait| wait.as_secs_f64()),
    ))
}

/// Makes the exception of an error, to be raised.
pub fn raise(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).map_or_else(|failed| failed, PyErr::from_value)
}

/// Returns every row of the error table: number, name, HTTP status, retryable.
#[pyfunction]
pub fn error_table() -> Vec<(u16, &'static str, u16, bool)> {
    let row = |kind: &ErrorKind| (kind.number(), kind.name(), kind.http_status(), kind.retryable());
    ErrorKind::ALL.iter().map(row).collect()
}
