use std::time::Duration;

use super::{ErrorType, Live};
use crate::ids::Timestamp;
use crate::telemetry::metrics::{HealthStatus, Metrics};

fn at(live: &Live, millis: u64) -> Metrics {
    live.metrics_at(Duration::from_millis(millis), Timestamp(1_640_995_200_000_999))
}

fn stored(live: &Live, millis: u64, events: u64, micros: u64) {
    live.stored_at(Duration::from_millis(millis), events, Duration::from_micros(micros));
}

fn failed(live: &Live, millis: u64, failure: ErrorType, events: u64) {
    live.failed_at(Duration::from_millis(millis), failure, events);
}

#[test]
fn rates_are_of_the_last_three_seconds_and_totals_of_all_time() {
    let live = Live::default();
    stored(&live, 0, 90, 1000);
    stored(&live, 2000, 30, 3000);
    failed(&live, 2000, ErrorType::Validation, 30);
    let shown = at(&live, 2500);
    assert_eq!(shown.throughput.events_per_second, 40.0);
    assert_eq!(shown.throughput.batches_per_second, 2.0 / 3.0);
    assert_eq!(shown.errors.error_rate, 0.2);
    let shown = at(&live, 4000);
    assert_eq!((shown.throughput.events_per_second, shown.throughput.total_events), (10.0, 120));
    assert_eq!(shown.errors.error_rate, 0.5);
    let shown = at(&live, 5000);
    assert_eq!((shown.throughput.events_per_second, shown.throughput.batches_per_second), (0.0, 0.0));
    assert_eq!((shown.errors.error_rate, shown.errors.total_errors), (0.0, 30));
    assert_eq!((shown.latency.avg, shown.latency.p50, shown.latency.p99), (2.0, 1.0, 3.0));
}

#[test]
fn failures_are_told_apart() {
    let live = Live::default();
    failed(&live, 0, ErrorType::Validation, 5);
    failed(&live, 0, ErrorType::Storage, 3);
    failed(&live, 0, ErrorType::Processing, 2);
    let errors = at(&live, 1).errors;
    let by_type = &errors.errors_by_type;
    assert_eq!((by_type.validation_error, by_type.storage_error, by_type.processing_error), (5, 3, 2));
    assert_eq!((errors.total_errors, errors.error_rate), (10, 1.0));
}

#[test]
fn a_reset_begins_anew_and_what_comes_after_counts() {
    let live = Live::default();
    stored(&live, 0, 100, 900_000);
    failed(&live, 0, ErrorType::Storage, 4);
    live.reset();
    let shown = at(&live, 1);
    assert_eq!((shown.throughput.events_per_second, shown.throughput.total_events), (0.0, 0));
    assert_eq!((shown.errors.error_rate, shown.errors.total_errors), (0.0, 0));
    assert_eq!((shown.latency.avg, shown.latency.p99), (0.0, 0.0));
    stored(&live, 1, 3, 500);
    let shown = at(&live, 2);
    assert_eq!((shown.throughput.events_per_second, shown.throughput.total_events), (1.0, 3));
    assert_eq!((shown.latency.avg, shown.latency.p50, shown.latency.p99), (0.5, 0.5, 0.5));
    assert_eq!(live.tally().events, 103);
}

#[test]
fn the_rest_is_what_it_was_told() {
    let live = Live::default();
    live.set_instances(5);
    live.set_health(HealthStatus::Degraded);
    let entered = live.in_flight().enter();
    let shown = at(&live, 1234);
    assert_eq!(shown.timestamp, 1_640_995_200_000);
    assert_eq!((shown.system.processing_instances, shown.system.queue_depth), (5, 1));
    assert!(shown.system.memory_usage > 0);
    assert_eq!((shown.health.status, shown.health.uptime), ("degraded", 1234));
    drop(entered);
    assert_eq!(at(&live, 1234).system.queue_depth, 0);
}

#[test]
fn the_json_has_the_names_of_the_api() {
    let json = serde_json::to_value(at(&Live::default(), 0)).unwrap_or_default();
    let latency: Vec<&String> = json["latency"].as_object().into_iter().flat_map(|object| object.keys()).collect();
    assert_eq!(latency, ["avgProcessingTime", "p50ProcessingTime", "p95ProcessingTime", "p99ProcessingTime"]);
    assert!(json["throughput"]["eventsPerSecond"].is_f64());
    assert!(json["throughput"]["totalEvents"].is_u64());
    assert_eq!(json["errors"]["errorsByType"]["validation_error"], 0);
    assert_eq!(json["health"]["status"], "healthy");
}
