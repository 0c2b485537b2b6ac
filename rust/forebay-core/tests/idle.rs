//! The cost of a log that has nothing to do. A process of its own: it counts the processor time of threads by name.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{Mark, read_all, until};
use forebay_core::ingest::route;
use forebay_core::status::Mode;
use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::{LOGS, Request};

/// A poisoned log waits for nothing: its thread must sleep, not spin over deadlines that passed.
#[test]
fn a_poisoned_log_takes_no_processor_time() {
    let storage = Faulty::new(7);
    let engine = common::open(&storage, &common::sealing_soon()).unwrap();
    storage.inject(Fault::next(Operation::Sync).on("journal/").always());
    until("the poison", || {
        engine.ingest(Request::new(&route::DRAIN, common::drain(&Mark::batch(3, 1, 10)))).is_err()
            && engine.report().mode == Mode::Poisoned
    });
    let calls = || [Operation::Write, Operation::Sync].map(|operation| storage.calls(operation));
    until("quiet", || engine.report().commit_queue == 0);
    let (before, started) = (calls(), processor_ticks("forebay-committ"));
    let deadline = Instant::now() + Duration::from_millis(600);
    until("some time", || Instant::now() > deadline);
    let spent = processor_ticks("forebay-committ") - started;
    assert!(spent < 10, "{spent} hundredths of a second of processor time in 60");
    assert!(calls()[0] <= before[0] + 20, "a poisoned log goes on writing");
    assert_eq!(read_all(&engine).unwrap()[&(LOGS.to_owned(), 0)].records, []);
}

/// Processor time of this process's threads of that name, in hundredths of a second.
fn processor_ticks(name: &str) -> u64 {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == name {
            let stat = read("stat");
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    ticks
}
