//! What the answer to an ingest request is made of, beside its receipt.

use std::io::Write;

use super::events::{BatchPlan, EventPlan};
use super::publish::PublishPlan;
use super::quarantine::QuarantinePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::log::commit::Receipt;

/// One shape's answer, before the commit. The same request has the same plan when it is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponsePlan {
    /// `{"status":"accepted"}`.
    Accepted,
    /// The same, with the events that were put aside: their sender asked for that.
    Quarantined(Box<QuarantinePlan>),
    /// Of one or more events for a stream.
    Published(Box<PublishPlan>),
    /// Of a single event of the events API.
    Event(Box<EventPlan>),
    /// Of a batch of them.
    EventBatch(Box<BatchPlan>),
}

impl ResponsePlan {
    /// Status and JSON body.
    ///
    /// # Errors
    /// `IdempotencyMismatch` when a repeat would be accepted otherwise than the first request was, because limits were
    /// changed in between.
    pub(crate) fn answer(&self, receipt: &Receipt) -> Result<(u16, Vec<u8>)> {
        match self {
            Self::Accepted => Ok((202, br#"{"status":"accepted"}"#.to_vec())),
            Self::Quarantined(plan) => Ok((202, plan.answer(receipt)?)),
            Self::Published(plan) => plan.answer(receipt),
            Self::Event(plan) => Ok((200, plan.answer(receipt))),
            Self::EventBatch(plan) => plan.answer(receipt),
        }
    }

    /// How many results are yet to be written into the answer, which tells how long it takes. A quarantine's are
    /// written already: 1000 of them are copied in some microseconds.
    #[must_use]
    pub fn results(&self) -> usize {
        match self {
            Self::Accepted | Self::Quarantined(_) | Self::Event(_) => 1,
            Self::Published(plan) => plan.partitions.len() + plan.failures.len(),
            Self::EventBatch(plan) => plan.failures.len(),
        }
    }
}

/// Appends the rows of events that are not stored, in the order they come: index and reason.
pub(super) fn write_failures(failures: impl Iterator<Item = (usize, impl AsRef<str>)>, out: &mut Vec<u8>) {
    for (place, (index, reason)) in failures.enumerate() {
        let comma = if place > 0 { "," } else { "" };
        // Writing into memory cannot fail, and a string always serialises.
        let _infallible = write!(out, r#"{comma}{{"index":{index},"error":"#);
        let _infallible = serde_json::to_writer(&mut *out, reason.as_ref());
        out.push(b'}');
    }
}

/// Why a repeat cannot be given the first answer.
pub(super) fn limits_changed() -> Error {
    let detail = "the stream's limits were changed since the request was first accepted";
    Error::new(ErrorKind::IdempotencyMismatch, detail)
}
