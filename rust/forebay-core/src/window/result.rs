use super::aggregate::{Aggregates, Cell};
use super::spec::EventTime;
use crate::ids::Timestamp;
use crate::time::write_millis;

/// The result of one window and key.
#[derive(Clone, Copy, Debug)]
pub struct WindowResult<'a> {
    /// The window's first millisecond; a session's first record.
    pub start: EventTime,
    /// The millisecond behind it.
    pub end: EventTime,
    /// The group's key, as JSON.
    pub key: &'a [u8],
    /// Whether records of the window are missing.
    pub is_incomplete: bool,
    /// Whether it is the last one of this window and key, and not an early one.
    pub is_final: bool,
    pub(super) plan: &'a Aggregates,
    pub(super) cells: &'a [Cell],
}

impl WindowResult<'_> {
    /// Appends it as a JSON object: `{"windowStart":…,"windowEnd":…,"key":…,"count":…}`, with `"incomplete":true` where
    /// records are missing. Where results are also given early, each one `says_final` whether it is one of these.
    pub fn write(&self, says_final: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"windowStart":""#);
        write_millis(micros(self.start), out);
        out.extend_from_slice(br#"","windowEnd":""#);
        write_millis(micros(self.end), out);
        out.extend_from_slice(br#"","key":"#);
        out.extend_from_slice(self.key);
        out.push(b',');
        self.plan.write(self.cells, out);
        if self.is_incomplete {
            out.extend_from_slice(br#","incomplete":true"#);
        }
        if says_final {
            out.extend_from_slice(if self.is_final { br#","final":true"# } else { br#","final":false"# });
        }
        out.push(b'}');
    }
}

/// How many records a window has, of all keys of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowCount {
    /// The window's first millisecond; a session's first record.
    pub start: EventTime,
    /// The millisecond behind it.
    pub end: EventTime,
    /// Records.
    pub events: u64,
}

fn micros(time: EventTime) -> Timestamp {
    Timestamp(time.millis().saturating_mul(1000))
}
