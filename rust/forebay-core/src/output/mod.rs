//! Records as text: JSON, newline-delimited JSON and Server-Sent Events.

mod event_json;
pub mod ndjson;
mod sse;

pub(crate) use event_json::{EventWriter, Layout};
pub use sse::Position;
pub(crate) use sse::{Missing, write_event, write_gap};
