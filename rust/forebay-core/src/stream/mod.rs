//! Named sets of partitions.

mod catalog;
mod definition;
mod part;
mod partition;
mod parts;
mod segment_name;
mod stream;
mod watch;

pub use catalog::{ANALYTICS, Catalog, EVENTS, LOGS, REJECTED_SUFFIX, StreamLimits, is_builtin, is_name};
pub(crate) use catalog::{DEAD_LETTER_SUFFIX, VIEWS_PREFIX, check_name, is_reserved};
pub use definition::{Compression, Layout, StreamDefinition};
pub use part::{BlockSpan, SegmentPart};
pub(crate) use partition::{Partition, Payload, Run, Times};
pub(crate) use segment_name::{SEGMENT_DIRECTORY, SegmentName};
pub use stream::Stream;
pub(crate) use stream::partition_of;
pub use watch::{Due, MAX_WATCHES, WATCHES_BYTES, WatchId, Watcher, Watches};
