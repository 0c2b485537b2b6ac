#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::ids::{CompletionId, Offset, PartitionId, StreamId};
use crate::log::commit::{Level, Waiter};
use crate::storage::Storage;
use crate::storage::faulty::Faulty;
use crate::table::Table;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
const WINDOW: Duration = Duration::from_secs(600);

/// A machine, and what is remembered on it.
struct World {
    storage: Faulty,
    dedup: Arc<Dedup>,
    ring: Arc<Budget>,
    limiter: Arc<RateLimiter>,
}

impl World {
    fn new(keys: usize) -> Self {
        let storage = Faulty::new(1);
        let machine: Arc<dyn Storage> = Arc::new(storage.clone());
        let ring = Budget::new(1 << 30);
        let limits = DedupLimits { window: WINDOW, keys, durability: Durability::Memory };
        let (clock, files) = (Arc::new(LogClock::open(&machine)), KeyFiles::new(machine));
        Self {
            storage,
            dedup: Dedup::new(limits, clock, Arc::clone(&ring), files),
            ring,
            limiter: RateLimiter::new("shop"),
        }
    }

    /// Returns the row that its commit holds, if it is stored, which a repeat is not.
    fn store(&self, name: u32, window: Option<Duration>, placed: &[Placed]) -> Option<TableOp> {
        let (arrival, limiter) = (self.storage.moment().wall, Some(Arc::clone(&self.limiter)));
        let claim = DedupKey { key: key(name), keep: CachedReply::Places, window, arrival, limiter };
        match self.dedup.begin(claim, b"body", reply()).map_err(|refused| refused.error).unwrap() {
            DedupOutcome::Repeat => None,
            DedupOutcome::New(reply) => {
                let row = reply.row_of_key(placed, 2).unwrap();
                reply.finish_and_wake(Ok(Receipt::new(Level::memory(), placed.to_vec(), 2)));
                Some(row)
            }
        }
    }

    fn remembers(&self, name: u32) -> bool {
        self.dedup.state.lock().keys.get(key(name), self.dedup.clock.window()).is_some()
    }

    fn keys(&self) -> (usize, usize) {
        let state = self.dedup.state.lock();
        (state.keys.len(), state.keys.slots())
    }
}

fn key(name: u32) -> Key {
    Key::new(b"scope", "logs", &name.to_le_bytes()).unwrap()
}

fn reply() -> Reply {
    Reply::new(Arc::new(Waiter::default()), CompletionId(0))
}

fn placed(partitions: u32) -> Vec<Placed> {
    let run = |partition| Placed {
        stream: StreamId(3),
        partition: PartitionId(partition),
        base: Offset(u64::from(partition) << 40),
        records: 7,
    };
    (0..partitions).map(run).collect()
}

#[test]
fn each_key_is_remembered_for_the_window_of_its_stream_and_not_longer() {
    let world = World::new(1000);
    assert!(world.store(1, None, &placed(1)).is_some() && world.store(2, Some(DAY), &placed(1)).is_some());
    world.storage.pass(9 * MINUTE);
    assert!(world.store(1, Some(DAY), &placed(1)).is_none(), "within ten minutes");
    assert!(world.store(2, None, &placed(1)).is_none());
    world.storage.pass(2 * MINUTE);
    assert!(world.store(1, None, &placed(1)).is_some(), "after ten minutes");
    world.storage.pass(DAY - 12 * MINUTE);
    assert!(world.store(2, None, &placed(1)).is_none(), "within a day");
    world.storage.pass(2 * MINUTE);
    assert!(world.store(2, None, &placed(1)).is_some(), "after a day");
}

#[test]
fn a_wall_clock_that_is_set_forgets_nothing_and_keeps_nothing_longer() {
    for step in [DAY.as_micros() as i64 * 8, -(DAY.as_micros() as i64) * 8, 601_000_000] {
        let world = World::new(1000);
        assert!(world.store(1, None, &placed(1)).is_some());
        world.storage.set_wall_clock(step);
        assert!(world.store(1, None, &placed(1)).is_none(), "{step}");
        world.storage.pass(11 * MINUTE);
        assert!(world.store(1, None, &placed(1)).is_some(), "{step}");
    }
}

#[test]
fn a_row_brings_everything_back() {
    for runs in [0, 1, 2, 1024] {
        let world = World::new(1000);
        let row = world.store(1, Some(DAY), &placed(runs)).unwrap();
        assert_eq!(row.table, Table::Keys);
        assert!(row.encoded_bytes() <= dedup_entry_bytes(runs as usize));
        let (_, remembered) = world.dedup.row(&row).unwrap();
        let found = answer(&remembered.receipt, remembered.accepted, Durability::Memory).unwrap();
        assert_eq!((found.placed, found.quarantined), (placed(runs), 2));
        let again = World::new(1000);
        again.dedup.restore(&row, Generation(1));
        let entry = again.dedup.state.lock().keys.get(key(1), again.dedup.clock.window()).copied().unwrap();
        assert_eq!((entry.body(), entry.key(), entry.receipt().is_some()), (xxh3_64(b"body"), key(1), runs < 2));
        assert_eq!(entry.accepted().millis(), remembered.accepted.millis());
        again.storage.pass(DAY - MINUTE);
        assert!(again.remembers(1) && again.dedup.kept(&row) == Some(row.clone()));
        again.storage.pass(3 * MINUTE);
        assert!(!again.remembers(1) && again.dedup.kept(&row).is_none());
    }
}

/// Earlier versions wrote rows with a window of the stream, or with only that of the server.
#[test]
fn an_older_row_is_read_and_written_anew() {
    let world = World::new(1000);
    let now = world.dedup.clock.window().0;
    for (window, runs) in [(None, 3_u32), (Some(86_400_u32), 1), (Some(86_400), 0), (None, 0)] {
        let mut value = now.to_le_bytes().to_vec();
        value.extend_from_slice(&9_u64.to_le_bytes());
        value.extend_from_slice(&2_u32.to_le_bytes());
        value.extend(window.iter().flat_map(|window| window.to_le_bytes()));
        for run in placed(runs) {
            value.extend_from_slice(&run.stream.0.to_le_bytes());
            value.extend_from_slice(&run.partition.0.to_le_bytes());
            value.extend_from_slice(&run.base.0.to_le_bytes());
            value.extend_from_slice(&run.records.to_le_bytes());
        }
        let op = TableOp::put(Table::Idempotency, key(1).bytes(), value);
        let kept = world.dedup.kept(&op).unwrap();
        assert_eq!(kept.table, Table::Keys);
        let (_, remembered) = world.dedup.row(&kept).unwrap();
        assert_eq!(remembered, world.dedup.row(&op).unwrap().1);
        let window = i64::from(window.unwrap_or(600)) * 1_000_000;
        assert_eq!((remembered.body, remembered.accepted.0, remembered.end.0), (9, now, now + window));
        let found = answer(&remembered.receipt, remembered.accepted, Durability::Memory).unwrap();
        assert_eq!((found.placed, found.quarantined), (placed(runs), 2));
    }
}

#[test]
fn keys_have_a_limit_and_their_memory_is_given_back_when_they_are_past() {
    let world = World::new(20_000);
    for name in 0..20_000 {
        assert!(world.store(name, None, &placed(1)).is_some());
    }
    let claim =
        DedupKey { key: key(20_000), keep: CachedReply::Status, window: None, arrival: Timestamp(0), limiter: None };
    let refused = world.dedup.begin(claim, b"body", reply()).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Saturated);
    refused.reply.finish_and_wake(Err(refused.error));
    assert!(world.store(3, None, &placed(1)).is_none(), "repeats are answered all the same");
    world.storage.pass(11 * MINUTE);
    assert!(world.store(20_000, None, &placed(1)).is_some(), "a request makes its own room");
    for _ in 0..11 {
        world.dedup.forget_some();
    }
    assert!(world.keys().0 == 1 && world.keys().1 <= 1024, "{:?} are left", world.keys());
    world.storage.pass(11 * MINUTE);
    for _ in 0..11 {
        world.dedup.forget_some();
    }
    assert_eq!(world.keys(), (0, 0));
}

/// Whatever is due, a request does a step of it.
#[test]
fn forgetting_is_done_in_steps() {
    let world = World::new(20_000);
    for name in 0..20_000 {
        assert!(world.store(name, None, &placed(1)).is_some());
    }
    world.storage.pass(11 * MINUTE);
    for name in 20_000..20_010 {
        let before = world.keys().0;
        assert!(world.store(name, None, &placed(1)).is_some());
        assert!(before + 1 - world.keys().0 <= STEP);
    }
    // No key is forgotten where there is room.
    let before = world.keys().0;
    assert!(world.store(20_010, None, &placed(1)).is_some());
    assert_eq!(world.keys().0, before + 1);
}

#[test]
fn receipts_on_the_disk_have_a_limit_too() {
    let world = World::new(100);
    let large = placed(1024);
    let mut names = 0..;
    while names.next().is_some_and(|name| {
        let claim =
            DedupKey { key: key(name), keep: CachedReply::Places, window: None, arrival: Timestamp(0), limiter: None };
        match world.dedup.begin(claim, b"body", reply()) {
            Ok(DedupOutcome::New(reply)) => {
                reply.finish_and_wake(Ok(Receipt::new(Level::memory(), large.clone(), 2)));
                true
            }
            Ok(DedupOutcome::Repeat) => unreachable!("each has its own"),
            Err(refused) => {
                assert!(refused.error.detail().contains("bytes of answers"), "{}", refused.error);
                refused.reply.finish_and_wake(Err(refused.error));
                false
            }
        }
    }) {}
    let bytes = world.dedup.state.lock().keys.bytes_elsewhere();
    assert!((RECEIPT_BYTES * 100..RECEIPT_BYTES * 100 + 40_000).contains(&bytes), "{bytes}");
    world.storage.pass(11 * MINUTE);
    for _ in 0..11 {
        world.dedup.forget_some();
    }
    assert_eq!(world.dedup.state.lock().keys.bytes_elsewhere(), 0);
}

#[test]
fn a_receipt_in_memory_is_charged_until_it_is_sealed() {
    let world = World::new(1000);
    let mut changes = Changes::default();
    changes.apply(world.store(1, None, &placed(1)).unwrap());
    assert_eq!(world.ring.used(), 0, "that is in its entry");
    changes.apply(world.store(2, None, &placed(1024)).unwrap());
    let charged = world.ring.used();
    assert!(charged > 2 * 1024 * 8, "{charged}");
    assert_eq!(world.limiter.held(), charged, "to its token, too");
    assert!(world.store(2, None, &placed(1024)).is_none());
    // The key comes again after its window: the row that is sealed then is not the one that is looked up now.
    world.storage.pass(11 * MINUTE);
    assert!(world.store(2, None, &placed(1000)).is_some());
    world.dedup.sealed(&changes);
    assert!(world.ring.used() > charged / 2 && world.ring.used() < charged);
    let mut later = Changes::default();
    later.apply(row_of(&world, 2, &placed(1000)));
    world.dedup.sealed(&later);
    assert_eq!((world.ring.used(), world.limiter.held()), (0, 0));
}

fn row_of(world: &World, name: u32, placed: &[Placed]) -> TableOp {
    let end = end(world.dedup.clock.window(), WINDOW);
    let receipt = encode(CachedReply::Places, placed, 2);
    Remembered { body: xxh3_64(b"body"), accepted: Timestamp(0), end, receipt }.row(key(name))
}

/// The table against the one of the standard library.
#[test]
fn the_table_finds_what_was_put_in() {
    let mut keys = Keys::new();
    let mut model: HashMap<u32, u64> = HashMap::new();
    let mut state = 7_u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..200_000_u64 {
        // It grows for a while, and shrinks for a while.
        let (growing, name) = (round % 40_000 < 20_000, draw(30_000) as u32);
        let now = Timestamp(round.cast_signed() * 1_000_000);
        if growing || draw(8) == 0 {
            let life = if growing { draw(30_000) } else { draw(10) };
            let remembered = Remembered {
                body: round,
                accepted: Timestamp(round.cast_signed() * 1000),
                end: Timestamp(now.0 + life.cast_signed() * 1_000_000),
                receipt: encode(CachedReply::Places, &placed((round % 3) as u32), 0),
            };
            keys.insert(key(name), Entry::new(key(name), &remembered, Generation(round)));
            model.insert(name, now.0.unsigned_abs() / 1_000_000 + life);
        }
        keys.forget_past(now, 2);
        let wanted = model.get(&name).is_some_and(|end| round < *end);
        assert_eq!(keys.get(key(name), now).is_some(), wanted, "round {round}");
        if let Some(entry) = keys.get(key(name), now).filter(|entry| entry.receipt().is_none()) {
            assert_eq!(entry.generation().0, entry.body());
        }
    }
    let end = Timestamp(i64::MAX);
    for _ in 0..2 {
        keys.forget_past(end, keys.round() + 1);
    }
    assert_eq!((keys.len(), keys.slots(), keys.bytes_elsewhere()), (0, 0, 0));
}
