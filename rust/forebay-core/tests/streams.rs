//! Streams that come and go: created, deleted, and created again, across restarts, crashes and full disks.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Mark, open, records, sealing_soon, small, until, wait_sealed};
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::{
    Compression, Engine, ErrorKind, LOGS, Limits, MAX_PARTITIONS, Offset, Options, PartitionId, StreamChange,
    StreamReport,
};

fn fill(engine: &Engine, stream: &str, batches: u32, padding: u32) {
    for batch in 0..batches {
        engine.append(stream, &records(stream, &Mark::batch(batch, 20, padding), true), None).unwrap();
    }
}

fn report(engine: &Engine, stream: &str) -> StreamReport {
    engine.stream_report(stream).unwrap()
}

fn count(engine: &Engine, stream: &str) -> u64 {
    report(engine, stream).partitions.iter().map(|(_, start, end)| end.0 - start.0).sum()
}

fn readable(engine: &Engine, stream: &str) -> u64 {
    let partitions = u32::try_from(report(engine, stream).partitions.len()).unwrap();
    (0..partitions).map(|p| common::read_partition(engine, stream, p).unwrap().records.len() as u64).sum()
}

fn segments(storage: &Faulty) -> usize {
    storage.files().iter().filter(|(path, _)| path.to_string_lossy().ends_with(".segment")).count()
}

fn is_sound(storage: &Faulty) {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    let report = forebay_core::verify(&storage).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn an_identity_is_never_given_twice() {
    let storage = Faulty::new(1);
    let mut last = 0;
    for round in 0..4 {
        let engine = open(&storage, &sealing_soon()).unwrap();
        for _ in 0..2 {
            engine.create_stream("orders", 2).unwrap();
            let id = report(&engine, "orders").id;
            assert!(id > last, "round {round}: {id} after {last}");
            last = id;
            assert_eq!(count(&engine, "orders"), 0, "a new stream starts empty");
            fill(&engine, "orders", 3, 100);
            engine.delete_stream("orders").unwrap();
            assert_eq!(engine.delete_stream("orders").unwrap_err().kind(), ErrorKind::StreamNotFound);
            let gone = engine.fetch("orders", PartitionId(0), Offset(0), Limits { records: 1, bytes: 1 });
            assert_eq!(gone.unwrap_err().kind(), ErrorKind::StreamNotFound);
        }
        if round % 2 == 0 {
            wait_sealed(&engine);
        }
        drop(engine);
        is_sound(&storage);
    }
}

#[test]
fn a_deletion_gives_memory_and_files_back() {
    let storage = Faulty::new(2);
    let engine = open(&storage, &small()).unwrap();
    engine.create_stream("big", 3).unwrap();
    engine.create_stream("other", 1).unwrap();
    fill(&engine, "other", 5, 100);
    fill(&engine, "big", 100, 1000);
    until("sealing", || segments(&storage) > 0 && engine.report().seal_backlog_files == 0);
    let (used, of_other) = (engine.report().ring_used_bytes, report(&engine, "other").ring_bytes);
    assert!(used > of_other && report(&engine, "big").segments > 0);
    engine.delete_stream("big").unwrap();
    // The journal file that it is in may stay open for minutes: its memory does not wait for that.
    until("memory", || engine.report().ring_used_bytes == report(&engine, "other").ring_bytes);
    // The other stream's records are moved out of files that are of no other use meanwhile.
    let left = || report(&engine, "other").segments;
    until("the end of files that no other stream uses", || segments(&storage) == left());
    assert_eq!((count(&engine, "other"), readable(&engine, "other")), (100, 100));
    drop(engine);
    is_sound(&storage);
    let engine = open(&storage, &sealing_soon()).unwrap();
    assert_eq!(engine.report().damages, []);
    assert_eq!(readable(&engine, "other"), 100);
    wait_sealed(&engine);
    assert_eq!(readable(&engine, "other"), 100);
}

#[test]
fn a_shared_segment_stays_for_the_others() {
    let storage = Faulty::new(3);
    let engine = open(&storage, &sealing_soon()).unwrap();
    for stream in ["a", "b"] {
        engine.create_stream(stream, 1).unwrap();
    }
    storage.stall_syncs(true);
    std::thread::scope(|scope| {
        for stream in ["a", "b"] {
            let engine = &engine;
            scope.spawn(move || fill(engine, stream, 1, 50));
        }
        assert!(storage.wait_stalled(1, Duration::from_secs(10)));
        storage.stall_syncs(false);
    });
    wait_sealed(&engine);
    engine.delete_stream("a").unwrap();
    assert_eq!(readable(&engine, "b"), 20);
    engine.delete_stream("b").unwrap();
    assert_eq!(segments(&storage), 0);
    assert_eq!(engine.report().damages, []);
}

#[test]
fn a_later_deletion_does_no_harm_to_the_replay() {
    // Deleted, sealed in part, and crashed: each moment of it, with the disk keeping what was synced alone.
    for seed in 0..40 {
        let storage = Faulty::new(seed);
        let options = if seed % 2 == 0 { small() } else { sealing_soon() };
        let engine = open(&storage, &options).unwrap();
        engine.create_stream("gone", 2).unwrap();
        engine.create_stream("kept", 2).unwrap();
        fill(&engine, "gone", 30, 1500);
        fill(&engine, "kept", 10, 200);
        fill(&engine, "gone", u32::try_from(seed % 7).unwrap() * 5, 1500);
        engine.delete_stream("gone").unwrap();
        engine.create_stream("gone", 1).unwrap();
        fill(&engine, "gone", 2, 100);
        fill(&engine, "kept", u32::try_from(seed % 5).unwrap() * 10, 1500);
        let kept = count(&engine, "kept");
        if seed % 3 == 0 {
            until("sealing", || engine.report().seal_backlog_files == 0);
        }
        storage.halt();
        let mut next = if seed % 4 < 2 { storage.crash() } else { storage.kill() };
        drop(engine);
        for changes in [5, 20] {
            // Recovery is interrupted, too.
            next.halt_after(changes);
            drop(open(&next, &options));
            next.halt();
            next = next.crash_seeded(seed);
        }
        let engine = open(&next, &options).unwrap();
        assert_eq!(engine.report().damages, [], "seed {seed}");
        assert_eq!((readable(&engine, "gone"), readable(&engine, "kept")), (40, kept), "seed {seed}");
        drop(engine);
        is_sound(&next);
    }
}

#[test]
fn a_recovery_that_seals_as_it_goes_meets_the_deletion_later() {
    let storage = Faulty::new(4);
    let engine = open(&storage, &Options { ring_bytes: 64 << 20, ..small() }).unwrap();
    engine.create_stream("gone", 1).unwrap();
    engine.create_stream("kept", 1).unwrap();
    // Nothing is sealed: the journal alone knows it, more than a small ring may hold.
    storage.inject(Fault::next(Operation::Create).on("segments/").always().no_space());
    fill(&engine, "gone", 150, 2000);
    fill(&engine, "kept", 10, 200);
    engine.delete_stream("gone").unwrap();
    storage.halt();
    let next = storage.crash();
    drop(engine);
    let engine = open(&next, &small()).unwrap();
    assert_eq!(engine.report().damages, []);
    assert_eq!(readable(&engine, "kept"), 200);
    assert_eq!(engine.stream_report("gone").unwrap_err().kind(), ErrorKind::StreamNotFound);
    drop(engine);
    is_sound(&next);
}

#[test]
fn a_crash_deletes_a_stream_whole_or_not_at_all() {
    for changes in 0..25 {
        let storage = Faulty::new(100 + changes);
        let engine = open(&storage, &sealing_soon()).unwrap();
        engine.create_stream("orders", 2).unwrap();
        fill(&engine, "orders", 5, 500);
        wait_sealed(&engine);
        fill(&engine, "orders", 5, 500);
        storage.halt_after(changes);
        let deleted = engine.delete_stream("orders").is_ok();
        storage.halt();
        let next = storage.crash();
        drop(engine);
        let engine = open(&next, &sealing_soon()).unwrap();
        assert_eq!(engine.report().damages, [], "after {changes}");
        match engine.stream_report("orders") {
            Ok(_) => {
                assert!(!deleted, "after {changes}: it came back");
                assert_eq!(readable(&engine, "orders"), 200, "after {changes}");
            }
            Err(_) => {
                engine.create_stream("orders", 1).unwrap();
                assert_eq!((report(&engine, "orders").id, count(&engine, "orders")), (5, 0), "after {changes}");
            }
        }
        drop(engine);
        is_sound(&next);
    }
}

#[test]
fn appends_under_way_are_stored_or_told_that_the_stream_is_gone() {
    let storage = Faulty::new(5);
    let engine = open(&storage, &small()).unwrap();
    for _ in 0..20 {
        engine.create_stream("busy", 2).unwrap();
        let go_on = AtomicBool::new(true);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (engine, go_on) = (&engine, &go_on);
                scope.spawn(move || {
                    while go_on.load(Ordering::Relaxed) {
                        let marks = Mark::batch(thread, 3, 100);
                        if let Err(error) = engine.append("busy", &records("busy", &marks, true), None) {
                            assert_eq!(error.kind(), ErrorKind::StreamNotFound, "{error}");
                            return;
                        }
                    }
                });
            }
            until("records", || count(&engine, "busy") > 20);
            engine.delete_stream("busy").unwrap();
            go_on.store(false, Ordering::Relaxed);
        });
    }
    until("memory", || engine.report().ring_used_bytes == 0);
    drop(engine);
    is_sound(&storage);
    let engine = open(&storage, &small()).unwrap();
    assert_eq!((engine.report().damages, engine.stream_reports().len()), (Vec::new(), 3));
}

#[test]
fn a_full_disk_can_be_given_room() {
    let storage = Faulty::new(6);
    let engine = open(&storage, &sealing_soon()).unwrap();
    engine.create_stream("big", MAX_PARTITIONS).unwrap();
    fill(&engine, "big", 60, 1000);
    wait_sealed(&engine);
    let used: u64 = storage.files().iter().map(|(_, bytes)| bytes).sum();
    storage.set_capacity(Some(used));
    until("a full disk", || {
        let marks = Mark::batch(0, 20, 4000);
        engine
            .append("big", &records("big", &marks, true), None)
            .is_err_and(|e| e.kind() == ErrorKind::StorageUnavailable)
    });
    engine.delete_stream("big").unwrap();
    let refused = engine.create_stream("next", 1).map(drop);
    assert!(refused.is_ok() || refused.is_err_and(|e| e.kind() == ErrorKind::StorageUnavailable));
    storage.set_capacity(None);
    until("room", || engine.create_stream("further", 1).is_ok());
    assert_eq!(engine.report().damages, []);
}

#[test]
fn the_engines_own_streams_and_bad_choices_are_refused() {
    let storage = Faulty::new(7);
    let engine = open(&storage, &small()).unwrap();
    for name in ["audit", "x.rejected", "p.dead-letter"] {
        assert_eq!(engine.create_stream(name, 1).unwrap_err().kind(), ErrorKind::Forbidden, "{name}");
    }
    for name in [LOGS, "events", "analytics"] {
        assert_eq!(engine.create_stream(name, 1).unwrap_err().kind(), ErrorKind::StreamAlreadyExists);
        assert_eq!(engine.delete_stream(name).unwrap_err().kind(), ErrorKind::Forbidden);
    }
    for name in ["", ".", "..", "a b", "ä", &"x".repeat(250)] {
        assert_eq!(engine.create_stream(name, 1).unwrap_err().kind(), ErrorKind::InvalidRequest, "{name}");
    }
    for partitions in [0, MAX_PARTITIONS + 1] {
        assert_eq!(engine.create_stream("x", partitions).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
    let too_much = [
        StreamChange { retention_ms: Some(u64::MAX), ..StreamChange::default() },
        StreamChange { retention_bytes: Some(u64::MAX), ..StreamChange::default() },
        StreamChange { max_record_bytes: Some(0), ..StreamChange::default() },
        StreamChange { max_record_bytes: Some(1 << 40), ..StreamChange::default() },
    ];
    for change in too_much {
        assert_eq!(engine.create_stream_with("x", 1, change).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
    engine.create_stream(&"x".repeat(249), MAX_PARTITIONS).unwrap();
}

#[test]
fn a_changed_definition_is_durable_and_holds() {
    let storage = Faulty::new(8);
    let engine = open(&storage, &sealing_soon()).unwrap();
    for compression in Compression::ALL {
        let choice = StreamChange { compression: Some(compression), ..StreamChange::default() };
        engine.create_stream_with(compression.name(), 1, choice).unwrap();
        fill(&engine, compression.name(), 10, 500);
    }
    wait_sealed(&engine);
    for compression in Compression::ALL {
        let of = report(&engine, compression.name());
        assert_eq!(of.stored_bytes < of.raw_bytes, compression != Compression::None, "{compression:?}: {of:?}");
        assert_eq!(readable(&engine, compression.name()), 200);
    }
    let change = StreamChange { retention_ms: Some(1), max_record_bytes: Some(700), ..StreamChange::default() };
    engine.alter_stream("gzip", change).unwrap();
    until("retention", || count(&engine, "gzip") == 0);
    drop(engine);
    let engine = open(&storage, &sealing_soon()).unwrap();
    let definition = report(&engine, "gzip").definition;
    assert_eq!((definition.retention_ms, definition.max_record_bytes), (Some(1), 700));
    assert_eq!(definition.compression, Compression::Gzip);
    let marks = Mark::batch(9, 1, 1000);
    let error = engine.append("gzip", &records("gzip", &marks, true), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    engine.alter_stream("gzip", StreamChange { retention_ms: Some(0), ..StreamChange::default() }).unwrap();
    assert_eq!(report(&engine, "gzip").definition.retention_ms, None);
    let missing = engine.alter_stream("missing", StreamChange::default()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::StreamNotFound);
    assert_eq!(engine.alter_stream(LOGS, change).unwrap_err().kind(), ErrorKind::Forbidden);
}

#[test]
fn files_that_are_sealed_after_the_deletion_still_say_how_far_the_stream_went() {
    let storage = Faulty::new(9);
    let engine = open(&storage, &small()).unwrap();
    engine.create_stream("gone", 1).unwrap();
    engine.create_stream("kept", 1).unwrap();
    // One file that the sealer is stuck with, one that waits, and one that is written to.
    let stuck = storage.inject(Fault::next(Operation::Create).on("segments/").always().no_space());
    while engine.report().seal_backlog_files < 2 {
        fill(&engine, "gone", 1, 1500);
    }
    fill(&engine, "gone", 2, 1500);
    fill(&engine, "kept", 2, 100);
    engine.delete_stream("gone").unwrap();
    storage.clear(stuck);
    until("sealing", || engine.report().seal_backlog_files == 0);
    storage.halt();
    let next = storage.crash();
    drop(engine);
    let engine = open(&next, &small()).unwrap();
    assert_eq!(engine.report().damages, [], "the last file goes on where the sealed ones end");
    assert_eq!(readable(&engine, "kept"), 40);
    drop(engine);
    is_sound(&next);
}

/// Files that would be written to for ten minutes are sealed earlier for the sake of what is kept for seconds.
#[test]
fn a_short_retention_holds_on_a_quiet_log() {
    let engine = open(&Faulty::new(11), &small()).unwrap();
    let brief = StreamChange { retention_ms: Some(2000), ..StreamChange::default() };
    engine.create_stream_with("brief", 1, brief).unwrap();
    engine.create_stream("long", 1).unwrap();
    fill(&engine, "brief", 2, 100);
    fill(&engine, "long", 2, 100);
    until("retention", || count(&engine, "brief") == 0);
    assert_eq!(readable(&engine, "long"), 40);
}
