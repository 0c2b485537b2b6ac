//! The class `Engine`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::function::CallTicket;
use forebay_core::processor::ViewsOptions;
use forebay_core::storage::Disk;
use forebay_core::{
    AllowedKeys, Completer, Error, ErrorKind, INLINE_BODY_BYTES, Key, Limits, Offset, OnInvalid, PartitionId, Request,
    Timestamp,
};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::batch::RecordBatch;
use crate::completion::{Completions, Futures, deliver};
use crate::consumer::{self, Call, Consumed, GroupDescription, OffsetTuple, Polled};
use crate::convert::{self, RecordTuple, record};
use crate::error::raise;
use crate::maintenance::damage_row;
use crate::metrics;
use crate::processor;
use crate::queue_stats::QueueStats;
use crate::rate_limiter::RateLimiter;
use crate::route::IngestRoute;
use crate::tail::{self, Filter, TailChunk};
use crate::watch;

/// The projects that a token may write to.
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
    pub(crate) core: Arc<forebay_core::Engine>,
    pub(crate) completions: Arc<Completions>,
    pub(crate) futures: Mutex<Futures>,
}

/// The places of an append: a partition and an offset for each record, in the order given.
#[pyclass(frozen, get_all, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Receipt {
    partitions: Vec<u32>,
    offsets: Vec<u64>,
    durability: &'static str,
}

#[pymethods]
impl Receipt {
    fn __repr__(&self) -> String {
        let shown = |numbers: &[u64]| match numbers {
            [] => "none".to_owned(),
            [one] => one.to_string(),
            [first, .., last] => format!("{first} to {last}"),
        };
        let count = self.offsets.len();
        let offsets = shown(&self.offsets);
        format!("<Receipt of {count} records, offsets {offsets}, durability {}>", self.durability)
    }
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
        Ok(Self { core: Arc::new(core), completions: Arc::new(Completions::new()?), futures: Mutex::default() })
    }

    #[pyo3(signature = (
        route, body, future, encoding=None, quarantine=false, key=None, projects=None, limiter=None, stream=None
    ))]
    #[allow(clippy::too_many_arguments)] // a request has that many parts, and it crosses from Python once
    fn submit(
        &self,
        py: Python<'_>,
        route: &Bound<'_, IngestRoute>,
        body: PyBackedBytes,
        future: Py<PyAny>,
        encoding: Option<&str>,
        quarantine: bool,
        key: Option<(PyBackedBytes, PyBackedBytes)>,
        projects: Option<&Bound<'_, Projects>>,
        limiter: Option<&Bound<'_, RateLimiter>>,
        stream: Option<String>,
    ) -> PyResult<()> {
        let route = route.get().0;
        let request = || {
            let mut request = Request::new(route, Box::new(body));
            request.encoding = convert::encoding(encoding)?;
            request.on_invalid = if quarantine { OnInvalid::Quarantine } else { OnInvalid::Refuse };
            let name = route.stream.or(stream.as_deref()).unwrap_or_default();
            request.key = key.map(|(scope, key)| Key::new(&scope, name, &key)).transpose()?;
            request.stream = stream;
            request.allowed = projects.map(|projects| Arc::clone(&projects.get().0));
            request.limiter = limiter.map(|limiter| Arc::clone(&limiter.get().0));
            Ok(request)
        };
        let request = request().map_err(|error: Error| raise(py, &error))?;
        let completion = self.futures.lock().insert(future);
        let completer: Arc<dyn Completer> = self.completions.clone();
        // Parsing a small body or queueing a large one is too short to release the GIL for.
        let submitted = if request.bytes().len() <= INLINE_BODY_BYTES {
            self.core.submit(request, completer, completion)
        } else {
            py.detach(|| self.core.submit(request, completer, completion))
        };
        submitted.map_err(|error| {
            self.futures.lock().remove(completion);
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

    fn unwatch(&self, watch: u128) {
        watch::unwatch(self, watch);
    }

    fn position(&self, py: Python<'_>, stream: &str, earliest: bool) -> PyResult<(u32, Vec<u64>)> {
        tail::position(py, &self.core, stream, earliest)
    }

    #[pyo3(signature = (stream, position, max_records, max_bytes, until=None, predicate=None, projects=None))]
    #[allow(clippy::too_many_arguments)] // a chunk crosses from Python once
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

    fn seek(&self, py: Python<'_>, stream: &str, partition: Option<u32>, time_us: i64) -> PyResult<Vec<(u32, u64)>> {
        let found = py.detach(|| self.core.seek(stream, partition.map(PartitionId), Timestamp(time_us)));
        let found = found.map_err(|error| raise(py, &error))?;
        Ok(found.into_iter().map(|(partition, offset)| (partition.0, offset.0)).collect())
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
        let doubt = report.clock_doubt.map(|doubt| (metrics::seconds(doubt.unproven), doubt.left.as_secs_f64()));
        status.set_item("clock_doubt", doubt)?;
        status.set_item("clock_problem", report.clock_problem)?;
        status.set_item("troubles", report.troubles)?;
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

    fn release_clock(&self, py: Python<'_>) -> bool {
        py.detach(|| self.core.release_clock())
    }

    fn queue_stats(&self, py: Python<'_>) -> QueueStats {
        QueueStats(py.detach(|| self.core.queue_stats()))
    }

    #[pyo3(signature = (group, stream, **keywords))]
    fn consume(
        &self,
        py: Python<'_>,
        group: String,
        stream: String,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Consumed> {
        consumer::consume(py, &self.core, &Call::new(group, stream, keywords)?)
    }

    #[pyo3(signature = (group, stream, **keywords))]
    fn poll(
        &self,
        py: Python<'_>,
        group: String,
        stream: String,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Polled> {
        consumer::poll(py, &self.core, &Call::new(group, stream, keywords)?)
    }

    /// Waits on the calling thread.
    fn wait(&self, py: Python<'_>, stream: &str, positions: Vec<(u32, u64)>, milliseconds: u64) -> PyResult<bool> {
        let limit = Duration::from_millis(milliseconds);
        let waited = py.detach(|| self.core.wait(stream, &consumer::places(positions), limit));
        waited.map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (group, offsets, member=None, force=false, future=None))]
    fn commit_offsets(
        &self,
        py: Python<'_>,
        group: &str,
        offsets: Vec<OffsetTuple>,
        member: Option<&str>,
        force: bool,
        future: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let completion = future.map(|future| self.futures.lock().insert(future));
        let completer: Arc<dyn Completer> = self.completions.clone();
        let reply = completion.map(|completion| (completer, completion));
        let committed = py.detach(|| consumer::commit(&self.core, group, offsets, member, force, reply));
        committed.map_err(|error| {
            completion.map(|completion| self.futures.lock().remove(completion));
            raise(py, &error)
        })
    }

    fn groups(&self, py: Python<'_>) -> Vec<GroupDescription> {
        let reports = py.detach(|| self.core.groups().reports(Instant::now()));
        reports.into_iter().map(GroupDescription::new).collect()
    }

    fn group(&self, py: Python<'_>, name: &str) -> PyResult<GroupDescription> {
        let report = self.core.groups().report(name, Instant::now());
        report.map(GroupDescription::new).map_err(|error| raise(py, &error))
    }

    fn delete_group(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        py.detach(|| self.core.groups().delete(name)).map_err(|error| raise(py, &error))
    }

    fn leave_group(&self, py: Python<'_>, group: &str, member: &str) -> PyResult<()> {
        py.detach(|| self.core.groups().leave(group, member)).map_err(|error| raise(py, &error))
    }

    fn keep_views(&self, py: Python<'_>, lateness_ms: u64, retention_ms: u64) -> PyResult<()> {
        let [lateness, retention] = [lateness_ms, retention_ms].map(Duration::from_millis);
        let options = ViewsOptions { lateness, retention };
        py.detach(|| self.core.processors().keep_views(options)).map_err(|error| raise(py, &error))
    }

    fn create_processor<'py>(&self, py: Python<'py>, definition: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        processor::answer(py, || self.core.processors().create(definition))
    }

    fn processors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        processor::answer(py, || Ok(self.core.processors().descriptions()))
    }

    fn processor<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyBytes>> {
        processor::answer(py, || self.core.processors().description(name))
    }

    fn processor_metrics<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyBytes>> {
        processor::answer(py, || self.core.processors().metrics(name))
    }

    fn processor_dead_letters<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        offset: u64,
        limit: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        processor::answer(py, || self.core.processors().dead_letters(name, Offset(offset), limit))
    }

    #[pyo3(signature = (name, through=None))]
    fn replay_dead_letters<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        through: Option<u64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        processor::answer(py, || self.core.processors().replay_dead_letters(name, through.map(Offset)))
    }

    #[pyo3(signature = (name, through=None))]
    fn drop_dead_letters<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        through: Option<u64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        processor::answer(py, || self.core.processors().drop_dead_letters(name, through.map(Offset)))
    }

    fn take_function_call<'py>(
        &self,
        py: Python<'py>,
        timeout_ms: u64,
    ) -> PyResult<Option<(u64, Bound<'py, PyBytes>)>> {
        processor::take_call(py, self.core.processors(), Duration::from_millis(timeout_ms))
    }

    fn answer_function_call(&self, py: Python<'_>, ticket: u64, body: &[u8]) {
        py.detach(|| self.core.processors().local_calls().answer(CallTicket(ticket), body));
    }

    fn pause_processor<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyBytes>> {
        processor::answer(py, || self.core.processors().pause(name))
    }

    fn resume_processor<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyBytes>> {
        processor::answer(py, || self.core.processors().resume(name))
    }

    fn delete_processor(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        py.detach(|| self.core.processors().delete(name)).map_err(|error| raise(py, &error))
    }

    fn preview_processor<'py>(
        &self,
        py: Python<'py>,
        definition: &[u8],
        records: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        processor::answer(py, || self.core.processors().preview(definition, records))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.core.close());
    }
}
