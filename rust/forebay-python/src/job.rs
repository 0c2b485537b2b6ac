//! Durable jobs. Each call is durable when it returns, and those with an answer return it as JSON.

use std::time::Duration;

use forebay_core::job::{NewJob, Priority};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::engine::Engine;
use crate::processor::answer;

type Answer<'py> = PyResult<Bound<'py, PyBytes>>;

#[pymethods]
impl Engine {
    #[pyo3(signature = (
        queue, payload, *, priority="normal", delay_ms=0, retries=3, timeout_ms=30_000, unique_key=None
    ))]
    #[allow(clippy::too_many_arguments)] // a job has that many parts, and it crosses from Python once
    fn job_enqueue<'py>(
        &self,
        py: Python<'py>,
        queue: &str,
        payload: &[u8],
        priority: &str,
        delay_ms: u64,
        retries: u32,
        timeout_ms: u64,
        unique_key: Option<&str>,
    ) -> Answer<'py> {
        answer(py, || {
            let priority = Priority::named(priority)?;
            let (delay, timeout) = (Duration::from_millis(delay_ms), Duration::from_millis(timeout_ms));
            self.core.jobs().enqueue(&NewJob { queue, payload, priority, delay, retries, timeout, unique_key })
        })
    }

    fn job_lease<'py>(&self, py: Python<'py>, queue: &str, limit: usize, lease_ms: u64) -> Answer<'py> {
        answer(py, || self.core.jobs().lease(queue, limit, Duration::from_millis(lease_ms)))
    }

    #[pyo3(signature = (id, lease, lease_ms, progress=None))]
    fn job_heartbeat<'py>(
        &self,
        py: Python<'py>,
        id: &str,
        lease: &str,
        lease_ms: u64,
        progress: Option<&[u8]>,
    ) -> Answer<'py> {
        answer(py, || self.core.jobs().heartbeat(id, lease, Duration::from_millis(lease_ms), progress))
    }

    #[pyo3(signature = (id, lease, result=None))]
    fn job_complete<'py>(&self, py: Python<'py>, id: &str, lease: &str, result: Option<&[u8]>) -> Answer<'py> {
        answer(py, || self.core.jobs().complete(id, lease, result))
    }

    fn job_fail<'py>(&self, py: Python<'py>, id: &str, lease: &str, error: &[u8], retry: bool) -> Answer<'py> {
        answer(py, || self.core.jobs().fail(id, lease, error, retry))
    }

    fn job_get<'py>(&self, py: Python<'py>, id: &str) -> Answer<'py> {
        answer(py, || self.core.jobs().get(id))
    }

    #[pyo3(signature = (queue, status, limit, offset))]
    fn job_list<'py>(
        &self,
        py: Python<'py>,
        queue: &str,
        status: Option<&str>,
        limit: usize,
        offset: usize,
    ) -> Answer<'py> {
        answer(py, || self.core.jobs().list(queue, status, limit, offset))
    }

    fn job_queues<'py>(&self, py: Python<'py>) -> Answer<'py> {
        answer(py, || Ok(self.core.jobs().queues()))
    }

    fn job_retry<'py>(&self, py: Python<'py>, id: &str) -> Answer<'py> {
        answer(py, || self.core.jobs().retry(id))
    }

    fn job_delete(&self, py: Python<'_>, id: &str) -> PyResult<()> {
        py.detach(|| self.core.jobs().delete(id)).map_err(|error| crate::error::raise(py, &error))
    }

    fn job_cancel<'py>(&self, py: Python<'py>, id: &str) -> Answer<'py> {
        answer(py, || self.core.jobs().cancel(id))
    }

    fn job_pause<'py>(&self, py: Python<'py>, queue: &str) -> Answer<'py> {
        answer(py, || self.core.jobs().pause(queue))
    }

    fn job_resume<'py>(&self, py: Python<'py>, queue: &str) -> Answer<'py> {
        answer(py, || self.core.jobs().resume(queue))
    }
}
