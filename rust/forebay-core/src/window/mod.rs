//! Windows in event time, and what is counted in them. Nothing here knows of streams, of the disk or of a clock: the
//! same records give the same results, byte for byte, in whatever order the partitions are read, however the records
//! are batched, and over however many shards the keys are spread.
//!
//! A record comes with its event time, its group key and the JSON of the fields that are aggregated. Its partition's
//! [`Watermarks`] judge which windows it still enters; [`Windows`] keeps the open windows of one shard, and gives the
//! results of those that the global watermark has passed, in order of (end, key).

mod aggregate;
mod blocks;
mod chunk_log;
mod closing;
mod codec;
mod incomplete;
mod key;
mod key_table;
mod number;
mod pane;
mod result;
mod session;
mod spec;
mod state;
mod updates;
mod watermark;
mod windows;

pub use aggregate::{
    Aggregate, Aggregates, Aggregation, DISTINCT_ERROR, MAX_KEPT_VALUE_BYTES, MAX_TOP_VALUE_BYTES, QUANTILE_ERROR,
    Sample, TOP_VALUES,
};
pub use chunk_log::MAX_CHUNK_BYTES;
pub use closing::Closing;
pub use key::{KeyTooLong, MAX_KEY_BYTES, group_key, key_text};
pub use result::{WindowCount, WindowResult};
pub use spec::{Admission, EventTime, MAX_PANES, MAX_WINDOW_MILLIS, WindowSpec};
pub use state::{GivenUpTo, StateChange, StatePlace};
pub use watermark::{WatermarkOptions, Watermarks};
pub use windows::Windows;
