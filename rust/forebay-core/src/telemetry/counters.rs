//! Everything the engine counts, and how an exporter sees it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::error::{Error, ErrorKind};
use crate::telemetry::api::{Api, ByApi};
use crate::telemetry::histogram::{Histogram, Snapshot};
use crate::telemetry::live::Live;

/// Bucket bounds for exported latencies, in microseconds: 100 µs to 10 s. Below is a memory-speed acknowledgement, above
/// every client has given up; 250 µs to 5 ms, where a sync lies, are the closest.
pub const LATENCY_BOUNDS_MICROS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// A number that only grows, on a cache line of its own: threads that count different things do not wait for each
/// other.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// Returns what was counted until now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The Prometheus type of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows while the process lives.
    Counter,
    /// A distribution.
    Histogram,
}

impl MetricKind {
    /// Returns the word behind `# TYPE`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// A row's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number of what the row's name says.
    Integer(u64),
    /// Durations in microseconds; the row's name ends in `_seconds`, so an exporter divides by a million. Its buckets
    /// are `Snapshot::cumulative` of [`LATENCY_BOUNDS_MICROS`].
    Histogram(Box<Snapshot>),
}

/// One time series. Rows of one name follow each other, with the same help and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The metric's name by Prometheus's conventions: `forebay_…`, the unit, `_total` for counters.
    pub name: &'static str,
    /// One sentence for people.
    pub help: &'static str,
    /// The metric's type.
    pub kind: MetricKind,
    /// Names and values of the labels that tell rows of one name apart: the same names in each of them.
    pub labels: Vec<(&'static str, &'static str)>,
    /// The value.
    pub value: Value,
}

macro_rules! counters {
    (
        counters { $($counter:ident = $counter_name:literal, $counter_help:literal;)+ }
        by_api { $($by_api:ident = $by_api_name:literal $({ $key:ident = $value:ident })?, $by_api_help:literal;)+ }
        by_error { $($by_error:ident = $by_error_name:literal, $by_error_help:literal;)+ }
        histograms { $($histogram:ident = $histogram_name:literal, $histogram_help:literal;)+ }
    ) => {
        /// Everything the engine counts over the life of the process. Counting is one relaxed atomic addition.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(#[doc = $counter_help] pub $counter: Counter,)+
            $(#[doc = $by_api_help] pub $by_api: ByApi,)+
            $(#[doc = $by_error_help] pub $by_error: ByError,)+
            $(#[doc = $histogram_help] pub $histogram: Histogram,)+
            /// Figures of `/api/metrics`.
            pub live: Live,
        }

        impl Counters {
            /// Returns all of it in rows that an exporter can render without knowing any.
            #[must_use]
            pub fn snapshot(&self) -> Vec<Row> {
                let mut rows = vec![$(Row {
                    name: $counter_name,
                    help: $counter_help,
                    kind: MetricKind::Counter,
                    labels: Vec::new(),
                    value: Value::Integer(self.$counter.get()),
                },)+];
                $(rows.extend(Api::ALL.iter().map(|api| Row {
                    name: $by_api_name,
                    help: $by_api_help,
                    kind: MetricKind::Counter,
                    labels: vec![("api", api.name()) $(, (stringify!($key), stringify!($value)))?],
                    value: Value::Integer(self.$by_api.of(*api)),
                }));)+
                $(rows.extend(ErrorKind::ALL.iter().map(|kind| Row {
                    name: $by_error_name,
                    help: $by_error_help,
                    kind: MetricKind::Counter,
                    labels: vec![("code", kind.name())],
                    value: Value::Integer(self.$by_error.get(*kind)),
                }));)+
                $(rows.push(Row {
                    name: $histogram_name,
                    help: $histogram_help,
                    kind: MetricKind::Histogram,
                    labels: Vec::new(),
                    value: Value::Histogram(Box::new(self.$histogram.snapshot())),
                });)+
                rows
            }
        }
    };
}

counters! {
    counters {
        quota_refusals = "forebay_quota_refusals_total", "Ingest requests refused because a token's or a stream's quota had no room for them then.";
        commits = "forebay_commits_total", "Frames written to the journal.";
        commit_bytes = "forebay_commit_bytes_total", "Bytes written to the journal.";
        syncs = "forebay_journal_syncs_total", "Syncs of the journal that succeeded: of commits, markers and ends of files.";
        sync_failures = "forebay_journal_sync_failures_total", "Syncs of the journal that failed; the first one stops all writing.";
        sealed_files = "forebay_sealed_files_total", "Journal files turned into segments.";
        sealed_bytes_raw = "forebay_sealed_raw_bytes_total", "Bytes of records sealed, before compression.";
        sealed_bytes_stored = "forebay_sealed_stored_bytes_total", "Bytes of segments written, after compression.";
        segments_deleted = "forebay_segments_deleted_total", "Segments deleted by retention or with their stream.";
        segment_bytes_deleted = "forebay_segments_deleted_bytes_total", "Bytes of the segments deleted.";
        segments_merged = "forebay_segments_merged_total", "Parts of streams in small segments that were merged into larger ones.";
        segment_bytes_merged = "forebay_segments_merged_bytes_total", "Bytes of merged segments written, after compression.";
        damaged_reads = "forebay_segment_damaged_reads_total", "Reads that met a damaged segment and left out what is damaged.";
        failed_reads = "forebay_segment_failed_reads_total", "Reads of a segment that failed and may succeed later; what they were to give was not skipped.";
    }
    by_api {
        events_accepted = "forebay_ingest_events_total", "Events committed and acknowledged, by the API they came in by.";
        events_rejected = "forebay_ingest_invalid_events_total", "Events refused or set apart, while the rest of their request was read.";
        bytes_in = "forebay_ingest_bytes_total", "Bytes of the bodies of ingest requests that were read, decompressed.";
        requests_accepted = "forebay_ingest_requests_total" { outcome = accepted }, "Ingest requests answered, by what became of them.";
        requests_repeated = "forebay_ingest_requests_total" { outcome = repeated }, "Ingest requests answered, by what became of them.";
        requests_refused = "forebay_ingest_requests_total" { outcome = refused }, "Ingest requests answered, by what became of them.";
    }
    by_error {
        refusals = "forebay_ingest_refusals_total", "Ingest requests refused by the engine, by error code.";
    }
    histograms {
        ack_latency = "forebay_ingest_ack_seconds", "Time from a request's admission, or of a load test from when it was due, to its acknowledgement.";
        commit_latency = "forebay_commit_seconds", "Time to write and sync one commit.";
    }
}

impl Counters {
    /// Counts a request that was refused.
    pub fn refused(&self, api: Api, kind: ErrorKind) {
        self.requests_refused.add(api, 1);
        self.refusals.increment(kind);
    }

    /// Counts what a quota refused, unless it would refuse it for ever.
    pub(crate) fn quota_refused(&self, error: &Error) {
        if error.kind() == ErrorKind::Saturated {
            self.quota_refusals.increment();
        }
    }
}

/// One counter for each row of the error table.
#[derive(Debug)]
pub struct ByError([Counter; ErrorKind::ALL.len()]);

impl Default for ByError {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl ByError {
    /// Adds one for an error.
    pub fn increment(&self, kind: ErrorKind) {
        self.0[kind as usize].increment();
    }

    /// Returns how often an error occurred.
    #[must_use]
    pub fn get(&self, kind: ErrorKind) -> u64 {
        self.0[kind as usize].get()
    }
}

#[cfg(test)]
mod tests;
