//! Every single byte of a small data directory, flipped: no effect, or named. Never a panic, never silent loss.

use std::path::Path;

use forebay_core::status::Mode;
use forebay_core::{Access, Options};

use crate::common::{self, read_all};
use crate::directory::{Directory, Ended, ingest, options};

/// Every so many bytes of a stretch of zeros.
const ZEROS_STEP: u64 = 509;
/// Every so many flips, the log is also written to and opened again.
const GO_ON_STEP: u64 = 23;

/// Counts of what flipped bytes led to.
#[derive(Debug, Default)]
struct Outcomes {
    none: u64,
    quarantined: u64,
    read_only: u64,
}

fn flip(directory: &Directory, path: &Path, position: u64, outcomes: &mut Outcomes) {
    let what = format!("{} byte {position}", path.display());
    let storage = directory.storage.kill();
    let mask = 1 << (position % 8);
    assert!(storage.flip(path, position, mask), "{what}");
    let count = outcomes.none + outcomes.quarantined + outcomes.read_only;
    let engine = common::open(&storage, &options()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = read_all(&engine).unwrap_or_else(|error| panic!("{what}: {error}"));
    let report = engine.report();
    let missing = directory.assert_subset(&found);
    let name = path.to_string_lossy();
    let named = report.damages.iter().any(|damage| damage.file == name);
    match report.mode {
        Mode::Running if report.damages.is_empty() => {
            assert_eq!(found, directory.records, "{what}: nothing is named");
            outcomes.none += 1;
        }
        Mode::Running => {
            assert!(name.starts_with("segments/"), "{what}: {report:?}");
            let complete = |d: &forebay_core::status::Damage| d.file == name && d.range.is_some() && d.stream.is_some();
            assert!(report.damages.iter().all(complete), "{what}: {report:?}");
            assert!(missing <= 3, "{what}: {missing} records are missing, more than a block's");
            outcomes.quarantined += 1;
        }
        _ => {
            assert_eq!(report.mode, Mode::ReadOnly, "{what}");
            assert!(named, "{what} is not named: {:?}", report.damages);
            outcomes.read_only += 1;
        }
    }
    if report.mode == Mode::Running && count.is_multiple_of(GO_ON_STEP) {
        ingest(&engine, 95);
        let before = read_all(&engine).unwrap();
        drop(engine);
        let engine = common::open(&storage, &options()).unwrap();
        assert_eq!(read_all(&engine).unwrap(), before, "{what}: after going on");
    }
}

fn flip_everything(directory: &Directory) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let read_only = Options { access: Access::ReadOnly, ..options() };
    directory.assert_whole(&directory.open().1);
    assert!(common::open(&directory.storage.kill(), &read_only).is_ok());
    for (path, length) in directory.storage.files() {
        let bytes = directory.storage.contents(&path).unwrap();
        for position in 0..length {
            let zero = bytes[usize::try_from(position).unwrap()] == 0;
            let alone = zero && position > 0 && bytes[usize::try_from(position).unwrap() - 1] == 0;
            if !alone || position.is_multiple_of(ZEROS_STEP) {
                flip(directory, &path, position, &mut outcomes);
            }
        }
    }
    outcomes
}

#[test]
fn every_flipped_byte_of_a_closed_directory_is_named_or_has_no_effect() {
    let outcomes = flip_everything(&Directory::written(0, Ended::Closed).trimmed());
    assert!(outcomes.read_only > 500 && outcomes.none > 50, "{outcomes:?}");
}

#[test]
fn every_flipped_byte_of_a_killed_directory_is_named_or_has_no_effect() {
    let outcomes = flip_everything(&Directory::written(0, Ended::Quiet).trimmed());
    assert!(outcomes.read_only > 500 && outcomes.none > 50, "{outcomes:?}");
}

#[test]
fn every_flipped_byte_of_a_sealed_directory_is_named_or_has_no_effect() {
    let outcomes = flip_everything(&Directory::written(3, Ended::Closed).trimmed());
    assert!(outcomes.read_only > 500 && outcomes.quarantined > 500, "{outcomes:?}");
}
