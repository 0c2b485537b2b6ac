//! Waiting for records: no wake-up is missed, and nobody is woken for nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use common::{PATIENCE, open, small, until};
use forebay_core::storage::faulty::Faulty;
use forebay_core::{CompletionId, Engine, ErrorKind, NewRecord, Offset, PartitionId, Result, Watcher};
use parking_lot::{Condvar, Mutex};

#[derive(Debug, Default)]
struct Ends {
    ends: Mutex<Vec<(CompletionId, Result<()>)>>,
    came: Condvar,
    wakes: AtomicUsize,
}

impl Watcher for Ends {
    fn due(&self, completion: CompletionId, outcome: Result<()>) {
        self.ends.lock().push((completion, outcome));
    }

    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.came.notify_all();
    }
}

impl Ends {
    /// The next end; fails the test when none comes.
    fn next(&self) -> (CompletionId, Result<()>) {
        let deadline = Instant::now() + PATIENCE;
        let mut ends = self.ends.lock();
        while ends.is_empty() {
            assert!(!self.came.wait_until(&mut ends, deadline).timed_out(), "nobody was woken");
        }
        ends.remove(0)
    }

    fn count(&self) -> usize {
        self.ends.lock().len()
    }
}

fn engine() -> Engine {
    let engine = open(&Faulty::new(7), &small()).unwrap();
    engine.create_stream("orders", 2).unwrap();
    engine
}

fn append(engine: &Engine, partition: u32) {
    let record = NewRecord { key: None, value: b"1".to_vec(), headers: Vec::new(), timestamp: None };
    engine.append("orders", &[record], Some(PartitionId(partition))).unwrap();
}

fn at(partition: u32, offset: u64) -> (PartitionId, Offset) {
    (PartitionId(partition), Offset(offset))
}

#[test]
fn an_append_ends_the_watch_of_its_partition_once() {
    let (engine, ends) = (engine(), Arc::new(Ends::default()));
    engine.watch("orders", &[at(0, 0)], ends.clone(), CompletionId(1)).unwrap();
    engine.watch("orders", &[at(0, 1), at(1, 0)], ends.clone(), CompletionId(2)).unwrap();
    append(&engine, 0);
    assert_eq!(ends.next(), (CompletionId(1), Ok(())));
    append(&engine, 1);
    assert_eq!(ends.next(), (CompletionId(2), Ok(())));
    append(&engine, 0);
    append(&engine, 1);
    assert_eq!(ends.count(), 0, "a watch ends once");
}

#[test]
fn a_record_that_is_there_ends_the_watch_at_once() {
    let (engine, ends) = (engine(), Arc::new(Ends::default()));
    append(&engine, 1);
    let watch = engine.watch("orders", &[at(0, 0), at(1, 0)], ends.clone(), CompletionId(5)).unwrap();
    assert_eq!(ends.count(), 1);
    assert_eq!(engine.unwatch(watch), None, "it has ended");
}

#[test]
fn a_watch_that_is_taken_back_hears_nothing() {
    let (engine, ends) = (engine(), Arc::new(Ends::default()));
    let first = engine.watch("orders", &[at(0, 0)], ends.clone(), CompletionId(1)).unwrap();
    let second = engine.watch("orders", &[at(0, 0)], ends.clone(), CompletionId(2)).unwrap();
    assert_ne!(first, second);
    assert_eq!(engine.unwatch(first), Some(CompletionId(1)));
    assert_eq!(engine.unwatch(first), None);
    append(&engine, 0);
    assert_eq!(ends.next(), (CompletionId(2), Ok(())));
    assert_eq!(ends.count(), 0);
}

#[test]
fn closing_ends_every_watch() {
    let (engine, ends) = (engine(), Arc::new(Ends::default()));
    engine.watch("orders", &[], ends.clone(), CompletionId(1)).unwrap();
    engine.close();
    assert_eq!(ends.next().1.unwrap_err().kind(), ErrorKind::Closed);
    let refused = engine.watch("orders", &[at(0, 0)], ends.clone(), CompletionId(2)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
}

#[test]
fn deleting_the_stream_ends_its_watches() {
    let (engine, ends) = (engine(), Arc::new(Ends::default()));
    for completion in 0..100 {
        engine.watch("orders", &[at(0, 0)], ends.clone(), CompletionId(completion)).unwrap();
    }
    engine.delete_stream("orders").unwrap();
    until("the ends", || ends.count() == 100);
    for _ in 0..100 {
        assert_eq!(ends.next().1.unwrap_err().kind(), ErrorKind::StreamNotFound);
    }
    let refused = engine.watch("orders", &[at(0, 0)], ends.clone(), CompletionId(1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StreamNotFound);
}

#[test]
fn what_is_not_there_cannot_be_watched() {
    let (engine, ends) = (engine(), Arc::new(Ends::default()));
    let refused =
        |stream, partition| engine.watch(stream, &[at(partition, 0)], ends.clone(), CompletionId(1)).unwrap_err();
    assert_eq!(refused("nothing", 0).kind(), ErrorKind::StreamNotFound);
    assert_eq!(refused("orders", 2).kind(), ErrorKind::InvalidRequest);
}

#[test]
fn one_append_wakes_exactly_those_due_of_ten_thousand() {
    let (engine, ends) = (engine(), Arc::new(Ends::default()));
    for number in 0..10_000 {
        // One in ten waits for partition 1, the others for one that nothing is appended to, or for a later record.
        let position = if number % 10 == 0 { at(1, 0) } else { at(number % 2, 1) };
        engine.watch("orders", &[position], ends.clone(), CompletionId(number.into())).unwrap();
    }
    append(&engine, 1);
    until("the ends", || ends.count() == 1000);
    until("the wake-up", || ends.wakes.load(Ordering::Relaxed) > 0);
    assert_eq!(ends.wakes.load(Ordering::Relaxed), 1, "one wake-up for all");
    append(&engine, 0);
    assert_eq!(ends.count(), 1000);
    assert!(ends.ends.lock().iter().all(|(completion, outcome)| completion.0 % 10 == 0 && outcome.is_ok()));
}

/// Each record is written when both readers are about to wait for it: a wake-up that is missed leaves one waiting.
#[test]
fn no_wake_up_is_missed_under_concurrent_appends() {
    const ROUNDS: u64 = 2_000;
    let engine = engine();
    let waiting = [AtomicU64::new(0), AtomicU64::new(0)];
    std::thread::scope(|scope| {
        for waiting in &waiting {
            scope.spawn(|| {
                let ends = Arc::new(Ends::default());
                for offset in 0..ROUNDS {
                    waiting.store(offset + 1, Ordering::Release);
                    engine.watch("orders", &[at(0, offset), at(1, 0)], ends.clone(), CompletionId(offset)).unwrap();
                    assert_eq!(ends.next(), (CompletionId(offset), Ok(())));
                }
            });
        }
        for offset in 0..ROUNDS {
            until("the readers", || waiting.iter().all(|at| at.load(Ordering::Acquire) > offset));
            append(&engine, 0);
        }
    });
}
