//! Merging state files, compared with tables in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::admission::Budget;
use crate::clock::LogClock;
use crate::log::dedup::DedupLimits;
use crate::options::Durability;
use crate::storage::faulty::Faulty;
use crate::table::Table;

/// More than a merge reads of a file at a time.
const LONG: usize = 100_000;

fn world() -> (Faulty, StateWriter) {
    let storage = Faulty::new(1);
    storage.create_directory(Path::new(STATE_DIRECTORY)).unwrap();
    let machine: Arc<dyn Storage> = Arc::new(storage.clone());
    let clock = Arc::new(LogClock::open(&machine));
    let limits = DedupLimits { window: Duration::from_secs(600), keys: 1000, durability: Durability::Memory };
    let dedup = Dedup::new(limits, clock, Budget::new(1 << 30), KeyFiles::new(machine));
    (storage, StateFiles::default().writer(dedup))
}

/// The row of an idempotency key whose window never ends: a merge keeps it as it is.
fn key_row(key: u8, content: u8) -> TableOp {
    let mut value = 0_i64.to_le_bytes().to_vec();
    value.extend_from_slice(&i64::MAX.to_le_bytes());
    value.extend_from_slice(&u64::from(content).to_le_bytes());
    value.push(0);
    TableOp::put(Table::Keys, [key; 16], value)
}

fn any_op() -> impl Strategy<Value = TableOp> {
    let tables = Table::ALL.into_iter().filter(|table| *table != Table::Idempotency).collect::<Vec<_>>();
    let length = prop_oneof![20 => 0..300_usize, 1 => Just(LONG)];
    (prop::sample::select(tables), 0..8_u8, any::<u8>(), prop::option::weighted(0.7, length)).prop_map(
        |(table, key, content, length)| match (table, length) {
            (Table::Keys, _) => key_row(key, content),
            (_, None) => TableOp::delete(table, vec![key; usize::from(key)]),
            (_, Some(length)) => TableOp::put(table, vec![key; usize::from(key)], vec![content; length]),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_merge_holds_what_its_files_hold_in_memory(files in vec((vec(any_op(), 0..40), any::<bool>()), 1..12)) {
        let (storage, mut writer) = world();
        let mut model = Changes::default();
        for ((ops, merges), number) in files.into_iter().zip(1..) {
            let mut changes = Changes::default();
            ops.into_iter().for_each(|op| changes.apply(op));
            writer.write_delta(&storage, Generation(number), Sequence(number), &changes).unwrap();
            model.merge(changes);
            if merges {
                writer.merge(&storage).unwrap();
                model.drop_deleted();
                let files = storage.list(Path::new(STATE_DIRECTORY)).unwrap();
                prop_assert!(matches!(&files[..], [only] if only.name.ends_with(".base")), "{:?}", files);
            }
            let state = StateFiles::load(&storage).unwrap();
            prop_assert!(state.damages.is_empty(), "{:?}", state.damages);
            prop_assert_eq!((state.generation, state.sequence), (Generation(number), Sequence(number)));
            let rows = |changes: &Changes| changes.ops().filter(|op| op.value.is_some()).collect::<Vec<_>>();
            prop_assert!(rows(&state.rows) == rows(&model));
            prop_assert!(!merges || state.rows.len() == model.len(), "a base holds no deletes");
        }
    }
}

fn write_ops(storage: &Faulty, number: u64, builds_on: u64, ops: &[TableOp]) {
    let mut writer = Writer::create(storage).unwrap();
    ops.iter().for_each(|op| writer.put(op).unwrap());
    let span = Span { generation: Generation(number), sequence: Sequence(number), builds_on: Sequence(builds_on) };
    writer.finish(StateFileKind::Delta, span).unwrap();
}

#[test]
fn the_last_of_a_row_counts_in_one_file_too() {
    let (storage, mut writer) = world();
    let put = |value: &str| TableOp::put(Table::WindowState, "w", value);
    write_ops(&storage, 1, 0, &[put("1"), put("2"), put("3"), TableOp::put(Table::WindowState, "x", "1")]);
    write_ops(&storage, 2, 1, &[put("4"), put("5")]);
    writer.merge(&storage).unwrap();
    let rows = StateFiles::load(&storage).unwrap().rows;
    assert_eq!((rows.get(Table::WindowState, b"w"), rows.len()), (Some(&b"5"[..]), 2));
}

#[test]
fn files_that_cannot_be_merged_stay_as_they_are() {
    let put = |key: &str| TableOp::put(Table::WindowState, key, "1");
    for damages in [false, true] {
        let (storage, mut writer) = world();
        write_ops(&storage, 1, 0, &if damages { [put("a"), put("b")] } else { [put("b"), put("a")] });
        write_ops(&storage, 2, 1, &[put("c"), put("d")]);
        if damages {
            assert!(storage.flip(StateFileKind::Delta.path(Generation(1)), 60, 1));
        }
        let before = storage.list(Path::new(STATE_DIRECTORY)).unwrap();
        let error = writer.merge(&storage).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        let after = storage.list(Path::new(STATE_DIRECTORY)).unwrap();
        let named = |entry: &&crate::storage::Entry| entry.name != "unfinished";
        assert_eq!(after.iter().filter(named).collect::<Vec<_>>(), before.iter().collect::<Vec<_>>());
    }
}
