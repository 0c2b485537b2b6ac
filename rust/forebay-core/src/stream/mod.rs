//! Named sets of partitions.

mod catalog;
mod definition;
mod part;
#[allow(clippy::module_inception)] // the noun is the module's own
mod stream;

pub use catalog::{ANALYTICS, Catalog, EVENTS, LOGS, check_name};
pub use definition::{Compression, StreamDefinition};
pub use part::SegmentPart;
pub use stream::Stream;
