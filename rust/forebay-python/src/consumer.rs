//! Consumer groups for Python.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::consumer::{Consume, Fetched, GroupReport, OffsetCommit, OnReset, StartAt, write_answer};
use forebay_core::{Completer, CompletionId, Engine, Error, ErrorKind, Gap, Offset, PartitionId, Result};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::batch::RecordBatch;
use crate::error::raise;
use crate::tail::Filter;

/// (stream, partition, offset).
pub type OffsetTuple = (String, u32, u64);

/// A consumer's call with its arguments copied from Python, so that it is served without the GIL.
#[derive(Debug)]
pub struct Call {
    group: String,
    stream: String,
    member: Option<String>,
    partition: Option<u32>,
    start_at: StartAt,
    resume: Vec<(PartitionId, Offset)>,
    gaps: Vec<Gap>,
    limit: usize,
    on_reset: OnReset,
    filter: Option<Py<Filter>>,
    auto_commit: bool,
    hold: Duration,
}

impl Call {
    /// Reads a call from the keywords that Python passed beside group and stream.
    pub fn new(group: String, stream: String, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut call = Self {
            group,
            stream,
            member: None,
            partition: None,
            start_at: StartAt::Committed,
            resume: Vec::new(),
            gaps: Vec::new(),
            limit: 100,
            on_reset: OnReset::Error,
            filter: None,
            auto_commit: false,
            hold: Duration::ZERO,
        };
        for (name, value) in keywords.into_iter().flatten() {
            call.set(&name.extract::<String>()?, &value)?;
        }
        Ok(call)
    }

    fn set(&mut self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        match name {
            "member" => self.member = value.extract()?,
            "partition" => self.partition = value.extract()?,
            "offset" => self.start_at = start_at(value)?,
            "resume" => self.resume = places(value.extract()?),
            "gaps" => self.gaps = gaps(value.extract()?),
            "limit" => self.limit = value.extract()?,
            "on_reset" => self.on_reset = on_reset(&value.extract::<String>()?)?,
            "filter" => self.filter = value.extract()?,
            "auto_commit" => self.auto_commit = value.extract()?,
            "hold_ms" => self.hold = Duration::from_millis(value.extract()?),
            _ => return Err(pyo3::exceptions::PyTypeError::new_err(format!("unknown keyword {name:?}"))),
        }
        Ok(())
    }

    fn run(&self, engine: &Engine) -> Result<Fetched> {
        engine.groups().consume(&Consume {
            group: &self.group,
            stream: &self.stream,
            member: self.member.as_deref(),
            partition: self.partition.map(PartitionId),
            start_at: self.start_at,
            resume: &self.resume,
            gaps: &self.gaps,
            filter: self.filter.as_ref().map(|filter| &filter.get().0),
            limit: self.limit,
            on_reset: self.on_reset,
            auto_commit: self.auto_commit,
            hold: self.hold,
            now: Instant::now(),
        })
    }
}

fn start_at(value: &Bound<'_, PyAny>) -> PyResult<StartAt> {
    if value.is_none() {
        return Ok(StartAt::Committed);
    }
    if let Ok(offset) = value.extract::<u64>() {
        return Ok(StartAt::At(Offset(offset)));
    }
    match value.extract::<String>()?.as_str() {
        "earliest" => Ok(StartAt::Earliest),
        "latest" => Ok(StartAt::Latest),
        other => {
            let detail = format!("offset is {other:?}; it may be earliest, latest or a number");
            Err(raise(value.py(), &Error::new(ErrorKind::InvalidOffset, detail)))
        }
    }
}

fn on_reset(name: &str) -> PyResult<OnReset> {
    match name {
        "error" => Ok(OnReset::Error),
        "earliest" => Ok(OnReset::Earliest),
        "latest" => Ok(OnReset::Latest),
        _ => Err(pyo3::exceptions::PyValueError::new_err("on_reset must be error, earliest or latest")),
    }
}

/// Converts positions from Python.
pub fn places(positions: Vec<(u32, u64)>) -> Vec<(PartitionId, Offset)> {
    positions.into_iter().map(|(partition, offset)| (PartitionId(partition), Offset(offset))).collect()
}

/// (partition, first offset, offset after the last).
type GapTuple = (u32, u64, u64);

/// Converts gaps from Python.
fn gaps(rows: Vec<GapTuple>) -> Vec<Gap> {
    let gap = |(partition, from, to)| Gap { partition: PartitionId(partition), from: Offset(from), to: Offset(to) };
    rows.into_iter().map(gap).collect()
}

/// The answer to a consumer as JSON.
#[pyclass(frozen, get_all, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Consumed {
    body: Py<PyBytes>,
    count: usize,
    positions: Vec<(u32, u64)>,
    gaps: Vec<GapTuple>,
    rebalanced: bool,
    recheck_ms: Option<u64>,
}

/// The answer to a consumer as batches of records.
#[pyclass(frozen, get_all, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Polled {
    batches: Vec<Py<RecordBatch>>,
    positions: Vec<(u32, u64)>,
    /// Partitions that cannot be read now, with the reason.
    unreadable: Vec<(u32, String)>,
    recheck_ms: Option<u64>,
}

fn positions(fetched: &Fetched) -> Vec<(u32, u64)> {
    fetched.reached.iter().map(|reached| (reached.partition.0, reached.next.0)).collect()
}

fn recheck_ms(fetched: &Fetched) -> Option<u64> {
    let left = fetched.next_expiry?.saturating_duration_since(Instant::now());
    // The wait is rounded up, because a moment too early the lease would still be running.
    Some(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1))
}

/// Fetches records and writes the JSON answer.
pub fn consume(py: Python<'_>, engine: &Engine, call: &Call) -> PyResult<Consumed> {
    let consumed = py.detach(|| {
        let fetched = call.run(engine)?;
        let body = write_answer(&call.group, &fetched);
        Ok((fetched, body))
    });
    let (fetched, body) = consumed.map_err(|error| raise(py, &error))?;
    Ok(Consumed {
        body: PyBytes::new(py, &body).unbind(),
        count: fetched.count(),
        positions: positions(&fetched),
        gaps: fetched.gaps.iter().map(|gap| (gap.partition.0, gap.from.0, gap.to.0)).collect(),
        rebalanced: fetched.rebalanced,
        recheck_ms: recheck_ms(&fetched),
    })
}

/// Fetches records as batches.
pub fn poll(py: Python<'_>, engine: &Engine, call: &Call) -> PyResult<Polled> {
    let fetched = py.detach(|| call.run(engine)).map_err(|error| raise(py, &error))?;
    let (positions, recheck_ms) = (positions(&fetched), recheck_ms(&fetched));
    let why = |(partition, error): (PartitionId, Error)| (partition.0, error.detail().to_owned());
    let unreadable = fetched.unreadable.into_iter().map(why).collect();
    let batches = fetched.batches.into_iter().map(|batch| Py::new(py, RecordBatch { batch }));
    Ok(Polled { batches: batches.collect::<PyResult<_>>()?, positions, unreadable, recheck_ms })
}

/// Commits offsets. `completer` is called when they are durable; without one, this call waits.
pub fn commit(
    engine: &Engine,
    group: &str,
    offsets: Vec<OffsetTuple>,
    member: Option<&str>,
    force: bool,
    reply: Option<(Arc<dyn Completer>, CompletionId)>,
) -> Result<()> {
    let place = |(stream, partition, offset)| (stream, PartitionId(partition), Offset(offset));
    let offsets: Vec<_> = offsets.into_iter().map(place).collect();
    let request = OffsetCommit { group, offsets: &offsets, member, force, now: Instant::now() };
    match reply {
        Some((completer, completion)) => engine.groups().commit(&request, completer, completion),
        None => engine.groups().commit_and_wait(&request).map(drop),
    }
}

/// The state of one group.
#[pyclass(frozen, get_all, module = "forebay._forebay")]
#[derive(Debug)]
pub struct GroupDescription {
    name: String,
    created_us: i64,
    used_us: i64,
    /// Stream, member, partitions, milliseconds left.
    members: Vec<(String, String, Vec<u32>, u64)>,
    /// Stream, partition, offset, end.
    offsets: Vec<(String, u32, u64, u64)>,
    /// Stream, partition, offset and end where the group began, for partitions in which it has committed nothing.
    begun: Vec<(String, u32, u64, u64)>,
    lag: u64,
}

impl GroupDescription {
    /// Converts the core's report.
    pub fn new(report: GroupReport) -> Self {
        let member = |member: forebay_core::consumer::MemberReport| {
            let partitions = member.partitions.iter().map(|partition| partition.0).collect();
            (member.stream, member.member, partitions, u64::try_from(member.left.as_millis()).unwrap_or(u64::MAX))
        };
        let offset = |row: forebay_core::consumer::OffsetReport| (row.stream, row.partition.0, row.offset.0, row.end.0);
        let lag = report.lag();
        Self {
            name: report.name,
            created_us: report.created.0,
            used_us: report.used.0,
            members: report.members.into_iter().map(member).collect(),
            offsets: report.offsets.into_iter().map(offset).collect(),
            begun: report.begun.into_iter().map(offset).collect(),
            lag,
        }
    }
}

#[pymethods]
impl GroupDescription {
    fn __repr__(&self) -> String {
        let (members, offsets) = (self.members.len(), self.offsets.len());
        format!("<GroupDescription {:?}, {members} members, {offsets} committed offsets>", self.name)
    }
}
