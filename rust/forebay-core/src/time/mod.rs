//! Times as senders write them, and as forebay writes them.

mod civil;
mod error;
mod format;
mod parse;

pub use error::TimestampError;
pub(crate) use format::write_millis;
pub use format::{format_micros, format_millis};
pub(crate) use parse::from_millis;
pub use parse::parse_timestamp;
