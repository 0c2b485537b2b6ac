//! Counters, the labels that they may have, the one histogram, and what is counted live.

mod api;
mod counters;
mod histogram;
mod in_flight;
mod live;
mod metrics;
mod usage_sampler;
mod window;

pub use api::{Api, ByApi};
pub use counters::{ByError, Counter, Counters, LATENCY_BOUNDS_MICROS, MetricKind, Row, Value};
pub use histogram::{Histogram, MAX_MICROS, SUB_BUCKETS, Snapshot, VALUE_BUCKETS};
pub use in_flight::{InFlight, InFlightGuard};
pub use live::{ErrorType, Live, Tally};
pub(crate) use live::{by_type, error_rate, latency, per_second};
pub use metrics::{Errors, ErrorsByType, Health, HealthStatus, Latency, Metrics, System, Throughput};
pub use window::WINDOW;
