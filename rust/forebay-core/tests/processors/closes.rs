//! The machine dies while the results of a window of very many keys are written: each is there once, in order.

use forebay_core::storage::faulty::{Faulty, Operation};
use forebay_core::{Access, Engine, Options};

use crate::common;
use crate::reference;
use crate::world::*;

/// Results that have to be on the sink, one a key: as many as `FOREBAY_CLOSE_KEYS` says.
fn keys() -> u32 {
    std::env::var("FOREBAY_CLOSE_KEYS").map_or(20_000, |text| text.parse().expect("FOREBAY_CLOSE_KEYS is a number"))
}

fn options(keys: u32) -> Options {
    // One processor may have half: a key takes less than a kilobyte.
    let processor_state_bytes = (u64::from(keys) * 2048).max(Options::default().processor_state_bytes);
    Options { processor_state_bytes, ..crate::world::options() }
}

fn open(storage: &Faulty, keys: u32) -> Engine {
    common::open(storage, &options(keys)).unwrap()
}

/// Returns a directory in which one window has so many keys, and waits for a record behind it.
fn before_the_close(keys: u32) -> Faulty {
    let storage = Faulty::new(1);
    let engine = open(&storage, keys);
    engine.create_stream(SOURCE, PARTITIONS).unwrap();
    create(&engine, &definition("p", COUNT, BY_RECORDS));
    send_many(&engine, 0, (0..keys).map(|user| Event::new(0, user, 5000, i64::from(user % 100))));
    send_many(&engine, 1, (0..10).map(|user| Event::new(1, user, 5000, 50)));
    wait_caught_up(&engine, "p");
    assert_eq!(metrics(&engine, "p")["metrics"]["results"], 0);
    drop(engine);
    storage
}

/// Calls that change something.
fn changes(storage: &Faulty) -> u64 {
    [Operation::Create, Operation::Rename, Operation::Remove, Operation::CreateDirectory, Operation::SyncDirectory]
        .into_iter()
        .chain([Operation::Write, Operation::Sync, Operation::SetLength])
        .map(|operation| storage.calls(operation))
        .sum()
}

/// Closes the window, until all results are written or the storage has halted.
fn close(engine: &Engine, keys: u32) {
    if try_send(engine, &[Event::last(0), Event::last(1)]).is_ok() {
        wait(engine, "p", "the close", |metrics| {
            metrics["metrics"]["results"] == keys || !metrics["blockedBy"].is_null()
        });
    }
}

fn results_there(left: &Faulty, keys: u32) -> usize {
    // Of a copy: what looks must not change what is looked at.
    let looking = Options { access: Access::ReadOnly, ..options(keys) };
    read(&common::open(&left.kill(), &looking).unwrap(), SINK).len()
}

fn check(engine: &Engine, keys: u32, what: &str) {
    let given = reference::given(&read(engine, SINK));
    assert_eq!(given.len(), keys as usize, "{what}");
    for ((end, user), count) in given {
        let wanted = 1 + u64::from(user[1..].parse::<u32>().unwrap() < 10);
        assert_eq!((end, count), (reference::WINDOW, wanted), "{user} {what}");
    }
}

#[test]
fn every_key_has_its_result_once_whenever_the_machine_dies_in_a_close() {
    const POINTS: u64 = 5;
    let keys = keys();
    let base = before_the_close(keys);
    let whole = base.kill();
    let engine = open(&whole, keys);
    let before = changes(&whole);
    close(&engine, keys);
    let all = changes(&whole) - before;
    check(&engine, keys, "without a crash");
    drop(engine);
    let mut in_between = 0;
    for (power_loss, point) in [false, true].into_iter().flat_map(|loss| (1..=POINTS).map(move |point| (loss, point))) {
        let what = format!("halted at {point} of {POINTS} parts of {all} changes, power loss: {power_loss}");
        let storage = base.kill();
        let engine = open(&storage, keys);
        storage.halt_after(all * point / (POINTS + 1));
        close(&engine, keys);
        storage.halt();
        let left = if power_loss { storage.crash() } else { storage.kill() };
        drop(engine);
        let there = results_there(&left, keys);
        in_between += u32::from(0 < there && there < keys as usize);
        let engine = open(&left, keys);
        send(&engine, &[Event::last(0), Event::last(1)]);
        wait(&engine, "p", "every result", |metrics| {
            metrics["metrics"]["results"] == keys && metrics["metrics"]["lag"] == 0
        });
        check(&engine, keys, &what);
        drop(engine);
        check(&open(&left, keys), keys, &format!("{what}, and started once more"));
    }
    assert!(in_between >= 4, "only {in_between} crashes were in the middle of the close");
}
