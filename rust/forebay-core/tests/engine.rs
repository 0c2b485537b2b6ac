//! The engine on a real directory: what is acknowledged is read back, across restarts and sealing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::ingest::route;
use forebay_core::storage::Disk;
use forebay_core::{Engine, ErrorKind, LOGS, Limits, NewRecord, Offset, Options, PartitionId, Request, Retention};

const ALL: Limits = Limits { records: usize::MAX, bytes: usize::MAX };

fn small() -> Options {
    Options { ring_bytes: 8 << 20, journal_file_bytes: 1 << 20, logs_partitions: 2, ..Options::default() }
}

fn open(directory: &Path, options: Options) -> Engine {
    Engine::open(Arc::new(Disk::new(directory).unwrap()), options).unwrap()
}

fn drain(events: usize, tag: &str) -> Vec<u8> {
    let event = |i: usize| {
        format!(
            r#"{{"project_id":"p{}","timestamp":"2024-05-31T15:30:45.{:03}Z","level":"info","service":"s","message":"{tag}-{i}"}}"#,
            i % 7,
            i % 1000,
        )
    };
    format!(r#"{{"events":[{}]}}"#, (0..events).map(event).collect::<Vec<_>>().join(",")).into_bytes()
}

fn messages(engine: &Engine, stream: &str, partitions: u32) -> Vec<String> {
    let mut messages = Vec::new();
    for partition in 0..partitions {
        let mut offset =
            engine.stream_reports().iter().find(|s| s.name == stream).unwrap().partitions[partition as usize].1;
        loop {
            let limits = Limits { records: 333, bytes: 64 * 1024 };
            let batch = engine.fetch(stream, PartitionId(partition), offset, limits).unwrap();
            if batch.is_empty() {
                break;
            }
            for (index, (at, record)) in batch.iter().enumerate() {
                assert_eq!(at, offset.plus(index as u64), "offsets are dense");
                messages.push(String::from_utf8(record.value.to_vec()).unwrap());
            }
            offset = batch.next_offset();
        }
    }
    messages.sort();
    messages
}

#[test]
fn what_is_acknowledged_is_read_back_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), small());
    for batch in 0..50 {
        let receipt = engine.ingest(Request::new(&route::DRAIN, Box::new(drain(20, &format!("b{batch}"))))).unwrap();
        assert_eq!(receipt.placed.iter().map(|placed| placed.records).sum::<u32>(), 20);
    }
    let before = messages(&engine, LOGS, 2);
    assert_eq!(before.len(), 1000);
    drop(engine);
    for _ in 0..3 {
        let engine = open(directory.path(), small());
        assert!(engine.report().damages.is_empty());
        assert_eq!(messages(&engine, LOGS, 2), before);
    }
}

#[test]
fn built_in_streams_are_there_from_the_start_and_after_a_restart_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let of = |engine: &Engine| -> Vec<_> {
        engine.stream_reports().iter().map(|stream| (stream.name.clone(), stream.definition.id)).collect()
    };
    let engine = open(directory.path(), small());
    let made = of(&engine);
    assert_eq!(made, [("analytics".to_owned(), 3), ("events".to_owned(), 2), (LOGS.to_owned(), 1)]);
    assert_eq!(engine.counters().commits.get(), 1, "one commit for all");
    drop(engine);
    let engine = open(directory.path(), small());
    assert_eq!(of(&engine), made);
    assert_eq!(engine.counters().commits.get(), 0);
}

#[test]
fn full_journal_files_are_sealed_and_still_read() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), small());
    let mut sent = 0;
    for batch in 0..400 {
        match engine.ingest(Request::new(&route::DRAIN, Box::new(drain(100, &format!("b{batch}"))))) {
            Ok(_) => sent += 100,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Saturated),
        }
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while engine.stream_report(LOGS).unwrap().segments == 0 {
        assert!(Instant::now() < deadline, "nothing was sealed");
        std::thread::yield_now();
    }
    let before = messages(&engine, LOGS, 2);
    assert_eq!(before.len(), sent);
    drop(engine);
    let engine = open(directory.path(), small());
    assert_eq!(messages(&engine, LOGS, 2), before);
    let stream = &engine.stream_report(LOGS).unwrap();
    assert!(
        stream.stored_bytes * 3 < stream.raw_bytes,
        "logs compress: {} of {}",
        stream.stored_bytes,
        stream.raw_bytes
    );
}

#[test]
fn a_second_engine_on_the_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), small());
    let error = Engine::open(Arc::new(Disk::new(directory.path()).unwrap()), small()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DirectoryLocked);
    engine.close();
    open(directory.path(), small());
}

#[test]
fn programs_create_streams_append_and_read() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), small());
    engine.create_stream("orders", 3).unwrap();
    assert_eq!(engine.create_stream("orders", 3).unwrap_err().kind(), ErrorKind::StreamAlreadyExists);
    let record =
        |value: &str| NewRecord { key: Some(b"k".to_vec()), value: value.into(), headers: Vec::new(), timestamp: None };
    let receipt = engine.append("orders", &[record("1"), record("[2]")], None).unwrap();
    assert_eq!(receipt.places[0].0, receipt.places[1].0, "one key, one partition");
    assert_eq!((receipt.places[0].1, receipt.places[1].1), (Offset(0), Offset(1)));
    let error = engine.append("orders", &[record("1"), record("{")], None).unwrap_err();
    assert!(error.detail().starts_with("records[1].value"), "{error}");
    drop(engine);
    let engine = open(directory.path(), small());
    let batch = engine.fetch("orders", receipt.places[0].0, Offset(0), ALL).unwrap();
    let values: Vec<_> = batch.iter().map(|(_, record)| record.value.to_vec()).collect();
    assert_eq!(values, [b"1".to_vec(), b"[2]".to_vec()]);
    let error = engine.fetch("orders", receipt.places[0].0, Offset(3), ALL).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOffset);
    assert!(error.detail().contains("valid are 0 to 2"), "{error}");
}

#[test]
fn changed_retention_is_taken_over_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), small());
    engine.ingest(Request::new(&route::DRAIN, Box::new(drain(20, "a")))).unwrap();
    let before = messages(&engine, LOGS, 2);
    drop(engine);
    let retention = Retention { age: None, bytes: Some(1 << 30) };
    for _ in 0..2 {
        let engine = open(directory.path(), Options { logs_retention: retention, ..small() });
        let definition = &engine.stream_report(LOGS).unwrap().definition;
        assert_eq!((definition.retention_ms, definition.retention_bytes), (None, Some(1 << 30)));
        assert_eq!(messages(&engine, LOGS, 2), before, "the definition is replayed after the records");
    }
}

#[test]
fn an_open_that_is_refused_leaves_the_lock_with_the_first_engine() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), small());
    // Each attempt opens and closes the lock file anew: with POSIX's record locks, the first close would give it free.
    for _ in 0..3 {
        let disk = Arc::new(Disk::new(directory.path()).unwrap());
        assert_eq!(Engine::open(disk, small()).unwrap_err().kind(), ErrorKind::DirectoryLocked);
    }
    engine.ingest(Request::new(&route::DRAIN, Box::new(drain(1, "after")))).unwrap();
    drop(engine);
    assert_eq!(messages(&open(directory.path(), small()), LOGS, 2).len(), 1);
}
