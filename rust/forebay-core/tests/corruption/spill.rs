//! Recovery of more journal files than the ring has room for: it seals as it goes.

use forebay_core::status::Mode;
use forebay_core::storage::faulty::{Cause, Fault, Faulty, Operation};

use crate::common::{self, Mark, read_all};
use crate::directory::{Directory, options};

/// A process that could seal nothing and took in all that the ring holds, and died.
fn unsealed() -> Directory {
    let storage = Faulty::new(13);
    storage.inject(Fault::next(Operation::Create).on("segments").always().no_space());
    let engine = common::open(&storage, &options()).unwrap();
    engine.create_stream("a", 1).unwrap();
    engine.create_stream("b", 1).unwrap();
    for (stream, first) in [("a", 0), ("b", 1000)] {
        let fits = |batch: &u32| {
            let marks = Mark::batch(first + batch, 10, 12_000);
            engine.append(stream, &common::records(stream, &marks, true), None).is_ok()
        };
        assert!((0..1000).take_while(fits).count() > 10);
    }
    let records = read_all(&engine).unwrap();
    let left = storage.kill();
    drop(engine);
    assert!(common::journals_with(&left, |frames| frames.iter().any(|frame| frame.kind == 1)) >= 5);
    Directory { storage: left, records }
}

#[test]
fn recovery_seals_what_the_ring_has_no_room_for() {
    let directory = unsealed();
    let (_, engine) = directory.open();
    directory.assert_whole(&engine);
    common::until("sealing", || engine.report().seal_backlog_files == 0);
    directory.assert_whole(&engine);
    assert!(engine.report().ring_used_bytes < engine.report().ring_limit_bytes / 2);
}

/// The first file cannot be sealed, the next ones could: a delta of theirs would stand for the first as well.
#[test]
fn a_file_that_cannot_be_sealed_stops_the_sealing_of_later_ones() {
    let directory = unsealed();
    for cause in Cause::ALL {
        for nth in 1..4 {
            let storage = directory.storage.kill();
            let fault = storage.inject(Fault::nth(Operation::Create, nth).on("segments").because(cause));
            let engine = common::open(&storage, &options()).unwrap();
            common::until("the fault", || storage.hits(fault) > 0);
            assert_eq!(read_all(&engine).unwrap(), directory.records);
            assert_eq!(engine.report().mode, Mode::Running, "{cause:?}: {}", engine.report().reason);
            let left = storage.kill();
            drop(engine);
            let engine = common::open(&left, &options()).unwrap();
            assert_eq!(engine.report().damages, [], "fault {nth}");
            assert_eq!(read_all(&engine).unwrap(), directory.records, "fault {nth}");
        }
    }
}

#[test]
fn a_full_disk_does_not_keep_recovery_waiting() {
    let directory = unsealed();
    let storage = directory.storage.kill();
    storage.inject(Fault::next(Operation::Create).on("segments").always().no_space());
    let engine = common::open(&storage, &options()).unwrap();
    assert_eq!(read_all(&engine).unwrap(), directory.records);
}
