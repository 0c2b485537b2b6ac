//! What `/metrics` counts of one request.

use std::sync::Arc;

use crate::error::{ErrorKind, Result};
use crate::log::append::Receipt;
use crate::telemetry::{Api, Counters};

/// Counts a request once, when it is answered, however that comes about.
#[derive(Debug)]
pub struct CountedRequest {
    counters: Arc<Counters>,
    api: Api,
}

impl CountedRequest {
    /// Of a request that came in by `api`.
    #[must_use]
    pub fn new(counters: Arc<Counters>, api: Api) -> Self {
        Self { counters, api }
    }

    pub(crate) fn settle(self, outcome: &Result<Receipt>) {
        let Self { counters, api } = self;
        match outcome {
            Ok(receipt) if receipt.repeats.is_some() => counters.requests_repeated.add(api, 1),
            // Each of its events was refused by itself.
            Ok(receipt) if receipt.placed.is_empty() => counters.refused(api, ErrorKind::Malformed),
            Ok(receipt) => {
                counters.requests_accepted.add(api, 1);
                let records: u64 = receipt.placed.iter().map(|place| u64::from(place.records)).sum();
                counters.events_accepted.add(api, records.saturating_sub(receipt.quarantined.into()));
            }
            Err(error) => counters.refused(api, error.kind()),
        }
    }
}
