//! Counters, the labels that they may have, the one histogram, and what is counted live.

mod api;
mod counters;
mod histogram;
mod live;

pub use api::{Api, ByApi};
pub use counters::{ByError, Counter, Counters, Kind, LATENCY_BOUNDS_MICROS, Row, Value};
pub use histogram::{Histogram, MAX_MICROS, Snapshot};
pub use live::{Failure, Live};
