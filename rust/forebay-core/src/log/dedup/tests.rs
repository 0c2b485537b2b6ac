#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::ids::{Offset, PartitionId, StreamId, Ticket};
use crate::log::append::{Level, Waiter};
use crate::log::table::Table;

const MINUTE: i64 = 60_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);

fn key(name: u32) -> Key {
    Key::new(b"scope", "logs", &name.to_le_bytes()).unwrap()
}

fn reply() -> Reply {
    Reply::new(Arc::new(Waiter::default()), Ticket(0))
}

fn claim(name: u32, window: Option<Duration>, minutes: i64) -> Claim {
    Claim { key: key(name), keep: Keep::Places, window, now: Timestamp(minutes * MINUTE) }
}

fn placed(base: u64) -> Vec<Placed> {
    vec![Placed { stream: StreamId(3), partition: PartitionId(1), base: Offset(base), records: 7 }]
}

/// Whether it is stored, which a repeat is not; the row that its commit holds.
fn store(dedup: &Arc<Dedup>, claim: Claim, base: u64) -> Option<TableOp> {
    match dedup.begin(claim, b"body", reply()).map_err(|refused| refused.error).unwrap() {
        Begun::Repeat => None,
        Begun::New(reply) => {
            let row = reply.settlement().unwrap().row(&placed(base), 2);
            reply.finish_and_wake(Ok(Receipt::new(Level::memory(), placed(base), 2)));
            Some(row)
        }
    }
}

#[test]
fn each_key_is_remembered_for_the_window_of_its_stream_and_not_longer() {
    let dedup = Dedup::new(Duration::from_secs(600), 1000, Durability::Memory);
    assert!(store(&dedup, claim(1, None, 0), 0).is_some());
    assert!(store(&dedup, claim(2, Some(DAY), 0), 0).is_some());
    for minutes in [1, 9] {
        assert!(store(&dedup, claim(1, None, minutes), 0).is_none(), "within ten minutes");
        assert!(store(&dedup, claim(2, Some(DAY), minutes), 0).is_none());
    }
    assert!(store(&dedup, claim(1, None, 10), 0).is_some(), "after ten minutes");
    for minutes in [10, 60, 24 * 60 - 1] {
        assert!(store(&dedup, claim(2, Some(DAY), minutes), 0).is_none(), "{minutes} minutes later");
    }
    assert!(store(&dedup, claim(2, Some(DAY), 24 * 60), 0).is_some(), "after a day");
}

#[test]
fn a_window_that_was_changed_holds_for_later_requests() {
    let dedup = Dedup::new(Duration::from_secs(600), 1000, Durability::Memory);
    assert!(store(&dedup, claim(1, Some(DAY), 0), 0).is_some());
    assert!(store(&dedup, claim(2, None, 0), 0).is_some());
    assert!(store(&dedup, claim(1, None, 60), 0).is_none(), "what was promised is kept");
    assert!(store(&dedup, claim(2, Some(DAY), 60), 0).is_some(), "and not more");
}

#[test]
fn a_clock_that_is_set_back_forgets_nothing() {
    let dedup = Dedup::new(Duration::from_secs(600), 1000, Durability::Memory);
    assert!(store(&dedup, claim(1, None, 100), 0).is_some());
    assert!(store(&dedup, claim(2, None, 1), 0).is_some());
    for minutes in [1, 50, 109] {
        assert!(store(&dedup, claim(1, None, minutes), 0).is_none(), "minute {minutes}");
    }
}

#[test]
fn a_row_brings_everything_back() {
    let window = Duration::from_secs(600);
    let dedup = Dedup::new(window, 1000, Durability::Memory);
    let row = store(&dedup, claim(1, Some(DAY), 0), 40).unwrap();
    assert_eq!(row.table, Table::Idempotency);
    assert_eq!(row.encoded_bytes(), settlement_bytes(1));
    let value = row.value.unwrap();
    let again = Dedup::new(window, 1000, Durability::Memory);
    again.restore(&row.key, &value, Timestamp(60 * MINUTE));
    let found = again.state.lock().keys.get(key(1), Timestamp(60 * MINUTE)).cloned().unwrap();
    assert_eq!(found.answer(xxh3_64(b"body"), Durability::Memory).unwrap().placed, placed(40));
    assert_eq!((found.quarantined, found.accepted, found.window_seconds), (2, Timestamp(0), 24 * 3600));
    assert!(found.answer(xxh3_64(b"other"), Durability::Memory).is_err());
    assert!(!Dedup::is_past(&value, window, Timestamp(60 * MINUTE)));
    assert!(Dedup::is_past(&value, window, Timestamp(24 * 60 * MINUTE)));
}

#[test]
fn a_row_without_a_window_has_that_of_the_server() {
    let window = Duration::from_secs(600);
    let dedup = Dedup::new(window, 1000, Durability::Memory);
    let row = store(&dedup, claim(1, Some(DAY), 0), 40).unwrap();
    let mut value = row.value.unwrap();
    value.drain(20..24);
    assert!(!Dedup::is_past(&value, window, Timestamp(9 * MINUTE)));
    assert!(Dedup::is_past(&value, window, Timestamp(10 * MINUTE)));
    dedup.restore(&row.key, &value, Timestamp(0));
    let found = dedup.state.lock().keys.get(key(1), Timestamp(0)).cloned().unwrap();
    assert_eq!(found.answer(xxh3_64(b"body"), Durability::Memory).unwrap().placed, placed(40));
}

#[test]
fn keys_have_a_limit_and_their_memory_is_given_back_when_they_are_past() {
    let limit = 20_000;
    let dedup = Dedup::new(Duration::from_secs(600), limit, Durability::Memory);
    for name in 0..20_000 {
        assert!(store(&dedup, claim(name, None, 0), 0).is_some());
    }
    let refused = dedup.begin(claim(20_000, None, 1), b"body", reply()).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Saturated);
    refused.reply.finish_and_wake(Err(refused.error));
    assert!(store(&dedup, claim(3, None, 1), 0).is_none(), "repeats are answered all the same");
    // A request a second later each, until all of them were looked at.
    for second in 0..20 {
        let claim = Claim { now: Timestamp(10 * MINUTE + second * 1_000_000), ..claim(100_000, None, 0) };
        if let Ok(Begun::New(reply)) = dedup.begin(claim, b"body", reply()) {
            reply.finish_and_wake(Err(Error::new(ErrorKind::Closed, "not stored")));
        }
    }
    let state = dedup.state.lock();
    assert_eq!(state.keys.len(), 0);
    assert!(state.keys.slots() < 100, "{} slots are left", state.keys.slots());
}
