//! What is exported is counted: a counter that stays at zero is worse than none.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Barrier;
use std::time::Duration;

use common::{Mark, drain, open, small, until};
use forebay_core::log::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::{Durability, Engine, Key, LOGS, Options, Request, Shape};

fn request(batch: u32) -> Request {
    Request::new(Shape::Drain, drain(&Mark::batch(batch, 1, 10)))
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
}
