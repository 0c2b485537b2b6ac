//! The process dies, or the machine, at every change of the storage: results are as if nothing had happened.

use forebay_core::storage::faulty::Faulty;

use crate::reference;
use crate::world::*;

fn events(count: u32) -> Vec<Event> {
    // Out of order within the lateness and beyond it, many windows and keys.
    let millis = |number: u32| i64::from(number) * 9 + i64::from(number * 37 % 50) - 25;
    (0..count)
        .map(|number| Event::new(number % 2, number % 3, 1001 - i64::from(number % 5 == 0), millis(number)))
        .collect()
}

/// Runs until the storage halts, or all is sent; returns what is left of the directory, and whether all was done.
fn halted(changes: u64, power_loss: bool, operations: &str) -> (Faulty, bool) {
    let storage = Faulty::new(changes);
    let engine = begin(&storage);
    create(&engine, &definition("p", operations, BY_RECORDS));
    storage.halt_after(changes);
    let whole = try_send(&engine, &events(40)).is_ok();
    storage.halt();
    let left = if power_loss { storage.crash() } else { storage.kill() };
    drop(engine);
    (left, whole)
}

fn sweep(operations: &str, check: impl Fn(&forebay_core::Engine, &str)) {
    for power_loss in [false, true] {
        let mut changes = 0;
        loop {
            let (left, whole) = halted(changes, power_loss, operations);
            let engine = open(&left);
            let what = format!("after {changes} changes, {power_loss}");
            assert_eq!(description(&engine, "p")["status"], "running", "{what}");
            send(&engine, &events(60)[40..]);
            send(&engine, &[Event::last(0), Event::last(1)]);
            wait_caught_up(&engine, "p");
            check(&engine, &what);
            // It does not begin again.
            drop(engine);
            let engine = open(&left);
            check(&engine, &what);
            if whole {
                break;
            }
            changes += 1;
        }
        assert!(changes > 20, "only {changes} changes were met");
    }
}

#[test]
fn every_window_is_counted_once_whenever_the_machine_dies() {
    sweep(COUNT, |engine, what| {
        let wanted = reference::counts(&stored(engine), PARTITIONS);
        assert_eq!(reference::given(&read(engine, SINK)), wanted, "{what}");
    });
}

#[test]
fn every_record_is_copied_once_whenever_the_machine_dies() {
    sweep(COPY, |engine, what| {
        let chosen: Vec<Event> = stored(engine).into_iter().filter(|event| event.amount > 1000).collect();
        let found: Vec<(u32, i64)> = read(engine, SINK).iter().map(|read| (read.partition, read.millis)).collect();
        let wanted: Vec<(u32, i64)> = chosen.iter().map(|event| (event.partition, event.millis)).collect();
        assert_eq!(found, wanted, "{what}");
    });
}
