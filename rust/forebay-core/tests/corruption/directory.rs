//! Directories to damage, and what they hold.

use std::collections::BTreeMap;
use std::path::PathBuf;

use forebay_core::ingest::route;
use forebay_core::status::{Damage, Mode};
use forebay_core::storage::faulty::{Faulty, Operation};
use forebay_core::{Engine, LOGS, Options, Report, Request};

use crate::common::{self, Log, Mark, Place, read_all, until, wait_sealed};

/// A directory without an engine on it, and every record in it.
pub struct Directory {
    pub storage: Faulty,
    pub records: BTreeMap<Place, Log>,
}

/// How the engine that wrote a directory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Closed,
    /// The process died some time after the last commit.
    Quiet,
    /// The process died right after the last commit was acknowledged.
    Busy,
}

pub fn options() -> Options {
    Options { workers: 1, ..common::small() }
}

pub fn ingest(engine: &Engine, batch: u32) {
    engine.ingest(Request::new(&route::DRAIN, common::drain(&Mark::batch(batch, 3, 40)))).unwrap();
    let marks = Mark::batch(1000 + batch, 2, 10);
    engine.append("other", &common::records("other", &marks, true), None).unwrap();
}

impl Directory {
    /// Six batches on two streams; the first half of them sealed, each in a journal file and a segment of its own.
    pub fn written(sealed: u32, ended: Ended) -> Self {
        let storage = Faulty::new(1);
        let sealing = Options { workers: 1, ..common::sealing_soon() };
        let mut options = sealing;
        if sealed == 0 {
            options = self::options();
        }
        let mut engine = common::open(&storage, &options).unwrap();
        engine.create_stream("other", 2).unwrap();
        for batch in 0..sealed {
            ingest(&engine, batch);
            wait_sealed(&engine);
        }
        if sealed > 0 {
            drop(engine);
            engine = common::open(&storage, &self::options()).unwrap();
            wait_sealed(&engine);
        }
        for batch in sealed..6 {
            ingest(&engine, batch);
        }
        let records = read_all(&engine).unwrap();
        if ended == Ended::Quiet {
            // The marker is the only thing that a quiet log writes and syncs.
            let path = newest_written(&storage);
            until("the marker", || common::frames(&storage, &path).last().is_some_and(|frame| frame.kind == 2));
            let syncs = storage.calls(Operation::Sync);
            until("the marker's sync", || storage.calls(Operation::Sync) >= syncs);
        }
        if ended == Ended::Closed {
            drop(engine);
            return Self { storage: storage.kill(), records };
        }
        let left = storage.kill();
        Self { storage: left, records }
    }

    /// Cuts the journal files to what is not zeros, so that they are quick to copy: as if the file system had lost the
    /// rest.
    pub fn trimmed(self) -> Self {
        for (path, _) in self.storage.files() {
            let mut bytes = self.storage.contents(&path).unwrap();
            if path.starts_with("journal") {
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                bytes.truncate((used + 8192).next_multiple_of(4096));
                self.storage.put(&path, bytes);
            }
        }
        self
    }

    pub fn open(&self) -> (Faulty, Engine) {
        let storage = self.storage.kill();
        let engine = common::open(&storage, &options()).unwrap();
        (storage, engine)
    }

    /// The journal file with the newest commits.
    pub fn journal(&self) -> PathBuf {
        newest_written(&self.storage)
    }

    pub fn files(&self, part: &str) -> Vec<PathBuf> {
        let all = self.storage.files().into_iter().map(|(path, _)| path);
        all.filter(|path| path.to_string_lossy().contains(part)).collect()
    }

    /// Everything is there, the log runs, and nothing is named.
    pub fn assert_whole(&self, engine: &Engine) {
        assert_eq!(engine.report().damages, []);
        assert_eq!(engine.report().mode, Mode::Running, "{}", engine.report().reason);
        assert_eq!(read_all(engine).unwrap(), self.records);
    }

    /// Checks that all records found were written; returns how many are missing.
    pub fn assert_subset(&self, found: &BTreeMap<Place, Log>) -> usize {
        let mut missing = 0;
        for (place, log) in &self.records {
            let found = found.get(place).map_or(&[][..], |log| &log.records);
            for record in found {
                assert!(log.records.contains(record), "{place:?} has {record:?}, which was never there");
            }
            assert!(found.is_sorted_by(|a, b| a.0 < b.0), "{place:?} is out of order or has records twice");
            missing += log.records.len() - found.len();
        }
        missing
    }
}

pub fn newest_written(storage: &Faulty) -> PathBuf {
    let mut journals = storage.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with("journal"));
    journals.rfind(|path| common::frames(storage, path).iter().any(|frame| frame.kind == 1)).unwrap()
}

/// The log is read-only, says so, and names `file`.
pub fn assert_read_only(report: &Report, file: &str) -> Damage {
    assert_eq!(report.mode, Mode::ReadOnly, "{:?}", report.damages);
    assert!(report.reason.contains("forebay verify") && report.reason.contains("repair"), "{}", report.reason);
    let named = report.damages.iter().find(|damage| damage.file.contains(file));
    named.unwrap_or_else(|| panic!("{file} is not named: {:?}", report.damages)).clone()
}

/// Later writes are refused with the reason.
pub fn assert_refuses(engine: &Engine) {
    let error = engine.ingest(Request::new(&route::DRAIN, common::drain(&Mark::batch(9000, 1, 1)))).unwrap_err();
    assert_eq!(error.kind(), forebay_core::ErrorKind::StorageUnavailable, "{error}");
    assert!(engine.create_stream("further", 1).is_err());
}

/// How many records of the drain's stream are missing.
pub fn missing(directory: &Directory, found: &BTreeMap<Place, Log>) -> Vec<(Place, u64)> {
    let mut missing = Vec::new();
    for (place, log) in &directory.records {
        let there = found.get(place).map_or(&[][..], |log| &log.records);
        missing.extend(log.records.iter().filter(|r| !there.contains(r)).map(|(offset, _)| (place.clone(), *offset)));
    }
    assert!(missing.iter().all(|((stream, _), _)| stream == LOGS || stream == "other"));
    missing
}
