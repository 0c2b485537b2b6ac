//! Segments that cannot be read: what fails for now is passed by nobody, what is damaged is left out and told.

use std::path::PathBuf;
use std::time::Instant;

use forebay_core::consumer::{Consume, Fetched, StartAt};
use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::{Engine, ErrorKind, Filter, Gap, Limits, Offset, PartitionId};

use crate::common;
use crate::world::*;

const FILES: u64 = 3;
const RECORDS: u64 = 20;

/// A stream that is sealed in so many segments, with so many records in each partition of each.
fn sealed(partitions: u32) -> Faulty {
    let storage = Faulty::new(7);
    let engine = common::open(&storage, &common::sealing_soon()).unwrap();
    engine.create_stream(STREAM, partitions).unwrap();
    for _ in 0..FILES {
        for partition in 0..partitions {
            append(&engine, partition, RECORDS);
        }
        common::wait_sealed(&engine);
    }
    drop(engine);
    storage
}

fn segments(storage: &Faulty) -> Vec<PathBuf> {
    let paths = storage.files().into_iter().map(|(path, _)| path);
    let mut segments: Vec<_> = paths.filter(|path| path.to_string_lossy().ends_with(".segment")).collect();
    segments.sort();
    segments
}

/// Position and length of a segment's blocks, in the order of their partitions; read with nothing of the engine's code.
fn blocks(storage: &Faulty, path: &PathBuf) -> Vec<(u64, u64)> {
    let bytes = storage.contents(path).unwrap();
    let word = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let footer = bytes.len() - 48;
    let index = usize::try_from(long(footer + 8)).unwrap();
    let rows = (index..footer).step_by(72);
    rows.map(|at| (long(at), 64 + word(at + 8 + 56))).collect()
}

/// The segment that holds the second file's records, and its blocks.
fn second(storage: &Faulty) -> (PathBuf, Vec<(u64, u64)>) {
    let with_blocks: Vec<_> =
        segments(storage).into_iter().map(|path| (path.clone(), blocks(storage, &path))).collect();
    with_blocks.into_iter().filter(|(_, blocks)| !blocks.is_empty()).nth(1).unwrap()
}

fn automatic(engine: &Engine, limit: usize) -> forebay_core::Result<Fetched> {
    engine.groups().consume(&Consume { auto_commit: true, limit, ..plain(Instant::now()) })
}

/// Fails each read and each opening of a segment in turn, and reads everything: nothing is skipped, by no limit, and the
/// failure is an error that can be retried.
#[test]
fn whatever_read_fails_nothing_is_passed() {
    let storage = sealed(1);
    let everything = Filter::new("offset >= 0").unwrap();
    for (operation, filter, limit) in [
        (Operation::Open, None, 100),
        (Operation::Read, None, 100),
        (Operation::Read, None, 7),
        (Operation::Read, Some(&everything), 100),
        (Operation::Read, Some(&everything), 7),
    ] {
        let mut failed = 0;
        for nth in 1.. {
            let storage = storage.kill();
            let engine = engine(&storage);
            let fault = storage.inject(Fault::nth(operation, nth).on("segments/").times(2));
            let (mut given, mut failures) = (Vec::new(), 0);
            while given.len() < (FILES * RECORDS) as usize {
                let before = if given.is_empty() { Vec::new() } else { committed(&engine) };
                let call = Consume { auto_commit: true, limit, filter, ..plain(Instant::now()) };
                match engine.groups().consume(&call) {
                    Ok(fetched) => {
                        given.extend(places(&fetched));
                        assert_eq!(next(&fetched), [given.len() as u64]);
                        assert_eq!(fetched.gaps, []);
                        assert_eq!(committed(&engine), [(0, given.len() as u64)]);
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::StorageUnavailable, "{error}");
                        assert!(error.detail().contains("segments/") && error.detail().contains(STREAM), "{error}");
                        assert_eq!(committed(&engine), before, "a failed call commits nothing");
                        failures += 1;
                    }
                }
            }
            assert!(given.iter().copied().eq((0..FILES * RECORDS).map(|offset| (0, offset))), "{nth}: {given:?}");
            let (damages, hits) = (engine.report().damages, storage.hits(fault));
            assert_eq!(damages, [], "what cannot be read now is not damaged");
            if hits == 0 {
                assert!(nth > 3 && failed > 0, "the fault has to strike");
                break;
            }
            failed += failures;
            assert_eq!(engine.counters().failed_reads.get(), hits);
        }
    }
}

#[test]
fn a_partition_that_cannot_be_read_keeps_its_offset_and_hides_no_other() {
    let storage = sealed(2);
    let (path, blocks) = second(&storage);
    let (position, bytes) = blocks[0];
    assert!(storage.break_reads(&path, position..position + bytes));
    let engine = engine(&storage);
    let mut given = Vec::new();
    for _ in 0..4 {
        let fetched = automatic(&engine, 100).unwrap();
        given.extend(places(&fetched));
        if next(&fetched) == [RECORDS, FILES * RECORDS] {
            break;
        }
    }
    assert_eq!(committed(&engine), [(0, RECORDS), (1, FILES * RECORDS)]);
    let stuck = automatic(&engine, 100).unwrap_err();
    assert_eq!(stuck.kind(), ErrorKind::StorageUnavailable, "nothing else is there to be given");
    append(&engine, 1, 1);
    let mixed = automatic(&engine, 100).unwrap();
    assert_eq!(places(&mixed), [(1, FILES * RECORDS)]);
    let [(PartitionId(0), why)] = mixed.unreadable.as_slice() else { panic!("{:?}", mixed.unreadable) };
    assert_eq!(why.kind(), ErrorKind::StorageUnavailable);
    let metadata = &json(&mixed)["metadata"];
    assert_eq!(metadata["unreadable"]["0"], why.detail());
    assert_eq!((&metadata["nextOffsets"]["0"], &metadata["recordsLost"]), (&RECORDS.into(), &0.into()));
    assert_eq!(committed(&engine), [(0, RECORDS), (1, FILES * RECORDS + 1)]);
    storage.heal_reads(&path);
    let healed = automatic(&engine, 100).unwrap();
    assert!(healed.unreadable.is_empty());
    given.extend(places(&healed));
    let wanted = (0..2).flat_map(|partition| (0..FILES * RECORDS).map(move |offset| (partition, offset)));
    given.sort_unstable();
    assert!(given.into_iter().eq(wanted));
}

#[test]
fn what_is_damaged_is_left_out_and_told() {
    let storage = sealed(1);
    let (path, blocks) = second(&storage);
    assert!(storage.flip(&path, blocks[0].0 + 64 + 3, 1));
    let engine = engine(&storage);
    let lost = Gap { partition: PartitionId(0), from: Offset(RECORDS), to: Offset(2 * RECORDS) };
    let all = engine.groups().consume(&plain(Instant::now())).unwrap();
    assert_eq!(all.gaps, [lost]);
    assert_eq!(all.count(), 40);
    let metadata = &json(&all)["metadata"];
    assert_eq!(metadata["recordsLost"], RECORDS);
    assert_eq!(metadata["gaps"], serde_json::json!([{"partition": 0, "from": RECORDS, "to": 2 * RECORDS}]));
    let before = automatic(&engine, RECORDS as usize).unwrap();
    assert_eq!((before.gaps.len(), next(&before)), (0, vec![RECORDS]), "the gap comes after it");
    let behind = automatic(&engine, 1).unwrap();
    assert_eq!((behind.gaps.as_slice(), places(&behind)), (&[lost][..], vec![(0, 2 * RECORDS)]));
    assert_eq!(committed(&engine), [(0, 2 * RECORDS + 1)]);
    let told = Consume { start_at: StartAt::Latest, gaps: &[lost], ..plain(Instant::now()) };
    let told = engine.groups().consume(&told).unwrap();
    assert_eq!((told.gaps.as_slice(), told.count()), (&[lost][..], 0), "what nobody was told yet is told");
    let batch = engine.fetch(STREAM, PartitionId(0), Offset(0), Limits { records: 100, bytes: 1 << 20 }).unwrap();
    assert_eq!((batch.lost(), batch.gaps()), (RECORDS, &[lost][..]));
}

#[test]
fn a_filter_tells_the_gaps_that_it_passes_and_no_others() {
    let storage = sealed(1);
    let (path, blocks) = second(&storage);
    assert!(storage.flip(&path, blocks[0].0 + 64 + 3, 1));
    let engine = engine(&storage);
    let lost = Gap { partition: PartitionId(0), from: Offset(RECORDS), to: Offset(2 * RECORDS) };
    let early = Filter::new("offset < 5").unwrap();
    let call = Consume { filter: Some(&early), limit: 3, auto_commit: true, ..plain(Instant::now()) };
    let first = engine.groups().consume(&call).unwrap();
    assert_eq!((first.gaps.len(), next(&first)), (0, vec![3]));
    let rest = engine.groups().consume(&call).unwrap();
    assert_eq!((rest.gaps.as_slice(), rest.count(), next(&rest)), (&[lost][..], 2, vec![FILES * RECORDS]));
    let nothing = Filter::new("offset > 1000").unwrap();
    let call = Consume { filter: Some(&nothing), start_at: StartAt::Earliest, ..plain(Instant::now()) };
    let none = engine.groups().consume(&call).unwrap();
    assert_eq!((none.gaps.as_slice(), none.count()), (&[lost][..], 0));
}

#[test]
fn a_missing_file_is_a_gap() {
    let storage = sealed(1);
    let (path, _) = second(&storage);
    forebay_core::storage::Storage::remove(&storage, &path).unwrap();
    let engine = engine(&storage);
    let all = engine.groups().consume(&plain(Instant::now())).unwrap();
    assert_eq!(all.gaps, [Gap { partition: PartitionId(0), from: Offset(RECORDS), to: Offset(2 * RECORDS) }]);
    assert_eq!(all.count() as u64, 2 * RECORDS);
}
