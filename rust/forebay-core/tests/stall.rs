//! A disk that stands still, two engines on one directory, and closing under load.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Mark, PATIENCE, read_all, small, until, wait_sealed};
use forebay_core::ingest::route;
use forebay_core::status::Mode;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Body, Completer, CompletionId, Engine, Error, ErrorKind, Receipt, Request, Result};
use parking_lot::Mutex;

/// A refusal comes at once: far below what a stalled call takes, far above a slow machine's hiccups.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Takes every outcome, and fails the test when one comes twice.
#[derive(Debug, Default)]
struct Outcomes {
    taken: Mutex<Vec<(u64, std::result::Result<Receipt, Error>)>>,
}

impl Completer for Outcomes {
    fn complete(&self, completion: CompletionId, outcome: Result<Receipt>) {
        self.taken.lock().push((completion.0, outcome));
    }

    fn wake(&self) {}
}

impl Outcomes {
    fn count(&self) -> usize {
        self.taken.lock().len()
    }

    fn acknowledged(&self) -> Vec<u64> {
        let taken = self.taken.lock();
        let mut tickets: Vec<u64> =
            taken.iter().filter(|(_, o)| o.is_ok()).map(|(completion, _)| *completion).collect();
        let every: std::collections::BTreeSet<u64> = taken.iter().map(|(completion, _)| *completion).collect();
        assert_eq!(every.len(), taken.len(), "an outcome came twice");
        tickets.sort_unstable();
        tickets
    }
}

fn body(completion: u64) -> Body {
    let batch = u32::try_from(completion).unwrap();
    // Some are parsed where they come in, some by a worker.
    common::drain(&Mark::batch(batch, 1 + batch % 30, 500))
}

fn submit(engine: &Engine, outcomes: &Arc<Outcomes>, completion: u64) -> Result<()> {
    engine.submit(Request::new(&route::DRAIN, body(completion)), outcomes.clone(), CompletionId(completion))
}

/// Which batches are stored, each of them whole.
fn stored(engine: &Engine) -> Vec<u64> {
    let all = read_all(engine).unwrap();
    let mut marks: Vec<Mark> = all.values().flat_map(|log| log.records.iter().map(|(_, mark)| *mark)).collect();
    marks.sort_unstable();
    let mut batches = Vec::new();
    for group in marks.chunk_by(|a, b| a.batch == b.batch) {
        assert_eq!(group, Mark::batch(group[0].batch, group[0].records, 500), "batch by halves");
        batches.push(u64::from(group[0].batch));
    }
    batches
}

/// Submits from eight threads until every one of them was refused `refusals` times; returns what was admitted.
fn overload(engine: &Engine, outcomes: &Arc<Outcomes>, tickets: &AtomicU64, refusals: u32) -> u64 {
    let admitted = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut refused = 0;
                while refused < refusals {
                    let completion = tickets.fetch_add(1, Ordering::Relaxed);
                    let before = Instant::now();
                    let outcome = submit(engine, outcomes, completion);
                    assert!(before.elapsed() < AT_ONCE, "a call waited for the disk");
                    // One stream gets half of the ring.
                    assert!(engine.report().ring_used_bytes <= engine.report().ring_limit_bytes / 2);
                    match outcome {
                        Ok(()) => drop(admitted.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Saturated, "{error}");
                            refused += 1;
                        }
                    }
                }
            });
        }
    });
    admitted.into_inner()
}

#[test]
fn a_stalled_disk_refuses_at_once_and_loses_nothing() {
    for writes in [false, true] {
        let storage = Faulty::new(1);
        let engine = common::open(&storage, &small()).unwrap();
        let (outcomes, tickets) = (Arc::new(Outcomes::default()), AtomicU64::new(0));
        if writes {
            storage.stall_writes(true)
        } else {
            storage.stall_syncs(true)
        }
        let admitted = overload(&engine, &outcomes, &tickets, 200);
        assert!(admitted > 100, "only {admitted} were admitted before the ring was full");
        assert!(engine.report().ring_used_bytes > engine.report().ring_limit_bytes / 4);
        assert_eq!(outcomes.acknowledged(), Vec::<u64>::new(), "nothing is acknowledged while the disk stands still");
        assert_eq!(stored(&engine), Vec::<u64>::new(), "nor visible");
        storage.stall_writes(false);
        storage.stall_syncs(false);
        // A body may turn out larger than its admission once it is parsed; that is an answer, too.
        until("every outcome", || outcomes.count() as u64 >= admitted);
        let refused =
            outcomes.taken.lock().iter().filter_map(|(_, o)| o.as_ref().err().map(Error::kind)).collect::<Vec<_>>();
        assert!(refused.iter().all(|kind| *kind == ErrorKind::Saturated), "{refused:?}");
        assert_eq!(stored(&engine), outcomes.acknowledged());
        until("room", || submit(&engine, &outcomes, 1_000_000).is_ok());
        drop(engine);
        let engine = common::open(&storage, &small()).unwrap();
        assert_eq!(stored(&engine), outcomes.acknowledged());
    }
}

#[test]
fn senders_faster_than_the_disk_are_refused_and_the_rest_is_stored() {
    let storage = Faulty::new(2);
    let engine = common::open(&storage, &small()).unwrap();
    let (outcomes, tickets) = (Arc::new(Outcomes::default()), AtomicU64::new(0));
    let admitted = overload(&engine, &outcomes, &tickets, 50);
    until("every outcome", || outcomes.count() as u64 >= admitted);
    assert_eq!(stored(&engine), outcomes.acknowledged());
    let killed = storage.crash();
    drop(engine);
    assert_eq!(stored(&common::open(&killed, &small()).unwrap()), outcomes.acknowledged());
}

/// Sealed records give back all of their room.
#[test]
fn the_ring_is_empty_once_everything_is_sealed() {
    let engine = common::open(&Faulty::new(3), &common::sealing_soon()).unwrap();
    let (outcomes, tickets) = (Arc::new(Outcomes::default()), AtomicU64::new(0));
    let admitted = overload(&engine, &outcomes, &tickets, 5);
    until("every outcome", || outcomes.count() as u64 >= admitted);
    wait_sealed(&engine);
    assert_eq!(engine.report().ring_used_bytes, 0);
    assert_eq!(stored(&engine), outcomes.acknowledged());
}

#[test]
fn closing_a_saturated_engine_finishes_and_answers_everyone() {
    let storage = Faulty::new(4);
    let engine = Arc::new(common::open(&storage, &small()).unwrap());
    let (outcomes, tickets) = (Arc::new(Outcomes::default()), AtomicU64::new(0));
    storage.stall_syncs(true);
    let mut admitted = overload(&engine, &outcomes, &tickets, 20);
    let closing = thread::spawn({
        let engine = Arc::clone(&engine);
        move || engine.close()
    });
    until("the refusal", || match submit(&engine, &outcomes, tickets.fetch_add(1, Ordering::Relaxed)) {
        Ok(()) => {
            // A body turned out smaller than its admission, and made room before the close.
            admitted += 1;
            false
        }
        Err(error) => error.kind() == ErrorKind::Closed,
    });
    storage.stall_syncs(false);
    let before = Instant::now();
    closing.join().unwrap();
    assert!(before.elapsed() < PATIENCE);
    assert_eq!(outcomes.count() as u64, admitted, "everyone is answered when the close returns");
    assert_eq!(engine.report().mode, Mode::Closed);
    let next = common::open(&storage, &small()).unwrap();
    assert_eq!(stored(&next), outcomes.acknowledged());
}

#[test]
fn closing_under_load_answers_every_waiter() {
    let storage = Faulty::new(5);
    let engine = common::open(&storage, &small()).unwrap();
    let (next, acknowledged, stop) = (AtomicU32::new(0), Mutex::new(Vec::new()), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let batch = next.fetch_add(1, Ordering::Relaxed);
                    match engine.ingest(Request::new(&route::DRAIN, body(batch.into()))) {
                        Ok(_) => acknowledged.lock().push(u64::from(batch)),
                        Err(error) if error.kind() == ErrorKind::Saturated => {}
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                            return;
                        }
                    }
                }
            });
        }
        until("some batches", || acknowledged.lock().len() > 200);
        // Whoever comes second waits for the first, and none of them hangs.
        let closing: Vec<_> = (0..3).map(|_| scope.spawn(|| engine.close())).collect();
        for thread in closing {
            thread.join().unwrap();
        }
        let other = common::open(&storage, &small());
        assert!(other.is_ok(), "the directory is free once any close has returned");
        stop.store(true, Ordering::Relaxed);
    });
    let mut acknowledged = acknowledged.into_inner();
    acknowledged.sort_unstable();
    let engine = common::open(&storage, &small()).unwrap();
    assert_eq!(stored(&engine), acknowledged);
}

#[test]
fn a_second_engine_is_refused_until_the_first_is_closed_or_dead() {
    let storage = Faulty::new(6);
    let engine = common::open(&storage, &small()).unwrap();
    for _ in 0..3 {
        assert_eq!(common::open(&storage, &small()).unwrap_err().kind(), ErrorKind::DirectoryLocked);
    }
    engine.ingest(Request::new(&route::DRAIN, body(1))).unwrap();
    engine.close();
    assert_eq!(engine.ingest(Request::new(&route::DRAIN, body(2))).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(stored(&engine), [1], "a closed engine still reads");
    let second = common::open(&storage, &small()).unwrap();
    assert_eq!(stored(&second), [1]);
    let killed = storage.kill();
    assert!(common::open(&killed, &small()).is_ok(), "the dead hold no lock");
}
