//! Filters and tails of streams.

use forebay_core::{Limits, Offset, Position, StreamId, TailRequest};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::engine::Projects;
use crate::error::raise;

/// A predicate in CEL over one record.
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

/// Encoded events, and the positions where the next chunk starts.
#[pyclass(frozen, get_all, module = "forebay._forebay")]
#[derive(Debug)]
pub struct TailChunk {
    body: Py<PyBytes>,
    position: (u32, Vec<u64>),
    records: usize,
    scanned: usize,
    more: bool,
}

/// The selection of records for a chunk.
#[derive(Debug)]
pub struct Choice<'a, 'py> {
    pub until: Option<Vec<u64>>,
    pub predicate: Option<&'a Bound<'py, Filter>>,
    pub projects: Option<&'a Bound<'py, Projects>>,
}

pub fn position(
    py: Python<'_>,
    engine: &forebay_core::Engine,
    stream: &str,
    earliest: bool,
) -> PyResult<(u32, Vec<u64>)> {
    engine.position(stream, earliest).map(plain).map_err(|error| raise(py, &error))
}

pub fn read(
    py: Python<'_>,
    engine: &forebay_core::Engine,
    stream: &str,
    (id, next): (u32, Vec<u64>),
    limits: Limits,
    choice: &Choice<'_, '_>,
) -> PyResult<TailChunk> {
    let offsets = |next: &[u64]| next.iter().copied().map(Offset).collect::<Vec<_>>();
    let until = choice.until.as_deref().map(offsets);
    let request = TailRequest {
        stream,
        position: Position { stream: StreamId(id), next: offsets(&next) },
        until: until.as_deref(),
        filter: choice.predicate.map(|filter| &filter.get().0),
        allowed: choice.projects.map(|projects| &projects.get().0),
        limits,
    };
    let chunk = py.detach(|| engine.tail(request)).map_err(|error| raise(py, &error))?;
    Ok(TailChunk {
        body: PyBytes::new(py, &chunk.body).unbind(),
        position: plain(chunk.position),
        records: chunk.records,
        scanned: chunk.scanned,
        more: chunk.more,
    })
}

fn plain(position: Position) -> (u32, Vec<u64>) {
    (position.stream.0, position.next.iter().map(|offset| offset.0).collect())
}
