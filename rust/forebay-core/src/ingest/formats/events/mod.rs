//! The events API: `{"type", "source", "data", "id"?, "timestamp"?}`, or an array of them; and the answers to both.

mod answer;
mod body;
mod event;
mod id;
mod parser;

pub(crate) use self::parser::{BATCH, SINGLE};
pub use answer::{BatchPlan, EventPlan};
pub use body::{MAX_BATCH_EVENTS, parse_event, parse_event_batch};
pub use event::{Identity, MAX_EVENT_ID_BYTES, Rules};
pub use id::{IdSource, Series, Token};
