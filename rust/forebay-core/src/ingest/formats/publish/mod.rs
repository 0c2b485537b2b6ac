//! Publishing to a stream: `{"key"?, "value", "headers"?, "partitionKey"?, "partition"?, "timestamp"?}`, or a batch of
//! them, `{"events": [...], "options"?: {"compression"?, "timeout"?}}`; and the answers to both.

mod answer;
mod body;
mod event;
mod parser;

pub(crate) use self::parser::{BATCH, SINGLE};
pub use answer::{PublishFailure, PublishPlan};
pub use body::{MAX_PUBLISH_TIMEOUT_MS, MAX_PUBLISHED_EVENTS, Publication, parse_batch, parse_single};
pub use event::Rules;
