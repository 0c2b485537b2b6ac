//! Reads records back: from memory, or from segments.

mod reader;
mod reading;
mod record_batch;
mod scan;
mod seek;
mod visit;

pub use reader::Limits;
pub(crate) use reader::Reader;
pub use record_batch::{Gap, RecordBatch};
pub(crate) use scan::Opened;
pub(crate) use visit::Visited;

#[cfg(test)]
mod tests;
