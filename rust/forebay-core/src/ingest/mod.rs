//! Event shapes: from a request body to records.

mod drain;
mod event;
mod inflate;
pub mod json;
mod parsed;
pub mod parser;
pub mod pool;
pub mod publish;
pub mod request;
mod timestamp;
pub mod worker;

pub use drain::{MAX_EVENTS_PER_BODY, MAX_KEY_BYTES, parse_drain};
pub use event::Event;
pub use inflate::{Encoding, inflate};
pub use parsed::{InvalidEvent, OnInvalid, Parsed};
pub use timestamp::{TimestampError, format_micros, format_millis, parse_timestamp};
