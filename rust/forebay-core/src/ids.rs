//! Identifiers. Each is a newtype, so that an offset can never be passed where a generation is meant.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A stream's identity. Never reused: a stream that is deleted and created again gets a new one.
    StreamId(u32)
}
id! {
    /// A partition's index inside its stream, from 0.
    PartitionId(u32)
}
id! {
    /// The index of a record in its partition, from 0, dense.
    Offset(u64)
}
id! {
    /// The life number of a journal file. Grows by one each time a journal file is put to use.
    Generation(u64)
}
id! {
    /// The number of a commit, consecutive over the life of a data directory.
    Sequence(u64)
}
id! {
    /// Names one request from its admission to its completion.
    CompletionId(u64)
}
id! {
    /// Microseconds since 1970-01-01T00:00:00Z, without leap seconds. Negative before 1970.
    Timestamp(i64)
}

impl Offset {
    /// Returns the offset `count` records further on.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl Timestamp {
    /// Returns the wall clock now.
    #[must_use]
    pub fn now() -> Self {
        let now = std::time::SystemTime::now();
        let micros = match now.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
        };
        Self(micros)
    }

    /// Whole milliseconds since 1970, rounded down.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// The id of a stream's event: `evt_<stream>_<partition>_<offset>`, where `<stream>` is the stream's own id. The same
/// wherever the event shows, from the answer to its publication on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    stream: StreamId,
    partition: PartitionId,
    offset: Offset,
}

/// The beginning that the ids of one partition's events share.
struct EventIdPrefix(StreamId, PartitionId);

impl EventId {
    pub(crate) fn new(stream: StreamId, partition: PartitionId, offset: Offset) -> Self {
        Self { stream, partition, offset }
    }

    /// Writes the beginning that the ids of one partition's events share; the offset follows.
    pub(crate) fn prefix(stream: StreamId, partition: PartitionId) -> impl fmt::Display {
        EventIdPrefix(stream, partition)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", EventIdPrefix(self.stream, self.partition), self.offset)
    }
}

impl fmt::Display for EventIdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{}_{}_", self.0, self.1)
    }
}
