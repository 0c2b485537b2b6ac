//! A batch that goes to two streams, and a crash at every change of the storage on its way: all of what was accepted and
//! all of what was put aside is there, or nothing is; and its repeat is answered like the first.

use forebay_core::ingest::route;
use forebay_core::log::dedup::Key;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, LOGS, OnInvalid, Options, Receipt, Request, Result};

use crate::common::{self, Mark, read_all, small};

const RECORDS: u32 = 8;

fn options() -> Options {
    // Quiet files stay where they are: each run makes the same changes of the storage, up to the order of threads.
    Options { workers: 1, ..small() }
}

fn send(engine: &Engine, batch: u32) -> Result<Receipt> {
    let key = Key::new(b"model", LOGS, &batch.to_le_bytes()).unwrap();
    let request = Request::new(&route::DRAIN, common::half_invalid(&Mark::batch(batch, RECORDS, 50)));
    engine.ingest(Request { key: Some(key), on_invalid: OnInvalid::Quarantine, ..request })
}

/// How many accepted and how many rejected records of a batch are there.
fn stored(engine: &Engine, batch: u32) -> (usize, usize) {
    let all = read_all(engine).unwrap();
    let count = |of: &str| {
        let logs = all.iter().filter(|((stream, _), _)| stream == of);
        logs.flat_map(|(_, log)| &log.records).filter(|(_, mark)| mark.batch == batch).count()
    };
    (count(LOGS), count("logs.rejected"))
}

/// Sends two batches, the first of which makes the stream of what is put aside, until the storage halts; returns which
/// were acknowledged, and what is left of the directory.
fn halted(changes: u64, power_loss: bool) -> (Vec<u32>, bool, Faulty) {
    let storage = Faulty::new(changes);
    let engine = common::open(&storage, &options()).unwrap();
    storage.halt_after(changes);
    let acknowledged: Vec<u32> = (0..2).filter(|batch| send(&engine, *batch).is_ok()).collect();
    let whole = acknowledged.len() == 2;
    storage.halt();
    let left = if power_loss { storage.crash() } else { storage.kill() };
    drop(engine);
    (acknowledged, whole, left)
}

#[test]
fn a_batch_for_two_streams_is_whole_whenever_the_machine_dies() {
    const HALF: usize = RECORDS as usize / 2;
    for power_loss in [false, true] {
        let mut changes = 0;
        loop {
            let (acknowledged, whole, left) = halted(changes, power_loss);
            let mut engine = common::open(&left, &options()).unwrap();
            for batch in 0..2 {
                let found = stored(&engine, batch);
                let allowed = [(HALF, HALF), (0, 0)];
                let allowed = if acknowledged.contains(&batch) { &allowed[..1] } else { &allowed[..] };
                assert!(allowed.contains(&found), "batch {batch} after {changes} changes, {power_loss}: {found:?}");
                let first = send(&engine, batch).unwrap();
                assert_eq!(first.repeats.is_some(), found != (0, 0), "after {changes} changes, {power_loss}");
                engine = common::open(&again(engine, &left), &options()).unwrap();
                assert_eq!(stored(&engine, batch), (HALF, HALF), "after {changes} changes, {power_loss}");
                let repeat = send(&engine, batch).unwrap();
                assert_eq!((repeat.repeats.is_some(), repeat.answer()), (true, first.answer()));
                assert!(String::from_utf8(repeat.answer().unwrap().1).unwrap().contains(r#""quarantined":4"#));
            }
            if whole {
                break;
            }
            changes += 1;
        }
        assert!(changes > 5, "only {changes} changes were met");
    }
}

/// The directory of an engine that was closed.
fn again(engine: Engine, storage: &Faulty) -> Faulty {
    drop(engine);
    storage.clone()
}
