//! The load test inside the engine, and the number of the engine's workers.

use forebay_core::Timestamp;
use forebay_core::load_test::{LoadTestReport, LoadTestSpec};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::engine::Engine;
use crate::error::raise;

const MICROS_PER_MILLI: f64 = 1e3;

/// The figures of a load test, by their names in JSON.
#[allow(clippy::cast_precision_loss)] // an hour's microseconds are far below 2^53
fn row<'py>(py: Python<'py>, report: &LoadTestReport) -> PyResult<Bound<'py, PyDict>> {
    let millis = |micros: u64| micros as f64 / MICROS_PER_MILLI;
    let row = PyDict::new(py);
    row.set_item("state", report.state.name())?;
    row.set_item("eventsPerSecond", report.spec.map(|spec| spec.events_per_second))?;
    row.set_item("durationSeconds", report.spec.map(|spec| spec.seconds))?;
    row.set_item("startedAt", report.started.map(Timestamp::millis))?;
    row.set_item("elapsedSeconds", report.elapsed.as_secs_f64())?;
    row.set_item("offeredEvents", report.offered)?;
    row.set_item("acceptedEvents", report.accepted)?;
    row.set_item("rejectedEvents", report.rejected)?;
    row.set_item("failedEvents", report.failed)?;
    row.set_item("notSentEvents", report.not_sent)?;
    row.set_item("inFlightEvents", report.in_flight)?;
    row.set_item("offeredEventsPerSecond", report.offered_per_second)?;
    row.set_item("achievedEventsPerSecond", report.achieved_per_second)?;
    let latency = PyDict::new(py);
    latency.set_item("p50", millis(report.p50_micros))?;
    latency.set_item("p95", millis(report.p95_micros))?;
    latency.set_item("p99", millis(report.p99_micros))?;
    latency.set_item("max", millis(report.max_micros))?;
    row.set_item("latency", latency)?;
    row.set_item("failure", &report.failure)?;
    Ok(row)
}

#[pymethods]
impl Engine {
    fn scale(&self, py: Python<'_>, instances: usize) -> PyResult<()> {
        py.detach(|| self.core.scale(instances)).map_err(|error| raise(py, &error))
    }

    fn start_load_test(&self, py: Python<'_>, events_per_second: u64, seconds: u64) -> PyResult<()> {
        let spec = LoadTestSpec { events_per_second, seconds };
        py.detach(|| self.core.start_load_test(spec)).map_err(|error| raise(py, &error))
    }

    fn load_test<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = py.detach(|| self.core.load_test().report());
        row(py, &report)
    }

    fn stop_load_test(&self, py: Python<'_>) -> bool {
        py.detach(|| self.core.load_test().stop())
    }
}
