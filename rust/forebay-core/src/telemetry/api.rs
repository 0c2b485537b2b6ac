//! The ways in, as labels.

use super::counters::Counter;

/// The API that records come in by. Its names are the values of the label `api`, so there are few of them, whatever is
/// sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `POST /v1/drain`.
    Drain,
    /// `POST /api/events` and its batches.
    Events,
    /// `POST /v1/analytics/track` and its batches.
    Analytics,
    /// `POST /api/v1/streams/{name}/events` and its batches.
    Streams,
    /// A load test of the server itself.
    LoadTest,
    /// The program that has the engine inside.
    Library,
}

impl Api {
    /// Every one of them, in order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Drain, Self::Events, Self::Analytics, Self::Streams, Self::LoadTest, Self::Library];

    /// True when `/api/metrics` counts its events.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Events | Self::LoadTest)
    }

    /// The label's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Events => "events",
            Self::Analytics => "analytics",
            Self::Streams => "streams",
            Self::LoadTest => "load_test",
            Self::Library => "library",
        }
    }
}

/// One counter for each way in.
#[derive(Debug, Default)]
pub struct ByApi([Counter; Api::ALL.len()]);

impl ByApi {
    /// Adds `count` for a way in.
    pub fn add(&self, api: Api, count: u64) {
        self.0[api as usize].add(count);
    }

    /// Returns the counts of one API.
    #[must_use]
    pub fn of(&self, api: Api) -> u64 {
        self.0[api as usize].get()
    }

    /// Returns the counts of all APIs.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.iter().map(Counter::get).sum()
    }
}
