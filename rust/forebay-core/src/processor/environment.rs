use std::sync::Arc;

use crate::admission::Budget;
use crate::clock::LogClock;
use crate::function::Functions;
use crate::log::StreamAdmin;
use crate::log::commit::CommitQueue;
use crate::log::read::Reader;
use crate::status::Status;
use crate::stream::Catalog;

/// What processors work with.
#[derive(Debug)]
pub(crate) struct Environment {
    /// The streams.
    pub catalog: Arc<Catalog>,
    /// The way to make one.
    pub streams: Arc<StreamAdmin>,
    /// The way of a step to the disk.
    pub commits: Arc<CommitQueue>,
    /// The way of records back from there.
    pub reader: Arc<Reader>,
    /// The functions that maps name.
    pub functions: Arc<Functions>,
    /// The memory of records on their way.
    pub ring: Arc<Budget>,
    /// The log's state.
    pub status: Arc<Status>,
    /// The clock.
    pub clock: Arc<LogClock>,
    /// The most bytes of records in one append.
    pub max_batch_bytes: usize,
    /// The largest value of a record, for streams that are made.
    pub max_record_bytes: usize,
    /// The budget of all window state, in bytes.
    pub state_bytes: u64,
}
