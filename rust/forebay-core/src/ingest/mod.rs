//! Event shapes: from a request body to records.

mod counted_request;
mod drain;
mod event;
pub mod events;
mod fields;
mod inflate;
mod integer;
pub mod json;
mod list;
mod outline;
mod parsed;
pub mod parser;
pub mod pool;
mod problem;
pub mod publish;
mod quarantine;
pub mod request;
mod timestamp;
pub mod track;
pub mod worker;

pub use counted_request::CountedRequest;
pub use drain::{MAX_EVENTS_PER_BODY, MAX_KEY_BYTES, parse_drain};
pub use event::Event;
pub use inflate::{Encoding, inflate};
pub use outline::Outline;
pub use parsed::{InvalidEvent, OnInvalid, Parsed};
pub use quarantine::{MAX_NAMED_EVENTS, MAX_REASON_BYTES, QuarantineOutline};
pub use timestamp::{TimestampError, format_micros, format_millis, parse_timestamp};
