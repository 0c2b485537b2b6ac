//! Batches of records as Python gets them, without an object for each record.

use forebay_core::output::ndjson;
use forebay_core::record::Record;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};

use crate::column::{Column, Which};
use crate::engine::Projects;

/// Consecutive records of one partition.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct RecordBatch {
    pub batch: forebay_core::RecordBatch,
}

impl RecordBatch {
    fn record(&self, index: usize) -> PyResult<Record<'_>> {
        let length = self.batch.len();
        self.batch.get(index).ok_or_else(|| PyIndexError::new_err(format!("record {index} of {length}")))
    }

    fn arrow(&self, of: fn(Record<'_>) -> Option<&[u8]>) -> (Vec<u8>, Vec<u8>, Option<Vec<u8>>) {
        let count = self.batch.len();
        let mut offsets = Vec::with_capacity((count + 1) * size_of::<i64>());
        let mut content = Vec::with_capacity(self.batch.bytes());
        let mut validity = vec![0; count.div_ceil(8)];
        let mut all = true;
        offsets.extend_from_slice(&0_i64.to_le_bytes());
        for (index, (_, record)) in self.batch.iter().enumerate() {
            match of(record) {
                Some(field) => {
                    content.extend_from_slice(field);
                    validity[index / 8] |= 1 << (index % 8);
                }
                None => all = false,
            }
            offsets.extend_from_slice(&(content.len() as i64).to_le_bytes());
        }
        (offsets, content, (!all).then_some(validity))
    }
}

/// Offsets, bytes, and the bitmap of the values that are present.
type ArrowColumn<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>);

#[pymethods]
impl RecordBatch {
    #[getter]
    fn partition(&self) -> u32 {
        self.batch.partition().0
    }

    #[getter]
    fn next_offset(&self) -> u64 {
        self.batch.next_offset().0
    }

    #[getter]
    fn gaps(&self) -> Vec<(u64, u64)> {
        self.batch.gaps().iter().map(|gap| (gap.from.0, gap.to.0)).collect()
    }

    #[getter]
    fn offsets<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        view(slf, Which::Offsets)
    }

    #[getter]
    fn timestamps<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        view(slf, Which::Timestamps)
    }

    fn __len__(&self) -> usize {
        self.batch.len()
    }

    fn key<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(self.record(index)?.key.map(|key| PyBytes::new(py, key)))
    }

    fn value<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.record(index)?.value))
    }

    fn headers<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.record(index)?.headers))
    }

    /// Returns one field of all records in Arrow's large-binary layout: offsets, bytes, and the validity bitmap.
    fn column<'py>(&self, py: Python<'py>, name: &str) -> PyResult<ArrowColumn<'py>> {
        let of: fn(Record<'_>) -> Option<&[u8]> = match name {
            "key" => |record| record.key,
            "headers" => |record| Some(record.headers).filter(|headers| !headers.is_empty()),
            "value" => |record| Some(record.value),
            _ => return Err(PyValueError::new_err(format!("there is no column {name:?}"))),
        };
        let (offsets, content, validity) = py.detach(|| self.arrow(of));
        let validity = validity.map(|bits| PyBytes::new(py, &bits));
        Ok((PyBytes::new(py, &offsets), PyBytes::new(py, &content), validity))
    }

    /// Returns records as lines of JSON: all of them, or those whose key is one of the projects.
    #[pyo3(signature = (projects=None))]
    fn ndjson<'py>(&self, py: Python<'py>, projects: Option<&Bound<'py, Projects>>) -> Bound<'py, PyBytes> {
        let allowed = projects.map(|projects| &projects.get().0);
        let lines = py.detach(|| {
            let mut lines = Vec::with_capacity(self.batch.bytes() + self.batch.len() * 100);
            ndjson::write_lines(&self.batch, allowed, &mut lines);
            lines
        });
        PyBytes::new(py, &lines)
    }
}

fn view<'py>(batch: &Bound<'py, RecordBatch>, which: Which) -> PyResult<Bound<'py, PyMemoryView>> {
    let column = Bound::new(batch.py(), Column::new(batch.py(), batch.clone().unbind(), which))?;
    PyMemoryView::from(&column)
}
