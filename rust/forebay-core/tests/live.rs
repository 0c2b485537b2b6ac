//! The figures of `/api/metrics` over a whole engine.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{Mark, PATIENCE, small, until};
use forebay_core::ingest::route;
use forebay_core::log::commit::Waiter;
use forebay_core::storage::faulty::Faulty;
use forebay_core::telemetry::ErrorType;
use forebay_core::{Access, CompletionId, Engine, ErrorKind, NewRecord, Options, Request};

fn submit(engine: &Engine, body: Vec<u8>) -> forebay_core::Result<Arc<Waiter>> {
    let waiter = Arc::new(Waiter::default());
    engine.submit(Request::new(&route::DRAIN, Box::new(body)), waiter.clone(), CompletionId(0))?;
    Ok(waiter)
}

fn body(batch: u32, records: u32) -> Vec<u8> {
    (*common::drain(&Mark::batch(batch, records, 500))).as_ref().to_vec()
}

fn depth(engine: &Engine) -> u64 {
    engine.metrics().system.queue_depth
}

#[test]
fn the_queue_is_every_request_that_is_admitted_and_not_answered() {
    let storage = Faulty::new(1);
    let engine = common::open(&storage, &small()).unwrap();
    submit(&engine, body(0, 1)).unwrap().wait().unwrap();
    assert_eq!(depth(&engine), 0);
    storage.stall_syncs(true);
    // Parsed where they come in, and by a worker.
    let waiting: Vec<_> = (1..=10).map(|batch| submit(&engine, body(batch, batch * 2)).unwrap()).collect();
    assert_eq!(depth(&engine), 10);
    let record = NewRecord { key: None, value: b"{}".to_vec(), headers: Vec::new(), timestamp: None };
    thread::scope(|scope| {
        let record = &record;
        let appended = scope.spawn(|| engine.append("logs", std::slice::from_ref(record), None));
        assert!(appended.join().unwrap().is_err(), "it is no event of the drain");
    });
    assert_eq!(depth(&engine), 10);
    storage.stall_syncs(false);
    for waiter in waiting {
        waiter.wait().unwrap();
    }
    assert_eq!(depth(&engine), 0);
}

#[test]
fn what_is_refused_is_not_in_the_queue() {
    let engine = common::open(&Faulty::new(1), &small()).unwrap();
    assert!(submit(&engine, b"{".to_vec()).is_err());
    let large = [b"{\"events\":[".to_vec(), vec![b' '; 100_000]].concat();
    assert_eq!(submit(&engine, large).unwrap().wait().unwrap_err().kind(), ErrorKind::Malformed);
    assert!(submit(&engine, vec![b' '; 64 * 1024 * 1024]).is_err());
    assert_eq!(depth(&engine), 0);
    engine.close();
    assert!(submit(&engine, body(1, 1)).is_err());
    assert_eq!(depth(&engine), 0);
}

#[test]
fn the_workers_are_those_that_run() {
    let storage = Faulty::new(1);
    let engine = common::open(&storage, &Options { workers: 3, ..small() }).unwrap();
    assert_eq!(engine.metrics().system.processing_instances, 3);
    engine.close();
    let reader = common::open(&storage, &Options { access: Access::ReadOnly, ..small() }).unwrap();
    assert_eq!(reader.metrics().system.processing_instances, 0);
}

#[test]
fn many_threads_lose_no_event_and_a_reader_sees_sums_that_only_grow() {
    const THREADS: u64 = 4;
    const EACH: u64 = 50_000;
    let engine = common::open(&Faulty::new(1), &small()).unwrap();
    let live = &engine.counters().live;
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    live.stored(3, Duration::from_micros(100));
                    live.failed(ErrorType::Storage, 1);
                }
            });
        }
        let mut last = (0, 0);
        until("all of it", || {
            let shown = engine.metrics();
            let seen = (shown.throughput.total_events, shown.errors.total_errors);
            assert!(seen.0 >= last.0 && seen.1 >= last.1);
            last = seen;
            seen == (3 * THREADS * EACH, THREADS * EACH)
        });
    });
    let errors = engine.metrics().errors;
    assert_eq!((errors.errors_by_type.storage_error, errors.errors_by_type.validation_error), (THREADS * EACH, 0));
    until("traffic is forgotten", || engine.metrics().throughput.events_per_second == 0.0);
    assert_eq!(engine.metrics().errors.error_rate, 0.0);
}

#[test]
fn resets_under_load_lose_nothing_and_count_nothing_twice() {
    const EVENTS: u64 = 200_000;
    let engine = common::open(&Faulty::new(1), &small()).unwrap();
    let live = &engine.counters().live;
    let before = live.tally();
    thread::scope(|scope| {
        scope.spawn(|| (0..EVENTS).for_each(|_| live.stored(1, Duration::ZERO)));
        for _ in 0..50 {
            engine.reset_metrics().unwrap();
            assert!(engine.metrics().throughput.total_events <= EVENTS);
        }
    });
    assert_eq!(live.tally().since(&before).events, EVENTS);
    engine.reset_metrics().unwrap();
    live.stored(7, Duration::ZERO);
    assert_eq!(engine.metrics().throughput.total_events, 7);
}

#[test]
fn a_history_costs_nothing_unless_it_is_kept_and_ends_with_the_engine() {
    let storage = Faulty::new(1);
    let history = |storage: &Faulty| storage.files().iter().any(|(path, _)| path.starts_with("history"));
    let engine = common::open(&storage, &small()).unwrap();
    assert_eq!(engine.past_metrics(1).unwrap().points, []);
    for hours in [0, 169, u32::MAX] {
        assert_eq!(engine.past_metrics(hours).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
    engine.keep_history().unwrap();
    engine.keep_history().unwrap();
    let before = Instant::now();
    engine.close();
    assert!(before.elapsed() < PATIENCE / 6, "closing waits for the next point");
    engine.keep_history().unwrap();
    assert!(!history(&storage));
}
