//! A thread that panics is noticed: writes are refused with the reason, and never for want of room for ever.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Mark, drain, open, read_all, sealing_soon, small, until, wait_sealed};
use forebay_core::ingest::route;
use forebay_core::status::Mode;
use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::{Engine, ErrorKind, LOGS, Options, Request, Result, Retention};

fn ingest(engine: &Engine) -> Result<()> {
    engine.ingest(Request::new(&route::DRAIN, drain(&Mark::batch(0, 20, 8000)))).map(drop)
}

/// Writes until the log is poisoned by the panic of `thread`; then all of it is still read, and the next start is whole.
fn assert_noticed(storage: &Faulty, engine: Engine, thread: &str) {
    until("the poison", || {
        let _refused = ingest(&engine);
        engine.report().mode == Mode::Poisoned
    });
    assert!(engine.report().reason.contains(&format!("the {thread} panicked")), "{}", engine.report().reason);
    let refused = ingest(&engine).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StorageUnavailable);
    assert!(refused.detail().contains("panicked"), "{refused}");
    let stored = engine.stream_report(LOGS).unwrap().partitions;
    read_all(&engine).unwrap();
    drop(engine);
    let engine = open(&storage.kill(), &small()).unwrap();
    assert_eq!(engine.report().damages, []);
    let ends = |partitions: &[(_, _, forebay_core::Offset)]| partitions.iter().map(|(.., end)| end.0).sum::<u64>();
    assert!(ends(&engine.stream_report(LOGS).unwrap().partitions) >= ends(&stored));
    ingest(&engine).unwrap();
}

#[test]
fn a_panic_while_sealing_is_noticed() {
    for (operation, on) in [(Operation::Create, "segments/"), (Operation::Rename, "state/")] {
        let storage = Faulty::new(1);
        let engine = open(&storage, &small()).unwrap();
        storage.inject(Fault::next(operation).on(on).panics());
        assert_noticed(&storage, engine, "sealer");
    }
}

#[test]
fn a_panic_while_a_journal_file_is_made_is_noticed() {
    let storage = Faulty::new(2);
    let engine = open(&storage, &small()).unwrap();
    common::until("the spare file", || common::journals_with(&storage, <[common::Frame]>::is_empty) >= 1);
    storage.inject(Fault::next(Operation::Create).on("journal/unfinished").panics());
    assert_noticed(&storage, engine, "preallocator");
}

#[test]
fn a_panic_while_segments_are_deleted_is_noticed() {
    let storage = Faulty::new(3);
    let logs_retention = Retention { age: None, bytes: Some(1) };
    let options = Options { logs_retention, ..sealing_soon() };
    let engine = open(&storage, &options).unwrap();
    wait_sealed(&engine);
    storage.inject(Fault::next(Operation::Remove).on(".segment").panics());
    // A segment's name is removed before it is made, too.
    until("the poison", || {
        let _refused = ingest(&engine);
        engine.report().mode == Mode::Poisoned
    });
    assert!(engine.report().reason.contains("panicked"), "{}", engine.report().reason);
    assert_eq!(ingest(&engine).unwrap_err().kind(), ErrorKind::StorageUnavailable);
}

#[test]
fn a_panic_of_the_committer_refuses_writes() {
    let storage = Faulty::new(4);
    let engine = open(&storage, &small()).unwrap();
    common::until("the spare file", || common::journals_with(&storage, <[common::Frame]>::is_empty) >= 1);
    // It is made after the spare file; from then on the committer alone writes.
    common::until("the reserve", || storage.files().iter().any(|(path, _)| path.ends_with("journal/reserve")));
    storage.inject(Fault::next(Operation::Write).on("journal/").panics());
    let _refused = ingest(&engine);
    assert_noticed(&storage, engine, "committer");
}
