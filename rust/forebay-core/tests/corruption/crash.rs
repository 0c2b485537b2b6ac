//! Crashes at every single change of the storage, in a scripted run and in recovery itself.

use std::sync::Arc;

use forebay_core::ingest::route;
use forebay_core::status::Mode;
use forebay_core::storage::faulty::{Effect, Fault, Faulty, Operation};
use forebay_core::{Durability, Engine, LOGS, Request};

use crate::common::ledger::{After, Ledger};
use crate::common::{self, Mark, read_all, until};
use crate::directory::{Directory, Ended, options};

/// One append, and what became of it in the books. `false` when it was refused.
fn append(engine: &Engine, ledger: &mut Ledger, stream: &str, records: u32, padding: u32) -> bool {
    let number = ledger.send(stream, records);
    let marks = Mark::batch(number, records, padding);
    let outcome = if stream == LOGS {
        engine.ingest(Request::new(&route::DRAIN, common::drain(&marks)))
    } else {
        engine.append(stream, &common::records(stream, &marks, true), None).map(|appended| appended.receipt)
    };
    if let Ok(receipt) = &outcome {
        ledger.acknowledge(number, receipt, Durability::Fsync);
    }
    outcome.is_ok()
}

/// On a machine that is gone sealing is tried again for ever.
fn until_sealed_or_stopped(engine: &Engine) {
    until("sealing", || {
        let report = engine.report();
        report.seal_backlog_files == 0 || report.mode != Mode::Running || report.sealer_stuck.is_some()
    });
}

/// Creates a stream, fills a journal file so that it is left and sealed, and goes on a little.
fn workload(engine: &Engine, ledger: &mut Ledger) {
    append(engine, ledger, LOGS, 3, 40);
    let created = engine.create_stream("other", 2).is_ok();
    for _ in 0..5 {
        append(engine, ledger, LOGS, 20, 8000);
        if created {
            append(engine, ledger, "other", 2, 100);
        }
    }
    until_sealed_or_stopped(engine);
    append(engine, ledger, LOGS, 5, 40);
}

fn check(storage: &Faulty, ledger: &mut Ledger, after: After, what: &str) {
    let engine = common::open(storage, &options()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(engine.report().damages, [], "{what}");
    assert_eq!(engine.report().mode, Mode::Running, "{what}: {}", engine.report().reason);
    ledger.check(&read_all(&engine).unwrap(), after, Durability::Fsync);
}

#[test]
fn a_crash_after_every_single_change_loses_nothing() {
    let mut finished = 0;
    for changes in 0.. {
        let storage = Faulty::new(changes);
        let mut ledger = Ledger::new(false);
        storage.halt_after(changes);
        if let Ok(engine) = common::open(&storage, &options()) {
            workload(&engine, &mut ledger);
            drop(engine);
        }
        let what = format!("after {changes} changes");
        let (mut killed, mut lost) = (ledger.clone(), ledger.clone());
        check(&storage.kill(), &mut killed, After::Restart, &what);
        for seed in 0..3 {
            let crashed = storage.crash_seeded(changes * 3 + seed);
            check(&crashed, &mut lost.clone(), After::PowerLoss, &what);
        }
        let crashed = storage.crash();
        check(&crashed, &mut lost, After::PowerLoss, &what);
        check(&crashed.crash(), &mut lost, After::PowerLoss, &what);
        // The run ends by itself now; a few more, since background work varies.
        finished += u32::from(storage.kill().files().len() > 3 && storage_still_works(&storage));
        if finished > 5 {
            assert!(changes > 60, "{changes} changes are too few for the whole run");
            break;
        }
    }
}

fn storage_still_works(storage: &Faulty) -> bool {
    use forebay_core::storage::Storage;
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    storage.free_bytes().is_ok()
}

#[test]
fn a_crash_after_every_change_of_recovery_loses_nothing() {
    let directory = {
        // A full file that is not sealed, one with an open tail, sealed ones before them.
        let directory = Directory::written(2, Ended::Busy);
        let storage = directory.storage.kill();
        let engine = common::open(&storage, &options()).unwrap();
        for batch in 70..73 {
            crate::directory::ingest(&engine, batch);
        }
        let records = read_all(&engine).unwrap();
        let left = storage.kill();
        drop(engine);
        Directory { storage: left, records }
    };
    let mut finished = 0;
    for changes in 0.. {
        let first = directory.storage.kill();
        first.halt_after(changes);
        let opened = common::open(&first, &options());
        let whole = opened.is_ok_and(|engine| {
            until_sealed_or_stopped(&engine);
            engine.report().mode == Mode::Running && engine.report().sealer_stuck.is_none()
        });
        for seed in 0..4 {
            let mut storage = if seed == 0 { first.kill() } else { first.crash_seeded(changes * 7 + seed) };
            // A second crash comes half-way through the next start.
            storage.halt_after(changes / 2);
            drop(common::open(&storage, &options()));
            storage = storage.crash();
            let engine = common::open(&storage, &options()).unwrap();
            assert_eq!(engine.report().damages, [], "after {changes} changes, seed {seed}");
            assert_eq!(read_all(&engine).unwrap(), directory.records, "after {changes} changes, seed {seed}");
        }
        finished += u32::from(whole);
        if finished > 5 {
            assert!(changes > 20, "{changes} changes are too few for a recovery");
            break;
        }
    }
}

/// Crashes a start of `left` after each of its first changes, with a few appends behind it, many times each.
fn crash_starts(left: &Faulty, ledger: &Ledger, seeds: u64) {
    for changes in 0..50 {
        for seed in 0..seeds {
            let (storage, mut ledger) = (left.kill(), ledger.clone());
            storage.halt_after(changes);
            if let Ok(engine) = common::open(&storage, &options()) {
                append(&engine, &mut ledger, LOGS, 3, 40);
                append(&engine, &mut ledger, LOGS, 3, 40);
            }
            storage.halt();
            let crashed = storage.crash_seeded(seed * 1000 + changes);
            check(&crashed, &mut ledger, After::PowerLoss, &format!("after {changes} changes, seed {seed}"));
        }
    }
}

/// A power loss while recovery makes the last commits durable must not take them: they may be acknowledged.
#[test]
fn making_the_tail_durable_does_not_endanger_it() {
    let storage = Faulty::new(11);
    let mut ledger = Ledger::new(false);
    let engine = common::open(&storage, &options()).unwrap();
    // Large, so that some sector of it is always hit.
    assert!(append(&engine, &mut ledger, LOGS, 20, 8000));
    let left = storage.kill();
    drop(engine);
    crash_starts(&left, &ledger, 3);
}

/// A commit whose write failed was the first of its file; it comes up when its number is another commit's already.
#[test]
fn a_failed_commit_that_comes_up_in_an_unused_file_is_not_taken_in() {
    let storage = Faulty::new(12);
    drop(common::open(&storage, &options()).unwrap());
    let mut ledger = Ledger::new(false);
    let engine = common::open(&storage, &options()).unwrap();
    until("sealing", || engine.report().seal_backlog_files == 0);
    let prepared = || common::journals_with(&storage, |frames| frames.is_empty());
    until("the spare file", || prepared() >= 2);
    let writes = storage.inject(Fault::next(Operation::Write).on("journal/").effect(Effect::Later));
    assert!(!append(&engine, &mut ledger, LOGS, 3, 40));
    assert_eq!(storage.hits(writes), 1);
    let left = storage.kill();
    drop(engine);
    crash_starts(&left, &ledger, 4);
}
