//! Counters, the one histogram, and what is counted live.

mod counters;
mod histogram;
mod history;
mod live;
mod metrics;
mod under_way;
mod vitals;
mod window;

pub use counters::{ByError, Counter, Counters, Kind, LATENCY_BOUNDS_MICROS, Row, Value};
pub use histogram::{Histogram, MAX_MICROS, Snapshot};
pub use history::{HISTORY_DIRECTORY, History, HistoryAnswer, MAX_HISTORY_HOURS, Resolution};
pub use live::{Failure, Live, Tally};
pub use metrics::{Errors, ErrorsByType, Health, HealthStatus, Latency, Metrics, System, Throughput};
pub use under_way::{Entered, UnderWay};
pub use vitals::Vitals;
pub use window::WINDOW;
