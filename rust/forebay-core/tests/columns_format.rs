//! Blocks of columns as they are on the disk of whoever runs it: a segment that was written once, and what is in it.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{sealing_soon, until};
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, LOGS, Limits, NewRecord, Offset, Options, PartitionId, Retention, verify};

/// So many records, of which the last ones are in a block of rows: they are too few for columns.
const COLUMNS: u64 = 400;
const ROWS: u64 = 20;

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/columns")
}

fn options() -> Options {
    let logs_retention = Retention { age: None, bytes: None };
    Options { logs_partitions: 1, logs_retention, ..sealing_soon() }
}

/// Every way in which a column is kept is that of one of these values.
fn value(n: u64) -> String {
    let mix = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let words = ["alpha", "beta", "gamma", "delta"][n as usize % 4];
    let letters: String = (0..12).map(|at| char::from(b'g' + ((mix >> (at * 5)) % 20) as u8)).collect();
    let optional = if n.is_multiple_of(3) { r#","flag":true"# } else { r#","list":[1,"two",null]"# };
    format!(
        r#"{{"project_id":"p{}","timestamp":"2025-12-04T12:{:02}:{:02}.{:03}Z","level":"{}","service":"api","message":"{words} {} of 10.0.{}.{} took {:03}ms","metadata":{{"id":"{:08x}","n":{},"free":"{letters}"{optional}}}}}"#,
        n % 5,
        n / 60,
        n % 60,
        n % 1000,
        ["info", "warn"][n as usize % 2],
        mix % 100_000,
        n % 7,
        mix % 251,
        mix % 1000,
        mix >> 32,
        (mix % 10_000).cast_signed() - 5_000,
    )
}

fn records(range: std::ops::Range<u64>) -> Vec<NewRecord> {
    let record = |n: u64| NewRecord { key: None, value: value(n).into_bytes(), headers: Vec::new(), timestamp: None };
    range.map(record).collect()
}

fn open(storage: &Faulty) -> Engine {
    common::open(storage, &options()).unwrap()
}

fn append(storage: &Faulty) {
    let engine = open(storage);
    for range in [0..COLUMNS, COLUMNS..COLUMNS + ROWS] {
        engine.append(LOGS, &records(range), Some(PartitionId(0))).unwrap();
        until("sealing", || {
            engine.report().seal_backlog_files == 0 && engine.stream_report(LOGS).unwrap().ring_bytes == 0
        });
    }
}

fn load() -> Faulty {
    let storage = Faulty::new(1);
    for directory in ["journal", "segments", "state"] {
        for entry in fs::read_dir(kept().join(directory)).into_iter().flatten().flatten() {
            storage.put(Path::new(directory).join(entry.file_name()), fs::read(entry.path()).unwrap());
        }
    }
    storage
}

fn assert_holds_everything(engine: &Engine) {
    let mut next = 0;
    // Few at a time: each fetch begins inside of a block.
    while next < COLUMNS + ROWS {
        let batch = engine.fetch(LOGS, PartitionId(0), Offset(next), Limits { records: 37, bytes: 1 << 20 }).unwrap();
        assert_eq!(batch.lost(), 0);
        for (offset, record) in batch.iter() {
            assert_eq!((offset.0, record.value), (next, value(next).as_bytes()));
            next += 1;
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The codecs of all blocks, and the version of the files.
fn codecs(storage: &Faulty) -> Vec<u32> {
    let mut all = Vec::new();
    for (path, _) in storage.files().into_iter().filter(|(path, _)| path.starts_with("segments")) {
        let bytes = storage.contents(path).unwrap();
        assert_eq!(&bytes[..8], b"FBSEGMT2");
        let footer = bytes.len() - 48;
        let index = u64::from_le_bytes(bytes[footer + 8..footer + 16].try_into().unwrap());
        for row in bytes[usize::try_from(index).unwrap()..footer].chunks_exact(72) {
            let at = usize::try_from(u64::from_le_bytes(row[..8].try_into().unwrap())).unwrap();
            let codec = word(&bytes, at + 60);
            if codec == 5 {
                let length = word(&bytes, at + 64) as usize;
                assert_eq!(
                    word(&bytes, at + 68),
                    crc32c::crc32c(&bytes[at + 72..at + 72 + length]),
                    "the directory's CRC"
                );
            }
            all.push(codec);
        }
    }
    all
}

#[test]
fn a_kept_segment_of_columns_is_read() {
    let storage = load();
    assert_eq!(codecs(&storage), [5, 2]);
    let engine = open(&storage);
    assert_eq!(engine.report().damages, []);
    assert_holds_everything(&engine);
}

#[test]
fn what_is_written_now_is_what_was_kept() {
    let (storage, kept) = (Faulty::new(1), load());
    append(&storage);
    let segments = |storage: &Faulty| {
        let paths = storage.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with("segments"));
        paths
            .map(|path| storage.contents(path).unwrap()[32..].to_vec())
            .map(|bytes| bytes[64..bytes.len() - 48].to_vec())
            .collect::<Vec<_>>()
    };
    let of_records =
        |all: Vec<Vec<u8>>| all.into_iter().map(|bytes| bytes[..bytes.len() - 72].to_vec()).collect::<Vec<_>>();
    assert_eq!(
        of_records(segments(&storage)),
        of_records(segments(&kept)),
        "the bytes of a version mean the same for ever"
    );
}

/// Any bit that flips in a segment is found by `verify`, and everything else is still read.
#[test]
fn a_bit_that_flips_anywhere_is_found() {
    let path =
        load().files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with("segments")).min().unwrap();
    let whole = load().contents(&path).unwrap();
    for at in (0..whole.len()).step_by(89) {
        let storage = load();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        storage.put(path.clone(), bytes);
        let shared: std::sync::Arc<dyn Storage> = std::sync::Arc::new(storage.clone());
        let found = verify(&shared);
        assert!(found.is_err() || !found.unwrap().is_clean(), "byte {at}");
        let engine = open(&storage);
        let rows =
            engine.fetch(LOGS, PartitionId(0), Offset(COLUMNS), Limits { records: 100, bytes: 1 << 20 }).unwrap();
        assert_eq!(rows.len() as u64, ROWS, "byte {at}");
    }
}

/// Writes the kept directory anew. Only for a new version of the format, into a directory of its own.
#[test]
#[ignore = "writes into the source tree"]
fn write_the_directory() {
    let storage = Faulty::new(1);
    append(&storage);
    for (path, _) in storage.files() {
        let mut bytes = storage.contents(&path).unwrap();
        if path.starts_with("journal") {
            continue;
        }
        if path.starts_with("segments") || path.starts_with("state") {
            let target = kept().join(&path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, std::mem::take(&mut bytes)).unwrap();
        }
    }
}
