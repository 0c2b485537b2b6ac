//! Named sets of partitions.

mod builtins;
mod catalog;
mod control;
mod definition;
mod maker;
mod part;
mod parts;
#[allow(clippy::module_inception)] // the noun is the module's own
mod stream;
mod watch;

pub(crate) use builtins::Builtins;
pub use catalog::{ANALYTICS, Catalog, EVENTS, LOGS, StreamLimits, is_builtin, is_name};
pub(crate) use catalog::{check_name, is_reserved};
pub use control::StreamChange;
pub use definition::{Compression, StreamDefinition};
pub use maker::{REJECTED_SUFFIX, StreamMaker};
pub use part::SegmentPart;
pub(crate) use parts::SegmentFiles;
pub use stream::Stream;
pub use watch::{Due, MAX_WATCHES, WATCHES_BYTES, WatchId, Watcher, Watches};
