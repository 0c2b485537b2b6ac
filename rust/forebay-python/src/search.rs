//! Log search for Python: requests and answers are JSON on both sides.

use forebay_core::search::{
    self, COLUMN_NAMES, CSV_HEAD, Caller, Columns, ExportFormat, ExportRequest, Exported, SearchRequest, StatsRequest,
    TextColumn,
};
use forebay_core::{Error, ErrorKind};
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
            let request = ExportRequest::from_json(request)?;
            if request.format == ExportFormat::Columns {
                let detail = "format: columns are given by search_export_columns";
                return Err(Error::new(ErrorKind::InvalidRequest, detail));
            }
            self.core.search_export(&request, caller)
        });
        let step = step.map_err(|error| raise(py, &error))?;
        Ok((PyBytes::new(py, step.exported.lines()), PyBytes::new(py, &step.to_json())))
    }

    fn search_export_columns<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
        token: &[u8],
        cancelled: &Bound<'py, SearchCancel>,
    ) -> PyResult<(ExportColumns, Bound<'py, PyBytes>)> {
        let caller = Caller { token, cancel: &cancelled.get().0 };
        let step = py.detach(|| {
            let request = ExportRequest { format: ExportFormat::Columns, ..ExportRequest::from_json(request)? };
            self.core.search_export(&request, caller)
        });
        let step = step.map_err(|error| raise(py, &error))?;
        let state = PyBytes::new(py, &step.to_json());
        let columns = match step.exported {
            Exported::Columns(columns) => columns,
            Exported::Lines(_) => Box::default(),
        };
        Ok((ExportColumns(columns), state))
    }
}

/// The columns of one step of an export, as Arrow takes them.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct ExportColumns(Box<Columns>);

#[pymethods]
impl ExportColumns {
    fn __len__(&self) -> usize {
        self.0.timestamps.len()
    }

    #[getter]
    fn timestamps<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &little_endian(self.0.timestamps.iter().map(|time| time.to_le_bytes())))
    }

    fn texts<'py>(&self, py: Python<'py>) -> Vec<(&'static str, ArrowTexts<'py>)> {
        let arrow = |column: &TextColumn| {
            let offsets = little_endian(column.offsets.iter().map(|offset| offset.to_le_bytes()));
            let validity = (column.missing > 0).then(|| PyBytes::new(py, &column.validity));
            (PyBytes::new(py, &offsets), PyBytes::new(py, &column.bytes), validity)
        };
        COLUMN_NAMES.into_iter().zip(self.0.texts.iter().map(arrow)).collect()
    }
}

/// Offsets, bytes, and the bitmap of the texts that are there, when some are not.
type ArrowTexts<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>);

fn little_endian<const N: usize>(numbers: impl Iterator<Item = [u8; N]>) -> Vec<u8> {
    numbers.flatten().collect()
}

/// Returns what stands before the first event of a file of such lines.
#[pyfunction]
pub fn export_head<'py>(py: Python<'py>, lines: &str) -> Bound<'py, PyBytes> {
    PyBytes::new(py, if lines == "csv" { CSV_HEAD.as_bytes() } else { b"" })
}
