//! Reads return every record once, whatever the limits.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Mark;
use forebay_core::log::storage::faulty::Faulty;
use forebay_core::{LOGS, Limits, Offset, Options, PartitionId, Request, Shape};

/// A limit that ends a read inside of one batch must not skip the rest of that batch for the next one.
#[test]
fn small_reads_of_the_ring_and_of_segments_skip_nothing() {
    let engine = common::open(&Faulty::new(1), &Options { logs_partitions: 1, ..common::sealing_soon() }).unwrap();
    for batch in 0..20 {
        engine.ingest(Request::new(Shape::Drain, common::drain(&Mark::batch(batch, 10, 100)))).unwrap();
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
