//! Every exported counter counts: one that stays at zero is worse than none.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Barrier;
use std::time::Duration;

use common::{Mark, drain, open, small, until};
use forebay_core::ingest::route;
use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::telemetry::Api;
use forebay_core::{Durability, Engine, ErrorKind, Key, LOGS, NewRecord, OnInvalid, Options, RateLimiter};
use forebay_core::{IngestRoute, QuotaRates, Rate, Request};

fn request(batch: u32) -> Request {
    Request::new(&route::DRAIN, drain(&Mark::batch(batch, 1, 10)))
}

fn keyed(batch: u32) -> Request {
    let key = Key::new(b"token", LOGS, &batch.to_le_bytes()).unwrap();
    Request { key: Some(key), ..request(batch) }
}

fn syncs(engine: &Engine) -> u64 {
    engine.counters().syncs.get()
}

/// The commit that makes the built-in stream is synced, and so is the marker that follows it.
fn wait_quiet(engine: &Engine) {
    until("a quiet log", || syncs(engine) == 2);
}

#[test]
fn repeats_are_counted_at_once_and_when_they_waited() {
    let engine = open(&Faulty::new(1), &small()).unwrap();
    engine.ingest(keyed(0)).unwrap();
    assert_eq!(engine.counters().requests_repeated.get(), 0);
    engine.ingest(keyed(0)).unwrap();
    assert_eq!(engine.counters().requests_repeated.get(), 1);
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                barrier.wait();
                engine.ingest(keyed(1)).unwrap();
            });
        }
    });
    assert_eq!(engine.counters().requests_repeated.get(), 1 + 3);
}

#[test]
fn the_syncs_of_commits_markers_and_the_end_are_counted() {
    let engine = open(&Faulty::new(2), &small()).unwrap();
    wait_quiet(&engine);
    engine.ingest(request(0)).unwrap();
    until("the sync of the commit, and of the marker after it", || syncs(&engine) == 4);
    engine.close();
    assert_eq!(syncs(&engine), 5, "the end");
    assert_eq!(engine.counters().sync_failures.get(), 0);
}

#[test]
fn the_syncs_of_an_interval_are_counted() {
    let options = Options { durability: Durability::Interval, sync_interval: Duration::from_millis(10), ..small() };
    let engine = open(&Faulty::new(3), &options).unwrap();
    wait_quiet(&engine);
    engine.ingest(request(0)).unwrap();
    until("the sync of the interval, and of the marker", || syncs(&engine) == 4);
}

#[test]
fn a_failed_sync_is_counted() {
    let storage = Faulty::new(4);
    let engine = open(&storage, &small()).unwrap();
    wait_quiet(&engine);
    storage.inject(Fault::next(Operation::Sync).on("journal/").always());
    assert!(engine.ingest(request(0)).is_err());
    engine.close();
    assert_eq!((syncs(&engine), engine.counters().sync_failures.get()), (2, 1));
    assert_eq!(outcomes(&engine, Api::Drain), (0, 0, 1), "what the committer refuses is counted too");
    assert_eq!(engine.counters().refusals.get(ErrorKind::StorageUnavailable), 1);
}

fn outcomes(engine: &Engine, api: Api) -> (u64, u64, u64) {
    let counters = engine.counters();
    (counters.requests_accepted.of(api), counters.requests_repeated.of(api), counters.requests_refused.of(api))
}

fn body(route: &'static IngestRoute, text: &str) -> Request {
    Request::new(route, Box::new(text.as_bytes().to_vec()))
}

#[test]
fn requests_are_counted_once_by_the_api_they_came_in_by() {
    let engine = open(&Faulty::new(5), &small()).unwrap();
    let good = r#"{"type":"click","source":"web","data":{}}"#;
    engine.ingest(body(&route::EVENT, good)).unwrap();
    engine.ingest(body(&route::EVENT_BATCH, &format!("[{good},{good},1]"))).unwrap();
    engine.ingest(body(&route::EVENT_BATCH, "[1,2]")).unwrap();
    engine.ingest(body(&route::TRACK, "{")).unwrap_err();
    let record = NewRecord { key: None, value: good.into(), headers: Vec::new(), timestamp: None };
    engine.append("events", &[record], None).unwrap();
    engine.append("nowhere", &[], None).unwrap_err();
    engine.ingest(Request { stream: Some("nowhere".into()), ..body(&route::PUBLISH, "{}") }).unwrap_err();
    assert_eq!(outcomes(&engine, Api::Events), (2, 0, 1), "nothing of the second batch was stored");
    assert_eq!(outcomes(&engine, Api::Analytics), (0, 0, 1));
    assert_eq!(outcomes(&engine, Api::Library), (1, 0, 0));
    assert_eq!(outcomes(&engine, Api::Streams), (0, 0, 1));
    let counters = engine.counters();
    assert_eq!((counters.events_accepted.of(Api::Events), counters.events_accepted.of(Api::Library)), (3, 1));
    assert_eq!(counters.events_rejected.of(Api::Events), 3);
    assert_eq!(counters.refusals.get(ErrorKind::Malformed), 2);
    assert_eq!(counters.refusals.get(ErrorKind::StreamNotFound), 1);
}

#[test]
fn what_is_put_aside_is_not_accepted() {
    let engine = open(&Faulty::new(6), &small()).unwrap();
    let text = String::from_utf8((*drain(&Mark::batch(0, 3, 10))).as_ref().to_vec()).unwrap();
    let request = body(&route::DRAIN, &text.replace("]}", ",{}]}"));
    let bytes = request.bytes().len() as u64;
    engine.ingest(Request { on_invalid: OnInvalid::Quarantine, ..request }).unwrap();
    let counters = engine.counters();
    assert_eq!((counters.events_accepted.of(Api::Drain), counters.events_rejected.of(Api::Drain)), (3, 1));
    assert_eq!(counters.bytes_in.of(Api::Drain), bytes);
}

#[test]
fn what_a_quota_refuses_for_now_is_counted() {
    let engine = open(&Faulty::new(7), &small()).unwrap();
    let limiter = RateLimiter::new("shop");
    limiter.quota.set(QuotaRates { events: Some(Rate::new(1, 5).unwrap()), bytes: None });
    let charged = |batch, records| Request {
        limiter: Some(limiter.clone()),
        ..Request::new(&route::DRAIN, drain(&Mark::batch(batch, records, 10)))
    };
    engine.ingest(charged(0, 5)).unwrap();
    assert_eq!(engine.ingest(charged(1, 5)).unwrap_err().kind(), ErrorKind::Saturated);
    assert_eq!(engine.ingest(charged(2, 6)).unwrap_err().kind(), ErrorKind::PayloadTooLarge);
    assert_eq!(engine.counters().quota_refusals.get(), 1);
    assert_eq!(engine.counters().refusals.get(ErrorKind::Saturated), 1);
}
