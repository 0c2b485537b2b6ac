//! The engine's reports of its progress, while it makes some and while it makes none.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Mark, records, small, until};
use forebay_core::ingest::route;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Completer, CompletionId, Receipt, Request, Result};

#[derive(Debug)]
struct Nobody;

impl Completer for Nobody {
    fn complete(&self, _: CompletionId, _: Result<Receipt>) {}

    fn wake(&self) {}
}

#[test]
fn commits_since_an_earlier_time_are_counted_and_timed() {
    let engine = common::open(&Faulty::new(1), &small()).unwrap();
    let before = engine.queue_stats();
    for batch in 0..10 {
        engine
            .append(forebay_core::LOGS, &records(forebay_core::LOGS, &Mark::batch(batch, 1, 10), false), None)
            .unwrap();
    }
    let after = engine.queue_stats();
    let recent = after.commits.subtract(&before.commits);
    assert_eq!(recent.count(), 10);
    assert!(recent.percentile(99.0) >= recent.percentile(50.0));
    assert_eq!((after.jobs_waiting, after.oldest_job, after.commits_waiting), (0, Duration::ZERO, 0));
}

#[test]
fn a_stalled_disk_shows_as_appends_that_wait_without_a_commit() {
    let storage = Faulty::new(2);
    let engine = common::open(&storage, &small()).unwrap();
    storage.stall_syncs(true);
    for batch in 0..20 {
        let body = common::drain(&Mark::batch(batch, 1, 10));
        engine.submit(Request::new(&route::DRAIN, body), Arc::new(Nobody), CompletionId(u64::from(batch))).unwrap();
    }
    // The first ones are under way; whatever came after them waits.
    until("appends that wait", || engine.queue_stats().commits_waiting > 0);
    let before = engine.queue_stats();
    assert_eq!(engine.queue_stats().commits.count(), before.commits.count());
    storage.stall_syncs(false);
    until("progress", || {
        let stats = engine.queue_stats();
        stats.commits_waiting == 0 && stats.commits.count() > before.commits.count()
    });
}

/// The queue alone: nobody takes from it.
#[test]
fn a_body_that_waits_for_a_worker_grows_older() {
    let storage = Faulty::new(3);
    let mut options = small();
    options.inline_body_bytes = 0;
    let engine = common::open(&storage, &options).unwrap();
    for batch in 0..2_000 {
        let body = common::drain(&Mark::batch(batch, 1, 10));
        drop(engine.submit(Request::new(&route::DRAIN, body), Arc::new(Nobody), CompletionId(u64::from(batch))));
        let stats = engine.queue_stats();
        if stats.jobs_waiting > 0 && stats.oldest_job > Duration::ZERO {
            return;
        }
    }
    panic!("no body was seen to wait");
}
