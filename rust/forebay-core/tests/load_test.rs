//! Load tests inside the engine, on a storage that can stand still.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{small, until};
use forebay_core::ingest::route;
use forebay_core::load_test::{LoadTestReport, LoadTestSpec, LoadTestState, MAX_IN_FLIGHT};
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Access, EVENTS, Engine, ErrorKind, Intended, Options, Request};

fn open(storage: &Faulty, options: &Options) -> Arc<Engine> {
    Arc::new(common::open(storage, options).unwrap())
}

fn spec(events_per_second: u64, seconds: u64) -> LoadTestSpec {
    LoadTestSpec { events_per_second, seconds }
}

fn finished(engine: &Engine) -> LoadTestReport {
    until("the load test's end", || engine.load_test().report().state != LoadTestState::Running);
    let report = engine.load_test().report();
    assert_eq!(report.state, LoadTestState::Finished);
    assert_balanced(&report);
    report
}

fn assert_balanced(report: &LoadTestReport) {
    let known = report.accepted + report.rejected + report.failed + report.not_sent + report.in_flight;
    assert_eq!(report.offered, known, "{report:?}");
}

fn records(engine: &Engine) -> u64 {
    let Ok(stream) = engine.stream_report(EVENTS) else { return 0 };
    stream.partitions.iter().map(|(_, start, end)| end.0 - start.0).sum()
}

fn assert_close(what: &str, value: f64, wanted: f64) {
    assert!((value / wanted - 1.0).abs() < 0.05, "{what} is {value}, not {wanted}");
}

#[test]
fn it_offers_its_rate_and_what_it_counts_is_stored() {
    for (rate, seconds) in [(3, 1), (700, 1), (20_500, 2)] {
        let engine = open(&Faulty::new(rate), &Options { ring_bytes: 64 << 20, ..small() });
        assert_eq!(engine.load_test().report().state, LoadTestState::Idle);
        engine.start_load_test(spec(rate, seconds)).unwrap();
        let report = finished(&engine);
        assert_eq!((report.offered, report.accepted), (rate * seconds, rate * seconds), "{report:?}");
        assert_eq!(records(&engine), report.accepted);
        assert_close("the offered rate", report.offered_per_second, rate as f64);
        assert_close("the achieved rate", report.achieved_per_second, rate as f64);
        let ordered = [1, report.p50_micros, report.p95_micros, report.p99_micros, report.max_micros];
        assert!(ordered.is_sorted(), "{ordered:?}");
        assert_eq!(engine.counters().events_accepted.get(), report.accepted);
    }
}

/// Without coordinated omission: while the storage stands still, requests stay due, and each of them has waited since.
#[test]
fn a_storage_that_stands_still_shows_in_every_request_that_was_due() {
    let storage = Faulty::new(1);
    let engine = open(&storage, &small());
    let stall = Duration::from_millis(600);
    engine.start_load_test(spec(1, 1)).unwrap();
    finished(&engine);
    storage.stall_syncs(true);
    engine.start_load_test(spec(200, 1)).unwrap();
    until("the stall to last", || engine.load_test().report().elapsed >= stall);
    assert_eq!(engine.load_test().report().accepted, 0);
    storage.stall_syncs(false);
    let report = finished(&engine);
    assert_eq!(report.accepted, 200, "{report:?}");
    assert_close("the offered rate", report.offered_per_second, 200.0);
    // Six tenths of the requests were due in the stall, evenly: the median has waited for a sixth of it, at least.
    let micros = |share: f64| (stall.as_secs_f64() * share * 1e6) as u64;
    assert!(report.max_micros >= micros(1.0), "{report:?}");
    assert!(report.p95_micros >= micros(0.85), "{report:?}");
    assert!(report.p50_micros >= micros(0.1), "{report:?}");
    // The engine's own histogram counts them from the same time.
    assert!(engine.counters().ack_latency.snapshot().percentile(50.0) >= micros(0.1));
}

/// The generator itself may be held up: what it sends late has waited since it was due.
#[test]
fn what_is_sent_late_counts_from_when_it_was_due() {
    let engine = open(&Faulty::new(6), &small());
    let late = Duration::from_millis(600);
    let due = Instant::now() - late;
    let body = br#"[{"type":"a","source":"b","data":{}}]"#.to_vec();
    let intended = Some(Intended { due, events: 1 });
    engine.ingest(Request { intended, ..Request::new(&route::EVENT_BATCH, Box::new(body)) }).unwrap();
    let waited = engine.counters().ack_latency.snapshot().percentile(50.0);
    assert!(waited >= 590_000, "{waited}");
}

#[test]
fn requests_under_way_are_bounded_and_the_rest_is_counted() {
    let storage = Faulty::new(2);
    let engine = open(&storage, &small());
    engine.start_load_test(spec(50, 1)).unwrap();
    finished(&engine);
    storage.stall_syncs(true);
    engine.start_load_test(spec(1000, 2)).unwrap();
    until("the bound", || engine.load_test().report().not_sent > 100);
    let report = engine.load_test().report();
    assert_eq!(report.in_flight, MAX_IN_FLIGHT as u64);
    assert_balanced(&report);
    storage.stall_syncs(false);
    let report = finished(&engine);
    assert_eq!((report.offered, report.in_flight), (2000, 0));
    assert_eq!(report.accepted + report.not_sent, 2000, "{report:?}");
}

#[test]
fn a_full_ring_rejects_and_a_stop_leaves_nothing_uncounted() {
    let storage = Faulty::new(3);
    let engine = open(&storage, &small());
    engine.start_load_test(spec(1000, 1)).unwrap();
    finished(&engine);
    let before = records(&engine);
    storage.stall_syncs(true);
    engine.start_load_test(spec(200_000, 30)).unwrap();
    until("the first rejection", || engine.load_test().report().rejected > 0);
    let error = engine.start_load_test(spec(1, 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.detail().starts_with("a load test of 200000 events/s for 30 s is running"), "{error}");
    assert!(engine.load_test().stop());
    assert!(!engine.load_test().stop(), "it was stopped before");
    let stopped = engine.load_test().report();
    assert_eq!(stopped.state, LoadTestState::Stopped);
    assert!(stopped.elapsed < Duration::from_secs(10), "it ran on: {:?}", stopped.elapsed);
    storage.stall_syncs(false);
    until("the last answers", || engine.load_test().report().in_flight == 0);
    let report = engine.load_test().report();
    assert_eq!(report.offered, stopped.offered, "it sent something after its stop");
    assert_balanced(&report);
    assert_eq!(records(&engine) - before, report.accepted);
    engine.start_load_test(spec(10, 1)).unwrap();
    assert_eq!(finished(&engine).accepted, 10);
}

#[test]
fn it_ends_with_its_engine() {
    let storage = Faulty::new(4);
    let engine = open(&storage, &small());
    engine.start_load_test(spec(5000, 3600)).unwrap();
    until("some events", || engine.load_test().report().accepted > 100);
    engine.close();
    let report = engine.load_test().report();
    assert_eq!((report.state, report.in_flight), (LoadTestState::Stopped, 0));
    assert_balanced(&report);
    assert_eq!(records(&engine), report.accepted);
    assert_eq!(engine.start_load_test(spec(1, 1)).unwrap_err().kind(), ErrorKind::Closed);
    drop(engine);
    // Nobody closes it: its own load test does not keep it alive.
    let engine = open(&storage, &small());
    engine.start_load_test(spec(5000, 3600)).unwrap();
    until("some events", || engine.load_test().report().accepted > 100);
    drop(engine);
    until("the directory to be free", || common::open(&storage, &small()).is_ok());
}

#[test]
fn what_is_out_of_range_or_cannot_be_written_is_refused() {
    let storage = Faulty::new(5);
    let engine = open(&storage, &small());
    for (wrong, detail) in [
        (spec(0, 1), "eventsPerSecond is 0, must be from 1 to 1000000"),
        (spec(1_000_001, 1), "eventsPerSecond is 1000001, must be from 1 to 1000000"),
        (spec(1, 0), "durationSeconds is 0, must be from 1 to 3600"),
        (spec(1, 3601), "durationSeconds is 3601, must be from 1 to 3600"),
    ] {
        let error = engine.start_load_test(wrong).unwrap_err();
        assert_eq!((error.kind(), error.detail()), (ErrorKind::InvalidRequest, detail));
    }
    assert_eq!(engine.load_test().report(), LoadTestReport::default());
    drop(engine);
    let engine = open(&storage, &Options { access: Access::ReadOnly, ..small() });
    assert_eq!(engine.start_load_test(spec(1, 1)).unwrap_err().kind(), ErrorKind::StorageUnavailable);
}
