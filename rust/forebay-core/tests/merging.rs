//! Small segments become large ones, and nobody notices: neither readers, nor a crash, nor a disk without room.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Mark, assert_dense, open, read_all, read_partition, records, sealing_soon, small, until, wait_sealed};
use forebay_core::status::Mode;
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::{Compression, Engine, Limits, Offset, Options, PartitionId, StreamChange, StreamReport};

/// The number of parts that are gathered before they are merged.
const FAN_IN: u32 = 8;
const RECORDS: u32 = 20;

fn seal_one(engine: &Engine, streams: &[&str], batch: u32) {
    for stream in streams {
        engine.append(stream, &records(stream, &Mark::batch(batch, RECORDS, 300), true), None).unwrap();
    }
    wait_sealed(engine);
}

fn report(engine: &Engine, stream: &str) -> StreamReport {
    engine.stream_report(stream).unwrap()
}

fn segments(storage: &Faulty) -> Vec<PathBuf> {
    let mut paths: Vec<_> = storage.files().into_iter().map(|(path, _)| path).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".segment"));
    paths.sort();
    paths
}

fn is_sound(storage: &Faulty) {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    let report = forebay_core::verify(&storage).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

/// Offset, time, key, headers and value of each record.
type Whole = Vec<(u64, i64, Option<Vec<u8>>, Vec<u8>, Vec<u8>)>;

fn everything(engine: &Engine, stream: &str) -> Vec<Whole> {
    let read = |(partition, start, end): &(PartitionId, Offset, Offset)| {
        let (mut offset, mut all) = (*start, Whole::new());
        while offset < *end {
            let batch = engine.fetch(stream, *partition, offset, Limits { records: 7, bytes: 1 << 20 }).unwrap();
            all.extend(batch.iter().map(|(at, record)| {
                let (key, headers) = (record.key.map(<[u8]>::to_vec), record.headers.to_vec());
                (at.0, record.timestamp.0, key, headers, record.value.to_vec())
            }));
            offset = batch.next_offset();
        }
        all
    };
    report(engine, stream).partitions.iter().map(read).collect()
}

fn zstd() -> StreamChange {
    StreamChange { compression: Some(Compression::Zstd), ..StreamChange::default() }
}

/// A directory with one part less than is merged, and what its records are.
fn almost(seed: u64, streams: &[&str]) -> (Faulty, Vec<Vec<Whole>>) {
    let storage = Faulty::new(seed);
    let engine = open(&storage, &sealing_soon()).unwrap();
    for stream in streams {
        engine.create_stream_with(stream, 3, zstd()).unwrap();
    }
    for batch in 1..FAN_IN {
        seal_one(&engine, streams, batch);
    }
    assert_eq!(engine.counters().segments_merged.get(), 0, "there are too few");
    let all = streams.iter().map(|stream| everything(&engine, stream)).collect();
    drop(engine);
    (storage, all)
}

#[test]
fn small_segments_become_one_and_what_is_read_stays_the_same() {
    let (storage, before) = almost(31, &["orders"]);
    let engine = open(&storage, &sealing_soon()).unwrap();
    let small = report(&engine, "orders");
    seal_one(&engine, &["orders"], FAN_IN);
    until("merging", || report(&engine, "orders").segments == 1);
    until("the sources' end", || segments(&storage).len() == 1);
    let merged = report(&engine, "orders");
    let is_denser = merged.stored_bytes * small.raw_bytes < small.stored_bytes * merged.raw_bytes;
    assert!(is_denser, "blocks of several parts pack better: {merged:?} after {small:?}");
    assert_eq!(engine.counters().segments_merged.get(), u64::from(FAN_IN));
    assert_eq!(engine.counters().segment_bytes_merged.get(), merged.stored_bytes);
    let after = everything(&engine, "orders");
    for (before, after) in before[0].iter().zip(&after) {
        assert_eq!(before[..], after[..before.len()], "what was there is there");
    }
    assert_eq!(after.iter().map(Vec::len).sum::<usize>(), (FAN_IN * RECORDS) as usize);
    // In between, too, a reader finds its place.
    for (partition, whole) in (0..).zip(&after) {
        for (offset, ..) in whole {
            let batch =
                engine.fetch("orders", PartitionId(partition), Offset(*offset), Limits { records: 1, bytes: 1 });
            assert_eq!(batch.unwrap().offsets(), [offset.cast_signed()]);
        }
    }
    drop(engine);
    is_sound(&storage);
    let engine = open(&storage.crash(), &sealing_soon()).unwrap();
    assert_eq!(engine.report().damages, []);
    assert_eq!(everything(&engine, "orders"), after);
    assert_eq!(report(&engine, "orders").segments, 1);
}

/// Returns whether there are the merged files alone, or none of them, as both streams have them.
fn no_orphans(storage: &Faulty, parts: [usize; 2]) -> bool {
    let names = segments(storage);
    let merged = names.iter().filter(|path| path.to_string_lossy().contains("-10")).count();
    match parts {
        [1, 1] => merged == names.len(),
        [a, b] => a == 1 || b == 1 || merged == 0,
    }
}

#[test]
fn a_crash_at_every_change_of_a_merge_loses_nothing() {
    let (left, before) = almost(32, &["a", "b"]);
    let mut finished = 0;
    for changes in 0.. {
        let storage = left.kill();
        let mut acknowledged = [false; 2];
        storage.halt_after(changes);
        if let Ok(engine) = open(&storage, &sealing_soon()) {
            for (stream, done) in ["a", "b"].into_iter().zip(&mut acknowledged) {
                let marks = Mark::batch(FAN_IN, RECORDS, 300);
                *done = engine.append(stream, &records(stream, &marks, true), None).is_ok();
            }
            let halted = || storage.free_bytes().is_err();
            until("merging", || {
                halted() || segments(&storage).len() <= 2 && engine.counters().segments_merged.get() >= 16
            });
            finished += u32::from(!halted());
            storage.halt();
        }
        for seed in 0..4 {
            let next = if seed == 0 { storage.kill() } else { storage.crash_seeded(changes * 5 + seed) };
            is_sound(&next);
            let engine = open(&next, &small()).unwrap();
            let what = format!("after {changes} changes, seed {seed}");
            assert_eq!((engine.report().damages, engine.report().mode), (Vec::new(), Mode::Running), "{what}");
            for ((stream, done), before) in ["a", "b"].iter().zip(acknowledged).zip(&before) {
                let found = everything(&engine, stream);
                for (before, found) in before.iter().zip(&found) {
                    assert_eq!(before[..], found[..before.len()], "{what}: {stream}");
                }
                let count = found.iter().map(Vec::len).sum::<usize>();
                let (all, earlier) = ((FAN_IN * RECORDS) as usize, ((FAN_IN - 1) * RECORDS) as usize);
                assert!(count == all || !done && count == earlier, "{what}: {stream} has {count}");
            }
            until("the orphans' end", || no_orphans(&next, ["a", "b"].map(|stream| report(&engine, stream).segments)));
            drop(engine);
            is_sound(&next);
        }
        if finished > 3 {
            assert!(changes > 20, "{changes} changes are too few for a merge");
            break;
        }
    }
}

#[test]
fn readers_are_not_disturbed() {
    let storage = Faulty::new(33);
    let engine = open(&storage, &sealing_soon()).unwrap();
    engine.create_stream_with("orders", 2, zstd()).unwrap();
    let go_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for partition in 0..2 {
            let (engine, go_on) = (&engine, &go_on);
            scope.spawn(move || {
                while go_on.load(Ordering::Relaxed) {
                    let log = read_partition(engine, "orders", partition).unwrap();
                    assert_dense(&("orders".to_owned(), partition), &log);
                }
            });
        }
        for batch in 0..4 * FAN_IN {
            seal_one(&engine, &["orders"], batch);
        }
        until("merging", || report(&engine, "orders").segments < 2 * FAN_IN as usize);
        go_on.store(false, Ordering::Relaxed);
    });
    assert_eq!(engine.report().damages, []);
    assert_eq!(engine.counters().damaged_reads.get(), 0);
    drop(engine);
    is_sound(&storage);
}

#[test]
fn a_damaged_segment_is_left_alone_and_its_neighbours_are_merged() {
    let (storage, _) = almost(34, &["orders"]);
    let damaged = segments(&storage)[3].clone();
    // In the first block, behind its header: the index stays sound.
    assert!(storage.flip(&damaged, 32 + 64 + 10, 0x10));
    let engine = open(&storage, &sealing_soon()).unwrap();
    seal_one(&engine, &["orders"], FAN_IN);
    until("merging", || report(&engine, "orders").segments == 6);
    until("the sources' end", || segments(&storage).len() == 6);
    assert!(segments(&storage).contains(&damaged));
    assert_eq!(engine.counters().segments_merged.get(), 3);
    let records: usize = read_all(&engine).unwrap().values().map(|log| log.records.len()).sum();
    assert!(records > ((FAN_IN - 1) * RECORDS) as usize && records < (FAN_IN * RECORDS) as usize, "{records}");
    let damages = engine.report().damages;
    assert!(!damages.is_empty() && damages.iter().all(|damage| damaged.ends_with(&damage.file)), "{damages:?}");
    assert_eq!(engine.report().mode, Mode::Running);
}

#[test]
fn what_the_storage_refuses_is_tried_later_and_poisons_nothing() {
    for (seed, operation) in (40..).zip([Operation::Create, Operation::Write, Operation::Sync, Operation::SetLength]) {
        let (storage, _) = almost(seed, &["orders"]);
        let engine = open(&storage, &sealing_soon()).unwrap();
        // Merged files alone have such numbers.
        let fault = Fault::next(operation).on("-10").always();
        let fault = storage.inject(if seed % 2 == 0 { fault.no_space() } else { fault });
        seal_one(&engine, &["orders"], FAN_IN);
        until("the fault", || storage.hits(fault) > 0);
        until("its end", || segments(&storage).len() == FAN_IN as usize);
        assert_eq!((engine.report().mode, engine.report().sealer_stuck), (Mode::Running, None), "{operation:?}");
        assert_eq!(report(&engine, "orders").segments, FAN_IN as usize);
        storage.clear(fault);
        until("merging", || report(&engine, "orders").segments == 1);
        drop(engine);
        is_sound(&storage);
    }
}

/// Merging takes room before it gives some back: a disk that is nearly full is left to the journal.
#[test]
fn a_disk_with_little_room_is_left_alone() {
    let (storage, _) = almost(35, &["orders"]);
    let used: u64 = storage.files().iter().map(|(_, bytes)| bytes).sum();
    storage.set_capacity(Some(used + (200 << 20)));
    let engine = open(&storage, &sealing_soon()).unwrap();
    for batch in FAN_IN..FAN_IN + 3 {
        seal_one(&engine, &["orders"], batch);
    }
    assert_eq!(report(&engine, "orders").segments, FAN_IN as usize + 2);
    storage.set_capacity(None);
    until("merging", || report(&engine, "orders").segments == 1);
}

#[test]
fn quiet_streams_share_merged_files_as_they_share_sealed_ones() {
    let storage = Faulty::new(36);
    let engine = open(&storage, &Options { journal_file_age: std::time::Duration::from_secs(1), ..small() }).unwrap();
    let names: Vec<_> = (0..30).map(|number| format!("quiet-{number}")).collect();
    let streams: Vec<_> = names.iter().map(String::as_str).collect();
    for stream in &streams {
        engine.create_stream(stream, 1).unwrap();
    }
    for batch in 0..FAN_IN {
        seal_one(&engine, &streams, batch);
    }
    until("merging", || streams.iter().all(|stream| report(&engine, stream).segments < FAN_IN as usize));
    until("the sources' end", || segments(&storage).len() <= FAN_IN as usize);
    for stream in &streams {
        let log = read_partition(&engine, stream, 0).unwrap();
        assert_dense(&((*stream).to_owned(), 0), &log);
        assert_eq!(log.records.len(), (FAN_IN * RECORDS) as usize);
    }
    drop(engine);
    is_sound(&storage);
}

/// A file that streams share goes with the last of them, which may be long after the others have given it up.
#[test]
fn what_is_left_in_a_shared_file_is_moved_out_of_it() {
    let storage = Faulty::new(38);
    let engine = open(&storage, &sealing_soon()).unwrap();
    for stream in ["kept", "gone"] {
        engine.create_stream(stream, 1).unwrap();
    }
    let mut shared = 0;
    while shared == 0 {
        let before = segments(&storage).len();
        for (stream, padding) in [("kept", 100), ("gone", 3000)] {
            engine.append(stream, &records(stream, &Mark::batch(0, RECORDS, padding), true), None).unwrap();
        }
        wait_sealed(&engine);
        shared = u32::from(segments(&storage).len() == before + 1);
    }
    let all = everything(&engine, "kept");
    let bytes = || -> u64 {
        let files = storage.files().into_iter();
        files.filter(|(path, _)| path.to_string_lossy().ends_with(".segment")).map(|(_, bytes)| bytes).sum()
    };
    engine.delete_stream("gone").unwrap();
    until("the move", || bytes() < 2 * report(&engine, "kept").stored_bytes);
    assert_eq!(everything(&engine, "kept"), all);
    drop(engine);
    is_sound(&storage);
    let engine = open(&storage.crash(), &sealing_soon()).unwrap();
    assert_eq!(engine.report().damages, []);
    assert_eq!(everything(&engine, "kept"), all);
}

#[test]
fn a_stream_that_grows_has_few_segments_of_the_size_that_is_aimed_at() {
    let storage = Faulty::new(37);
    let engine = open(&storage, &small()).unwrap();
    engine.create_stream("big", 1).unwrap();
    let mut batch = 0;
    while engine.counters().sealed_bytes_raw.get() < 48 << 20 {
        if engine.append("big", &records("big", &Mark::batch(batch, RECORDS, 12_000), true), None).is_ok() {
            batch += 1;
        }
    }
    // Its records are not compressed.
    let is_large = |(path, bytes): &(PathBuf, u64)| path.to_string_lossy().ends_with(".segment") && *bytes >= 32 << 20;
    until("merging", || storage.files().iter().any(is_large));
    until("merging", || report(&engine, "big").segments <= 16);
    let log = read_partition(&engine, "big", 0).unwrap();
    assert_dense(&("big".to_owned(), 0), &log);
    assert_eq!(log.records.len(), (batch * RECORDS) as usize);
}
