//! Damage of every kind, and what verify and repair make of it.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "repair/world.rs"]
mod world;

use std::sync::Arc;

use forebay_core::log::state::StateFiles;
use forebay_core::status::Mode;
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::table::Table;
use forebay_core::{Apply, ErrorKind, ReadProgress, repair, repair_with, verify, verify_with};
use world::{World, records};

fn shared(storage: &Faulty) -> Arc<dyn Storage> {
    Arc::new(storage.clone())
}

#[test]
fn a_sound_directory_is_clean_and_repair_changes_nothing() {
    let world = World::new();
    let report = verify(&shared(&world.storage)).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(report.records, world.records.len() as u64);
    assert_eq!((report.streams, report.partitions), (5, 14));
    assert!(report.bytes > 1_000_000 && report.files > 5, "{report:?}");
    let before = world.storage.files();
    let repaired = repair(&shared(&world.storage), Apply::Yes).unwrap();
    assert_eq!(repaired, forebay_core::RepairReport::default());
    assert_eq!(world.storage.files(), before);
}

#[test]
fn progress_counts_every_file_of_the_directory_once() {
    let world = World::new();
    let progress = ReadProgress::default();
    let report = verify_with(&shared(&world.storage), &progress).unwrap();
    assert_eq!((progress.read(), progress.total()), (report.bytes, report.bytes));
    // The next one begins anew.
    let journal = world.storage.files().into_iter().find(|(path, _)| path.starts_with("journal")).unwrap();
    world.storage.put("segments/not-the-engine's", vec![0; 10]);
    world.storage.flip(&journal.0, 5000, 1);
    repair_with(&shared(&world.storage), Apply::No, &progress).unwrap();
    assert_eq!((progress.read(), progress.total()), (report.bytes, report.bytes));
}

#[test]
fn the_kept_directory_of_every_version_is_clean() {
    ["v1", "v2", "v3"].into_iter().for_each(check_kept);
}

fn kept(version: &str) -> Faulty {
    let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version);
    let storage = Faulty::new(1);
    for directory in ["journal", "segments", "state"] {
        for entry in std::fs::read_dir(kept.join(directory)).unwrap().flatten() {
            let path = std::path::Path::new(directory).join(entry.file_name());
            storage.put(path, std::fs::read(entry.path()).unwrap());
        }
    }
    storage
}

fn check_kept(version: &str) {
    let storage = kept(version);
    let report = verify(&shared(&storage)).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert!(report.records > 0);
}

#[test]
fn rows_of_stream_processors_outlive_a_repair() {
    let storage = kept("v2");
    let damaged = storage.files().into_iter().find(|(path, _)| path.starts_with("journal")).unwrap().0;
    assert!(storage.flip(&damaged, 4096 + 200, 1));
    let report = repair(&shared(&storage), Apply::Yes).unwrap();
    assert_eq!(report.findings[0].damage.file, damaged.to_string_lossy());
    let state = StateFiles::load(&storage).unwrap();
    let rows = |table| state.rows.rows(table).map(|(key, value)| [key, value]).collect::<Vec<_>>();
    assert_eq!(rows(Table::Processors), [[&b"p"[..], b"{}"]]);
    assert_eq!(rows(Table::Positions), [[&b"p"[..], b"2"]], "of the sound journal file");
    assert_eq!(rows(Table::WindowState), [[&b"changed"[..], b"2"], [b"new", b"2"], [b"old", b"1"]]);
    let only_base = storage.files().into_iter().filter(|(path, _)| path.starts_with("state")).collect::<Vec<_>>();
    assert!(matches!(&only_base[..], [(path, _)] if path.extension().is_some_and(|of| of == "base")), "{only_base:?}");
    assert!(verify(&shared(&storage)).unwrap().is_clean());
}

#[test]
fn a_live_directory_and_one_that_is_none_are_refused() {
    let world = World::new();
    let engine = world::open(&world.storage);
    for error in
        [verify(&shared(&world.storage)).unwrap_err(), repair(&shared(&world.storage), Apply::Yes).unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::DirectoryLocked);
    }
    drop(engine);
    let error = verify(&shared(&Faulty::new(1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageUnavailable);
    assert!(error.detail().contains("not a whole data directory"), "{error}");
}

#[test]
fn a_damaged_block_loses_its_own_records_only() {
    let world = World::new();
    let segment = world.segment();
    let report = world.check("a block", |storage| {
        assert!(storage.flip(&segment, 3000, 1));
    });
    assert!((1..1000).contains(&report.lost_records), "{report:?}");
    assert!(!report.rebuilt);
}

#[test]
fn a_damaged_index_footer_or_header_loses_nothing() {
    let world = World::new();
    let segment = world.segment();
    let length = world.storage.contents(&segment).unwrap().len() as u64;
    for (what, at) in [("the header", 3), ("the index", length - 100), ("the footer", length - 20)] {
        let report = world.check(what, |storage| {
            assert!(storage.flip(&segment, at, 0x80));
        });
        assert_eq!((report.lost_records, report.rebuilt), (0, false), "{what}");
    }
}

#[test]
fn a_cut_a_missing_and_an_unreadable_segment() {
    let world = World::new();
    let segment = world.segment();
    let bytes = world.storage.contents(&segment).unwrap();
    let cut = world.check("cut", |storage| storage.put(&segment, &bytes[..bytes.len() / 2]));
    let missing = world.check("missing", |storage| shared(storage).remove(&segment).unwrap());
    assert!(0 < cut.lost_records && cut.lost_records < missing.lost_records, "{cut:?} {missing:?}");
    let unreadable = world.check("unreadable", |storage| {
        assert!(storage.break_reads(&segment, 4096..8192));
    });
    assert!(0 < unreadable.lost_records && unreadable.lost_records < missing.lost_records, "{unreadable:?}");
}

#[test]
fn damaged_records_of_a_commit_lose_that_run_only() {
    let world = World::new();
    let (journal, frames) = world.journal();
    let (position, payload) = frames[3];
    let report = world.check("records of a commit", |storage| {
        assert!(storage.flip(&journal, (position + payload + 1) as u64, 4));
    });
    assert!((1..=15).contains(&report.lost_records), "{report:?}");
    assert!(report.rebuilt);
}

#[test]
fn a_damaged_commit_loses_that_commit_only() {
    let world = World::new();
    let (journal, frames) = world.journal();
    for at in [0, 3, frames.len() - 1] {
        let report = world.check("a commit's head", |storage| {
            assert!(storage.flip(&journal, frames[at].0 as u64 + 9, 4));
        });
        assert!((1..=30).contains(&report.lost_records), "commit {at}: {report:?}");
    }
    let report = world.check("two commits", |storage| {
        assert!(storage.flip(&journal, frames[2].0 as u64 + 9, 4));
        assert!(storage.flip(&journal, frames[5].0 as u64 + 20, 4));
    });
    assert!((2..=60).contains(&report.lost_records), "{report:?}");
}

#[test]
fn a_journal_without_a_header_loses_what_was_in_it_and_no_offset_is_used_twice() {
    let world = World::new();
    let (journal, frames) = world.journal();
    let one = world.check("one copy of the header", |storage| {
        assert!(storage.flip(&journal, 12, 1));
    });
    assert_eq!((one.lost_records, one.rebuilt), (0, false));
    let both = world.check("both copies", |storage| {
        assert!(storage.flip(&journal, 12, 1) && storage.flip(&journal, 2048 + 12, 1));
    });
    assert_eq!(both.lost_records, world.unsealed);
    // A marker lies between two commits or not, depending on how quickly they came.
    let page = frames[1].0 as u64;
    let unreadable = world.check("unreadable pages", |storage| {
        assert!(storage.break_reads(&journal, page..page + 4096));
    });
    assert!((1..=30).contains(&unreadable.lost_records), "{unreadable:?}");
}

#[test]
fn damaged_state_files_lose_nothing() {
    let world = World::new();
    let files = world.state();
    assert!(files.len() >= 3, "a base and deltas: {files:?}");
    for file in &files {
        let length = world.storage.contents(file).unwrap().len() as u64;
        for at in [3, 20, 50, length / 2, length - 1] {
            let report = world.check(&format!("{file:?} at {at}"), |storage| {
                assert!(storage.flip(file, at, 1));
            });
            assert_eq!((report.lost_records, report.rebuilt), (0, true), "{file:?} at {at}: {report:?}");
        }
        let report = world.check(&format!("{file:?} missing"), |storage| shared(storage).remove(file).unwrap());
        assert_eq!(report.lost_records, 0, "{file:?}");
    }
}

/// The checksums are right, as after a defect of ours or a step back to an older release.
#[test]
fn an_unreadable_definition_starts_read_only_and_is_made_up() {
    let world = World::new();
    let spoil = |storage: &Faulty| world.spoil_definition(storage, "orders");
    let storage = world.storage.kill();
    spoil(&storage);
    let engine = world::open(&storage);
    let report = engine.report();
    assert_eq!(report.mode, Mode::ReadOnly);
    assert!(report.damages.iter().any(|damage| damage.stream.as_deref() == Some("orders")), "{report:?}");
    let is_readable = |place: &world::Place| records(&engine).contains_key(place);
    assert!(world.records.keys().filter(|(stream, ..)| *stream == 5).all(is_readable), "the others are served");
    drop(engine);
    let outcome = world.check("a definition", spoil);
    assert_eq!((outcome.lost_records, outcome.rebuilt), (0, true));
    repair(&shared(&storage), Apply::Yes).unwrap();
    let streams = world::open(&storage).stream_reports();
    assert!(streams.iter().any(|stream| (stream.name.as_str(), stream.id) == ("recovered-4", 4)), "{streams:?}");
}

#[test]
fn everything_at_once() {
    let world = World::new();
    let (journal, frames) = world.journal();
    let (segment, state) = (world.segment(), world.state());
    let report = world.check("everything", |storage| {
        assert!(storage.flip(&journal, frames[3].0 as u64 + 9, 4));
        assert!(storage.flip(&segment, 3000, 1));
        assert!(state.iter().all(|file| storage.flip(file, 60, 1)));
    });
    assert!((1..1000).contains(&report.lost_records), "{report:?}");
}

#[test]
fn an_interrupted_repair_is_run_again() {
    let world = World::new();
    let (journal, frames) = world.journal();
    let segment = world.segment();
    let mut lost = None;
    for changes in 0.. {
        assert!(changes < 1000, "the repair never ends");
        let storage = world.storage.kill();
        assert!(storage.flip(&journal, frames[3].0 as u64 + 9, 4) && storage.flip(&segment, 3000, 1));
        let damaged = storage.kill();
        storage.halt_after(changes);
        let interrupted = repair(&shared(&storage), Apply::Yes);
        let crashed = storage.crash_seeded(changes);
        let again = repair(&shared(&crashed), Apply::Yes).unwrap();
        let outcome = world.judge("interrupted", &damaged, &crashed);
        assert_eq!(*lost.get_or_insert(outcome), outcome, "after {changes} changes: {again:?}");
        if interrupted.is_ok() {
            assert!(changes > 10, "{changes}");
            break;
        }
    }
}

#[test]
fn a_full_disk_is_said_before_anything_changes() {
    let world = World::new();
    let (journal, frames) = world.journal();
    let storage = world.storage.kill();
    assert!(storage.flip(&journal, frames[3].0 as u64 + 9, 4));
    let used: u64 = storage.files().iter().map(|(_, bytes)| bytes).sum();
    storage.set_capacity(Some(used + 1000));
    let before = storage.files();
    let error = repair(&shared(&storage), Apply::Yes).unwrap_err();
    assert!(error.detail().contains("nothing was changed"), "{error}");
    assert_eq!(storage.files(), before);
    storage.set_capacity(None);
    let fault = storage.inject(Fault::next(Operation::Write).on("quarantine"));
    assert_eq!(repair(&shared(&storage), Apply::Yes).unwrap_err().kind(), ErrorKind::StorageUnavailable);
    assert_eq!(storage.hits(fault), 1);
    repair(&shared(&storage), Apply::Yes).unwrap();
    assert!(verify(&shared(&storage)).unwrap().is_clean());
}

#[test]
fn a_plan_changes_nothing_and_says_what_the_repair_does() {
    let world = World::new();
    let segment = world.segment();
    assert!(world.storage.flip(&segment, 3000, 1));
    let before = world.storage.files();
    let planned = repair(&shared(&world.storage), Apply::No).unwrap();
    assert_eq!(world.storage.files(), before);
    let done = repair(&shared(&world.storage), Apply::Yes).unwrap();
    assert_eq!((planned.lost, planned.findings, planned.notes), (done.lost, done.findings, done.notes));
}

#[test]
fn whatever_byte_is_flipped_verify_sees_what_matters() {
    let world = World::new();
    let mut seen = 0;
    for (path, bytes) in world.storage.files() {
        if path.starts_with("LOCK") {
            continue;
        }
        // Prime to every alignment, so that each kind of field is met.
        for at in (0..bytes).step_by(20_011) {
            let storage = world.storage.kill();
            assert!(storage.flip(&path, at, 0x20));
            let report = verify(&shared(&storage)).unwrap();
            if report.is_clean() {
                let engine = world::open(&storage);
                assert!(engine.report().damages.is_empty(), "{path:?} at {at}: {:?}", engine.report());
                assert_eq!(records(&engine), world.records, "{path:?} at {at}");
            } else {
                seen += 1;
                repair(&shared(&storage), Apply::Yes).unwrap();
                world.judge(&format!("{path:?} at {at}"), &storage.kill(), &storage);
            }
        }
    }
    assert!(seen > 20, "{seen}");
}
