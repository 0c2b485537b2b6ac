//! The streams, by name and by identity.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::definition::StreamDefinition;
use super::parts::SegmentFiles;
use super::stream::Stream;
use super::watch::WATCHES_BYTES;
use crate::admission::Budget;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::StreamId;
use crate::table::{NEXT_STREAM_ID, Table, TableOp};

/// The ending of the name of a stream of rejected events.
pub const REJECTED_SUFFIX: &str = ".rejected";
/// The drain's stream.
pub const LOGS: &str = "logs";
/// The events API's stream.
pub const EVENTS: &str = "events";
/// The analytics API's stream.
pub const ANALYTICS: &str = "analytics";
/// The stream of what was done to the engine, and by whom.
pub(crate) const AUDIT: &str = "audit";
/// The ending of the name of a processor's stream of failed records.
pub(crate) const DEAD_LETTER_SUFFIX: &str = ".dead-letter";
/// What the names of the streams of the analytics views begin with, and of the processors that write them.
pub(crate) const VIEWS_PREFIX: &str = "analytics.views.";
/// Longest name of a stream, and of a consumer group.
const MAX_NAME_BYTES: usize = 249;

/// All streams.
#[derive(Debug)]
pub struct Catalog {
    streams: RwLock<Streams>,
    changing: Mutex<()>,
    /// One stream's share of the ring's budget.
    share_bytes: u64,
    files: Arc<SegmentFiles>,
    limits: StreamLimits,
    /// The budget of those who wait for records, of all streams.
    watching: Arc<Budget>,
}

/// The limits on streams and partitions, those not counted that the engine makes itself: how many of these there
/// are follows from the others, and rejected events must have a place when no user's stream has room any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Streams.
    pub streams: usize,
    /// Partitions of all of them.
    pub partitions: usize,
}

#[derive(Debug, Default)]
struct Streams {
    by_name: HashMap<String, Arc<Stream>>,
    by_id: HashMap<StreamId, Arc<Stream>>,
    next_id: u32,
}

impl Catalog {
    pub(crate) fn new(share_bytes: u64, limits: StreamLimits) -> Self {
        let (streams, changing) = (RwLock::default(), Mutex::default());
        let (files, watching) = (Arc::default(), Budget::new(WATCHES_BYTES));
        Self { streams, changing, share_bytes, files, limits, watching }
    }

    /// Returns the budget of those who wait for records.
    pub(crate) fn watching(&self) -> &Budget {
        &self.watching
    }

    /// Refuses a stream that there is no room for. The caller holds [`Catalog::changing`] until the stream is there.
    ///
    /// # Errors
    /// `StreamLimitReached` naming the option.
    pub(crate) fn check_room(&self, name: &str, partitions: u32) -> Result<()> {
        if is_reserved(name) {
            return Ok(());
        }
        let streams = self.streams.read();
        let counted = streams.by_name.values().filter(|stream| !stream.is_deleted() && !stream.is_engine_made());
        let (count, taken) =
            counted.fold((0, 0), |(count, taken), stream| (count + 1, taken + stream.partitions().len()));
        let StreamLimits { streams: most, partitions: most_partitions } = self.limits;
        if count >= most {
            let detail = format!(
                "there are {count} streams, and max_streams is {most}: delete one, or raise it and start the server again"
            );
            return Err(Error::new(ErrorKind::StreamLimitReached, detail));
        }
        if taken + partitions as usize > most_partitions {
            let detail = format!(
                "the streams have {taken} partitions, {partitions} more do not fit max_partitions, which is \
                 {most_partitions}: choose fewer, delete a stream, or raise it and start the server again"
            );
            return Err(Error::new(ErrorKind::StreamLimitReached, detail));
        }
        Ok(())
    }

    /// Held while a stream is created or deleted: look-up, commit and change are one step.
    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }

    /// Returns the stream of that name.
    ///
    /// # Errors
    /// `StreamNotFound`.
    pub fn named(&self, name: &str) -> Result<Arc<Stream>> {
        let found = self.streams.read().by_name.get(name).cloned();
        found
            .filter(|stream| !stream.is_deleted())
            .ok_or_else(|| Error::new(ErrorKind::StreamNotFound, format!("there is no stream {name:?}")))
    }

    /// Returns the stream of that identity.
    #[must_use]
    pub fn by_id(&self, id: StreamId) -> Option<Arc<Stream>> {
        self.streams.read().by_id.get(&id).cloned()
    }

    /// Which segment files are in use.
    pub(crate) fn files(&self) -> &SegmentFiles {
        &self.files
    }

    /// Returns the streams of which that holds, in no order.
    pub(crate) fn all_that(&self, holds: impl Fn(&Stream) -> bool) -> Vec<Arc<Stream>> {
        let streams = self.streams.read();
        streams.by_id.values().filter(|stream| !stream.is_deleted() && holds(stream)).cloned().collect()
    }

    /// Returns all streams, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Stream>> {
        let mut streams: Vec<_> = self.streams.read().by_name.values().cloned().collect();
        streams.retain(|stream| !stream.is_deleted());
        streams.sort_by(|a, b| a.name().cmp(b.name()));
        streams
    }

    /// Takes note of identities that were given, also to streams that are gone.
    pub(crate) fn keep_below(&self, next: u64) {
        let mut streams = self.streams.write();
        streams.next_id = streams.next_id.max(u32::try_from(next.saturating_sub(1)).unwrap_or(u32::MAX));
    }

    /// Returns the row that keeps the identities given so far from being given again.
    pub(crate) fn next_id_row(&self) -> TableOp {
        let next = u64::from(self.streams.read().next_id) + 1;
        TableOp::put(Table::Counters, NEXT_STREAM_ID, next.to_le_bytes())
    }

    /// Forgets a deleted stream; another one may have its name already.
    pub(crate) fn remove(&self, stream: &Stream) {
        let mut streams = self.streams.write();
        streams.by_id.remove(&stream.id());
        if streams.by_name.get(stream.name()).is_some_and(|named| named.id() == stream.id()) {
            streams.by_name.remove(stream.name());
        }
    }

    /// Returns an identity that no stream has had.
    pub(crate) fn next_id(&self) -> u32 {
        let mut streams = self.streams.write();
        streams.next_id += 1;
        streams.next_id
    }

    /// Takes in a stream whose definition is durable; one that is there already gets the new definition.
    pub(crate) fn insert(&self, definition: StreamDefinition) -> Arc<Stream> {
        if let Some(stream) = self.by_id(StreamId(definition.id)) {
            stream.redefine(definition);
            return stream;
        }
        let share = Budget::new(self.share_bytes);
        let stream = Arc::new(Stream::new(definition, share, Arc::clone(&self.files), Arc::clone(&self.watching)));
        let mut streams = self.streams.write();
        streams.next_id = streams.next_id.max(stream.id().0);
        streams.by_name.insert(stream.name().to_owned(), Arc::clone(&stream));
        streams.by_id.insert(stream.id(), Arc::clone(&stream));
        stream
    }
}

/// Returns whether it is a stream that one API alone fills, made at the start.
#[must_use]
pub fn is_builtin(name: &str) -> bool {
    matches!(name, LOGS | EVENTS | ANALYTICS)
}

/// Returns whether the engine alone makes, fills and deletes streams of that name.
pub(crate) fn is_reserved(name: &str) -> bool {
    is_builtin(name)
        || name == AUDIT
        || name.starts_with(VIEWS_PREFIX)
        || name.ends_with(REJECTED_SUFFIX)
        || name.ends_with(DEAD_LETTER_SUFFIX)
}

/// Returns whether it can be a stream's name, or a consumer group's: 1 to 249 of `[A-Za-z0-9._-]`, and not `.` or `..`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != ".."
}

/// Checks a name by [`is_name`]; `what` says what it names.
///
/// # Errors
/// `InvalidRequest` that names the rule.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    if !is_name(name) {
        let rule = format!("{what} {name:?} must be 1 to {MAX_NAME_BYTES} of A-Z a-z 0-9 . _ - and not . or ..");
        return Err(Error::new(ErrorKind::InvalidRequest, rule));
    }
    Ok(())
}
