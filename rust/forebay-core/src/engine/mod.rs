//! The engine: wires the parts together, and is the whole of what callers see.

mod builtins;
mod clock;
mod consumer_wait;
mod engine;
mod load_test;
mod metering;
mod queue_stats;
mod report;
mod scale;
mod search;
mod start;
mod streams;
mod tail;
mod watches;

pub use engine::{Appended, Engine, NewRecord};
pub use queue_stats::QueueStats;
pub use report::{Report, StreamReport};
pub use streams::StreamChange;
pub use tail::{TailChunk, TailRequest};
