//! The class `Front`, which needs nothing from Python but the principals, and the classes that the server behind shares
//! with it.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use forebay_core::{Error, ErrorKind};
use forebay_http::{Answer, Family, Limits, Principal, Principals};
use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::descriptor::duplicate;
use crate::engine::{Engine, Projects};
use crate::error::raise;
use crate::rate_limiter::RateLimiter;

/// Bounds the bytes of request bodies in memory.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct MemoryBudget(Arc<forebay_http::MemoryBudget>);

#[pymethods]
impl MemoryBudget {
    #[new]
    fn new(limit: u64) -> Self {
        Self(Arc::new(forebay_http::MemoryBudget::new(limit)))
    }

    #[getter]
    fn limit(&self) -> u64 {
        self.0.limit()
    }

    #[getter]
    fn used(&self) -> u64 {
        self.0.used()
    }

    /// Makes an empty reservation for a body of a token.
    fn reserve(&self, limiter: Option<&Bound<'_, RateLimiter>>) -> Reserved {
        let limiter = limiter.map(|limiter| &limiter.get().0);
        Reserved(Mutex::new(Some(forebay_http::Reserved::new(&self.0, limiter))))
    }
}

/// The bytes reserved for one body.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Reserved(Mutex<Option<forebay_http::Reserved>>);

#[pymethods]
impl Reserved {
    fn grow_to(&self, py: Python<'_>, size: u64) -> PyResult<()> {
        let mut held = self.0.lock();
        held.as_mut().map_or(Ok(()), |held| held.grow_to(size)).map_err(|error| raise(py, &error))
    }

    /// Releases all of it.
    fn release(&self) {
        *self.0.lock() = None;
    }
}

type RefusalTuple = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// Renders the answer to a refused request of a family: status, headers and body.
#[pyfunction]
pub fn refusal(family: &str, number: u16, detail: &str, retry_after: Option<f64>) -> PyResult<RefusalTuple> {
    let kind = row(number)?;
    let mut error = Error::new(kind, detail);
    if let Some(wait) = retry_after {
        let wait = Duration::try_from_secs_f64(wait).map_err(|error| PyValueError::new_err(error.to_string()))?;
        error = error.with_retry_after(wait);
    }
    let Answer { status, headers, body } = named(family)?.refusal(&error);
    Ok((status, headers, body))
}

/// Returns the name of the family that a path belongs to.
#[pyfunction]
pub fn family_of(path: &str) -> &'static str {
    Family::of(path).name()
}

/// Returns the status and the name that a family gives a row of the error table.
#[pyfunction]
pub fn family_row(family: &str, number: u16) -> PyResult<(u16, String)> {
    let (family, kind) = (named(family)?, row(number)?);
    Ok((family.status(kind), family.error_name(kind)))
}

fn named(family: &str) -> PyResult<Family> {
    let found = Family::ALL.into_iter().find(|known| known.name() == family);
    found.ok_or_else(|| PyValueError::new_err(format!("there is no family {family:?}")))
}

fn row(number: u16) -> PyResult<ErrorKind> {
    let found = ErrorKind::ALL.iter().find(|kind| kind.number() == number);
    found.copied().ok_or_else(|| PyValueError::new_err(format!("the error table has no row {number}")))
}

/// Serves a listener on its own thread.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Front(forebay_http::Front);

type GrantTuple<'py> = (Vec<u8>, Option<Bound<'py, Projects>>, Option<Bound<'py, RateLimiter>>);

#[pymethods]
impl Front {
    #[new]
    #[pyo3(signature = (engine, listener, backend, *, memory_budget, body_limit, body_seconds, ack_seconds, connections))]
    #[allow(clippy::too_many_arguments)] // they are named in Python, and passed once in a process
    fn new(
        engine: &Bound<'_, Engine>,
        listener: i32,
        backend: (IpAddr, u16),
        memory_budget: &Bound<'_, MemoryBudget>,
        body_limit: usize,
        body_seconds: f64,
        ack_seconds: f64,
        connections: usize,
    ) -> PyResult<Self> {
        let seconds = |seconds: f64| {
            Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
        };
        let (body_time, ack_time) = (seconds(body_seconds)?, seconds(ack_seconds)?);
        let memory_budget = Arc::clone(&memory_budget.get().0);
        let limits = Limits { body_bytes: body_limit, body_time, ack_time, connections, memory_budget };
        let listener = TcpListener::from(duplicate(listener)?);
        let engine = Arc::clone(&engine.get().core);
        let principals = Arc::new(Principals::default());
        let started = forebay_http::Front::start(listener, SocketAddr::from(backend), engine, principals, limits);
        Ok(Self(started?))
    }

    /// Sets the principals that may ingest: digest, projects and limiter of each token, or `None` for everybody.
    fn set_principals(&self, principals: Option<Vec<GrantTuple<'_>>>) {
        let Some(principals) = principals else { return self.0.principals().let_everybody_in() };
        self.0.principals().set(principals.into_iter().map(|(scope, projects, limiter)| Principal {
            scope,
            allowed: projects.map(|projects| Arc::clone(&projects.get().0)),
            limiter: limiter.map(|limiter| Arc::clone(&limiter.get().0)),
        }));
    }

    /// Returns the number of direct connections, of tunnels, and of requests in flight.
    fn stats(&self) -> (usize, usize, usize) {
        let stats = self.0.stats();
        (stats.direct, stats.tunnels, stats.requests)
    }

    /// The connection that the server behind knows by its client's address; None when it is gone, or came by another
    /// way.
    fn tunnel(&self, client: &str) -> Option<Tunnel> {
        self.0.tunnels().get(client.parse().ok()?).map(Tunnel)
    }

    fn begin_stop(&self, seconds: f64) {
        self.0.begin_stop(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }

    fn join(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.join())
    }
}

/// One client's connection, which the server behind serves.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct Tunnel(Arc<forebay_http::TunnelControl>);

#[pymethods]
impl Tunnel {
    #[getter]
    fn taken(&self) -> u64 {
        self.0.taken()
    }

    #[getter]
    fn received(&self) -> u64 {
        self.0.received()
    }

    #[getter]
    fn ended(&self) -> bool {
        self.0.has_ended()
    }

    fn insert(&self, data: &[u8]) {
        self.0.insert(data.to_vec());
    }

    fn insert_last(&self, data: &[u8]) {
        self.0.insert_last(data.to_vec());
    }

    fn answer(&self, data: &[u8]) {
        self.0.answer(data.to_vec());
    }

    fn hang_up(&self) {
        self.0.hang_up();
    }

    fn reset(&self) {
        self.0.reset();
    }
}
