//! Damaged, torn and missing journal files.

use std::path::Path;

use forebay_core::Request;
use forebay_core::ingest::route;
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::{Effect, Fault, Faulty, Operation};

use crate::common::{self, Mark, frames, read_all, wait_sealed};
use crate::directory::{Directory, Ended, assert_read_only, assert_refuses, ingest, missing, options};

/// Overwrites from `position` on, for good.
fn overwrite(storage: &Faulty, path: &Path, position: u64, with: &[u8]) {
    let mut bytes = storage.contents(path).unwrap();
    let at = usize::try_from(position).unwrap();
    bytes[at..at + with.len()].copy_from_slice(with);
    storage.put(path, bytes);
}

#[test]
fn a_torn_tail_is_cut_and_stays_cut() {
    let directory = Directory::written(0, Ended::Busy);
    let path = directory.journal();
    let last = *frames(&directory.storage, &path).iter().rfind(|frame| frame.kind == 1).unwrap();
    // The last commit's pages never came to the disk, but for its first sector.
    overwrite(&directory.storage, &path, last.position + 100, &[0; 400]);
    let (mut storage, mut engine) = directory.open();
    let found = read_all(&engine).unwrap();
    let cut = missing(&directory, &found);
    assert_eq!(cut.len(), 2, "the last commit holds two records: {cut:?}");
    for round in 0..3 {
        assert_eq!(engine.report().damages, [], "round {round}");
        ingest(&engine, 50 + round);
        let before = read_all(&engine).unwrap();
        let next = if round == 1 { storage.kill() } else { storage.crash() };
        drop(engine);
        storage = next;
        engine = common::open(&storage, &options()).unwrap();
        assert_eq!(read_all(&engine).unwrap(), before, "round {round}");
    }
}

/// The tail is cut, the next process commits and tears its tail too: the first cut is not damage.
#[test]
fn the_tail_may_be_cut_twice() {
    let mut directory = Directory::written(0, Ended::Busy);
    for round in 0..4 {
        let path = directory.journal();
        let commits: Vec<_> = frames(&directory.storage, &path).into_iter().filter(|frame| frame.kind == 1).collect();
        let last = commits.last().unwrap();
        overwrite(&directory.storage, &path, last.position, &[0xEE; 64]);
        let (storage, engine) = directory.open();
        assert_eq!(engine.report().damages, [], "round {round}");
        assert!(directory.assert_subset(&read_all(&engine).unwrap()) <= 3);
        ingest(&engine, 60 + round);
        directory.records = read_all(&engine).unwrap();
        directory.storage = storage.kill();
    }
}

#[test]
fn a_damaged_synced_commit_starts_read_only_and_the_rest_is_served() {
    for ended in [Ended::Quiet, Ended::Closed] {
        for nth in 0..12 {
            let directory = Directory::written(0, ended);
            let path = directory.journal();
            let commits: Vec<_> =
                frames(&directory.storage, &path).into_iter().filter(|frame| frame.kind == 1).skip(2).collect();
            let frame = commits[nth];
            assert!(directory.storage.flip(&path, frame.position + frame.bytes - 3, 1));
            let (_, engine) = directory.open();
            let damage = assert_read_only(&engine.report(), &path.to_string_lossy());
            assert_eq!(damage.range, Some((frame.position, 4096)), "{ended:?} {nth}");
            let lost = missing(&directory, &read_all(&engine).unwrap());
            assert_eq!(lost.len(), if nth % 2 == 0 { 3 } else { 2 }, "only the damaged commit is missing: {lost:?}");
            assert_refuses(&engine);
        }
    }
}

#[test]
fn a_read_only_start_changes_nothing() {
    let directory = Directory::written(2, Ended::Closed);
    let path = directory.journal();
    let frame = frames(&directory.storage, &path)[1];
    directory.storage.flip(&path, frame.position + 5, 1);
    let (storage, engine) = directory.open();
    assert_read_only(&engine.report(), "journal");
    drop(engine);
    let changes = [Operation::Write, Operation::Rename, Operation::Remove, Operation::Create, Operation::SetLength];
    assert!(changes.iter().all(|operation| storage.calls(*operation) == 0));
}

#[test]
fn one_damaged_header_copy_has_no_effect_and_two_are_named() {
    let directory = Directory::written(0, Ended::Closed);
    let path = directory.journal();
    for copy in [0, 2048] {
        let (storage, engine) = directory.open();
        drop(engine);
        let storage = storage.kill();
        storage.flip(&path, copy + 9, 0x40);
        let engine = common::open(&storage, &options()).unwrap();
        directory.assert_whole(&engine);
    }
    directory.storage.flip(&path, 9, 0x40);
    directory.storage.flip(&path, 2048 + 20, 0x40);
    let (_, engine) = directory.open();
    assert_read_only(&engine.report(), &path.to_string_lossy());
    assert_refuses(&engine);
}

#[test]
fn a_missing_journal_file_is_named() {
    // Nothing can be sealed, so each process leaves a file of its own.
    let mut storage = Faulty::new(9);
    let mut files = Vec::new();
    for round in 0..3 {
        storage.inject(Fault::next(Operation::Create).on("segments").always().no_space());
        let engine = common::open(&storage, &options()).unwrap();
        if round == 0 {
            engine.create_stream("other", 2).unwrap();
        }
        ingest(&engine, round);
        files.push(crate::directory::newest_written(&storage));
        let left = storage.kill();
        drop(engine);
        storage = left;
    }
    let engine = common::open(&storage.kill(), &options()).unwrap();
    let directory = Directory { records: read_all(&engine).unwrap(), storage };
    assert!(files.is_sorted() && directory.storage.contents(&files[0]).is_some());
    for (file, next) in files.iter().zip(&files[1..]) {
        let storage = directory.storage.kill();
        storage.remove(file).unwrap();
        let engine = common::open(&storage, &options()).unwrap();
        let damage = assert_read_only(&engine.report(), &next.to_string_lossy());
        assert!(damage.what.contains("missing") || damage.what.contains("goes on"), "{}", damage.what);
        directory.assert_subset(&read_all(&engine).unwrap());
    }
}

#[test]
fn a_journal_file_that_cannot_be_read_is_named() {
    let directory = Directory::written(1, Ended::Closed);
    let path = directory.journal();
    assert!(directory.storage.break_reads(&path, 4096..8192));
    let (_, engine) = directory.open();
    assert_read_only(&engine.report(), &path.to_string_lossy());
    let found = read_all(&engine).unwrap();
    assert!(directory.assert_subset(&found) > 0);
    assert!(found.values().any(|log| !log.records.is_empty()), "segments are served");
}

/// A marker whose sync fails is readable in the page cache and not on the disk.
#[test]
fn a_marker_that_was_never_synced_is_not_damage_later() {
    let mut missed = 0;
    for seed in 0..8 {
        let storage = Faulty::new(seed);
        let engine = common::open(&storage, &options()).unwrap();
        engine.create_stream("other", 2).unwrap();
        // The spare file is made by now, and the next sync but one of a journal file is the marker's.
        common::until("the spare file", || storage.files().iter().filter(|(path, _)| is_journal(path)).count() == 2);
        let fault = storage.inject(Fault::nth(Operation::Sync, 2).on("journal/").effect(Effect::Nothing));
        // On a busy machine the spare file's own sync may come only now, and the batch's is the one that fails.
        if engine.ingest(Request::new(&route::DRAIN, common::drain(&Mark::batch(0, 3, 40)))).is_err() {
            missed += 1;
            continue;
        }
        common::until("the marker's sync", || storage.hits(fault) > 0);
        let records = read_all(&engine).unwrap();
        drop(engine);
        let killed = storage.kill();
        let engine = common::open(&killed, &options()).unwrap();
        ingest(&engine, 1);
        let crashed = killed.crash();
        drop(engine);
        let engine = common::open(&crashed, &options()).unwrap();
        assert_eq!(engine.report().damages, [], "{}", engine.report().reason);
        let found = read_all(&engine).unwrap();
        assert!(records.iter().all(|(place, log)| found[place].records.starts_with(&log.records)));
    }
    assert!(missed < 8, "the marker's sync never failed");
}

/// An end that the process wrote and did not come to sync, or whose sync failed, is readable and not on the disk.
#[test]
fn an_end_that_was_never_synced_is_not_damage_later() {
    for effect in [Effect::Nothing, Effect::Later] {
        for seed in 0..12 {
            let storage = Faulty::new(seed);
            let engine = common::open(&storage, &options()).unwrap();
            engine.create_stream("other", 2).unwrap();
            common::until("the spare file", || common::journals_with(&storage, |_| true) == 2);
            engine.ingest(Request::new(&route::DRAIN, common::drain(&Mark::batch(0, 3, 40)))).unwrap();
            let path = crate::directory::newest_written(&storage);
            common::wait_quiet(&storage, &engine);
            let records = read_all(&engine).unwrap();
            let fault = storage.inject(Fault::next(Operation::Sync).on("journal/").always().effect(effect));
            drop(engine);
            assert!(storage.hits(fault) > 0 && frames(&storage, &path).last().is_some_and(|frame| frame.kind == 3));
            let killed = storage.kill();
            // The file is not sealed before the power fails.
            killed.inject(Fault::next(Operation::Create).on("segments").always().no_space());
            let engine = common::open(&killed, &options()).unwrap();
            ingest(&engine, 1);
            let crashed = killed.crash();
            drop(engine);
            let engine = common::open(&crashed, &options()).unwrap();
            assert_eq!(engine.report().damages, [], "{effect:?} {seed}: {}", engine.report().reason);
            let found = read_all(&engine).unwrap();
            assert!(records.iter().all(|(place, log)| found[place].records.starts_with(&log.records)));
        }
    }
}

fn is_journal(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".journal")
}

#[test]
fn a_log_restarted_many_times_keeps_everything_and_does_not_grow() {
    let mut storage = Faulty::new(5);
    let engine = common::open(&storage, &options()).unwrap();
    engine.create_stream("other", 2).unwrap();
    drop(engine);
    let mut records = None;
    for round in 0..60 {
        let engine = common::open(&storage, &options()).unwrap();
        assert_eq!(engine.report().damages, [], "round {round}");
        let found = read_all(&engine).unwrap();
        assert!(records.is_none_or(|records| records == found), "round {round}");
        ingest(&engine, round);
        records = Some(read_all(&engine).unwrap());
        if round % 10 == 9 {
            wait_sealed_files(&engine);
        }
        let next = if round % 3 == 0 { storage.crash() } else { storage.kill() };
        drop(engine);
        storage = next;
    }
    let journals = storage.files().iter().filter(|(path, _)| path.starts_with("journal")).count();
    assert!(journals <= 12, "{journals} journal files");
    let states = storage.files().iter().filter(|(path, _)| path.starts_with("state")).count();
    assert!(states <= 70, "{states} state files");
    let engine = common::open(&storage, &options()).unwrap();
    assert_eq!(Some(read_all(&engine).unwrap()), records);
}

fn wait_sealed_files(engine: &forebay_core::Engine) {
    common::until("sealing", || engine.report().seal_backlog_files == 0);
    let _ = wait_sealed;
}
