//! Failures of the storage that pass: they are named for what they are, tried again, and cost nothing that was
//! acknowledged. Only the journal's own writes and syncs end writing for good.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Instant;

use common::{Mark, drain, open, read_all, sealing_soon, small, until, wait_sealed};
use forebay_core::consumer::OffsetCommit;
use forebay_core::ingest::route;
use forebay_core::status::Mode;
use forebay_core::storage::faulty::{Cause, Fault, Faulty, Operation};
use forebay_core::{Engine, ErrorKind, LOGS, Offset, Options, PartitionId, Request};

/// Those that are refused before anything is done.
const REFUSED: [Cause; 3] = [Cause::ProcessFiles, Cause::SystemFiles, Cause::Memory];

/// Returns the system's message.
fn word(cause: Cause) -> &'static str {
    match cause {
        Cause::Device => "Input/output error",
        Cause::NoSpace => "No space left on device",
        Cause::Quota => "Disk quota exceeded",
        Cause::ProcessFiles => "Too many open files (os",
        Cause::SystemFiles => "Too many open files in system",
        Cause::Memory => "Cannot allocate memory",
    }
}

fn ingest(engine: &Engine, batch: u32) -> forebay_core::Result<forebay_core::Receipt> {
    engine.ingest(Request::new(&route::DRAIN, drain(&Mark::batch(batch, 3, 40))))
}

fn stored(engine: &Engine) -> usize {
    read_all(engine).unwrap().values().map(|log| log.records.len()).sum()
}

/// A directory whose last process died with records that are not sealed.
fn unsealed() -> Faulty {
    let storage = Faulty::new(1);
    let engine = open(&storage, &small()).unwrap();
    for batch in 0..4 {
        drop(ingest(&engine, batch).unwrap());
    }
    until("the spare file", || common::journals_with(&storage, <[common::Frame]>::is_empty) >= 1);
    storage.kill()
}

#[test]
fn a_sealing_that_fails_is_tried_again_whatever_the_cause() {
    use Operation::{Create, Rename, SetLength, Sync, SyncDirectory, Write};
    let places = [
        (Create, "segments/"),
        (Write, "segments/"),
        (SetLength, "segments/"),
        (Sync, "segments/"),
        (SyncDirectory, "segments"),
        (Create, "state/"),
        (Write, "state/"),
        (Sync, "state/"),
        (Rename, "state/unfinished"),
    ];
    std::thread::scope(|scope| {
        for cause in Cause::ALL {
            scope.spawn(move || {
                let storage = Faulty::new(2);
                let engine = open(&storage, &sealing_soon()).unwrap();
                wait_sealed(&engine);
                let mut faults: Vec<_> = places
                    .iter()
                    .map(|(operation, on)| storage.inject(Fault::next(*operation).on(*on).because(cause)))
                    .collect();
                if REFUSED.contains(&cause) {
                    let with_dedup_entry = Fault::next(SyncDirectory).on("state").because(cause).times(2);
                    faults.push(storage.inject(with_dedup_entry));
                }
                ingest(&engine, 1).unwrap();
                until("the name of the failure", || {
                    engine.report().sealer_stuck.is_some_and(|why| why.contains(word(cause)))
                });
                until("every fault", || {
                    assert_ne!(engine.report().mode, Mode::Poisoned, "{cause:?}: {}", engine.report().reason);
                    faults.iter().all(|fault| storage.hits(*fault) > 0)
                });
                wait_sealed(&engine);
                until("its end", || engine.report().sealer_stuck.is_none());
                ingest(&engine, 2).unwrap();
                assert_eq!(engine.report().mode, Mode::Running);
                assert_eq!(stored(&engine), 6);
                let crashed = storage.crash();
                drop(engine);
                let engine = open(&crashed, &small()).unwrap();
                assert_eq!(engine.report().damages, [], "{cause:?}");
                assert_eq!(stored(&engine), 6);
            });
        }
    });
}

/// A delta of more than 256 KiB is merged at once.
fn commit_much(engine: &Engine) {
    let partitions = 1024;
    if engine.stream_report("wide").is_err() {
        engine.create_stream("wide", partitions).unwrap();
    }
    let group = "g".repeat(240);
    engine.groups().consume(&common::consume_call(&group, "wide", 1)).unwrap();
    let offsets: Vec<_> =
        (0..partitions).map(|partition| ("wide".to_owned(), PartitionId(partition), Offset(0))).collect();
    let commit = OffsetCommit { group: &group, offsets: &offsets, member: None, force: true, now: Instant::now() };
    engine.groups().commit_and_wait(&commit).unwrap();
}

#[test]
fn a_merge_of_state_files_that_fails_is_named_and_tried_again() {
    use Operation::{Open, Remove, Rename, Sync, SyncDirectory};
    // The first of two calls of a kind is the delta's.
    let places = [
        (Open, "state/0", 1),
        (Sync, "state/", 2),
        (Rename, "state/", 2),
        (SyncDirectory, "state", 2),
        (Remove, "state/0", 1),
    ];
    std::thread::scope(|scope| {
        for cause in Cause::ALL {
            scope.spawn(move || {
                for (operation, on, nth) in places {
                    let storage = Faulty::new(3);
                    let engine = open(&storage, &sealing_soon()).unwrap();
                    wait_sealed(&engine);
                    let fault = Fault::nth(operation, nth).on(on).because(cause);
                    // Reading fails until it was seen; the others once, since what comes next may be a delta's.
                    let lasts = operation == Open;
                    let fault = storage.inject(if lasts { fault.always() } else { fault });
                    commit_much(&engine);
                    ingest(&engine, 1).unwrap();
                    until("the merge", || storage.hits(fault) > 0);
                    until("its trouble", || {
                        let troubles = engine.report().troubles;
                        !lasts || troubles.iter().any(|why| why.contains("cannot merge") && why.contains(word(cause)))
                    });
                    storage.clear(fault);
                    ingest(&engine, 2).unwrap();
                    until("the next merge", || engine.report().troubles.is_empty());
                    assert_eq!(engine.report().mode, Mode::Running, "{operation:?} {cause:?}");
                    let crashed = storage.crash();
                    drop(engine);
                    let engine = open(&crashed, &small()).unwrap();
                    assert_eq!(engine.report().damages, [], "{operation:?} {cause:?}");
                    assert_eq!(stored(&engine), 6);
                }
            });
        }
    });
}

#[test]
fn a_journal_file_that_cannot_be_made_refuses_writes_until_it_can_and_says_why() {
    std::thread::scope(|scope| {
        for cause in Cause::ALL {
            scope.spawn(move || {
                let storage = Faulty::new(4);
                let engine = open(&storage, &small()).unwrap();
                let fault = storage.inject(Fault::next(Operation::Create).on("journal/").always().because(cause));
                let large = || Request::new(&route::DRAIN, drain(&Mark::batch(0, 20, 8000)));
                let mut accepted = 0;
                until("the refusal", || match engine.ingest(large()) {
                    Ok(_) => {
                        accepted += 20;
                        false
                    }
                    Err(error) => {
                        let named = error.detail().contains("journal file") && error.detail().contains(word(cause));
                        assert!(error.kind() == ErrorKind::Saturated || named, "{error}");
                        error.kind() == ErrorKind::StorageUnavailable
                    }
                });
                let full = matches!(cause, Cause::NoSpace | Cause::Quota);
                let report = engine.report();
                assert_eq!(report.mode, if full { Mode::Full } else { Mode::Stalled }, "{cause:?}");
                assert_eq!(report.reason.contains("make room"), full, "{}", report.reason);
                storage.clear(fault);
                until("writing again", || engine.report().mode == Mode::Running);
                ingest(&engine, 1).unwrap();
                assert_eq!(stored(&engine), accepted + 3);
            });
        }
    });
}

/// A file that is not read for want of descriptors is not damaged: a read-only start would send people to repair it.
#[test]
fn a_start_without_descriptors_is_refused_and_names_no_damage() {
    let left = unsealed();
    let sealed = {
        let engine = open(&left, &sealing_soon()).unwrap();
        ingest(&engine, 5).unwrap();
        wait_sealed(&engine);
        ingest(&engine, 6).unwrap();
        left.kill()
    };
    for cause in REFUSED {
        for (operation, on) in [
            (Operation::Open, "state/"),
            (Operation::Open, ".journal"),
            (Operation::Read, ".journal"),
            (Operation::Create, "journal/unfinished"),
        ] {
            for nth in 1.. {
                let storage = sealed.kill();
                let fault = storage.inject(Fault::nth(operation, nth).on(on).because(cause));
                let opened = open(&storage, &small());
                let what = format!("{operation:?} {nth} of {on} {cause:?}");
                if storage.hits(fault) == 0 {
                    // The header is read, and then the file.
                    assert!(nth > if operation == Operation::Read { 2 } else { 1 }, "{what}");
                    break;
                }
                match opened {
                    Ok(engine) => assert_eq!(engine.report().damages, [], "{what}"),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::StorageUnavailable, "{what}");
                        assert!(error.detail().contains(word(cause)), "{what}: {error}");
                    }
                }
                let storage = storage.kill();
                let engine = open(&storage, &small()).unwrap();
                assert_eq!((engine.report().mode, engine.report().damages), (Mode::Running, vec![]), "{what}");
                assert_eq!(stored(&engine), 18, "{what}");
            }
        }
    }
}

/// A used-up quota is a full disk: retention gives it room, also after a start that has to seal first.
#[test]
fn a_start_without_room_or_descriptors_seals_when_it_can() {
    for cause in [Cause::Quota, Cause::ProcessFiles, Cause::Device] {
        let storage = unsealed();
        let fault = storage.inject(Fault::next(Operation::Create).on("segments").always().because(cause));
        let options = Options { ring_bytes: small().ring_bytes, ..sealing_soon() };
        let engine = open(&storage, &options).unwrap();
        until("the failure", || engine.report().sealer_stuck.is_some_and(|why| why.contains(word(cause))));
        assert_eq!(engine.report().mode, Mode::Running, "{cause:?}");
        ingest(&engine, 9).unwrap();
        storage.clear(fault);
        wait_sealed(&engine);
        assert_eq!(stored(&engine), 15);
        assert!(engine.stream_report(LOGS).unwrap().segments > 0);
    }
}

/// A file that was prepared and holds nothing has to be gone before others are written to: the start waits for it.
#[test]
fn a_prepared_file_that_cannot_be_removed_holds_up_writing_until_it_is() {
    for cause in Cause::ALL {
        let storage = unsealed();
        let fault = storage.inject(Fault::next(Operation::Remove).on(".journal").always().because(cause));
        let engine = open(&storage, &small()).unwrap();
        assert!(storage.hits(fault) > 0, "the spare file is removed");
        assert!(engine.report().mode.passes(), "{cause:?}: {:?}", engine.report().mode);
        assert!(ingest(&engine, 7).unwrap_err().detail().contains(word(cause)));
        assert_eq!(stored(&engine), 12);
        storage.clear(fault);
        until("writing", || ingest(&engine, 8).is_ok());
        let crashed = storage.crash();
        drop(engine);
        let engine = open(&crashed, &small()).unwrap();
        assert_eq!(engine.report().damages, []);
        assert_eq!(stored(&engine), 15);
    }
}
