//! forebay's engine. See `docs/ARCHITECTURE.md` for the way of the data.

pub mod admission;
pub mod clock;
pub mod consumer;
mod duration;
mod engine;
mod error;
pub mod filter;
mod ids;
mod inbox;
pub mod ingest;
pub mod load_test;
pub mod log;
mod metering;
mod options;
mod pulse;
mod report;
mod scale;
mod start;
pub mod stream;
mod tail;
pub mod telemetry;
mod thread;
mod waiting;

pub use admission::{Account, Charge, Cost, MAX_QUOTA, Quota, QuotaRates, Rate};
pub use engine::{Appended, Engine, NewRecord};
pub use error::{Error, ErrorKind, Result};
pub use filter::Filter;
pub use ids::{Generation, Offset, PartitionId, Sequence, StreamId, Ticket, Timestamp};
pub use inbox::Inbox;
pub use ingest::request::{AllowedKeys, Body, Intended, Request, Shape};
pub use ingest::{Encoding, OnInvalid};
pub use log::append::{Completer, Level, Placed, Receipt};
pub use log::dedup::Key;
pub use log::quarantine::{Item, OffsetRange};
pub use log::read::{Gap, Limits, RecordBatch};
pub use log::repair::{Apply, RepairReport, repair};
pub use log::sse::Position;
pub use log::verify::{Finding, VerifyReport, verify};
pub use options::{
    Access, Durability, INLINE_BODY_BYTES, INLINE_BODY_BYTES_ONE_CORE, MAX_JOURNAL_FILE_BYTES, MAX_PARTITIONS,
    MAX_WORKERS, MIN_JOURNAL_FILE_BYTES, MIN_RING_BYTES, Options, Retention,
};
pub use pulse::Pulse;
pub use report::{Report, StreamReport};
pub use stream::{ANALYTICS, Compression, EVENTS, LOGS, REJECTED_SUFFIX, StreamChange, WatchId, Watcher};
pub use tail::{TailChunk, TailRequest};
