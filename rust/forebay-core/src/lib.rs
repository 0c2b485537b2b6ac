//! forebay's engine. See `docs/ARCHITECTURE.md` for the way of the data.

mod error;
mod ids;
pub mod ingest;
pub mod log;
pub mod telemetry;

pub use error::{Error, ErrorKind, Result};
pub use ids::{Generation, Offset, PartitionId, Sequence, StreamId, Ticket, Timestamp};
