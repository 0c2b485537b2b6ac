//! A token's quota and usage.

use std::sync::Arc;

use forebay_core::{QuotaRates, Rate, Result};
use pyo3::prelude::*;

use crate::error::raise;

/// The rate limiter that the requests of one token are charged to.
#[pyclass(frozen, module = "forebay._forebay")]
#[derive(Debug)]
pub struct RateLimiter(pub Arc<forebay_core::RateLimiter>);

/// The amount per second and the burst.
pub type RateTuple = (u64, u64);

fn rate(given: Option<RateTuple>) -> Result<Option<Rate>> {
    given.map(|(per_second, burst)| Rate::new(per_second, burst)).transpose()
}

/// Reads the limits of events and of bytes; `None` stands for no limit.
///
/// # Errors
/// `InvalidRequest` for a number out of range.
pub fn rates(events: Option<RateTuple>, bytes: Option<RateTuple>) -> Result<QuotaRates> {
    Ok(QuotaRates { events: rate(events)?, bytes: rate(bytes)? })
}

#[pymethods]
impl RateLimiter {
    #[new]
    fn new(name: &str) -> Self {
        Self(forebay_core::RateLimiter::new(name))
    }

    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    #[pyo3(signature = (events, body_bytes))]
    fn limit(&self, py: Python<'_>, events: Option<RateTuple>, body_bytes: Option<RateTuple>) -> PyResult<()> {
        self.0.quota.set(rates(events, body_bytes).map_err(|error| raise(py, &error))?);
        Ok(())
    }

    fn usage(&self) -> (u64, u64, u64) {
        (self.0.events.get(), self.0.bytes.get(), self.0.refusals.get())
    }
}
