//! A committer that dies: nobody waits for ever, and the engine says so.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::{Mark, drain, open, read_all, small, until};
use forebay_core::ingest::route;
use forebay_core::status::Mode;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Completer, CompletionId, Engine, ErrorKind, Receipt, Request, Result};
use parking_lot::Mutex;

/// Fails on the committer's own thread.
#[derive(Debug)]
struct Panicking;

impl Completer for Panicking {
    fn complete(&self, _ticket: CompletionId, _outcome: Result<Receipt>) {
        panic!("a defect of the test's own");
    }

    fn wake(&self) {}
}

#[derive(Debug, Default)]
struct Outcomes(Mutex<Vec<(CompletionId, Result<Receipt>)>>);

impl Completer for Outcomes {
    fn complete(&self, completion: CompletionId, outcome: Result<Receipt>) {
        self.0.lock().push((completion, outcome));
    }

    fn wake(&self) {}
}

fn request(batch: u32) -> Request {
    Request::new(&route::DRAIN, drain(&Mark::batch(batch, 1, 10)))
}

fn stored(engine: &Engine) -> Vec<u32> {
    let all = read_all(engine).unwrap();
    let mut batches: Vec<u32> = all.values().flat_map(|log| log.records.iter().map(|(_, mark)| mark.batch)).collect();
    batches.sort_unstable();
    batches
}

#[test]
fn a_panic_of_the_committer_is_answered_and_reported() {
    let storage = Faulty::new(1);
    let engine = open(&storage, &small()).unwrap();
    until("a quiet log", || engine.counters().syncs.get() == 2);
    let outcomes = Arc::new(Outcomes::default());
    let submit = |batch: u32| engine.submit(request(batch), outcomes.clone(), CompletionId(batch.into())).unwrap();
    storage.stall_syncs(true);
    submit(1);
    until("its commit", || engine.report().commit_queue == 0);
    // They are one commit: the first answer kills the committer, the others are still to come.
    engine.submit(request(2), Arc::new(Panicking), CompletionId(2)).unwrap();
    for number in 3..6 {
        submit(number);
    }
    storage.stall_syncs(false);
    until("every outcome", || outcomes.0.lock().len() == 4);
    for (completion, outcome) in outcomes.0.lock().drain(..) {
        assert_eq!(outcome.err().map(|error| error.kind()), (completion.0 != 1).then_some(ErrorKind::Closed));
    }
    until("the poison", || engine.report().mode == Mode::Poisoned);
    assert!(engine.report().reason.contains("the committer panicked"), "{}", engine.report().reason);
    assert_eq!(engine.ingest(request(6)).unwrap_err().kind(), ErrorKind::StorageUnavailable);
    assert!(engine.create_stream("other", 1).is_err());
    assert_eq!(stored(&engine), [1, 2], "what was published is still read");
    engine.close();
    drop(engine);
    // Whoever was told that it failed may find it stored, as after any broken connection.
    let engine = open(&storage, &small()).unwrap();
    assert_eq!(engine.report().damages, []);
    assert_eq!(stored(&engine)[..2], [1, 2]);
}
