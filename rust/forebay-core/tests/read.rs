//! Reads return every record once, whatever the limits.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Mark;
use forebay_core::ingest::route;
use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::{ErrorKind, LOGS, Limits, NewRecord, Offset, Options, PartitionId, Request, Timestamp};

/// A limit that ends a read inside of one batch must not skip the rest of that batch for the next one.
#[test]
fn small_reads_of_the_ring_and_of_segments_skip_nothing() {
    let engine = common::open(&Faulty::new(1), &Options { logs_partitions: 1, ..common::sealing_soon() }).unwrap();
    for batch in 0..20 {
        engine.ingest(Request::new(&route::DRAIN, common::drain(&Mark::batch(batch, 10, 100)))).unwrap();
    }
    let read = |limits: Limits| {
        let (mut offsets, mut offset) = (Vec::new(), Offset(0));
        while offset < Offset(200) {
            let batch = engine.fetch(LOGS, PartitionId(0), offset, limits).unwrap();
            assert!(batch.next_offset() > offset && batch.len() <= limits.records);
            offsets.extend(batch.iter().map(|(at, _)| at.0));
            offset = batch.next_offset();
        }
        offsets
    };
    for sealed in [false, true] {
        for records in [1, 3, 10, 17, usize::MAX] {
            for bytes in [0, 1, 700, 3000, usize::MAX] {
                let offsets = read(Limits { records, bytes });
                assert!(offsets.into_iter().eq(0..200), "sealed {sealed}, at most {records} records, {bytes} bytes");
            }
        }
        common::wait_sealed(&engine);
    }
}

/// One record of `padding` bytes at a time that is no monotonic function of its number.
fn timed(number: i64, padding: usize) -> NewRecord {
    let timestamp = Some(Timestamp(number * 10 + (number * 7919) % 97));
    let value = format!("\"{}\"", "x".repeat(padding)).into_bytes();
    NewRecord { key: None, value, headers: Vec::new(), timestamp }
}

#[test]
fn a_time_is_found_where_a_scan_finds_it() {
    let storage = Faulty::new(2);
    let engine = common::open(&storage, &common::sealing_soon()).unwrap();
    engine.create_stream("timed", 2).unwrap();
    let append = |from: i64, to: i64| {
        for number in from..to {
            // Blocks of a few records, so that most are skipped by their range.
            let records = [timed(2 * number, 9000), timed(2 * number + 1, 9000)];
            engine.append("timed", &records, Some(PartitionId(0))).unwrap();
        }
    };
    append(0, 60);
    common::wait_sealed(&engine);
    append(60, 120);
    common::wait_sealed(&engine);
    append(120, 130);
    let times: Vec<i64> = (0..260).map(|number| timed(number, 0).timestamp.unwrap().0).collect();
    let seek = |time: i64| engine.seek("timed", Some(PartitionId(0)), Timestamp(time)).unwrap();
    for time in (-10..2800).step_by(13).chain([i64::MIN, i64::MAX]) {
        let wanted = times.iter().position(|of| *of >= time).unwrap_or(times.len());
        assert_eq!(seek(time), [(PartitionId(0), Offset(wanted as u64))], "{time}");
    }
    let both = engine.seek("timed", None, Timestamp(500)).unwrap();
    assert_eq!(both.iter().map(|(partition, _)| partition.0).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(both[1].1, Offset(0), "the end of an empty partition");
    // A time behind everything reads indexes and no block.
    let reads = storage.inject(Fault::next(Operation::Read).on("segments"));
    seek(i64::MAX);
    assert_eq!(storage.hits(reads), 0);
    assert_eq!(
        engine.seek("timed", Some(PartitionId(0)), Timestamp(0)).unwrap_err().kind(),
        ErrorKind::StorageUnavailable
    );
    assert_eq!(engine.seek("timed", Some(PartitionId(2)), Timestamp(0)).unwrap_err().kind(), ErrorKind::InvalidRequest);
}
