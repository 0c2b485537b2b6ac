//! The analytics API: `{"event": {"type"}, "user"?, "device"?, "context"?, "metrics"?, "timestamp"?}`, or an array of
//! them.

mod body;
mod event;

pub use body::{parse_track, parse_track_batch};
