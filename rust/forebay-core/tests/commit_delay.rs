//! When a commit waits for others to share it.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Mark, small, until};
use forebay_core::ingest::route;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Body, Completer, CompletionId, Durability, Engine, Options, Receipt, Request, Result};
use parking_lot::Mutex;

/// Long enough to be told from the microseconds that a commit takes on a storage of memory.
const GATHER: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
struct Answered(Mutex<Vec<Instant>>);

impl Completer for Answered {
    fn complete(&self, _ticket: CompletionId, outcome: Result<Receipt>) {
        outcome.unwrap();
        self.0.lock().push(Instant::now());
    }

    fn wake(&self) {}
}

fn body(batch: u32) -> Body {
    common::drain(&Mark::batch(batch, 1, 100))
}

/// Makes `appends` of them share a commit, and returns when it ended.
fn crowd(storage: &Faulty, engine: &Engine, answered: &Arc<Answered>, appends: usize) -> Instant {
    let before = answered.0.lock().len();
    let submit =
        |batch| engine.submit(Request::new(&route::DRAIN, body(batch)), answered.clone(), CompletionId(0)).unwrap();
    storage.stall_syncs(true);
    submit(0);
    assert!(storage.wait_stalled(1, common::PATIENCE));
    for batch in 1..=appends {
        submit(u32::try_from(batch).unwrap());
    }
    storage.stall_syncs(false);
    until("every answer", || answered.0.lock().len() == before + appends + 1);
    let ended = answered.0.lock().last().copied();
    ended.unwrap()
}

fn open(storage: &Faulty, commit_gather: Duration) -> Engine {
    common::open(storage, &Options { commit_gather, durability: Durability::Fsync, ..small() }).unwrap()
}

#[test]
fn the_commit_after_a_shared_one_gathers() {
    let storage = Faulty::new(1);
    let engine = open(&storage, GATHER);
    let ended = crowd(&storage, &engine, &Arc::default(), 20);
    engine.ingest(Request::new(&route::DRAIN, body(100))).unwrap();
    assert!(ended.elapsed() > GATHER / 2, "it waited for {:?}", ended.elapsed());
}

/// Waits for `wanted` commits that end within half of the time that a delayed one takes at least. Where each is delayed
/// there is none, however long one waits; on a busy machine they take more tries.
fn until_quick(wanted: usize, mut commit: impl FnMut(u32)) {
    let (begun, mut quick) = (Instant::now(), 0);
    for number in 0.. {
        let before = Instant::now();
        commit(number);
        quick += usize::from(before.elapsed() < GATHER / 2);
        if quick >= wanted {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{quick} of {number} commits were quick, in a minute");
    }
}

#[test]
fn few_senders_never_wait() {
    let storage = Faulty::new(2);
    let engine = open(&storage, GATHER);
    crowd(&storage, &engine, &Arc::default(), 4);
    until_quick(10, |batch| drop(engine.ingest(Request::new(&route::DRAIN, body(batch))).unwrap()));
}

#[test]
fn a_commit_that_has_everybody_waits_for_nobody() {
    let storage = Faulty::new(3);
    let engine = open(&storage, GATHER);
    let answered: Arc<Answered> = Arc::default();
    crowd(&storage, &engine, &answered, 20);
    until_quick(3, |round| {
        let before = answered.0.lock().len();
        for batch in 0..20 {
            let request = Request::new(&route::DRAIN, body(100 * (round + 1) + batch));
            engine.submit(request, answered.clone(), CompletionId(0)).unwrap();
        }
        until("every answer", || answered.0.lock().len() == before + 20);
    });
}
