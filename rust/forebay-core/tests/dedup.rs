//! A repeat has its first answer, wherever that is: in memory, in a journal file, a delta or a base; before and after a
//! crash.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use common::{sealing_soon, until, wait_sealed};
use forebay_core::ingest::route;
use forebay_core::log::dedup::Key;
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::{Engine, ErrorKind, Options, Request, Result};

const STREAM: &str = "wide";
const PARTITIONS: u32 = 1024;

fn options() -> Options {
    Options { ring_bytes: 64 << 20, ..sealing_soon() }
}

fn open(storage: &Faulty) -> Engine {
    common::open(storage, &options()).unwrap()
}

/// A batch with an event on each of so many partitions.
fn batch(partitions: u32, number: u32) -> Vec<u8> {
    let mut body = r#"{"events":["#.to_owned();
    for partition in 0..partitions {
        let comma = if partition > 0 { "," } else { "" };
        write!(body, r#"{comma}{{"partition":{partition},"value":{{"n":{number}}}}}"#).unwrap();
    }
    body.push_str("]}");
    body.into_bytes()
}

fn request(number: u32, partitions: u32) -> Request {
    let key = Key::new(b"sender", STREAM, &number.to_le_bytes()).unwrap();
    let plain = Request::new(&route::PUBLISH_BATCH, Box::new(batch(partitions, number)));
    Request { key: Some(key), stream: Some(STREAM.to_owned()), ..plain }
}

fn publish(engine: &Engine, number: u32, partitions: u32) -> Result<(u16, Vec<u8>)> {
    engine.ingest(request(number, partitions))?.answer()
}

fn stored(engine: &Engine) -> u64 {
    let report = engine.stream_report(STREAM).unwrap();
    report.partitions.iter().map(|(_, start, committed)| committed.0 - start.0).sum()
}

fn bases(storage: &Faulty) -> usize {
    storage.files().iter().filter(|(path, _)| path.to_string_lossy().ends_with(".base")).count()
}

#[test]
fn a_repeat_has_its_first_answer_wherever_that_is() {
    let mut storage = Faulty::new(1);
    let mut engine = open(&storage);
    engine.create_stream(STREAM, PARTITIONS).unwrap();
    let sizes = [1, 2, 3, 100, PARTITIONS];
    let first: Vec<_> = (0..).zip(sizes).map(|(number, size)| publish(&engine, number, size).unwrap()).collect();
    let total: u64 = sizes.iter().map(|size| u64::from(*size)).sum();
    let check = |engine: &Engine, when: &str| {
        for ((number, size), first) in (0..).zip(sizes).zip(&first) {
            assert_eq!(&publish(engine, number, size).unwrap(), first, "{size} partitions, {when}");
            let other = Request { key: request(number, size).key, ..request(99, size) };
            assert_eq!(engine.ingest(other).unwrap_err().kind(), ErrorKind::IdempotencyMismatch);
        }
    };
    check(&engine, "in memory");
    let crashed = open(&storage.crash_seeded(1));
    check(&crashed, "from the journal");
    drop(crashed);
    wait_sealed(&engine);
    check(&engine, "from a delta");
    // A base is made when the deltas have outgrown it; of more requests than that.
    let mut number = 1000;
    while bases(&storage) == 0 {
        publish(&engine, number, PARTITIONS).unwrap();
        number += 1;
        wait_sealed(&engine);
    }
    check(&engine, "from a base");
    for seed in 0..3 {
        let next = if seed == 0 { storage.kill() } else { storage.crash_seeded(seed) };
        drop(engine);
        storage = next;
        engine = open(&storage);
        check(&engine, "after a restart");
    }
    let more = u64::from(number - 1000) * u64::from(PARTITIONS);
    assert_eq!(stored(&engine), total + more, "nothing is stored twice");
    storage.pass(Duration::from_secs(601));
    until("the end of the window", || publish(&engine, 0, 1).unwrap() != first[0]);
}

/// The disk does not hold up who asks for something else, nor is a repeat stored when it cannot be read.
#[test]
fn a_receipt_that_cannot_be_read_is_an_error_that_passes() {
    let storage = Faulty::new(1);
    let engine = open(&storage);
    engine.create_stream(STREAM, PARTITIONS).unwrap();
    let first = publish(&engine, 1, PARTITIONS).unwrap();
    wait_sealed(&engine);
    let fault = storage.inject(Fault::next(Operation::Read).on("state/").always());
    assert_eq!(publish(&engine, 1, PARTITIONS).unwrap_err().kind(), ErrorKind::StorageUnavailable);
    publish(&engine, 2, 1).unwrap();
    storage.clear(fault);
    assert_eq!(publish(&engine, 1, PARTITIONS).unwrap(), first);
    assert_eq!(stored(&engine), u64::from(PARTITIONS) + 1);
}

#[test]
fn a_clock_that_is_set_stores_nothing_twice_also_over_restarts() {
    let day = 24 * 3600 * 1_000_000;
    for step in [8 * day, -8 * day, 601_000_000] {
        let mut storage = Faulty::new(1);
        let mut engine = open(&storage);
        engine.create_stream(STREAM, 4).unwrap();
        let first = publish(&engine, 1, 4).unwrap();
        for restart in ["none", "the process", "the machine"] {
            storage.set_wall_clock(step);
            let next = match restart {
                "none" => None,
                "the process" => Some(storage.kill()),
                _ => Some(storage.crash_seeded(1)),
            };
            if let Some(next) = next {
                drop(engine);
                storage = next;
                engine = open(&storage);
            }
            assert_eq!(publish(&engine, 1, 4).unwrap(), first, "{step}, restart of {restart}");
            assert_eq!(stored(&engine), 4);
        }
        storage.pass(Duration::from_secs(601));
        assert_ne!(publish(&engine, 1, 4).unwrap(), first, "and the window ends");
    }
}

/// A crash at every change of sealing and merging: what was acknowledged has its first answer, what was not is stored once.
#[test]
fn a_crash_at_any_step_of_sealing_and_merging_keeps_first_answers() {
    let made = Faulty::new(5);
    let engine = open(&made);
    engine.create_stream(STREAM, PARTITIONS).unwrap();
    // Enough of them that the next sealing merges.
    let first: Vec<_> = (0..40).map(|number| publish(&engine, number, PARTITIONS).unwrap()).collect();
    drop(engine);
    let mut merged = 0;
    for changes in 0..90 {
        let storage = made.kill();
        storage.halt_after(changes);
        let mut acknowledged = Vec::new();
        if let Ok(engine) = common::open(&storage, &options()) {
            let halted = || storage.list(Path::new("")).is_err();
            acknowledged.extend((100..103).filter_map(|number| Some((number, publish(&engine, number, 3).ok()?))));
            let rests =
                || engine.report().seal_backlog_files == 0 && engine.stream_report(STREAM).unwrap().ring_bytes == 0;
            until("the end of the work", || halted() || rests());
        }
        let after = if changes % 3 == 0 { storage.kill() } else { storage.crash_seeded(changes) };
        merged += bases(&after);
        let engine = open(&after);
        for (number, answer) in (0..).zip(&first) {
            assert_eq!(&publish(&engine, number, PARTITIONS).unwrap(), answer, "{number} after {changes} changes");
        }
        for (number, answer) in &acknowledged {
            assert_eq!(&publish(&engine, *number, 3).unwrap(), answer, "{number} after {changes} changes");
        }
        for number in 100..103 {
            drop(publish(&engine, number, 3).unwrap());
        }
        assert_eq!(stored(&engine), 40 * u64::from(PARTITIONS) + 9, "after {changes} changes");
    }
    assert!(merged > 0, "nothing was merged");
}
