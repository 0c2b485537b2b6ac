//! Steps of a stream processor: records and changes of tables are one, whatever happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::admission::Permit;
use crate::error::{ErrorKind, Result};
use crate::ids::{Offset, PartitionId, Timestamp};
use crate::log::read::Limits;
use crate::log::state::StateFiles;
use crate::options::{Durability, MIN_JOURNAL_FILE_BYTES, MIN_RING_BYTES, Options};
use crate::record::Event;
use crate::status::Mode;
use crate::storage::Storage;
use crate::storage::faulty::Faulty;
use crate::table::{Table, TableOp};
use crate::{Engine, StreamChange};

const SINKS: [&str; 2] = ["results", "late"];
const ONE: PartitionId = PartitionId(0);
const ALL: Limits = Limits { records: usize::MAX, bytes: usize::MAX };
const POSITION: &[u8] = b"processor";
/// Bytes of a large step: a file holds two.
const LARGE: usize = 3_500_000;
/// Steps whose window is open still: what is older is deleted.
const OPEN_WINDOWS: u64 = 3;

fn small() -> Options {
    Options {
        ring_bytes: MIN_RING_BYTES,
        journal_file_bytes: MIN_JOURNAL_FILE_BYTES,
        logs_partitions: 1,
        workers: 1,
        ..Options::default()
    }
}

/// Files that hold steps of several megabytes, and memory for more of them than the disk has room for.
fn large() -> Options {
    Options { ring_bytes: 64 * MIN_RING_BYTES, journal_file_bytes: 8 * MIN_JOURNAL_FILE_BYTES, ..small() }
}

fn open(storage: &Faulty, options: &Options) -> Result<Engine> {
    Engine::open(Arc::new(storage.clone()), options.clone())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::yield_now();
    }
}

fn output(engine: &Engine, number: u64) -> Result<Encoded> {
    let value = number.to_string().into_bytes();
    let event = Event { value: value.into(), key: None, headers: b"".into(), timestamp: Timestamp(0) };
    let streams = SINKS.iter().map(|name| engine.catalog.named(name)).collect::<Result<Vec<_>>>()?;
    let to = |stream| Destination { stream, placement: Placement::One(ONE), events: std::slice::from_ref(&event) };
    let destinations: Vec<_> = streams.iter().map(to).collect();
    let permit = Permit::force(&engine.ring, streams[0].share(), None, 0);
    encode(&destinations, engine.options.max_batch_bytes(), permit)
}

/// The changes of a step: it moves the position, opens a window with so many bytes of state, and closes an older one.
fn changes(number: u64, bytes: usize) -> Vec<TableOp> {
    let mut ops = vec![
        TableOp::put(Table::Positions, POSITION, number.to_le_bytes()),
        TableOp::put(Table::WindowState, number.to_be_bytes(), vec![number as u8; bytes]),
    ];
    if let Some(closed) = number.checked_sub(OPEN_WINDOWS) {
        ops.push(TableOp::delete(Table::WindowState, closed.to_be_bytes()));
    }
    ops
}

fn take(engine: &Engine, batch: Option<Encoded>, ops: Vec<TableOp>) -> Result<Receipt> {
    let held = engine.commits.reserve(&ops)?;
    let (waiter, reply) = Waiter::pair();
    engine.commits.push(Append::step(batch, ops, held, reply));
    waiter.wait()
}

/// A step puts one record on each sink, every third one none.
fn step(engine: &Engine, number: u64, bytes: usize) -> Result<Receipt> {
    let batch = (!number.is_multiple_of(3)).then(|| output(engine, number)).transpose()?;
    take(engine, batch, changes(number, bytes))
}

/// The numbers that a sink holds.
fn stored(engine: &Engine, sink: &str) -> Vec<u64> {
    let Ok(batch) = engine.fetch(sink, ONE, Offset(0), ALL) else { return Vec::new() };
    batch.iter().map(|(_, record)| std::str::from_utf8(record.value).unwrap().parse().unwrap()).collect()
}

/// Opens what is left, and compares its records with its rows, which the start has sealed. Returns how many steps are
/// there.
fn check(storage: &Faulty, options: &Options, acknowledged: u64, what: &str) -> u64 {
    let opened = open(storage, options);
    assert!(opened.is_ok(), "{what}: {opened:?}");
    let engine = opened.unwrap();
    assert_eq!((engine.report().damages, engine.report().mode), (Vec::new(), Mode::Running), "{what}");
    until("sealing", || engine.report().seal_backlog_files == 0);
    let mut rows = StateFiles::load(storage).unwrap().rows;
    let position = rows.get(Table::Positions, POSITION).map(|value| u64::from_le_bytes(value.try_into().unwrap()));
    let steps = position.map_or(0, |position| position + 1);
    assert!(steps >= acknowledged, "{what}: {acknowledged} steps were acknowledged, and {steps} are there");
    let wanted: Vec<u64> = (0..steps).filter(|number| !number.is_multiple_of(3)).collect();
    for sink in SINKS {
        assert_eq!(stored(&engine, sink), wanted, "{what}: {sink}");
    }
    let windows: Vec<u64> =
        rows.take(Table::WindowState).map(|(key, _)| u64::from_be_bytes(key.try_into().unwrap())).collect();
    assert_eq!(windows, (steps.saturating_sub(OPEN_WINDOWS)..steps).collect::<Vec<_>>(), "{what}");
    steps
}

/// Makes the sinks and takes steps, of which some fill a journal file. Returns how many were acknowledged, and whether it
/// came to the end.
fn run(engine: &Engine) -> (u64, bool) {
    for sink in SINKS {
        if engine.create_stream(sink, 1).is_err() {
            return (0, false);
        }
    }
    for number in 0..9 {
        let done = loop {
            match step(engine, number, 150_000) {
                // Two files of changes that wait for the sealer take their budget up.
                Err(error) if error.kind() == ErrorKind::Saturated && engine.report().sealer_stuck.is_none() => {}
                done => break done,
            }
        };
        if done.is_err() {
            return (number, false);
        }
    }
    (9, true)
}

#[test]
fn a_step_is_there_whole_or_not_at_all_whenever_the_machine_dies() {
    let (mut finished, mut some) = (0, 0);
    for changes in 0.. {
        let storage = Faulty::new(changes);
        storage.halt_after(changes);
        let (mut acknowledged, mut whole) = (0, false);
        if let Ok(engine) = open(&storage, &small()) {
            (acknowledged, whole) = run(&engine);
        }
        let what = format!("after {changes} changes");
        let crashed: Vec<_> = (0..3).map(|seed| storage.crash_seeded(changes * 3 + seed)).collect();
        for left in crashed.iter().chain([&storage.kill()]) {
            let steps = check(left, &small(), acknowledged, &what);
            some += u32::from((1..9).contains(&steps));
        }
        finished += u32::from(whole);
        if finished > 3 {
            break;
        }
    }
    assert!(some > 20, "{some} crashes left some steps only");
}

#[test]
fn a_checkpoint_is_not_synced_where_records_are_not() {
    let storage = Faulty::new(1);
    let engine = open(&storage, &Options { durability: Durability::Memory, ..small() }).unwrap();
    for sink in SINKS {
        engine.create_stream(sink, 1).unwrap();
    }
    let syncs = || engine.counters.syncs.get();
    let before = syncs();
    for number in 0..6 {
        assert_eq!(step(&engine, number, 100).unwrap().level, Level::memory());
    }
    assert_eq!(syncs(), before);
    let shorter = StreamChange { retention_bytes: Some(1 << 20), ..StreamChange::default() };
    engine.alter_stream(SINKS[0], shorter).unwrap();
    assert_eq!(syncs(), before + 1, "a change of a stream is stable at every level, as before");
}

#[test]
fn a_step_beyond_a_file_is_refused_whole() {
    let storage = Faulty::new(1);
    let engine = open(&storage, &Options { ring_bytes: 4 * MIN_RING_BYTES, ..small() }).unwrap();
    for sink in SINKS {
        engine.create_stream(sink, 1).unwrap();
    }
    step(&engine, 0, 100).unwrap();
    let error = step(&engine, 1, MIN_JOURNAL_FILE_BYTES as usize).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge, "{error}");
    assert_eq!((engine.report().mode, stored(&engine, SINKS[0])), (Mode::Running, Vec::new()));
    step(&engine, 1, 100).unwrap();
    assert_eq!(engine.commits.rows().used() >> 12, 0, "what was refused is given back");
    drop(engine);
    assert_eq!(check(&storage, &small(), 2, "after the refusal"), 2);
}

#[test]
fn a_step_onto_a_deleted_sink_moves_nothing() {
    let storage = Faulty::new(1);
    let engine = open(&storage, &small()).unwrap();
    for sink in SINKS {
        engine.create_stream(sink, 1).unwrap();
    }
    step(&engine, 0, 100).unwrap();
    let batch = output(&engine, 1).unwrap();
    engine.delete_stream(SINKS[1]).unwrap();
    let error = take(&engine, Some(batch), changes(1, 100)).unwrap_err();
    assert_eq!((error.kind(), stored(&engine, SINKS[0])), (ErrorKind::StreamNotFound, Vec::new()));
    drop(engine);
    let engine = open(&storage, &small()).unwrap();
    until("sealing", || engine.report().seal_backlog_files == 0);
    let rows = StateFiles::load(&storage).unwrap().rows;
    assert_eq!(rows.get(Table::Positions, POSITION), Some(&0_u64.to_le_bytes()[..]));
}

/// Takes steps of megabytes until a disk without room refuses one. Returns how many were taken.
fn fill(storage: &Faulty, engine: &Engine, mut number: u64) -> u64 {
    until("a full disk", || {
        let files = storage.files().into_iter().filter(|(path, _)| !path.ends_with("unfinished"));
        storage.set_capacity(Some(files.map(|(_, bytes)| bytes).sum()));
        match step(engine, number, LARGE) {
            Ok(_) => number += 1,
            Err(error) if error.kind() == ErrorKind::Saturated => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StorageUnavailable, "{error}");
                return true;
            }
        }
        false
    });
    number
}

#[test]
fn large_steps_wait_for_room_on_a_full_disk() {
    let storage = Faulty::new(1);
    let engine = open(&storage, &large()).unwrap();
    for sink in SINKS {
        engine.create_stream(sink, 1).unwrap();
    }
    let mut number = fill(&storage, &engine, 0);
    for _ in 0..3 {
        // It waits for room by itself: what is smaller still fits, and is taken.
        assert_eq!(engine.report().mode, Mode::Running, "{}", engine.report().reason);
        for (path, bytes) in storage.files() {
            assert!(!path.starts_with("journal") || bytes <= large().journal_file_bytes, "{path:?} has {bytes} bytes");
        }
        storage.set_capacity(None);
        until("room", || step(&engine, number, LARGE).is_ok());
        number = fill(&storage, &engine, number + 1);
    }
    storage.set_capacity(None);
    let left = storage.kill();
    drop(engine);
    assert_eq!(check(&left, &large(), number, "after a full disk"), number);
    assert!(left.free_bytes().is_ok() && number > 4, "{number} steps");
}
