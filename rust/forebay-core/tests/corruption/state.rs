//! Damaged and missing state files, and what an interrupted sealing leaves behind.

use forebay_core::storage::Storage;
use forebay_core::storage::faulty::{Fault, Faulty, Operation};

use crate::common::{self, read_all, wait_sealed};
use crate::directory::{Directory, Ended, assert_read_only, assert_refuses, ingest, options};

#[test]
fn a_damaged_delta_is_named_and_starts_read_only() {
    let directory = Directory::written(3, Ended::Closed);
    let deltas = directory.files("delta");
    assert!(deltas.len() >= 3);
    for path in &deltas {
        for position in [0, 20, 45, 60] {
            let storage = directory.storage.kill();
            if !storage.flip(path, position, 2) {
                continue; // A delta without changes is shorter.
            }
            let engine = common::open(&storage, &options()).unwrap();
            assert_read_only(&engine.report(), &path.to_string_lossy());
            directory.assert_subset(&read_all(&engine).unwrap());
            assert_refuses(&engine);
        }
    }
}

#[test]
fn a_missing_delta_is_named() {
    let directory = Directory::written(3, Ended::Closed);
    for path in directory.files("delta") {
        let storage = directory.storage.kill();
        storage.remove(&path).unwrap();
        let engine = common::open(&storage, &options()).unwrap();
        if engine.report().damages.is_empty() {
            // The last ones may stand for nothing but the end of a file.
            directory.assert_whole(&engine);
            continue;
        }
        assert_read_only(&engine.report(), "");
        assert_refuses(&engine);
        // A start must not clean up files that it does not know of.
        drop(engine);
        assert_eq!(storage.calls(Operation::Remove), 1, "only the test's own");
    }
}

/// Enough deltas that they are merged into a base.
fn merged() -> Directory {
    let storage = Faulty::new(6);
    let engine = common::open(&storage, &common::sealing_soon()).unwrap();
    engine.create_stream("other", 2).unwrap();
    drop(engine);
    for batch in 0..66 {
        let engine = common::open(&storage, &options()).unwrap();
        ingest(&engine, batch);
        common::until("sealing", || engine.report().seal_backlog_files == 0);
    }
    let engine = common::open(&storage, &options()).unwrap();
    common::until("sealing", || engine.report().seal_backlog_files == 0);
    let records = read_all(&engine).unwrap();
    drop(engine);
    Directory { storage: storage.kill(), records }
}

#[test]
fn deltas_are_merged_and_a_damaged_base_is_named() {
    let directory = merged();
    assert!(directory.files("delta").len() < 64);
    let base = directory.files("base");
    assert_eq!(base.len(), 1, "{base:?}");
    let (_, engine) = directory.open();
    directory.assert_whole(&engine);
    drop(engine);
    directory.storage.flip(&base[0], 100, 1);
    let (_, engine) = directory.open();
    assert_read_only(&engine.report(), &base[0].to_string_lossy());
    assert_refuses(&engine);
}

/// The files of a merge that failed when it began to remove them; they are superseded by the base.
fn half_merged() -> Directory {
    let storage = Faulty::new(9);
    let engine = common::open(&storage, &options()).unwrap();
    engine.create_stream("other", 2).unwrap();
    drop(engine);
    let fault = storage.inject(Fault::next(Operation::Remove).on(".delta"));
    for batch in 0.. {
        let engine = common::open(&storage, &options()).unwrap();
        common::until("sealing", || engine.report().seal_backlog_files == 0 || storage.hits(fault) > 0);
        if storage.hits(fault) > 0 {
            break;
        }
        ingest(&engine, batch);
    }
    let storage = storage.kill();
    let engine = common::open(&storage, &options()).unwrap();
    let records = read_all(&engine).unwrap();
    drop(engine);
    Directory { storage, records }
}

#[test]
fn superseded_state_files_are_not_read_and_go_with_the_next_merge() {
    let directory = half_merged();
    let [base] = &directory.files("base")[..] else { panic!("one base: {:?}", directory.files("base")) };
    let older: Vec<_> =
        directory.files("delta").into_iter().filter(|path| path.file_stem() <= base.file_stem()).collect();
    assert!(older.len() > 60, "{older:?}");
    // Damage in what does not count is none.
    directory.storage.flip(&older[0], 50, 1);
    let (storage, engine) = directory.open();
    assert_eq!(engine.report().damages, []);
    directory.assert_whole(&engine);
    drop(engine);
    let mut batch = 100;
    while storage.contents(base).is_some() {
        let engine = common::open(&storage, &options()).unwrap();
        ingest(&engine, batch);
        batch += 1;
        common::until("sealing", || engine.report().seal_backlog_files == 0);
    }
    let engine = common::open(&storage, &options()).unwrap();
    common::until("the end of the merge", || older.iter().all(|path| storage.contents(path).is_none()));
    assert_eq!(engine.report().damages, []);
    let found = read_all(&engine).unwrap();
    assert!(directory.records.iter().all(|(place, log)| found[place].records.starts_with(&log.records)));
}

#[test]
fn unfinished_files_and_orphans_are_swept() {
    let directory = Directory::written(2, Ended::Closed);
    let storage = &directory.storage;
    storage.put("state/unfinished", b"half a delta".to_vec());
    storage.put("journal/unfinished", vec![7; 5000]);
    storage.put("segments/00000000000000000099-0000.segment", vec![1; 100]);
    storage.put("segments/readme.txt", b"not ours".to_vec());
    let (storage, engine) = directory.open();
    directory.assert_whole(&engine);
    assert!(storage.contents("segments/00000000000000000099-0000.segment").is_none(), "the orphan is removed");
    assert!(storage.contents("segments/readme.txt").is_some(), "what is not ours stays");
    ingest(&engine, 70);
    drop(engine);
    let engine = common::open(&storage, &options()).unwrap();
    common::until("sealing", || engine.report().seal_backlog_files == 0);
    assert_eq!(engine.report().damages, []);
    assert!(storage.contents("state/unfinished").is_none());
}

/// The process dies between a delta's renaming and the sync of the directory, and the power fails in the next one.
#[test]
fn a_delta_that_is_not_durable_yet_does_not_free_its_journal_file() {
    let mut storage = Faulty::new(7);
    let engine = common::open(&storage, &options()).unwrap();
    engine.create_stream("other", 2).unwrap();
    for batch in 0..3 {
        ingest(&engine, batch);
    }
    let records = read_all(&engine).unwrap();
    drop(engine);
    storage = storage.kill();
    let fault = storage.inject(Fault::nth(Operation::SyncDirectory, 2).on("state").always());
    let engine = common::open(&storage, &options()).unwrap();
    common::until("the failed sync", || storage.hits(fault) > 0);
    let killed = storage.kill();
    drop(engine);
    assert!(killed.files().iter().any(|(path, _)| path.to_string_lossy().ends_with("delta")), "it was renamed");
    let engine = common::open(&killed, &options()).unwrap();
    ingest(&engine, 3);
    let after = read_all(&engine).unwrap();
    for seed in 0..40 {
        let crashed = killed.crash_seeded(seed);
        let engine = common::open(&crashed, &options()).unwrap();
        assert_eq!(engine.report().damages, [], "seed {seed}");
        assert_eq!(read_all(&engine).unwrap(), after, "seed {seed}");
    }
    assert!(records.iter().all(|(place, log)| after[place].records.starts_with(&log.records)));
}

/// A merge that finds the disk full must not undo the sealing before it.
#[test]
fn a_merge_on_a_full_disk_leaves_the_sealed_file_sealed() {
    let storage = Faulty::new(8);
    let engine = common::open(&storage, &options()).unwrap();
    engine.create_stream("other", 2).unwrap();
    drop(engine);
    for batch in 0..63 {
        let engine = common::open(&storage, &options()).unwrap();
        ingest(&engine, batch);
        common::until("sealing", || engine.report().seal_backlog_files == 0);
    }
    let sealed = storage.files().iter().filter(|(path, _)| path.to_string_lossy().ends_with("delta")).count();
    // The next file state/unfinished is a delta's, the one after the base's.
    let skip = u64::try_from(64 - sealed).unwrap();
    let fault = storage.inject(Fault::nth(Operation::Create, skip + 1).on("state").times(1000).no_space());
    let mut batch = 63;
    while storage.hits(fault) == 0 {
        let engine = common::open(&storage, &options()).unwrap();
        ingest(&engine, batch);
        batch += 1;
        common::until("sealing", || engine.report().seal_backlog_files == 0 || storage.hits(fault) > 0);
    }
    storage.clear(fault);
    let engine = common::open(&storage, &options()).unwrap();
    common::until("sealing", || engine.report().seal_backlog_files == 0);
    assert_eq!(engine.report().damages, []);
    let found = read_all(&engine).unwrap();
    assert_eq!(found.values().map(|log| log.records.len()).sum::<usize>(), 5 * batch as usize);
    for (place, log) in &found {
        common::assert_dense(place, log);
    }
    let _ = wait_sealed;
}
