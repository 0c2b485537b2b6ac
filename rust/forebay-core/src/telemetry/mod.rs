//! Counters, the labels that they may have, the one histogram, and what is counted live.

mod api;
mod counters;
mod histogram;
mod history;
mod live;
mod metrics;
mod under_way;
mod vitals;
mod window;

pub use api::{Api, ByApi};
pub use counters::{ByError, Counter, Counters, Kind, LATENCY_BOUNDS_MICROS, Row, Value};
pub use histogram::{Histogram, MAX_MICROS, Snapshot};
pub use history::{History, HistoryAnswer, MAX_HISTORY_HOURS};
pub use live::{Failure, Live, Tally};
pub use metrics::{Errors, ErrorsByType, Health, HealthStatus, Latency, Metrics, System, Throughput};
pub use under_way::{Entered, UnderWay};
pub use window::WINDOW;
