//! The counts of one request in `/metrics` and `/api/metrics`.

use std::sync::Arc;
use std::time::Instant;

use super::append::Receipt;
use crate::error::{ErrorKind, Result};
use crate::telemetry::{Api, Counters, ErrorType};

/// Counts a request once, when it is answered, however that comes about.
#[derive(Debug)]
pub struct CountedRequest {
    counters: Arc<Counters>,
    api: Api,
    live: Option<LiveEvents>,
}

/// A request of the events API, which `/api/metrics` counts too.
#[derive(Debug)]
struct LiveEvents {
    admitted: Instant,
    /// Events that the request's commit stores: until the body is read, at least one.
    events: u64,
}

impl CountedRequest {
    /// Counts a request that came in by `api`.
    #[must_use]
    pub fn new(counters: Arc<Counters>, api: Api) -> Self {
        Self { counters, api, live: None }
    }

    /// Counts a request of the events API: admitted at `admitted`, and known to have `events` events.
    #[must_use]
    pub(crate) fn live(self, admitted: Instant, events: u64) -> Self {
        Self { live: Some(LiveEvents { admitted, events }), ..self }
    }

    pub(crate) fn expect(&mut self, events: usize) {
        if let Some(live) = &mut self.live {
            live.events = events as u64;
        }
    }

    /// Counts, and notes in the receipt of the events API how long it took.
    pub(crate) fn settle(self, outcome: &mut Result<Receipt>) {
        let Self { counters, api, live } = self;
        match outcome {
            Ok(receipt) if receipt.repeats.is_some() => counters.requests_repeated.add(api, 1),
            // Each of its events was refused by itself.
            Ok(receipt) if receipt.placed.is_empty() => counters.refused(api, ErrorKind::Malformed),
            Ok(receipt) => {
                counters.requests_accepted.add(api, 1);
                counters.events_accepted.add(api, receipt.records().saturating_sub(receipt.quarantined.into()));
            }
            Err(error) => counters.refused(api, error.kind()),
        }
        let Some(LiveEvents { admitted, events }) = live else { return };
        match outcome {
            Ok(receipt) => {
                let took = admitted.elapsed();
                receipt.took = Some(took);
                // A repeat was stored and counted before.
                if receipt.repeats.is_none() && events > 0 {
                    counters.live.stored(events, took);
                }
            }
            Err(error) => counters.live.failed(ErrorType::of(error.kind()), events),
        }
    }
}
