//! Streams for Python: their state, and the choices for making and changing one.

use forebay_core::{ANALYTICS, Compression, EVENTS, Error, ErrorKind, LOGS, Layout, StreamChange, StreamReport};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::engine::Engine;
use crate::error::raise;
use crate::rate_limiter::{RateTuple, rates};

/// The state of one stream.
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
    engine_made: bool,
    created_us: i64,
    /// 0 for no limit.
    retention_ms: u64,
    /// 0 for no limit.
    retention_bytes: u64,
    compression: &'static str,
    layout: &'static str,
    max_record_bytes: u64,
    /// Limits of events and of bytes, each an amount per second and a burst.
    quota: (Option<RateTuple>, Option<RateTuple>),
    dedup_window_seconds: u64,
}

impl StreamDescription {
    fn of(stream: StreamReport) -> Self {
        let definition = stream.definition;
        Self {
            builtin: matches!(stream.name.as_str(), LOGS | EVENTS | ANALYTICS),
            name: stream.name,
            id: stream.id,
            partitions: stream.partitions.iter().map(|(_, start, end)| (start.0, end.0)).collect(),
            stored_bytes: stream.stored_bytes,
            raw_bytes: stream.raw_bytes,
            ring_bytes: stream.ring_bytes,
            segments: stream.segments,
            engine_made: stream.engine_made,
            created_us: definition.created_us,
            retention_ms: definition.retention_ms.unwrap_or(0),
            retention_bytes: definition.retention_bytes.unwrap_or(0),
            compression: definition.compression.name(),
            layout: definition.layout().name(),
            max_record_bytes: definition.max_record_bytes,
            quota: (definition.quota.events.map(Into::into), definition.quota.bytes.map(Into::into)),
            dedup_window_seconds: stream.dedup_window.as_secs(),
        }
    }
}

#[pymethods]
impl StreamDescription {
    fn __repr__(&self) -> String {
        let records: u64 = self.partitions.iter().map(|(start, end)| end - start).sum();
        let (name, partitions) = (&self.name, self.partitions.len());
        format!("<StreamDescription {name:?}, {partitions} partitions, {records} records>")
    }
}

/// Reads the choices for a stream from a dictionary.
fn change(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<StreamChange> {
    let mut change = StreamChange::default();
    for (name, value) in options.into_iter().flatten() {
        let name: String = name.extract()?;
        let number = || value.extract::<u64>().map(Some).map_err(|error| invalid(py, &name, &error.to_string()));
        match name.as_str() {
            "retention_ms" => change.retention_ms = number()?,
            "retention_bytes" => change.retention_bytes = number()?,
            "max_record_bytes" => change.max_record_bytes = number()?,
            "dedup_window_seconds" => {
                // A number beyond 32 bits is refused as too large a window.
                change.dedup_window_seconds = number()?.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
            }
            "quota" => {
                let given = value.extract::<(Option<RateTuple>, Option<RateTuple>)>();
                let (events, bytes) = given.map_err(|error| invalid(py, &name, &error.to_string()))?;
                change.quota = Some(rates(events, bytes).map_err(|error| raise(py, &error))?);
            }
            "layout" => {
                let named = value.extract::<String>().ok().and_then(|name| Layout::named(&name));
                let all = Layout::ALL.map(Layout::name).join(", ");
                change.layout = Some(named.ok_or_else(|| invalid(py, &name, &format!("must be one of {all}")))?);
            }
            "compression" => {
                let named = value.extract::<String>().ok().and_then(|name| Compression::named(&name));
                let all = Compression::ALL.map(Compression::name).join(", ");
                change.compression = Some(named.ok_or_else(|| invalid(py, &name, &format!("must be one of {all}")))?);
            }
            _ => return Err(invalid(py, &name, "there is no such option")),
        }
    }
    Ok(change)
}

fn invalid(py: Python<'_>, name: &str, what: &str) -> PyErr {
    raise(py, &Error::new(ErrorKind::InvalidRequest, format!("option {name}: {what}")))
}

#[pymethods]
impl Engine {
    #[pyo3(signature = (name, partitions, options=None))]
    fn create_stream(
        &self,
        py: Python<'_>,
        name: &str,
        partitions: u32,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let choice = change(py, options)?;
        let created = py.detach(|| self.core.create_stream_with(name, partitions, choice));
        created.map(drop).map_err(|error| raise(py, &error))
    }

    fn alter_stream(&self, py: Python<'_>, name: &str, options: &Bound<'_, PyDict>) -> PyResult<()> {
        let change = change(py, Some(options))?;
        py.detach(|| self.core.alter_stream(name, change)).map_err(|error| raise(py, &error))
    }

    fn delete_stream(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        py.detach(|| self.core.delete_stream(name)).map_err(|error| raise(py, &error))
    }

    fn stream(&self, py: Python<'_>, name: &str) -> PyResult<StreamDescription> {
        self.core.stream_report(name).map(StreamDescription::of).map_err(|error| raise(py, &error))
    }

    fn streams(&self) -> Vec<StreamDescription> {
        self.core.stream_reports().into_iter().map(StreamDescription::of).collect()
    }
}
