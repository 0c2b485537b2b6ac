//! The engine's class.

use std::sync::Arc;

use forebay_core::log::storage::Disk;
use forebay_core::{
    AllowedKeys, Completer, Error, ErrorKind, INLINE_BODY_BYTES, Key, LOGS, Limits, Offset, OnInvalid, PartitionId,
    Request, Shape,
};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyDict, PyList};

use crate::batch::RecordBatch;
use crate::completion::{Completions, Futures, deliver};
use crate::convert::{self, RecordTuple, record};
use crate::error::raise;
use crate::maintenance::damage_row;
use crate::metrics;
use crate::tail::{self, Filter, TailChunk};
use crate::watch;

/// The event shape of `POST /v1/drain`.
pub const SHAPE_DRAIN: u8 = 0;

fn shape(number: u8) -> Result<Shape, Error> {
    match number {
        SHAPE_DRAIN => Ok(Shape::Drain),
        _ => Err(Error::new(ErrorKind::Internal, format!("there is no event shape {number}"))),
    }
}

/// The projects that a token may write.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Projects(pub AllowedKeys);

#[pymethods]
impl Projects {
    #[new]
    fn new(names: Vec<String>) -> Self {
        Self(Arc::new(names.into_iter().map(String::into_bytes).collect()))
    }
}

/// The log of one data directory.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Engine {
    pub(crate) core: forebay_core::Engine,
    pub(crate) completions: Arc<Completions>,
    pub(crate) futures: Mutex<Futures>,
}

/// Where an append went: one partition and one offset a record, in the order given.
#[pyclass(frozen, get_all, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Receipt {
    partitions: Vec<u32>,
    offsets: Vec<u64>,
    durability: &'static str,
}

/// One stream's state.
#[pyclass(frozen, get_all, module = "forebay._forebay")]
#[derive(Debug)]
pub struct StreamDescription {
    name: String,
    id: u32,
    /// Start and end offset by partition.
    partitions: Vec<(u64, u64)>,
    stored_bytes: u64,
    raw_bytes: u64,
    ring_bytes: u64,
    segments: usize,
    builtin: bool,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, data_dir: &str, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let options = convert::options(options)?;
        let opened = py.detach(|| {
            let disk = Disk::new(data_dir).map_err(|error| {
                let detail = format!("data directory {data_dir} cannot be made: {error}");
                Error::new(ErrorKind::StorageUnavailable, detail)
            })?;
            forebay_core::Engine::open(Arc::new(disk), options)
        });
        let core = opened.map_err(|error| raise(py, &error))?;
        Ok(Self { core, completions: Arc::new(Completions::new()?), futures: Mutex::default() })
    }

    #[pyo3(signature = (shape, body, future, encoding=None, quarantine=false, key=None, projects=None))]
    #[allow(clippy::too_many_arguments)] // one crossing a request, and a request has that many parts
    fn submit(
        &self,
        py: Python<'_>,
        shape: u8,
        body: PyBackedBytes,
        future: Py<PyAny>,
        encoding: Option<&str>,
        quarantine: bool,
        key: Option<(PyBackedBytes, PyBackedBytes)>,
        projects: Option<&Bound<'_, Projects>>,
    ) -> PyResult<()> {
        let request = self::shape(shape).and_then(|shape| {
            let mut request = Request::new(shape, Box::new(body));
            request.encoding = convert::encoding(encoding)?;
            request.on_invalid = if quarantine { OnInvalid::Quarantine } else { OnInvalid::Refuse };
            request.key = key.map(|(scope, key)| Key::new(&scope, shape.stream(), &key)).transpose()?;
            request.allowed = projects.map(|projects| Arc::clone(&projects.get().0));
            Ok(request)
        });
        let request = request.map_err(|error| raise(py, &error))?;
        let ticket = self.futures.lock().insert(future);
        let completer: Arc<dyn Completer> = self.completions.clone();
        // Parsing a small body, or queueing a large one, is not worth giving the GIL away for.
        let submitted = if request.bytes().len() <= INLINE_BODY_BYTES {
            self.core.submit(request, completer, ticket)
        } else {
            py.detach(|| self.core.submit(request, completer, ticket))
        };
        submitted.map_err(|error| {
            self.futures.lock().remove(ticket);
            raise(py, &error)
        })
    }

    fn completion_fd(&self) -> i32 {
        self.completions.descriptor()
    }

    fn drain_completions(&self, py: Python<'_>) -> PyResult<()> {
        deliver(py, &self.completions, &self.futures)
    }

    fn watch(&self, stream: &str, positions: Vec<(u32, u64)>, future: Bound<'_, PyAny>) -> PyResult<u128> {
        watch::watch(self, stream, &positions, future)
    }

    fn unwatch(&self, ticket: u128) {
        watch::unwatch(self, ticket);
    }

    fn position(&self, py: Python<'_>, stream: &str, earliest: bool) -> PyResult<(u32, Vec<u64>)> {
        tail::position(py, &self.core, stream, earliest)
    }

    #[pyo3(signature = (stream, position, max_records, max_bytes, until=None, predicate=None, projects=None))]
    #[allow(clippy::too_many_arguments)] // one crossing a chunk
    fn tail(
        &self,
        py: Python<'_>,
        stream: &str,
        position: (u32, Vec<u64>),
        max_records: usize,
        max_bytes: usize,
        until: Option<Vec<u64>>,
        predicate: Option<&Bound<'_, Filter>>,
        projects: Option<&Bound<'_, Projects>>,
    ) -> PyResult<TailChunk> {
        let limits = Limits { records: max_records, bytes: max_bytes };
        let choice = tail::Choice { until, predicate, projects };
        tail::read(py, &self.core, stream, position, limits, &choice)
    }

    #[pyo3(signature = (stream, records, partition))]
    fn append(
        &self,
        py: Python<'_>,
        stream: &str,
        records: Vec<RecordTuple>,
        partition: Option<u32>,
    ) -> PyResult<Receipt> {
        let appended = py.detach(|| {
            let records: Vec<_> = records.into_iter().map(record).collect();
            self.core.append(stream, &records, partition.map(PartitionId))
        });
        let appended = appended.map_err(|error| raise(py, &error))?;
        Ok(Receipt {
            partitions: appended.places.iter().map(|(partition, _)| partition.0).collect(),
            offsets: appended.places.iter().map(|(_, offset)| offset.0).collect(),
            durability: appended.receipt.level.durability().name(),
        })
    }

    fn fetch(
        &self,
        py: Python<'_>,
        stream: &str,
        partition: u32,
        offset: u64,
        max_records: usize,
        max_bytes: usize,
    ) -> PyResult<RecordBatch> {
        let limits = Limits { records: max_records, bytes: max_bytes };
        let fetched = py.detach(|| self.core.fetch(stream, PartitionId(partition), Offset(offset), limits));
        fetched.map(|batch| RecordBatch { batch }).map_err(|error| raise(py, &error))
    }

    fn create_stream(&self, py: Python<'_>, name: &str, partitions: u32) -> PyResult<()> {
        let created = py.detach(|| self.core.create_stream(name, partitions));
        created.map(drop).map_err(|error| raise(py, &error))
    }

    fn streams(&self) -> Vec<StreamDescription> {
        let describe = |stream: forebay_core::StreamReport| StreamDescription {
            builtin: stream.name == LOGS,
            name: stream.name,
            id: stream.id,
            partitions: stream.partitions.iter().map(|(_, start, end)| (start.0, end.0)).collect(),
            stored_bytes: stream.stored_bytes,
            raw_bytes: stream.raw_bytes,
            ring_bytes: stream.ring_bytes,
            segments: stream.segments,
        };
        self.core.stream_reports().into_iter().map(describe).collect()
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        metrics::rows(py, &self.core)
    }

    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = self.core.report();
        let status = PyDict::new(py);
        status.set_item("durability", report.durability.name())?;
        status.set_item("mode", report.mode.name())?;
        status.set_item("reason", report.reason)?;
        status.set_item("sealer_stuck", report.sealer_stuck)?;
        let damages = PyList::empty(py);
        for damage in report.damages {
            damages.append(damage_row(py, damage)?)?;
        }
        status.set_item("damages", damages)?;
        status.set_item("ring_used_bytes", report.ring_used_bytes)?;
        status.set_item("ring_limit_bytes", report.ring_limit_bytes)?;
        status.set_item("seal_backlog_files", report.seal_backlog_files)?;
        status.set_item("commit_queue", report.commit_queue)?;
        status.set_item("workers", report.workers)?;
        status.set_item("free_disk_bytes", report.free_disk_bytes)?;
        Ok(status)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.core.close());
    }
}
