//! Checks and repairs of a data directory that no engine has open.

use std::sync::Arc;

use forebay_core::status::Damage;
use forebay_core::storage::{Disk, Storage};
use forebay_core::{Apply, Error, ErrorKind, Finding, Item, OffsetRange, repair_with, verify_with};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::error::raise;

/// How far a check or a repair is with reading its directory; for a thread that shows it.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug, Default)]
pub struct ReadProgress(forebay_core::ReadProgress);

#[pymethods]
impl ReadProgress {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    #[getter]
    fn read(&self) -> u64 {
        self.0.read()
    }

    #[getter]
    fn total(&self) -> u64 {
        self.0.total()
    }
}

fn storage(data_dir: &str) -> Result<Arc<dyn Storage>, Error> {
    // Without this check, `Disk::new` would create the directory.
    if !std::path::Path::new(data_dir).is_dir() {
        return Err(Error::new(ErrorKind::StorageUnavailable, format!("there is no data directory {data_dir}")));
    }
    let unusable = |error| Error::new(ErrorKind::StorageUnavailable, format!("{data_dir} cannot be used: {error}"));
    Ok(Arc::new(Disk::new(data_dir).map_err(unusable)?))
}

/// Checks a whole data directory without changing it.
#[pyfunction]
#[pyo3(signature = (data_dir, progress=None))]
pub fn verify<'py>(
    py: Python<'py>,
    data_dir: &str,
    progress: Option<&Bound<'py, ReadProgress>>,
) -> PyResult<Bound<'py, PyDict>> {
    let unseen = ReadProgress::default();
    let progress = progress.map_or(&unseen, Bound::get);
    let checked = py.detach(|| storage(data_dir).and_then(|storage| verify_with(&storage, &progress.0)));
    let report = checked.map_err(|error| raise(py, &error))?;
    let out = PyDict::new(py);
    out.set_item("clean", report.is_clean())?;
    out.set_item("streams", report.streams)?;
    out.set_item("partitions", report.partitions)?;
    out.set_item("records", report.records)?;
    out.set_item("files", report.files)?;
    out.set_item("bytes", report.bytes)?;
    out.set_item("findings", findings(py, report.findings)?)?;
    out.set_item("quarantined", ranges(py, report.quarantined)?)?;
    out.set_item("orphans", report.orphans)?;
    Ok(out)
}

/// Repairs a data directory, or reports the effect that a repair would have.
#[pyfunction]
#[pyo3(signature = (data_dir, apply, progress=None))]
pub fn repair<'py>(
    py: Python<'py>,
    data_dir: &str,
    apply: bool,
    progress: Option<&Bound<'py, ReadProgress>>,
) -> PyResult<Bound<'py, PyDict>> {
    let apply = if apply { Apply::Yes } else { Apply::No };
    let unseen = ReadProgress::default();
    let progress = progress.map_or(&unseen, Bound::get);
    let repaired = py.detach(|| storage(data_dir).and_then(|storage| repair_with(&storage, apply, &progress.0)));
    let report = repaired.map_err(|error| raise(py, &error))?;
    let out = PyDict::new(py);
    out.set_item("findings", findings(py, report.findings)?)?;
    out.set_item("quarantine", report.quarantine)?;
    out.set_item("items", items(py, report.items)?)?;
    out.set_item("lost", ranges(py, report.lost)?)?;
    out.set_item("skipped", ranges(py, report.skipped)?)?;
    out.set_item("notes", report.notes)?;
    out.set_item("salvaged_records", report.salvaged_records)?;
    Ok(out)
}

/// Converts a finding to a dictionary.
pub fn damage_row(py: Python<'_>, damage: Damage) -> PyResult<Bound<'_, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("file", damage.file)?;
    row.set_item("range", damage.range)?;
    row.set_item("stream", damage.stream)?;
    row.set_item("what", damage.what)?;
    Ok(row)
}

fn findings(py: Python<'_>, findings: Vec<Finding>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for Finding { damage, offsets } in findings {
        let row = damage_row(py, damage)?;
        row.set_item("offsets", ranges(py, offsets)?)?;
        list.append(row)?;
    }
    Ok(list)
}

fn ranges(py: Python<'_>, ranges: Vec<OffsetRange>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for range in ranges {
        let row = PyDict::new(py);
        row.set_item("stream", range.stream)?;
        row.set_item("partition", range.partition)?;
        row.set_item("start", range.start)?;
        row.set_item("end", range.end)?;
        list.append(row)?;
    }
    Ok(list)
}

fn items(py: Python<'_>, items: Vec<Item>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for item in items {
        let row = PyDict::new(py);
        row.set_item("from", item.from)?;
        row.set_item("range", item.range)?;
        row.set_item("to", item.to)?;
        row.set_item("bytes", item.bytes)?;
        row.set_item("unreadable", item.unreadable)?;
        row.set_item("what", item.what)?;
        list.append(row)?;
    }
    Ok(list)
}
