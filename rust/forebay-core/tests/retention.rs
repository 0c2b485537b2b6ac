//! Retention deletes all that is due, however much it is, and never more than was asked.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::{open, read_partition, sealing_soon, until, wait_sealed};
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, MAX_PARTITIONS, NewRecord, Options, StreamChange, StreamReport};

const STREAMS: u32 = 10;
const FILES: u32 = 12;
/// The number of keys that fall on nearly all of 1,024 partitions: 28 bytes of a commit each, when a part of them is
/// deleted.
const KEYS: u32 = 2500;

fn record(key: u32) -> NewRecord {
    let value = format!(r##"{{"mark":"#0.{key}.{KEYS}.0#"}}"##).into_bytes();
    NewRecord { key: Some(format!("key-{key}").into_bytes()), value, headers: Vec::new(), timestamp: None }
}

/// A sealed part of each stream.
fn seal_one(engine: &Engine, streams: &[String]) {
    let records: Vec<_> = (0..KEYS).map(record).collect();
    for stream in streams {
        engine.append(stream, &records, None).unwrap();
    }
    wait_sealed(engine);
}

fn keeping(bytes: u64) -> StreamChange {
    StreamChange { retention_bytes: Some(bytes), ..StreamChange::default() }
}

fn report(engine: &Engine, stream: &str) -> StreamReport {
    engine.stream_report(stream).unwrap()
}

fn kept(engine: &Engine, stream: &str) -> u64 {
    report(engine, stream).partitions.iter().map(|(_, start, end)| end.0 - start.0).sum()
}

fn is_sound(storage: &Faulty) {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    let report = forebay_core::verify(&storage).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

fn names(count: u32) -> Vec<String> {
    (0..count).map(|number| format!("wide-{number}")).collect()
}

/// Ten streams of a thousand partitions: the rows of two parts fill a commit, and a hundred and more are due.
#[test]
fn what_is_due_is_deleted_at_once_however_much_it_is() {
    let storage = Faulty::new(21);
    let engine = open(&storage, &Options { max_partitions: 20_000, ..sealing_soon() }).unwrap();
    let streams = names(STREAMS);
    for stream in &streams {
        engine.create_stream(stream, MAX_PARTITIONS).unwrap();
    }
    let mut sealed = 0;
    for _ in 0..FILES {
        seal_one(&engine, &streams);
        sealed += 1;
    }
    let before = engine.counters().commits.get();
    for stream in &streams {
        engine.alter_stream(stream, keeping(1)).unwrap();
    }
    until("retention", || streams.iter().all(|stream| report(&engine, stream).segments == 1));
    // The last part is kept, since without it there would be less than was asked for.
    assert!(streams.iter().all(|stream| kept(&engine, stream) > 0));
    // One row a part and one a partition of each stream that a commit deletes of: not one a partition of each part.
    let commits = engine.counters().commits.get() - before - u64::from(STREAMS);
    let bound = u64::from(STREAMS) * 2;
    assert!(commits <= bound, "{commits} commits for the {sealed} parts of {STREAMS} streams, bound {bound}");
    drop(engine);
    is_sound(&storage);
}

#[test]
fn never_less_is_kept_than_was_asked_for() {
    let storage = Faulty::new(22);
    let engine = open(&storage, &sealing_soon()).unwrap();
    let streams = names(1);
    engine.create_stream(&streams[0], 1).unwrap();
    for _ in 0..6 {
        seal_one(&engine, &streams);
    }
    let all = report(&engine, &streams[0]);
    assert_eq!(all.segments, 6);
    let part = all.stored_bytes / 6;
    // Two parts would be too little, four more than needed.
    engine.alter_stream(&streams[0], keeping(part * 5 / 2)).unwrap();
    until("retention", || report(&engine, &streams[0]).segments < 6);
    until("retention", || report(&engine, &streams[0]).segments == 3);
    assert_eq!(kept(&engine, &streams[0]), u64::from(KEYS) * 3);
    seal_one(&engine, &streams);
    until("retention", || report(&engine, &streams[0]).segments == 3);
    assert_eq!(kept(&engine, &streams[0]), u64::from(KEYS) * 3);
}

/// Its rows fill half a dozen commits. It is gone with the first, and never seen in part.
#[test]
fn a_crash_deletes_a_stream_of_many_segments_whole_or_not_at_all() {
    let storage = Faulty::new(23);
    let engine = open(&storage, &sealing_soon()).unwrap();
    let streams = names(2);
    for stream in &streams {
        engine.create_stream(stream, MAX_PARTITIONS).unwrap();
    }
    for _ in 0..FILES {
        seal_one(&engine, &streams);
    }
    let whole = kept(&engine, &streams[0]);
    storage.halt();
    let left = storage.kill();
    drop(engine);
    for changes in 0..40 {
        let storage = left.kill();
        let engine = open(&storage, &sealing_soon()).unwrap();
        storage.halt_after(changes);
        let deleted = engine.delete_stream(&streams[0]).is_ok();
        if deleted {
            let _refused = engine.create_stream("later", 1);
        }
        storage.halt();
        let next = if changes % 2 == 0 { storage.crash() } else { storage.kill() };
        drop(engine);
        is_sound(&next);
        let engine = open(&next, &sealing_soon()).unwrap();
        assert_eq!(engine.report().damages, [], "after {changes}");
        if engine.stream_report(&streams[0]).is_ok() {
            assert!(!deleted, "after {changes}: it came back");
            assert_eq!(kept(&engine, &streams[0]), whole, "after {changes}: it is there in part");
        }
        assert_eq!(kept(&engine, &streams[1]), whole, "after {changes}");
        drop(engine);
        is_sound(&next);
    }
}

#[test]
fn a_deleted_stream_leaves_nothing_behind() {
    let storage = Faulty::new(24);
    let engine = open(&storage, &sealing_soon()).unwrap();
    let streams = names(1);
    engine.create_stream(&streams[0], MAX_PARTITIONS).unwrap();
    engine.create_stream("other", 1).unwrap();
    for _ in 0..FILES {
        seal_one(&engine, &streams);
    }
    engine.delete_stream(&streams[0]).unwrap();
    let segments = || storage.files().iter().filter(|(path, _)| path.to_string_lossy().ends_with(".segment")).count();
    assert_eq!(segments(), 0);
    seal_one(&engine, &["other".to_owned()]);
    assert_eq!(read_partition(&engine, "other", 0).unwrap().records.len(), KEYS as usize);
    drop(engine);
    is_sound(&storage);
    let engine = open(&storage, &sealing_soon()).unwrap();
    assert_eq!(engine.report().damages, []);
    assert_eq!(kept(&engine, "other"), u64::from(KEYS));
}
