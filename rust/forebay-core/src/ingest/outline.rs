//! What the answer to an ingest request is made of, beside its receipt.

use super::events::{BatchOutline, EventOutline};
use super::publish::PublishOutline;
use crate::error::{Error, ErrorKind, Result};
use crate::log::append::Receipt;

/// One shape's answer, before the commit. The same request has the same outline when it is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outline {
    /// `{"status":"accepted"}`; with the number of events that were put aside, where the sender asked for that.
    Accepted {
        /// Whether it did.
        quarantining: bool,
    },
    /// Of one or more events for a stream.
    Published(Box<PublishOutline>),
    /// Of a single event of the events API.
    Event(Box<EventOutline>),
    /// Of a batch of them.
    EventBatch(Box<BatchOutline>),
}

impl Outline {
    /// Status and JSON body.
    ///
    /// # Errors
    /// `IdempotencyMismatch` when a repeat would be accepted otherwise than the first request was, because limits were
    /// changed in between.
    pub(crate) fn answer(&self, receipt: &Receipt) -> Result<(u16, Vec<u8>)> {
        match self {
            Self::Accepted { quarantining: false } => Ok((202, br#"{"status":"accepted"}"#.to_vec())),
            Self::Accepted { quarantining: true } => {
                let body = format!(r#"{{"status":"accepted","quarantined":{}}}"#, receipt.quarantined);
                Ok((202, body.into_bytes()))
            }
            Self::Published(outline) => outline.answer(receipt),
            Self::Event(outline) => Ok((200, outline.answer(receipt))),
            Self::EventBatch(outline) => outline.answer(receipt),
        }
    }

    /// How many results the answer lists, which tells how long it takes to write.
    #[must_use]
    pub fn results(&self) -> usize {
        match self {
            Self::Accepted { .. } | Self::Event(_) => 1,
            Self::Published(outline) => outline.partitions.len() + outline.failures.len(),
            Self::EventBatch(outline) => outline.failures.len(),
        }
    }
}

/// Why a repeat cannot be given the first answer.
pub(super) fn limits_changed() -> Error {
    let detail = "the stream's limits were changed since the request was first accepted";
    Error::new(ErrorKind::IdempotencyMismatch, detail)
}
