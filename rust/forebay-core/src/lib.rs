//! forebay's engine. See `docs/ARCHITECTURE.md` for the way of the data.
//!
//! The folders stand one above the other, and none imports what stands above it (`tests/test_imports.py` holds it):
//! engine → load_test → ingest → processor → job → consumer → search → output → log → options → stream → history → admission,
//! load → telemetry → clock → storage, and the small ones under it.

pub mod admission;
mod bytes;
pub mod clock;
pub mod consumer;
mod duration;
mod engine;
mod error;
pub mod function;
mod history;
mod ids;
pub mod ingest;
pub mod job;
pub mod json;
pub mod load;
pub mod load_test;
pub mod log;
mod options;
pub mod output;
pub mod predicate;
pub mod processor;
mod random;
pub mod record;
pub mod search;
pub mod status;
pub mod storage;
pub mod stream;
pub mod table;
pub mod telemetry;
mod thread;
pub mod time;
pub mod window;

pub use admission::{AllowedKeys, Cost, MAX_QUOTA, Quota, QuotaRates, Rate, RateLimiter, Reservation};
pub use engine::{Appended, Engine, NewRecord, QueueStats, Report, StreamChange, StreamReport, TailChunk, TailRequest};
pub use error::{Error, ErrorKind, Result};
pub use ids::{CompletionId, Generation, Offset, PartitionId, Sequence, StreamId, Timestamp};
pub use ingest::{Body, Encoding, IngestRoute, Intended, OnInvalid, Request};
pub use log::commit::{Completer, Level, Placed, Receipt};
pub use log::dedup::Key;
pub use log::read::{Gap, Limits, RecordBatch};
pub use log::repair::{
    Apply, Finding, Item, OffsetRange, ReadProgress, RepairReport, VerifyReport, repair, repair_with, verify,
    verify_with,
};
pub use options::{
    Access, Durability, INLINE_BODY_BYTES, INLINE_BODY_BYTES_ONE_CORE, MAX_JOURNAL_FILE_BYTES, MAX_PARTITIONS,
    MAX_WORKERS, MIN_JOURNAL_FILE_BYTES, MIN_RING_BYTES, Options, Retention,
};
pub use output::Position;
pub use predicate::{Evaluation, Filter};
pub use stream::{ANALYTICS, Compression, EVENTS, LOGS, Layout, REJECTED_SUFFIX, WatchId, Watcher};
pub use thread::EventQueue;
