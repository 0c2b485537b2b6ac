//! The HTTP load generator for Python.

use std::ops::ControlFlow;
use std::time::Duration;

use forebay_core::{Error, ErrorKind};
use forebay_load::{Content, LoadError, LoadOptions, Pacing, Phase, run_with_progress};
use pyo3::exceptions::{PyConnectionError, PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::raise;

/// Runs a load and returns its report as JSON, the latencies as an HdrHistogram percentile distribution, and whether it
/// was ended early. `progress` is called about ten times a second. When it or a signal raises `KeyboardInterrupt`, the
/// load ends and the report covers the time until then.
#[pyfunction]
pub fn run_load(py: Python<'_>, options: &Bound<'_, PyDict>, progress: Py<PyAny>) -> PyResult<(String, String, bool)> {
    let options = self::options(options)?;
    let mut stopped: Option<PyErr> = None;
    let run = py.detach(|| {
        run_with_progress(&options, &mut |now| {
            let told = Python::attach(|py| {
                py.check_signals()?;
                let phase = match now.phase {
                    Phase::Warmup => "warmup",
                    Phase::Measuring => "measuring",
                    Phase::Draining => "draining",
                };
                let elapsed = now.elapsed.as_secs_f64();
                progress.call1(py, (phase, elapsed, now.acknowledged_events, now.refused_requests)).map(drop)
            });
            match told {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    stopped.get_or_insert(error);
                    ControlFlow::Break(())
                }
            }
        })
    });
    let interrupted = match stopped {
        Some(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => true,
        Some(error) => return Err(error),
        None => false,
    };
    let report = run.map_err(|error| match error {
        LoadError::Invalid(text) => raise(py, &Error::new(ErrorKind::InvalidRequest, text)),
        LoadError::Unreachable { .. } | LoadError::System { .. } => PyConnectionError::new_err(error.to_string()),
    })?;
    let json = serde_json::to_string(&report).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok((json, report.distribution, interrupted))
}

fn options(dictionary: &Bound<'_, PyDict>) -> PyResult<LoadOptions> {
    let mut options = LoadOptions::default();
    let seconds = |value: &Bound<'_, PyAny>| {
        Duration::try_from_secs_f64(value.extract()?).map_err(|error| PyValueError::new_err(error.to_string()))
    };
    for (key, value) in dictionary {
        let key: String = key.extract()?;
        match key.as_str() {
            "url" => options.url = value.extract()?,
            "content" => {
                let name: String = value.extract()?;
                let unknown = || PyValueError::new_err(format!("there is no content {name:?}"));
                options.content = Content::named(&name).ok_or_else(unknown)?;
            }
            "rate" => {
                let rate: Option<f64> = value.extract()?;
                options.pacing = rate.map_or(Pacing::Closed, |rate| Pacing::Open { events_per_second: rate });
            }
            "connections" => options.connections = value.extract()?,
            "batch" => options.batch = value.extract()?,
            "duration" => options.duration = seconds(&value)?,
            "warmup" => options.warmup = seconds(&value)?,
            "timeout" => options.answer_timeout = seconds(&value)?,
            "seed" => options.seed = value.extract()?,
            "headers" => options.headers = value.extract()?,
            _ => return Err(PyValueError::new_err(format!("there is no load option {key:?}"))),
        }
    }
    Ok(options)
}
