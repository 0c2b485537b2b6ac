//! Clocks that are wrong, over a log with records, keys and groups in it.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{Mark, records, until, wait_sealed};
use forebay_core::clock::{CLOCK_FILE, DOUBT_LIMIT};
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, PartitionId, StreamChange};

const DAY: i64 = 24 * 3600 * 1_000_000;
const MINUTE: Duration = Duration::from_secs(60);
/// Kept for seven days.
const KEPT: &str = "kept";
/// Kept for a minute: that its records go shows that retention has looked.
const BRIEF: &str = "brief";

fn open(storage: &Faulty) -> Engine {
    common::open(storage, &common::sealing_soon()).unwrap()
}

fn made(storage: &Faulty) -> Engine {
    let engine = open(storage);
    for (name, retention) in [(KEPT, 7 * DAY.unsigned_abs() / 1000), (BRIEF, 60_000)] {
        engine.create_stream(name, 1).unwrap();
        let change = StreamChange { retention_ms: Some(retention), ..StreamChange::default() };
        engine.alter_stream(name, change).unwrap();
    }
    engine
}

/// Appends ten records, and waits until they are sealed.
fn append_sealed(engine: &Engine, stream: &str) {
    let marks = Mark::batch(1, 10, 20);
    engine.append(stream, &records(stream, &marks, false), Some(PartitionId(0))).unwrap();
    wait_sealed(engine);
}

/// Records that are kept of a stream.
fn count(engine: &Engine, stream: &str) -> u64 {
    let report = engine.stream_report(stream).unwrap();
    report.partitions.iter().map(|(_, start, committed)| committed.0 - start.0).sum()
}

/// Lets `time` pass, and waits until retention has looked after it.
fn pass(storage: &Faulty, engine: &Engine, time: Duration) {
    append_sealed(engine, BRIEF);
    storage.pass(time.max(2 * MINUTE));
    until("retention", || count(engine, BRIEF) == 0);
}

#[test]
fn a_clock_that_is_set_while_the_log_runs_deletes_nothing() {
    for step in [8 * DAY, -8 * DAY, 400 * DAY] {
        let storage = Faulty::new(1);
        let engine = made(&storage);
        append_sealed(&engine, KEPT);
        storage.set_wall_clock(step);
        pass(&storage, &engine, 2 * MINUTE);
        assert_eq!(count(&engine, KEPT), 10, "{step}");
        // Records that come in meanwhile are as old as they are.
        append_sealed(&engine, KEPT);
        storage.set_wall_clock(-step);
        pass(&storage, &engine, 2 * MINUTE);
        assert_eq!(count(&engine, KEPT), 20, "{step}");
        pass(&storage, &engine, Duration::from_secs(7 * 24 * 3600));
        until("what is old to go", || count(&engine, KEPT) == 0);
        assert!(engine.report().clock_doubt.is_none());
    }
}

#[test]
fn a_machine_that_starts_with_a_wrong_clock_deletes_nothing_until_somebody_says_that_it_is_right() {
    for ends in ["released", "set right", "after a day"] {
        let storage = Faulty::new(1);
        let engine = made(&storage);
        append_sealed(&engine, KEPT);
        drop(engine);
        let storage = storage.crash_seeded(1);
        storage.set_wall_clock(8 * DAY);
        let engine = open(&storage);
        let doubt = engine.report().clock_doubt.unwrap();
        assert!(doubt.unproven > 7 * DAY && doubt.left <= DOUBT_LIMIT);
        append_sealed(&engine, KEPT);
        pass(&storage, &engine, 2 * MINUTE);
        assert_eq!(count(&engine, KEPT), 20, "{ends}");
        match ends {
            "released" => assert!(engine.release_clock() && !engine.release_clock()),
            "set right" => storage.set_wall_clock(-8 * DAY),
            _ => storage.pass(DOUBT_LIMIT),
        }
        until("the end of the doubt", || engine.report().clock_doubt.is_none());
        pass(&storage, &engine, 2 * MINUTE);
        let left = if ends == "set right" { 20 } else { 10 };
        until("what is old to go", || count(&engine, KEPT) == left);
        // Records that came in while it was doubted are as old as they are, whatever became of the doubt.
        pass(&storage, &engine, 6 * 24 * 60 * MINUTE);
        let left = if ends == "after a day" { 0 } else { left };
        until("what is old to go", || count(&engine, KEPT) == left);
    }
}

#[test]
fn a_clock_that_is_set_once_more_while_it_is_doubted_deletes_nothing_of_the_doubt() {
    for (wrong, step) in [(DAY, 8 * DAY), (8 * DAY, 400 * DAY), (-8 * DAY, 38 * DAY)] {
        for ends in ["released", "after a day"] {
            let storage = Faulty::new(1);
            drop(made(&storage));
            let storage = storage.crash_seeded(1);
            storage.set_wall_clock(wrong);
            let engine = open(&storage);
            append_sealed(&engine, KEPT);
            storage.set_wall_clock(step);
            pass(&storage, &engine, 2 * MINUTE);
            assert_eq!(count(&engine, KEPT), 10, "{wrong} {step}");
            match ends {
                "released" => assert!(engine.release_clock()),
                _ => storage.pass(DOUBT_LIMIT),
            }
            until("the end of the doubt", || engine.report().clock_doubt.is_none());
            pass(&storage, &engine, 2 * MINUTE);
            assert_eq!(count(&engine, KEPT), 10, "{wrong} {step} {ends}");
            // A restart of the machine knows it too.
            drop(engine);
            let storage = storage.crash_seeded(2);
            let engine = open(&storage);
            pass(&storage, &engine, 2 * MINUTE);
            assert_eq!(count(&engine, KEPT), 10, "{wrong} {step} {ends}");
            pass(&storage, &engine, 7 * 24 * 60 * MINUTE);
            until("what is old to go", || count(&engine, KEPT) == 0);
        }
    }
}

#[test]
fn what_a_clock_that_was_ahead_has_left_stops_nothing() {
    let storage = Faulty::new(1);
    let engine = made(&storage);
    drop(engine);
    // The clock was a year ahead when this was written; nothing else tells, as no clock was kept.
    storage.set_wall_clock(365 * DAY);
    storage.remove(std::path::Path::new(CLOCK_FILE)).unwrap();
    let engine = open(&storage);
    engine.release_clock();
    append_sealed(&engine, KEPT);
    drop(engine);
    storage.set_wall_clock(-365 * DAY);
    storage.remove(std::path::Path::new(CLOCK_FILE)).unwrap();
    let engine = open(&storage);
    pass(&storage, &engine, 8 * 24 * 60 * MINUTE);
    assert_eq!(count(&engine, KEPT), 10, "nothing says how old it is");
    append_sealed(&engine, KEPT);
    pass(&storage, &engine, 6 * 24 * 60 * MINUTE);
    assert_eq!(count(&engine, KEPT), 20);
    pass(&storage, &engine, 2 * 24 * 60 * MINUTE);
    until("both to go", || count(&engine, KEPT) == 0);
}
