//! Answers to requests whose invalid events are quarantined.

use std::io::Write;

use super::answer::{limits_changed, write_failures};
use super::parsed::{InvalidEvent, Parsed};
use crate::error::Result;
use crate::log::commit::{Receipt, Respond};

/// The most events that an answer names; those behind them are only counted. The largest batch of `forebay.client` has as
/// many. A body may hold a hundred times as many, of three bytes each: without a bound, what is kept of it until the
/// commit, and its answer, would be many times its size.
pub const MAX_NAMED_EVENTS: usize = 1000;
/// The most bytes of one event's reason, before it is escaped. None is as long today: they name the field and the rule,
/// and repeat nothing that the sender wrote.
pub const MAX_REASON_BYTES: usize = 256;

/// The part of an answer that is known before the commit. The same body has the same plan when it is repeated, so that nothing of
/// it has to be remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QuarantinePlan {
    /// How many events are quarantined.
    events: u32,
    /// Which, and why, as the answer has it. Written by whoever has read the body: the answer is made on the one thread
    /// that all of them go through.
    rows: Box<[u8]>,
}

impl QuarantinePlan {
    /// Makes the plan for a body that is a batch of events or, with `alone`, a single one.
    pub(super) fn new(parsed: &Parsed<'_>, alone: bool) -> Self {
        let reason = |invalid: &InvalidEvent<'_>| (invalid.index, cut(invalid.refusal(alone)));
        let mut rows = Vec::new();
        write_failures(parsed.invalid.iter().take(MAX_NAMED_EVENTS).map(reason), &mut rows);
        Self { events: u32::try_from(parsed.invalid.len()).unwrap_or(u32::MAX), rows: rows.into() }
    }
}

/// The results are written already: 1000 of them are copied in some microseconds.
impl Respond for QuarantinePlan {
    /// `errors` is there when there are any.
    ///
    /// # Errors
    /// `IdempotencyMismatch` when the first request quarantined others: events that are valid but for their length.
    fn respond(&self, receipt: &Receipt) -> Result<(u16, Vec<u8>)> {
        // A limit moves one way or the other, and so as many events are the same ones.
        if receipt.quarantined != self.events {
            return Err(limits_changed());
        }
        let mut out = Vec::with_capacity(64 + self.rows.len());
        // Writing into memory cannot fail.
        let _infallible = write!(out, r#"{{"status":"accepted","quarantined":{}"#, self.events);
        if !self.rows.is_empty() {
            out.extend_from_slice(br#","errors":["#);
            out.extend_from_slice(&self.rows);
            out.push(b']');
        }
        out.push(b'}');
        Ok((202, out))
    }
}

fn cut(mut reason: String) -> String {
    let mut end = reason.len().min(MAX_REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let fits = "x".repeat(MAX_REASON_BYTES);
        assert_eq!(cut(fits.clone()), fits);
        assert_eq!(cut(format!("{fits}y")), fits);
        let before = "x".repeat(MAX_REASON_BYTES - 1);
        assert_eq!(cut(format!("{before}é")), before);
    }

    #[test]
    fn a_plan_has_the_cut_reason() {
        let invalid = InvalidEvent { index: 3, span: b"{}", reason: "\"".repeat(2 * MAX_REASON_BYTES), of_field: true };
        let parsed = Parsed { events: Vec::new(), invalid: vec![invalid] };
        let place = "events[3].";
        let reason = format!("{place}{}", r#"\""#.repeat(MAX_REASON_BYTES - place.len()));
        let plan = QuarantinePlan::new(&parsed, false);
        assert_eq!(&*plan.rows, format!(r#"{{"index":3,"error":"{reason}"}}"#).as_bytes());
    }
}
