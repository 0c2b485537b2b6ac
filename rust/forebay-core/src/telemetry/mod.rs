//! Counters and the one histogram.

mod counters;
mod histogram;

pub use counters::{ByError, Counter, Counters, Kind, LATENCY_BOUNDS_MICROS, Row, Value};
pub use histogram::{Histogram, MAX_MICROS, Snapshot};
