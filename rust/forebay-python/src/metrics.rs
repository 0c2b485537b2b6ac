//! Counters as rows that a Prometheus exporter renders without knowing their names.

use forebay_core::status::Mode;
use forebay_core::telemetry::{LATENCY_BOUNDS_MICROS, Row, Value};
use forebay_core::{Engine, Report};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

const MICROS_PER_SECOND: f64 = 1e6;

/// Returns every metric as (name, help, type, [(labels, value)]). The value of a histogram is (bounds, cumulative
/// counts, sum).
pub fn rows<'py>(py: Python<'py>, engine: &Engine) -> PyResult<Bound<'py, PyList>> {
    let out = PyList::empty(py);
    let mut last: Option<(&'static str, Bound<'py, PyList>)> = None;
    for row in engine.counters().snapshot() {
        let sample = sample(py, &row)?;
        match &last {
            // Rows of one name with different labels are adjacent.
            Some((name, samples)) if *name == row.name => samples.append(sample)?,
            Some(_) | None => {
                let samples = PyList::new(py, [sample])?;
                out.append((row.name, row.help, row.kind.name(), &samples))?;
                last = Some((row.name, samples));
            }
        }
    }
    let report = engine.report();
    for (name, help, value) in gauges(&report) {
        out.append((name, help, "gauge", [(PyDict::new(py), value)]))?;
    }
    let modes = PyList::empty(py);
    for mode in Mode::ALL {
        let labels = PyDict::new(py);
        labels.set_item("mode", mode.name())?;
        modes.append((labels, f64::from(u8::from(mode == report.mode))))?;
    }
    out.append((
        "forebay_log_mode",
        "1 for what the log does with writes now, 0 for the other modes.",
        "gauge",
        modes,
    ))?;
    Ok(out)
}

#[allow(clippy::cast_precision_loss)] // Prometheus values are doubles
fn sample<'py>(py: Python<'py>, row: &Row) -> PyResult<Bound<'py, PyTuple>> {
    let labels = PyDict::new(py);
    for (label, value) in &row.labels {
        labels.set_item(label, value)?;
    }
    match &row.value {
        Value::Integer(value) => (labels, *value as f64).into_pyobject(py),
        Value::Histogram(snapshot) => {
            let bounds: Vec<f64> =
                LATENCY_BOUNDS_MICROS.iter().map(|micros| *micros as f64 / MICROS_PER_SECOND).collect();
            let mut counts = snapshot.cumulative(LATENCY_BOUNDS_MICROS);
            counts.push(snapshot.count());
            let sum = snapshot.sum() as f64 / MICROS_PER_SECOND;
            (labels, (bounds, counts, sum)).into_pyobject(py)
        }
    }
}

/// Converts microseconds to seconds.
#[allow(clippy::cast_precision_loss)] // precision is lost only for a clock that is centuries off
pub fn seconds(micros: i64) -> f64 {
    micros as f64 / MICROS_PER_SECOND
}

#[allow(clippy::cast_precision_loss)] // Prometheus values are doubles
fn gauges(report: &Report) -> [(&'static str, &'static str, f64); 7] {
    [
        ("forebay_ring_used_bytes", "Bytes of the ring's budget in use.", report.ring_used_bytes as f64),
        ("forebay_ring_limit_bytes", "The ring's budget.", report.ring_limit_bytes as f64),
        ("forebay_seal_backlog_files", "Full journal files not sealed yet.", report.seal_backlog_files as f64),
        ("forebay_commit_queue_requests", "Requests waiting for the committer.", report.commit_queue as f64),
        ("forebay_ingest_workers", "Threads that parse request bodies.", report.workers as f64),
        (
            "forebay_damages",
            "Damaged places that were found in the data directory since the start.",
            report.damages.len() as f64,
        ),
        (
            "forebay_clock_unproven_seconds",
            "How far the wall clock is ahead of the time that is known to have passed; nothing is deleted for it.",
            report.clock_doubt.map_or(0.0, |doubt| seconds(doubt.unproven)),
        ),
    ]
}
