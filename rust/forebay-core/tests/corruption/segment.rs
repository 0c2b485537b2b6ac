//! Damaged and missing segments.

use std::path::PathBuf;

use forebay_core::LOGS;
use forebay_core::status::{Damage, Mode};
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::Faulty;

use crate::common::{self, read_all};
use crate::directory::{Directory, Ended, ingest, missing, options};

struct Block {
    position: u64,
    bytes: u64,
}

/// The blocks of a segment, by its footer and index, read with nothing of the engine's own code.
fn blocks(storage: &Faulty, path: &PathBuf) -> Vec<Block> {
    let bytes = storage.contents(path).unwrap();
    let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let word = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    let footer = bytes.len() - 48;
    let index = usize::try_from(long(footer + 8)).unwrap();
    let rows = usize::try_from(word(footer + 28)).unwrap();
    assert_eq!(index + rows * 72, footer);
    (0..rows)
        .map(|row| index + row * 72)
        .map(|at| Block { position: long(at), bytes: 64 + word(at + 8 + 56) })
        .collect()
}

/// Reads everything of a directory with one damage; returns what is named and how many records are missing.
fn read_damaged(directory: &Directory, storage: &Faulty) -> (Vec<Damage>, usize) {
    let engine = common::open(storage, &options()).unwrap();
    let found = read_all(&engine).unwrap();
    let missing = directory.assert_subset(&found);
    assert_eq!(engine.report().mode, Mode::Running, "a damaged segment does not stop writes");
    ingest(&engine, 90);
    (engine.report().damages, missing)
}

#[test]
fn a_damaged_block_is_left_out_and_named() {
    let directory = Directory::written(3, Ended::Closed);
    let mut damaged = 0;
    for path in directory.files("segment") {
        for block in blocks(&directory.storage, &path) {
            for at in [0, 5, 16, 50, 63, block.bytes - 1] {
                let storage = directory.storage.kill();
                assert!(storage.flip(&path, block.position + at, 0x10));
                let (damages, missing) = read_damaged(&directory, &storage);
                assert_eq!(damages.len(), 1, "{damages:?}");
                assert_eq!(damages[0].file, path.to_string_lossy());
                assert_eq!(damages[0].range, Some((block.position, block.bytes)), "{}", damages[0].what);
                assert!(matches!(damages[0].stream.as_deref(), Some("logs" | "other")));
                assert!((1..=3).contains(&missing), "{missing} records of one block");
                damaged += 1;
            }
        }
    }
    assert!(damaged >= 30);
}

#[test]
fn a_damaged_header_index_or_footer_is_named_and_everything_is_served() {
    let directory = Directory::written(2, Ended::Closed);
    for path in directory.files("segment") {
        let length = directory.storage.contents(&path).unwrap().len() as u64;
        for at in [3, 12, 30, length - 1, length - 48, length - 30, length - 50, length - 49 - 60] {
            let storage = directory.storage.kill();
            assert!(storage.flip(&path, at, 1));
            let (damages, missing) = read_damaged(&directory, &storage);
            assert_eq!(missing, 0, "byte {at} of {length}: {damages:?}");
            assert!(!damages.is_empty() && damages.iter().all(|damage| damage.file == path.to_string_lossy()));
            assert!(damages.iter().all(|damage| damage.range.is_some() && damage.stream.is_some()));
        }
    }
}

#[test]
fn a_damaged_index_and_a_damaged_block_are_both_named() {
    let directory = Directory::written(2, Ended::Closed);
    let path = directory.files("segment")[0].clone();
    let length = directory.storage.contents(&path).unwrap().len() as u64;
    let block = &blocks(&directory.storage, &path)[0];
    let storage = directory.storage.kill();
    storage.flip(&path, length - 60, 1);
    storage.flip(&path, block.position + block.bytes - 1, 1);
    let (damages, missing) = read_damaged(&directory, &storage);
    assert!((1..=3).contains(&missing));
    assert!(damages.iter().any(|damage| damage.what.contains("index")), "{damages:?}");
}

#[test]
fn a_missing_segment_is_named_and_the_rest_is_served() {
    let directory = Directory::written(3, Ended::Closed);
    for path in directory.files("segment") {
        let storage = directory.storage.kill();
        storage.remove(&path).unwrap();
        let (damages, missing) = read_damaged(&directory, &storage);
        assert_eq!(missing, 5, "a segment holds one batch of each stream");
        assert!(damages.iter().all(|damage| damage.file == path.to_string_lossy()), "{damages:?}");
        let mut streams: Vec<_> = damages.iter().filter_map(|damage| damage.stream.as_deref()).collect();
        streams.sort_unstable();
        streams.dedup();
        assert_eq!(streams, [LOGS, "other"]);
    }
}

#[test]
fn a_segment_that_is_cut_short_is_named() {
    let directory = Directory::written(2, Ended::Closed);
    let path = directory.files("segment")[1].clone();
    let bytes = directory.storage.contents(&path).unwrap();
    for length in [0, 10, 32, 100, bytes.len() / 2, bytes.len() - 1] {
        let storage = directory.storage.kill();
        storage.put(&path, bytes[..length].to_vec());
        let (damages, _) = read_damaged(&directory, &storage);
        assert!(damages.iter().any(|damage| damage.file == path.to_string_lossy()), "{length}: {damages:?}");
    }
    let _ = missing;
}
