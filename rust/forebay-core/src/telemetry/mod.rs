//! Counters, the one histogram, and what is counted live.

mod counters;
mod histogram;
mod live;

pub use counters::{ByError, Counter, Counters, Kind, LATENCY_BOUNDS_MICROS, Row, Value};
pub use histogram::{Histogram, MAX_MICROS, Snapshot};
pub use live::{Failure, Live};
