//! Answers of the events API.

use std::io::Write;
use std::time::Duration;

use super::event::Identity;
use crate::error::Result;
use crate::ids::Timestamp;
use crate::ingest::answer::{limits_changed, write_failures};
use crate::log::commit::{Receipt, Respond};

/// The part of a single event's answer that is known before the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPlan {
    identity: Identity<Box<[u8]>>,
    /// When the request came in.
    arrival: Timestamp,
}

impl EventPlan {
    pub(super) fn new(identity: Identity<&[u8]>, arrival: Timestamp) -> Self {
        Self { identity: identity.into_owned(), arrival }
    }
}

impl Respond for EventPlan {
    fn respond(&self, receipt: &Receipt) -> Result<(u16, Vec<u8>)> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(br#"{"success":true,"eventId":""#);
        // A repeat names the event that is stored: that of the first request.
        self.identity.write(receipt.repeats.unwrap_or(self.arrival).millis(), &mut out);
        out.extend_from_slice(br#"","processingTime":"#);
        write_millis(receipt.took, &mut out);
        out.push(b'}');
        Ok((200, out))
    }
}

/// The part of a batch's answer that is known before the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPlan {
    /// How many events are accepted.
    pub stored: u64,
    /// The others: index and reason, in order.
    pub failures: Vec<(usize, String)>,
}

impl Respond for BatchPlan {
    fn respond(&self, receipt: &Receipt) -> Result<(u16, Vec<u8>)> {
        let stored = receipt.records();
        if stored != self.stored {
            return Err(limits_changed());
        }
        let failed = self.failures.len();
        let mut out = Vec::with_capacity(128 + 96 * failed);
        let mut write = |text: std::fmt::Arguments<'_>| {
            // Writing into memory cannot fail.
            let _infallible = out.write_fmt(text);
        };
        write(format_args!(r#"{{"success":{},"#, failed == 0));
        if let (0, Some((_, reason))) = (stored, self.failures.first()) {
            let error = format!("no event of the batch is valid; the first: {reason}");
            write(format_args!(r#""error":{},"#, json(&error)));
        }
        write(format_args!(r#""processed":{stored},"failed":{failed},"totalProcessingTime":"#));
        write_millis(receipt.took, &mut out);
        out.extend_from_slice(br#","errors":["#);
        write_failures(self.failures.iter().map(|(index, reason)| (*index, reason)), &mut out);
        out.extend_from_slice(b"]}");
        Ok((if stored > 0 { 200 } else { 400 }, out))
    }

    fn results(&self) -> usize {
        self.failures.len()
    }
}

fn json(text: &str) -> String {
    // A string always serialises.
    serde_json::to_string(text).unwrap_or_default()
}

/// Appends a duration in milliseconds, exact to the microsecond.
fn write_millis(took: Option<Duration>, out: &mut Vec<u8>) {
    let micros = took.unwrap_or_default().as_micros();
    // Writing into memory cannot fail.
    let _infallible = write!(out, "{}.{:03}", micros / 1000, micros % 1000);
}
