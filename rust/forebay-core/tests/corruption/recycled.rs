//! Journal files that are used again: what their earlier lives and their clients left in them is not theirs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use forebay_core::ingest::route;
use forebay_core::log::journal::{FrameHead, FrameKind, Life};
use forebay_core::status::Mode;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Generation, NewRecord, PartitionId, Request, Sequence, Timestamp};

use crate::common::{self, Mark, frames, until};
use crate::directory::{newest_written, options};

/// Fills files, so that the sealed ones are used again.
fn rotate(engine: &forebay_core::Engine, batches: u32) {
    for batch in 0..batches {
        let _refused = engine.ingest(Request::new(&route::DRAIN, common::drain(&Mark::batch(batch, 20, 8000))));
        until("sealing", || {
            let report = engine.report();
            report.seal_backlog_files == 0 || report.mode != Mode::Running || report.sealer_stuck.is_some()
        });
    }
}

/// A page that is written while the power fails may be unreadable for good. Under the name of a journal file that would
/// be taken for damage, so the header of a file that is used again is written while the file has no such name.
#[test]
fn a_header_that_power_loss_leaves_unreadable_is_no_damage() {
    // Where the halt strikes depends on the background; one sweep nearly always meets a header.
    assert!((0..10).any(|round| crash_while_files_are_used_again(round) > 0), "no header was being written");
}

/// Power loss after every change of a run; what was being written of a used file's header is unreadable then. Returns how
/// many headers that were.
fn crash_while_files_are_used_again(round: u64) -> u32 {
    let (mut hit, mut finished) = (0, 0);
    for changes in 0.. {
        let storage = Faulty::new(changes + 1000 * round);
        storage.halt_after(changes);
        let mut ran = false;
        if let Ok(engine) = common::open(&storage, &options()) {
            rotate(&engine, 14);
            ran = engine.report().mode == Mode::Running;
        }
        let crashed = storage.crash_seeded(changes);
        for (path, _) in storage.files() {
            let header = |bytes: Option<Vec<u8>>| bytes.map(|bytes| bytes.into_iter().take(4096).collect::<Vec<u8>>());
            let (stable, live) = (header(storage.stable_contents(&path)), header(storage.contents(&path)));
            let is_old = stable.as_ref().is_some_and(|stable| stable.starts_with(b"FBJOURN3"));
            if path.starts_with("journal") && is_old && stable != live {
                crashed.break_reads(&path, 0..4096);
                hit += 1;
            }
        }
        let engine = common::open(&crashed, &options()).unwrap();
        assert_eq!(engine.report().damages, [], "after {changes} changes");
        assert_eq!(engine.report().mode, Mode::Running, "after {changes} changes: {}", engine.report().reason);
        finished += u32::from(ran);
        if finished > 3 {
            assert!(changes > 60, "{changes} changes are too few for the whole run");
            break;
        }
    }
    hit
}

/// Salt by directory and generation.
fn salts(storage: &Faulty, directory: u64, found: &mut BTreeMap<(u64, u64), u64>) {
    for (path, _) in storage.files().into_iter().filter(|(path, _)| path.to_string_lossy().ends_with(".journal")) {
        let life = life(storage, &path);
        found.insert((directory, life.generation.0), life.salt);
    }
}

fn life(storage: &Faulty, path: &std::path::Path) -> Life {
    let bytes = storage.contents(path).unwrap();
    let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    Life { generation: Generation(long(8)), salt: long(16) }
}

#[test]
fn every_life_of_a_file_has_a_salt_of_its_own() {
    let mut found = BTreeMap::new();
    for directory in 0..2 {
        let storage = Faulty::new(directory);
        let engine = common::open(&storage, &options()).unwrap();
        for _ in 0..6 {
            rotate(&engine, 5);
            salts(&storage, directory, &mut found);
        }
    }
    let mut distinct: Vec<u64> = found.values().copied().collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(found.len() >= 8, "{found:?}");
    assert_eq!(distinct.len(), found.len(), "{found:?}");
}

/// A sender puts frames into its records that are right in all but the salt, which it knows of an earlier file. When its
/// commit is torn, they are what a start meets next, and they claim that the torn commit was synced.
#[test]
fn a_frame_inside_of_a_record_is_none_even_after_a_torn_commit() {
    let storage = Faulty::new(3);
    let known: PathBuf;
    {
        let engine = common::open(&storage, &options()).unwrap();
        engine.create_stream("other", 1).unwrap();
        known = newest_written(&storage);
    }
    let known = life(&storage, &known);
    let engine = common::open(&storage, &options()).unwrap();
    engine.append("other", &common::records("other", &Mark::batch(0, 1, 10), false), None).unwrap();
    let path = newest_written(&storage);
    let sequence = Sequence(u64::MAX / 2);
    let forged = FrameHead {
        kind: FrameKind::Marker,
        sequence,
        synced_through: sequence,
        append_time: Timestamp::now(),
        rows: Vec::new(),
        ops: Vec::new(),
    };
    let mut key = Vec::new();
    forged.encode(Life { generation: life(&storage, &path).generation, ..known }, &mut key);
    let record = |key: Option<Vec<u8>>, length: usize| NewRecord {
        key,
        value: format!("\"{}\"", "x".repeat(length - 2)).into_bytes(),
        headers: Vec::new(),
        timestamp: None,
    };
    // Head and row of the frame, the first record with its header, and the header of the second: a page.
    let records = [record(None, 4096 - 64 - 32 - 16 - 16), record(Some(key), 10)];
    engine.append("other", &records, Some(PartitionId(0))).unwrap();
    let last = *frames(&storage, &path).iter().rfind(|frame| frame.kind == 1).unwrap();
    let left = storage.kill();
    drop(engine);
    let mut bytes = left.contents(&path).unwrap();
    let at = usize::try_from(last.position).unwrap();
    assert!(bytes[at + 4096..].starts_with(b"FBJ1"), "the forged frame stands on a page of its own");
    bytes[at..at + 64].fill(0xEE);
    left.put(&path, bytes);
    let engine = common::open(&left, &options()).unwrap();
    assert_eq!(engine.report().damages, []);
    assert_eq!(engine.report().mode, Mode::Running);
    assert_eq!(common::read_partition(&engine, "other", 0).unwrap().records.len(), 1, "the torn commit is cut");
}
