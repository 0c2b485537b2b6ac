//! The memory that merging state files takes. A process of its own: it counts what is allocated.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "bounds/allocator.rs"]
mod allocator;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay_core::admission::Budget;
use forebay_core::clock::LogClock;
use forebay_core::log::dedup::{Dedup, DedupLimits};
use forebay_core::log::state::{KeyFiles, STATE_DIRECTORY, StateFiles};
use forebay_core::storage::{Disk, Storage};
use forebay_core::table::{Changes, Table, TableOp};
use forebay_core::{Durability, Generation, Sequence};

const MIB: usize = 1024 * 1024;
const ROW_BYTES: usize = 16 * 1024;
const ROWS_A_FILE: u64 = 256;
const FILES: u64 = 12;
/// Of each file 64 KiB and a row, twice as a row grows; and the piece of the base that is written next.
const BOUND: usize = 8 * MIB;

#[test]
fn a_merge_takes_no_more_memory_for_more_rows() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Storage> = Arc::new(Disk::new(directory.path()).unwrap());
    disk.create_directory(Path::new(STATE_DIRECTORY)).unwrap();
    let clock = Arc::new(LogClock::open(&disk));
    let limits = DedupLimits { window: Duration::from_secs(600), keys: 1000, durability: Durability::Memory };
    let dedup = Dedup::new(limits, clock, Budget::new(1 << 30), KeyFiles::new(Arc::clone(&disk)));
    let mut writer = StateFiles::default().writer(dedup);
    for file in 1..=FILES {
        let mut changes = Changes::default();
        for row in 0..ROWS_A_FILE {
            // Some rows are in one file alone, some are in all.
            let key = if row.is_multiple_of(8) { row } else { file << 32 | row };
            changes.apply(TableOp::put(Table::WindowState, key.to_be_bytes(), vec![file as u8; ROW_BYTES]));
        }
        writer.write_delta(disk.as_ref(), Generation(file), Sequence(file), &changes).unwrap();
        drop(changes);
        // Every file outgrows the base at first, none does later.
        allocator::begin();
        writer.merge_when_due(disk.as_ref()).unwrap();
        let taken = allocator::peak();
        assert!(taken < BOUND, "{taken} bytes for {file} files of {} MiB", ROWS_A_FILE as usize * ROW_BYTES / MIB);
    }
    let files = disk.list(Path::new(STATE_DIRECTORY)).unwrap();
    let base = files.iter().find(|entry| entry.name.ends_with(".base")).expect("they were merged");
    assert!(base.bytes as usize > 2 * BOUND, "{files:?}");
    let rows = StateFiles::load(disk.as_ref()).unwrap().rows;
    assert_eq!(rows.len() as u64, ROWS_A_FILE / 8 + FILES * (ROWS_A_FILE - ROWS_A_FILE / 8));
    for (key, value) in rows.rows(Table::WindowState) {
        let file = u64::from_be_bytes(key.try_into().unwrap()) >> 32;
        let newest = if file == 0 { FILES } else { file };
        assert!(value.iter().all(|byte| u64::from(*byte) == newest), "{key:?}");
    }
}
