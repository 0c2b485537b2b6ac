//! A visit gives what a fetch returns.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::visit::Visit;
use super::*;
use crate::ids::{Offset, PartitionId, Timestamp};
use crate::options::{MIN_JOURNAL_FILE_BYTES, MIN_RING_BYTES, Options};
use crate::record::Records;
use crate::storage::Storage;
use crate::storage::faulty::{Fault, Faulty, Operation};
use crate::stream::{Compression, Stream};
use crate::{Engine, ErrorKind, NewRecord, StreamChange};

const STREAM: &str = "s";
const ONE: PartitionId = PartitionId(0);
const ALL: Limits = Limits { records: usize::MAX, bytes: usize::MAX };

/// A log with a stream that merges nothing, as it has no room for that.
pub(super) fn open() -> (Faulty, Engine) {
    let storage = Faulty::new(1);
    storage.set_capacity(Some(128 << 20));
    let options = Options {
        ring_bytes: MIN_RING_BYTES,
        journal_file_bytes: MIN_JOURNAL_FILE_BYTES,
        journal_file_age: Duration::from_millis(100),
        ..Options::default()
    };
    let engine = Engine::open(Arc::new(storage.clone()), options).unwrap();
    engine.create_stream(STREAM, 1).unwrap();
    (storage, engine)
}

/// The same with blocks that are compressed.
fn open_compressed() -> (Faulty, Engine, Arc<Stream>) {
    let (storage, engine) = open();
    let compressed = StreamChange { compression: Some(Compression::Lz4), ..StreamChange::default() };
    engine.alter_stream(STREAM, compressed).unwrap();
    let stream = engine.catalog.named(STREAM).unwrap();
    (storage, engine, stream)
}

fn append(engine: &Engine, records: usize, bytes: usize) {
    let record = |number: usize| NewRecord {
        key: number.is_multiple_of(2).then(|| number.to_le_bytes().to_vec()),
        value: format!("\"{number}{}\"", "x".repeat(bytes)).into_bytes(),
        headers: if number.is_multiple_of(3) { br#"{"h":"1"}"#.to_vec() } else { Vec::new() },
        timestamp: Some(Timestamp(number as i64 * 1_000_003 % 1000)),
    };
    engine.append(STREAM, &(0..records).map(record).collect::<Vec<_>>(), Some(ONE)).unwrap();
}

pub(super) fn wait_sealed(engine: &Engine) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while engine.report().seal_backlog_files > 0 || engine.stream_report(STREAM).unwrap().ring_bytes > 0 {
        assert!(Instant::now() < deadline, "nothing is sealed");
        std::thread::yield_now();
    }
}

/// A visit, compared with the fetch of the same limits.
fn check(engine: &Engine, stream: &Stream, from: Offset, limits: Limits) -> Visit {
    let mut visited = Vec::new();
    let mut stored = Vec::new();
    let visit = engine.reader.visit(stream, ONE, from, limits, &mut |of| {
        assert_eq!(Records::new(of.stored).next(), Some((of.record, of.stored)));
        visited.push((of.offset, of.append_time));
        stored.extend_from_slice(of.stored);
    });
    let (visit, batch) = (visit.unwrap(), engine.reader.fetch(stream, ONE, from, limits).unwrap());
    assert_eq!((visit.next_offset, visit.gaps.as_slice()), (batch.next_offset(), batch.gaps()), "{from} {limits:?}");
    assert_eq!((visit.records, visit.bytes), (batch.len(), batch.bytes()));
    assert!(batch.iter().map(|(offset, _)| offset).eq(visited.iter().map(|(offset, _)| *offset)));
    assert!(batch.iter().map(|(_, record)| record).eq(Records::new(&stored).map(|(record, _)| record)));
    assert!(batch.iter().enumerate().all(|(index, (_, record))| batch.get(index) == Some(record)));
    assert!(visited.is_sorted(), "records are appended in order");
    visit
}

fn check_everywhere(engine: &Engine, stream: &Stream) -> Visit {
    let end = stream.partition(ONE).unwrap().committed();
    for from in (0..=end.0).step_by(7).chain([end.0]) {
        for records in [0, 1, 10, usize::MAX] {
            for bytes in [0, 3000, 100_000, usize::MAX] {
                check(engine, stream, Offset(from), Limits { records, bytes });
            }
        }
    }
    check(engine, stream, Offset(0), ALL)
}

#[test]
fn a_visit_gives_what_a_fetch_returns() {
    let (storage, engine, stream) = open_compressed();
    append(&engine, 90, 10);
    append(&engine, 40, 9000);
    assert_eq!(check_everywhere(&engine, &stream).records, 130, "of the ring");
    wait_sealed(&engine);
    append(&engine, 30, 3000);
    wait_sealed(&engine);
    append(&engine, 20, 100);
    append(&engine, 1, 20_000);
    let visit = check_everywhere(&engine, &stream);
    assert_eq!((visit.records, visit.gaps), (181, Vec::new()), "of segments and the ring");
    let parts = stream.parts();
    let first = parts.first().unwrap().name.path();
    assert!(storage.flip(&first, 100, 1));
    let visit = check_everywhere(&engine, &stream);
    assert!(matches!(&visit.gaps[..], [gap] if gap.records() < 130), "{:?}", visit.gaps);
    storage.remove(&first).unwrap();
    engine.reader.forget(parts.first().unwrap().name);
    let visit = check_everywhere(&engine, &stream);
    assert!(matches!(&visit.gaps[..], [gap] if gap.records() == 130), "{:?}", visit.gaps);
}

#[test]
fn a_visit_that_fails_gives_nothing_and_one_that_fails_later_what_was_before() {
    let (storage, engine, stream) = open_compressed();
    append(&engine, 400, 1000);
    wait_sealed(&engine);
    let mut given = 0;
    let mut visit = |from| engine.reader.visit(&stream, ONE, from, ALL, &mut |_| given += 1);
    assert_eq!(visit(Offset(401)).unwrap_err().kind(), ErrorKind::InvalidOffset);
    let whole = visit(Offset(0)).unwrap();
    assert_eq!((whole.records, whole.next_offset), (400, Offset(400)));
    storage.inject(Fault::nth(Operation::Read, 2).on("segments/").always());
    let part = visit(Offset(0)).unwrap();
    assert!((1..400).contains(&part.records) && part.gaps.is_empty(), "{part:?}");
    assert_eq!(visit(part.next_offset).unwrap_err().kind(), ErrorKind::StorageUnavailable);
    assert_eq!(given, 400 + part.records);
}

#[test]
fn the_ring_is_visited_where_it_stands() {
    let (_storage, engine, stream) = open_compressed();
    append(&engine, 5, 10);
    let runs = stream.partition(ONE).unwrap().runs_from(Offset(0), usize::MAX, usize::MAX);
    let held = runs[0].bytes().as_ptr_range();
    let mut times = Vec::new();
    engine
        .reader
        .visit(&stream, ONE, Offset(0), ALL, &mut |of| {
            assert!(held.contains(&of.stored.as_ptr()) && held.contains(&of.record.value.as_ptr()));
            times.push(of.append_time);
        })
        .unwrap();
    assert_eq!(times, vec![runs[0].append_time; 5]);
}
