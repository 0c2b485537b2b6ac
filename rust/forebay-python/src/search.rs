//! Log search for Python: requests and answers are JSON on both sides.

use forebay_core::search::{self, Caller, ExportRequest, SearchRequest, StatsRequest};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::engine::Engine;
use crate::error::raise;
use crate::processor::answer;

/// Ends a search from another thread.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct SearchCancel(search::SearchCancel);

#[pymethods]
impl SearchCancel {
    #[new]
    fn new() -> Self {
        Self(search::SearchCancel::default())
    }

    fn cancel(&self) {
        self.0.cancel();
    }

    #[getter]
    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

#[pymethods]
impl Engine {
    fn search<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
        token: &[u8],
        cancelled: &Bound<'py, SearchCancel>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let caller = Caller { token, cancel: &cancelled.get().0 };
        answer(py, || Ok(self.core.search(&SearchRequest::from_json(request)?, caller)?.to_json()))
    }

    fn search_stats<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
        token: &[u8],
        cancelled: &Bound<'py, SearchCancel>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let caller = Caller { token, cancel: &cancelled.get().0 };
        answer(py, || Ok(self.core.search_stats(&StatsRequest::from_json(request)?, caller)?.to_json()))
    }

    fn search_export<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
        token: &[u8],
        cancelled: &Bound<'py, SearchCancel>,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let caller = Caller { token, cancel: &cancelled.get().0 };
        let step = py.detach(|| {
            let step = self.core.search_export(&ExportRequest::from_json(request)?, caller)?;
            Ok((step.to_json(), step.lines))
        });
        let (state, lines) = step.map_err(|error| raise(py, &error))?;
        Ok((PyBytes::new(py, &lines), PyBytes::new(py, &state)))
    }
}
