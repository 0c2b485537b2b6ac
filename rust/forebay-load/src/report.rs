use std::collections::BTreeMap;
use std::fmt;

use forebay_core::telemetry::Snapshot;
use serde::Serialize;

use crate::distribution::percentile_distribution;
use crate::options::{LoadOptions, Pacing};
use crate::tally::HttpTally;

const MICROS_PER_MILLI: f64 = 1e3;

/// Latencies in milliseconds, from a histogram with three significant digits.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LatencySummary {
    pub count: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub p99_9_ms: f64,
    pub max_ms: f64,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadReport {
    pub url: String,
    /// `closed` or `open`.
    pub pacing: &'static str,
    /// The rate an open loop offered.
    pub offered_events_per_second: Option<f64>,
    pub connections: usize,
    pub batch: usize,
    pub seed: u64,
    pub measured_seconds: f64,
    /// Requests answered 2xx in the measured time, and the events in them.
    pub acknowledged_requests: u64,
    pub acknowledged_events: u64,
    /// Acknowledged events including the warm-up and answers after the end: all that the server has stored in this run.
    pub total_acknowledged_events: u64,
    pub requests_per_second: f64,
    pub events_per_second: f64,
    /// Answers by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests lost to a connection that broke, and connections that could not be opened again.
    pub connection_failures: u64,
    /// Requests whose answer did not come within the limit.
    pub timeouts: u64,
    /// Open loop: requests that were due and found no free connection until the end.
    pub unsent_requests: u64,
    /// Open loop: requests that were sent and still not answered when the wait for them was given up.
    pub unanswered_requests: u64,
    /// Latency of 2xx answers, together with the age of requests that got no answer. It counts from when the request
    /// was due in an open loop, and from when it was sent in a closed loop.
    pub latency: LatencySummary,
    /// Latency of answers other than 2xx.
    pub refusal_latency: LatencySummary,
    /// Open loop: how late requests were sent although a connection was free. When this is not small against
    /// `latency`, the generator was the bottleneck.
    pub send_lag: LatencySummary,
    /// `latency` in full, as HdrHistogram's tools read it (`.hgrm`), in milliseconds.
    #[serde(skip)]
    pub distribution: String,
}

impl LatencySummary {
    fn new(latencies: &Snapshot) -> LatencySummary {
        let at = |percent| latencies.percentile(percent) as f64 / MICROS_PER_MILLI;
        LatencySummary {
            count: latencies.count(),
            mean_ms: latencies.mean().round() / MICROS_PER_MILLI,
            p50_ms: at(50.0),
            p90_ms: at(90.0),
            p95_ms: at(95.0),
            p99_ms: at(99.0),
            p99_9_ms: at(99.9),
            max_ms: latencies.max() as f64 / MICROS_PER_MILLI,
        }
    }
}

impl LoadReport {
    pub(crate) fn new(options: &LoadOptions, tally: &HttpTally) -> LoadReport {
        let load = &tally.load;
        let seconds = load.measured().as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let (pacing, offered) = match options.pacing {
            Pacing::Closed => ("closed", None),
            Pacing::Open { events_per_second } => ("open", Some(events_per_second)),
        };
        let latency = load.latency.snapshot();
        LoadReport {
            url: options.url.clone(),
            pacing,
            offered_events_per_second: offered,
            connections: options.connections,
            batch: options.batch,
            seed: options.seed,
            measured_seconds: seconds,
            acknowledged_requests: load.accepted.requests,
            acknowledged_events: load.accepted.events,
            total_acknowledged_events: tally.total_acknowledged * options.batch as u64,
            requests_per_second: per_second(load.accepted.requests),
            events_per_second: per_second(load.accepted.events),
            statuses: tally.statuses.clone(),
            connection_failures: tally.connection_failures,
            timeouts: load.failed.requests,
            unsent_requests: load.not_sent.requests,
            unanswered_requests: tally.unanswered,
            latency: LatencySummary::new(&latency),
            refusal_latency: LatencySummary::new(&load.refusal_latency.snapshot()),
            send_lag: LatencySummary::new(&load.send_lag.snapshot()),
            distribution: percentile_distribution(&latency),
        }
    }
}

impl fmt::Display for LatencySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:.3}  p90 {:.3}  p95 {:.3}  p99 {:.3}  p99.9 {:.3}  max {:.3}  mean {:.3}",
            self.p50_ms, self.p90_ms, self.p95_ms, self.p99_ms, self.p99_9_ms, self.max_ms, self.mean_ms
        )
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offered =
            self.offered_events_per_second.map_or(String::new(), |rate| format!(", {rate:.0} events/s offered"));
        writeln!(
            f,
            "{} loop, {} connections, batch {}, {:.1} s{offered}",
            self.pacing, self.connections, self.batch, self.measured_seconds
        )?;
        writeln!(
            f,
            "acknowledged  {} events, {:.0} events/s, {:.0} requests/s",
            self.acknowledged_events, self.events_per_second, self.requests_per_second
        )?;
        let statuses: Vec<String> = self.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        writeln!(f, "answers       {}", if statuses.is_empty() { "none".to_owned() } else { statuses.join(", ") })?;
        if self.connection_failures + self.timeouts + self.unsent_requests + self.unanswered_requests > 0 {
            writeln!(
                f,
                "without one   {} broken connections, {} timeouts, {} never sent, {} never answered",
                self.connection_failures, self.timeouts, self.unsent_requests, self.unanswered_requests
            )?;
        }
        write!(f, "latency ms    {}", self.latency)?;
        if self.refusal_latency.count > 0 {
            write!(f, "\nrefusals ms   {}", self.refusal_latency)?;
        }
        if self.send_lag.count > 0 {
            write!(f, "\nsend lag ms   {}", self.send_lag)?;
        }
        Ok(())
    }
}
