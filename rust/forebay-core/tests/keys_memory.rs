//! The memory that idempotency keys take. A process of its own: it looks at its resident memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use forebay_core::admission::Budget;
use forebay_core::clock::LogClock;
use forebay_core::log::dedup::{CachedReply, Dedup, DedupKey, DedupLimits, DedupOutcome, Key};
use forebay_core::log::state::{KeyFiles, StateFiles};
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::Faulty;
use forebay_core::table::{Changes, Table, TableOp};
use forebay_core::{Completer, Durability, Generation, Level, Offset, PartitionId, Placed, Receipt, Result, Sequence};
use forebay_core::{CompletionId, StreamId};

const KEYS: u32 = 200_000;
/// Keys of requests that are on all partitions; the others are on one.
const LARGE: u32 = 4_000;
const PARTITIONS: u32 = 1024;
/// The figure of operations.md, config.py and the limit of `max_idempotency_keys`.
const BYTES_A_KEY: u64 = 64;

#[derive(Debug)]
struct Nobody;

impl Completer for Nobody {
    fn complete(&self, _ticket: CompletionId, outcome: Result<Receipt>) {
        outcome.unwrap();
    }

    fn wake(&self) {}
}

/// Bytes of this process in memory, that are no file's.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn receipt(partitions: u32, number: u32) -> Receipt {
    let run = |partition| Placed {
        stream: StreamId(3),
        partition: PartitionId(partition),
        base: Offset(u64::from(number) * 100),
        records: 100,
    };
    let placed = (0..partitions).map(run).collect();
    Receipt { generation: Generation(1), ..Receipt::new(Level::memory(), placed, 0) }
}

/// Stores one keyed request; the row that its commit holds.
fn store(dedup: &Arc<Dedup>, number: u32, partitions: u32) -> TableOp {
    let key = Key::new(b"sender", "stream", &number.to_le_bytes()).unwrap();
    let claim =
        DedupKey { key, keep: CachedReply::Places, window: None, arrival: forebay_core::Timestamp(1), limiter: None };
    let reply = forebay_core::log::commit::Reply::new(Arc::new(Nobody), CompletionId(0));
    let Ok(DedupOutcome::New(reply)) = dedup.begin(claim, &number.to_le_bytes(), reply) else {
        panic!("{number} is new")
    };
    let receipt = receipt(partitions, number);
    let row = reply.row_of_key(&receipt.placed, 0).unwrap();
    reply.finish_and_wake(Ok(receipt));
    row
}

#[test]
fn a_key_takes_what_is_documented_whatever_the_number_of_partitions() {
    let storage = Faulty::new(1);
    let machine: Arc<dyn Storage> = Arc::new(storage.clone());
    machine.create_directory(std::path::Path::new("state")).unwrap();
    let limits = DedupLimits { window: Duration::from_secs(600), keys: 2_000_000, durability: Durability::Memory };
    let clock = Arc::new(LogClock::open(&machine));
    let dedup = Dedup::new(limits, clock, Budget::new(1 << 30), KeyFiles::new(Arc::clone(&machine)));
    let mut writer = StateFiles::default().writer(Arc::clone(&dedup));
    // Once, for what the allocator and the test itself take.
    let mut warm = Changes::default();
    for number in 0..200 {
        warm.apply(store(&dedup, KEYS + number, PARTITIONS));
    }
    writer.write_delta(machine.as_ref(), Generation(1), Sequence(1), &warm).unwrap();
    drop(warm);
    machine.remove(std::path::Path::new("state/00000000000000000001.delta")).unwrap();
    let before = resident();
    let mut changes = Changes::default();
    for number in 0..KEYS {
        let large = number % (KEYS / LARGE) == 0;
        let row = store(&dedup, number, if large { PARTITIONS } else { 1 });
        // Sealed in small files, so that rows in memory are not what is measured.
        if large {
            changes.apply(row);
        }
        if changes.len() == 100 {
            dedup.sealed(&std::mem::take(&mut changes));
        }
    }
    dedup.sealed(&changes);
    let grown = resident().saturating_sub(before);
    assert!(grown / u64::from(KEYS) <= BYTES_A_KEY, "{} bytes a key", grown / u64::from(KEYS));
    assert!(grown / u64::from(KEYS) >= 40, "{grown} bytes: nothing was measured");
    assert_eq!(Table::Keys.number(), 9);
}
