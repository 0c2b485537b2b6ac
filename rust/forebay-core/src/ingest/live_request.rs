//! What `/api/metrics` counts of one request.

use std::sync::Arc;
use std::time::Instant;

use crate::error::{ErrorKind, Result};
use crate::log::append::Receipt;
use crate::telemetry::{Counters, Failure};

/// Counts a request of the events API once, when it is answered, however that comes about.
#[derive(Debug)]
pub struct LiveRequest {
    counters: Arc<Counters>,
    admitted: Instant,
    /// Events that its commit stores: until the body is read, at least one.
    events: u64,
}

impl LiveRequest {
    /// Of a request that was admitted at `admitted`, and is known to have `events` events.
    #[must_use]
    pub fn new(counters: Arc<Counters>, admitted: Instant, events: u64) -> Self {
        Self { counters, admitted, events }
    }

    pub(crate) fn expect(&mut self, events: usize) {
        self.events = events as u64;
    }

    /// Counts, and notes in the receipt how long it took. What is only repeated was stored and counted before.
    pub(crate) fn settle(self, outcome: &mut Result<Receipt>) {
        match outcome {
            Ok(receipt) => {
                let took = self.admitted.elapsed();
                receipt.took = Some(took);
                if receipt.repeats.is_none() && self.events > 0 {
                    self.counters.live.stored(self.events, took);
                }
            }
            Err(error) => count_refusal(&self.counters, error.kind(), self.events),
        }
    }
}

/// Counts events that were refused.
pub(crate) fn count_refusal(counters: &Counters, kind: ErrorKind, events: u64) {
    counters.live.failed(Failure::of(kind), events);
}
