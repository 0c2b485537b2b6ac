//! The front's class: what it needs of Python is who may ingest, and what a refusal looks like.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use forebay_core::Error;
use forebay_front::{Answer, Grant, Grants, Limits, Refusals};
use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::account::Account;
use crate::descriptor::duplicate;
use crate::engine::{Engine, Projects};
use crate::error::exception;

/// Bytes of request bodies that may be under way at once.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Allowance(Arc<forebay_front::Allowance>);

#[pymethods]
impl Allowance {
    #[new]
    fn new(limit: u64) -> Self {
        Self(Arc::new(forebay_front::Allowance::new(limit)))
    }

    #[getter]
    fn limit(&self) -> u64 {
        self.0.limit()
    }

    #[getter]
    fn used(&self) -> u64 {
        self.0.used()
    }

    fn take(&self, size: u64) -> bool {
        self.0.take(size)
    }

    fn give(&self, size: u64) {
        self.0.give(size);
    }
}

/// Asks Python what a refusal looks like: they are rare beside what is stored, and one place knows every envelope.
#[derive(Debug)]
struct Rendered {
    refuse: Py<PyAny>,
    /// What a saturated or a stopping server says, again and again, when there is least time to ask.
    kept: Mutex<HashMap<(String, Error), Answer>>,
}

/// Answers that are kept: a few paths, each with a few constant refusals.
const MAX_KEPT: usize = 64;

type AnswerTuple = (u16, PyBackedBytes, Vec<(String, String)>);

impl Rendered {
    fn render(&self, path: &str, error: &Error) -> PyResult<Answer> {
        Python::attach(|py| {
            let (status, body, headers): AnswerTuple =
                self.refuse.bind(py).call1((path, exception(py, error)?))?.extract()?;
            Ok(Answer { status, headers, body: body.to_vec() })
        })
    }
}

impl Refusals for Rendered {
    fn answer(&self, path: &str, error: &Error) -> Answer {
        let again = error.kind().retryable() && error.retry_after().is_none();
        let key = again.then(|| (path.to_owned(), error.clone()));
        if let Some(kept) = key.as_ref().and_then(|key| self.kept.lock().get(key).cloned()) {
            return kept;
        }
        // A renderer that fails is a defect; the sender is still told the status.
        let Ok(answer) = self.render(path, error) else {
            return Answer { status: error.kind().http_status(), ..Answer::default() };
        };
        if let Some(key) = key {
            let mut kept = self.kept.lock();
            if kept.len() >= MAX_KEPT {
                kept.clear();
            }
            kept.insert(key, answer.clone());
        }
        answer
    }
}

/// Serves a listener on a thread of its own.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Front(forebay_front::Front);

type GrantTuple<'py> = (Vec<u8>, Option<Bound<'py, Projects>>, Option<Bound<'py, Account>>);

#[pymethods]
impl Front {
    #[new]
    #[pyo3(signature = (engine, listener, backend, refuse, *, allowance, body_limit, body_seconds, connections))]
    #[allow(clippy::too_many_arguments)] // named, and once a process
    fn new(
        engine: &Bound<'_, Engine>,
        listener: i32,
        backend: (IpAddr, u16),
        refuse: Py<PyAny>,
        allowance: &Bound<'_, Allowance>,
        body_limit: usize,
        body_seconds: f64,
        connections: usize,
    ) -> PyResult<Self> {
        let body_time =
            Duration::try_from_secs_f64(body_seconds).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let allowance = Arc::clone(&allowance.get().0);
        let limits = Limits { body_bytes: body_limit, body_time, connections, allowance };
        let listener = TcpListener::from(duplicate(listener)?);
        let (engine, refusals) =
            (Arc::clone(&engine.get().core), Arc::new(Rendered { refuse, kept: Mutex::default() }));
        let started = forebay_front::Front::start(
            listener,
            SocketAddr::from(backend),
            engine,
            Arc::new(Grants::default()),
            refusals,
            limits,
        );
        Ok(Self(started?))
    }

    /// Who may ingest: (token's digest, projects, account) of each, or None for everybody.
    fn set_grants(&self, grants: Option<Vec<GrantTuple<'_>>>) {
        let Some(grants) = grants else { return self.0.grants().let_everybody_in() };
        self.0.grants().set(grants.into_iter().map(|(scope, projects, account)| Grant {
            scope,
            allowed: projects.map(|projects| Arc::clone(&projects.get().0)),
            account: account.map(|account| Arc::clone(&account.get().0)),
        }));
    }

    /// Connections read here, connections tunnelled, requests under way.
    fn stats(&self) -> (usize, usize, usize) {
        let stats = self.0.stats();
        (stats.direct, stats.tunnels, stats.requests)
    }

    fn begin_stop(&self, seconds: f64) {
        self.0.begin_stop(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }

    fn join(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.join())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Its thread may be waiting for Python to render a refusal.
        Python::attach(|py| {
            py.detach(|| {
                self.0.begin_stop(Duration::ZERO);
                self.0.join()
            })
        });
    }
}
