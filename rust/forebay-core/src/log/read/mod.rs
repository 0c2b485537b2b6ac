//! Reads records back: from memory, or from segments.

mod reader;
mod record_batch;
mod seek;

pub use reader::Limits;
pub(crate) use reader::Reader;
pub use record_batch::{Gap, RecordBatch};
