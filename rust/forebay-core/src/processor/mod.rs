//! Stream processors: filters, windows and aggregates over a stream, whose results are stored in the same append as how far
//! the stream was read. Each record counts once in them, however often the process dies.
//!
//! A [`ProcessorDefinition`] is compiled into a plan. The records of its source are read in turns by the threads of one
//! pool, at most one at a time for each processor, and what comes of them waits until a step stores it.

mod arrivals;
mod checks;
mod dead_letter;
mod definition;
mod environment;
mod failures;
mod fields;
mod join_table;
mod letters;
mod lifecycle;
mod map_batch;
mod mapping;
mod newest_windows;
mod outputs;
mod plan;
mod pool;
mod preview;
mod processor;
mod processors;
mod rate;
mod report;
mod rows;
mod source_watch;
mod status;
mod step;
mod succession;
mod task;
mod totals;
mod views;

pub use dead_letter::{DEAD_LETTER_AGE, DEAD_LETTER_BYTES};
pub use definition::{
    AggregationOf, Aggregations, Config, Emit, GroupBy, MAX_AGGREGATIONS, MAX_DEFINITION_BYTES, MAX_OPERATIONS,
    MAX_PARALLELISM, MAX_PATH_BYTES, Operation, ProcessorDefinition, StartOffset, Window,
};
pub(crate) use environment::Environment;
pub use letters::MAX_LISTED_LETTERS;
pub use preview::{MAX_PREVIEW_RECORDS, MAX_PREVIEW_RESULTS};
pub use processors::{MAX_PROCESSORS, Processors};
pub use rows::ProcessorId;
pub use status::ProcessorStatus;
pub use totals::Totals;
pub use views::ViewsOptions;
