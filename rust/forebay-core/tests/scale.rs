//! Workers that come and go while requests are under way.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use common::{small, until};
use forebay_core::ingest::route;
use forebay_core::status::Mode;
use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::{
    Access, Completer, CompletionId, Engine, ErrorKind, LOGS, Limits, MAX_WORKERS, Options, Receipt, Request, Result,
};
use parking_lot::Mutex;

const SENDERS: u64 = 8;
const REQUESTS: u64 = 150;
const EVENTS: u64 = 7;

/// Every body is a worker's.
fn options() -> Options {
    Options { inline_body_bytes: 0, ..small() }
}

fn body(key: &str, request: u64) -> Vec<u8> {
    let event = |index| {
        let number = request * EVENTS + index;
        format!(
            r#"{{"project_id":"{key}","timestamp":"2024-05-31T15:30:45Z","level":"info","service":"s","message":"={number}="}}"#
        )
    };
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    format!(r#"{{"events":[{}]}}"#, events.join(",")).into_bytes()
}

/// The numbers of each key's events in the order in which they are stored.
fn stored(engine: &Engine) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (partition, start, _) in engine.stream_report(LOGS).unwrap().partitions {
        let batch = engine.fetch(LOGS, partition, start, Limits { records: 1_000_000, bytes: 1 << 30 }).unwrap();
        for (_, record) in batch.iter() {
            let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
            let text = std::str::from_utf8(record.value).unwrap();
            found.entry(key).or_default().push(text.split('=').nth(1).unwrap().parse().unwrap());
        }
    }
    found
}

fn ingest(engine: &Engine, key: &str, request: u64) {
    loop {
        match engine.ingest(Request::new(&route::DRAIN, Box::new(body(key, request)))) {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Saturated, "{error}"),
        }
    }
}

/// Resizes without a pause until told to stop; returns how often.
fn resize(engine: &Engine, stop: &AtomicBool, seed: u64) -> u64 {
    let (mut state, mut times) = (seed, 0);
    while !stop.load(Ordering::Relaxed) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wanted = 1 + usize::try_from(state >> 33).unwrap() % MAX_WORKERS;
        engine.scale(wanted).unwrap();
        assert!(engine.report().workers <= MAX_WORKERS);
        times += 1;
    }
    times
}

#[test]
fn a_senders_events_keep_their_order_while_workers_come_and_go() {
    let storage = Faulty::new(1);
    let engine = common::open(&storage, &options()).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let engine = &engine;
                scope.spawn(move || (0..REQUESTS).for_each(|request| ingest(engine, &format!("k{sender}"), request)))
            })
            .collect();
        let resizing = |seed| resize(&engine, &stop, seed);
        let resizers: Vec<_> = (0..2).map(|seed| scope.spawn(move || resizing(seed))).collect();
        for sender in senders {
            sender.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        let times: u64 = resizers.into_iter().map(|resizer| resizer.join().unwrap()).sum();
        assert!(times > 2, "only {times} resizes fell into the load");
    });
    let all = stored(&engine);
    assert_eq!(all.len() as u64, SENDERS);
    for (key, numbers) in all {
        assert_eq!(numbers, (0..REQUESTS * EVENTS).collect::<Vec<_>>(), "{key} has lost its order, or events");
    }
}

/// Counts outcomes.
#[derive(Debug, Default)]
struct Outcomes {
    stored: AtomicU64,
    failed: Mutex<Vec<ErrorKind>>,
}

impl Completer for Outcomes {
    fn complete(&self, _ticket: CompletionId, outcome: Result<Receipt>) {
        match outcome {
            Ok(_) => drop(self.stored.fetch_add(1, Ordering::Relaxed)),
            Err(error) => self.failed.lock().push(error.kind()),
        }
    }

    fn wake(&self) {}
}

impl Outcomes {
    fn count(&self) -> u64 {
        self.stored.load(Ordering::Relaxed) + self.failed.lock().len() as u64
    }
}

#[test]
fn whatever_is_queued_is_parsed_once_at_any_number_and_over_a_close() {
    let storage = Faulty::new(2);
    let engine = common::open(&storage, &options()).unwrap();
    let (outcomes, resizes) = (Arc::new(Outcomes::default()), AtomicUsize::new(0));
    let (mut admitted, mut request) = (0, 0);
    thread::scope(|scope| {
        // Down to one again and again, so that workers find themselves surplus while jobs wait.
        let resizer = scope.spawn(|| {
            loop {
                match engine.scale(if resizes.fetch_add(1, Ordering::Relaxed) % 2 == 0 { 9 } else { 1 }) {
                    Ok(()) => {}
                    Err(error) => return assert_eq!(error.kind(), ErrorKind::Closed, "{error}"),
                }
            }
        });
        while resizes.load(Ordering::Relaxed) < 200 {
            // No more than can be read back at once, however long the resizes take.
            if request * EVENTS > 500_000 {
                thread::yield_now();
                continue;
            }
            let wanted = Request::new(&route::DRAIN, Box::new(body("k", request)));
            admitted += u64::from(engine.submit(wanted, outcomes.clone(), CompletionId(request)).is_ok());
            request += 1;
        }
        engine.close();
        resizer.join().unwrap();
    });
    assert_eq!(outcomes.count(), admitted, "everything is answered when the close returns");
    assert_eq!(engine.report().workers, 0, "and every worker has ended");
    let mut numbers = stored(&engine).remove("k").unwrap();
    let count = numbers.len() as u64;
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len() as u64, count, "an event is stored twice");
    assert_eq!(count, outcomes.stored.load(Ordering::Relaxed) * EVENTS);
}

#[test]
fn the_number_is_in_force_at_once_and_after_a_kill() {
    let storage = Faulty::new(3);
    let engine = common::open(&storage, &options()).unwrap();
    assert_eq!(engine.report().workers, 2, "the option's");
    for workers in [64, 1, 10] {
        engine.scale(workers).unwrap();
        until("the surplus workers' ends", || engine.report().workers == workers);
    }
    let killed = storage.crash();
    drop(engine);
    let engine = common::open(&killed, &options()).unwrap();
    assert_eq!(engine.report().workers, 10, "what was stored goes before the option");
    ingest(&engine, "k", 0);
    engine.scale(3).unwrap();
    drop(engine);
    assert_eq!(common::open(&killed, &options()).unwrap().report().workers, 3);
}

/// The row outlives its journal file.
#[test]
fn the_number_is_kept_when_its_journal_file_is_sealed() {
    let storage = Faulty::new(4);
    let engine = common::open(&storage, &common::sealing_soon()).unwrap();
    engine.scale(5).unwrap();
    ingest(&engine, "k", 0);
    common::wait_sealed(&engine);
    let killed = storage.crash();
    assert_eq!(common::open(&killed, &options()).unwrap().report().workers, 5);
}

#[test]
fn what_cannot_be_stored_is_not_in_force() {
    let storage = Faulty::new(5);
    let engine = common::open(&storage, &options()).unwrap();
    for workers in [0, MAX_WORKERS + 1, usize::MAX] {
        let error = engine.scale(workers).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert_eq!(error.detail(), format!("instances is {workers}, must be from 1 to 64"));
    }
    storage.inject(Fault::next(Operation::Sync).on("journal/").always());
    assert_eq!(engine.scale(20).unwrap_err().kind(), ErrorKind::StorageUnavailable);
    assert_eq!(engine.report().mode, Mode::Poisoned);
    until("the workers that came for nothing to go", || engine.report().workers == 2);
    assert_eq!(engine.scale(3).unwrap_err().kind(), ErrorKind::StorageUnavailable);
    engine.close();
    assert_eq!(engine.scale(3).unwrap_err().kind(), ErrorKind::Closed);
    drop(engine);
    let reading = common::open(&storage, &Options { access: Access::ReadOnly, ..options() }).unwrap();
    assert_eq!(reading.scale(3).unwrap_err().kind(), ErrorKind::StorageUnavailable);
    assert_eq!(reading.report().workers, 0);
}

/// A body that a worker cannot even look at.
struct Trap;

impl AsRef<[u8]> for Trap {
    fn as_ref(&self) -> &[u8] {
        let worker = thread::current().name().is_some_and(|name| name.starts_with("forebay-worker"));
        assert!(!worker, "a defect, on purpose");
        b"{}"
    }
}

#[test]
fn a_panic_costs_its_request_and_no_worker() {
    let engine = common::open(&Faulty::new(6), &options()).unwrap();
    let outcomes = Arc::new(Outcomes::default());
    for completion in 0..5 {
        engine.submit(Request::new(&route::DRAIN, Box::new(Trap)), outcomes.clone(), CompletionId(completion)).unwrap();
    }
    until("an answer to each", || outcomes.count() == 5);
    assert_eq!(*outcomes.failed.lock(), [ErrorKind::Internal; 5]);
    until("each to be counted", || engine.counters().refusals.get(ErrorKind::Internal) == 5);
    assert_eq!(engine.report().workers, 2);
    ingest(&engine, "k", 0);
    until("the memory of the requests to be free", || engine.report().ring_used_bytes < 8192);
}
