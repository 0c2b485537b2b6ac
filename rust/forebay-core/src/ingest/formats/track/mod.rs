//! The analytics API: `{"event": {"type"}, "user"?, "device"?, "context"?, "metrics"?, "timestamp"?}`, or an array of
//! them.

mod body;
mod event;

use super::BodyRules;
use super::whole::Whole;
use crate::error::Result;
use crate::ingest::parsed::Parsed;

pub use body::{parse_track, parse_track_batch};

/// One event.
pub(crate) static SINGLE: Whole = Whole { read: read_single, single: true, frame: None };
/// An array of events.
pub(crate) static BATCH: Whole = Whole { read: read_batch, single: false, frame: Some((b"[", b"]")) };

fn read_single<'b>(body: &'b [u8], rules: &BodyRules<'_>) -> Result<Parsed<'b>> {
    let mut parsed = Parsed::default();
    parse_track(body, rules.arrival, rules.on_invalid, rules.max_record_bytes, &mut parsed)?;
    Ok(parsed)
}

fn read_batch<'b>(body: &'b [u8], rules: &BodyRules<'_>) -> Result<Parsed<'b>> {
    let mut parsed = Parsed::default();
    let limits = (rules.max_events, rules.max_record_bytes);
    parse_track_batch(body, rules.arrival, rules.on_invalid, limits, &mut parsed)?;
    Ok(parsed)
}
