#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::storage::Storage;
use crate::storage::faulty::{Fault, Faulty, Operation};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

fn open(storage: &Faulty) -> LogClock {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    LogClock::open(&storage)
}

/// A clock that has run and knows where it stands.
fn running(storage: &Faulty) -> LogClock {
    let clock = open(storage);
    clock.seen(crate::ids::Timestamp(i64::MIN));
    clock.keep(true);
    clock
}

/// A machine whose time stands still but for what a test lets pass.
fn machine(seed: u64) -> Faulty {
    let storage = Faulty::new(seed);
    storage.stop_clocks();
    storage
}

fn same(found: i64, wanted: i64) -> bool {
    found == wanted
}

fn pass(storage: &Faulty, micros: i64) {
    storage.pass(Duration::from_micros(micros.unsigned_abs()));
}

#[test]
fn a_wall_clock_that_is_set_moves_nothing() {
    for step in [8 * DAY, -8 * DAY, 601 * SECOND, -400 * DAY] {
        let storage = machine(1);
        let clock = running(&storage);
        let before = (clock.now(), clock.stamp(), clock.window());
        storage.set_wall_clock(step);
        clock.keep(true);
        for (now, before) in [(clock.now(), before.0), (clock.stamp(), before.1), (clock.window(), before.2)] {
            assert!(same(now.0 - before.0, 0), "{step}");
        }
        assert_eq!(clock.doubt(), None);
        assert!(same(clock.shown(before.1).0 - before.1.0, step), "people read their own clock");
        // And neither does a restart of the process.
        drop(clock);
        pass(&storage, HOUR);
        let clock = open(&storage.kill());
        assert!(same(clock.now().0 - before.0.0, HOUR) && same(clock.window().0 - before.2.0, HOUR), "{step}");
        assert_eq!((clock.doubt(), clock.stamp() >= clock.now()), (None, true));
    }
}

#[test]
fn a_restart_of_the_machine_takes_as_long_as_the_wall_clock_says() {
    let storage = machine(1);
    let clock = running(&storage);
    let before = (clock.now(), clock.window());
    let storage = storage.crash_seeded(1);
    storage.set_wall_clock(HOUR / 2);
    let clock = open(&storage);
    assert!(same(clock.now().0 - before.0.0, HOUR / 2 + 10 * SECOND));
    assert!(same(clock.window().0 - before.1.0, 10 * SECOND), "windows count what the machine ran");
    assert_eq!(clock.doubt(), None);
}

#[test]
fn what_the_wall_clock_says_beyond_the_bound_is_held_until_it_is_released() {
    let storage = machine(1);
    let clock = running(&storage);
    let before = clock.now().0;
    let storage = storage.crash_seeded(1);
    storage.set_wall_clock(8 * DAY);
    let clock = open(&storage);
    assert!(same(clock.now().0 - before, 10 * SECOND));
    assert!(same(clock.stamp().0 - before, 8 * DAY + 10 * SECOND), "what is written is not old when it ends");
    assert!(same(clock.doubt().unwrap().unproven, 8 * DAY));
    clock.keep(true);
    // A restart ends nothing.
    let storage = storage.kill();
    let clock = open(&storage);
    assert!(same(clock.doubt().unwrap().unproven, 8 * DAY));
    assert!(clock.release(true) && !clock.release(true));
    assert!(same(clock.now().0 - before, 8 * DAY + 10 * SECOND) && clock.stamp() >= clock.now());
    assert_eq!((clock.doubt(), open(&storage.kill()).doubt()), (None, None));
}

#[test]
fn a_doubt_ends_when_the_clock_is_set_right() {
    let storage = machine(1);
    let clock = running(&storage);
    let before = clock.now().0;
    let storage = storage.crash_seeded(1);
    storage.set_wall_clock(8 * DAY);
    let clock = open(&storage);
    let ahead = clock.stamp();
    storage.set_wall_clock(-8 * DAY + 60 * SECOND);
    clock.keep(true);
    assert_eq!(clock.doubt(), None);
    assert!(same(clock.now().0 - before, 70 * SECOND) && clock.stamp() < ahead);
}

#[test]
fn a_clock_that_is_behind_at_the_start_is_believed_when_it_is_set() {
    let storage = machine(1);
    let clock = running(&storage);
    let before = clock.now().0;
    let storage = storage.crash_seeded(1);
    storage.set_wall_clock(-8 * DAY);
    let clock = open(&storage);
    assert_eq!((clock.doubt().unwrap().unproven, clock.stamp()), (-8 * DAY, clock.now()));
    storage.set_wall_clock(8 * DAY + 1200 * SECOND);
    clock.keep(true);
    assert!(same(clock.now().0 - before, 1210 * SECOND));
    assert_eq!(clock.doubt(), None);
}

#[test]
fn a_day_of_running_ends_a_doubt() {
    for step in [8 * DAY, -8 * DAY] {
        let storage = machine(1);
        let before = running(&storage).now().0;
        let mut storage = storage.crash_seeded(1);
        storage.set_wall_clock(step);
        let mut ran = 10 * SECOND;
        for part in [10 * HOUR, 13 * HOUR] {
            let clock = open(&storage);
            clock.keep(true);
            pass(&storage, part);
            clock.keep(true);
            assert!(clock.doubt().is_some(), "{step} after {part}");
            ran += part + 10 * SECOND;
            storage = storage.crash_seeded(2);
        }
        let clock = open(&storage);
        pass(&storage, HOUR + 60 * SECOND);
        clock.keep(true);
        assert_eq!(clock.doubt(), None, "{step}");
        assert!(same(clock.now().0 - before, ran + HOUR + 60 * SECOND + step.max(0)), "{step}");
    }
}

#[test]
fn without_an_anchor_the_time_since_the_newest_record_is_unproven() {
    let storage = machine(1);
    let wall = storage.moment().wall.0;
    for (age, held) in [(8 * DAY, true), (HOUR / 2, false), (-400 * DAY, false)] {
        let clock = open(&storage);
        clock.seen(crate::ids::Timestamp(wall - age));
        clock.keep(false);
        assert_eq!(clock.doubt().is_some(), held, "{age}");
        assert!(same(clock.stamp().0 - wall, 0));
        assert!(same(clock.now().0 - wall, if held { -age } else { 0 }));
    }
}

/// In doubt since the machine started with the wall clock `step` away, with a stamp from before, and one from the doubt.
fn doubted(step: i64) -> (Faulty, LogClock, [crate::Timestamp; 2]) {
    let storage = machine(1);
    let clock = running(&storage);
    let before = clock.stamp();
    let storage = storage.crash_seeded(1);
    storage.set_wall_clock(step);
    let clock = open(&storage);
    clock.keep(true);
    pass(&storage, 60 * SECOND);
    let stamp = clock.stamp();
    (storage, clock, [before, stamp])
}

/// How long ago something was written that has this stamp.
fn age(clock: &LogClock, stamp: crate::Timestamp) -> i64 {
    let time = clock.time();
    time.proven.0 - time.of_stamp(stamp).unwrap().0
}

#[test]
fn what_was_written_in_a_doubt_is_as_old_as_it_is_however_the_clock_is_set_in_it() {
    for (wrong, steps) in
        [(2 * HOUR, [8 * DAY, 9000 * HOUR]), (8 * DAY, [-3 * DAY, 20 * DAY]), (-8 * DAY, [38 * DAY, 0])]
    {
        let (mut storage, mut clock, [before, in_doubt]) = doubted(wrong);
        for step in steps {
            storage.set_wall_clock(step);
            clock.keep(true);
            pass(&storage, 60 * SECOND);
            // Nothing of it is lost by a restart.
            storage = storage.kill();
            clock = open(&storage);
        }
        assert_eq!(age(&clock, in_doubt), 120 * SECOND, "{wrong} {steps:?}");
        assert_eq!(age(&clock, before), 190 * SECOND);
        let late = clock.stamp();
        pass(&storage, 60 * SECOND);
        assert_eq!(age(&clock, late), 60 * SECOND);
        assert!(clock.release(true));
        let off = wrong + steps[0] + steps[1];
        for clock in [clock, open(&storage.kill())] {
            assert_eq!(age(&clock, in_doubt), 180 * SECOND, "{wrong} {steps:?}");
            assert_eq!(age(&clock, late), 60 * SECOND);
            assert_eq!(age(&clock, before), 250 * SECOND + off, "the machine was off for that long, says the operator");
            assert_eq!(age(&clock, clock.stamp()), 0);
        }
    }
}

#[test]
fn what_was_written_before_the_machine_was_off_again_does_not_grow_old_by_it() {
    let (storage, clock, [_, in_doubt]) = doubted(8 * DAY);
    clock.keep(true);
    let storage = storage.crash_seeded(1);
    storage.set_wall_clock(20 * DAY);
    let clock = open(&storage);
    assert!(age(&clock, in_doubt) <= 60 * SECOND + 10 * SECOND);
    assert!(clock.release(true));
    assert!(age(&clock, in_doubt) <= 60 * SECOND + 10 * SECOND);
}

#[test]
fn more_leaps_than_are_remembered_make_nothing_older() {
    let (mut storage, mut clock, [_, first]) = doubted(2 * HOUR);
    let mut stamps = vec![(first, clock.now().0 - 60 * SECOND)];
    let mut ages = vec![60 * SECOND];
    for _ in 0..12 {
        storage.set_wall_clock(8 * DAY);
        assert!(clock.release(true));
        storage = storage.crash_seeded(1);
        storage.set_wall_clock(2 * HOUR);
        clock = open(&storage);
        clock.keep(true);
        // As long as a start takes is proven of the time that the machine was off.
        ages.iter_mut().for_each(|age| *age += 8 * DAY + 4 * HOUR + 120 * SECOND);
        stamps.push((clock.stamp(), 0));
        ages.push(0);
    }
    for ((stamp, _), most) in stamps.iter().zip(&ages) {
        assert!(age(&clock, *stamp) <= *most, "{stamp:?}");
    }
    let reopened = open(&storage.kill());
    let written = |clock: &LogClock| stamps.iter().map(|(stamp, _)| clock.time().of_stamp(*stamp)).collect::<Vec<_>>();
    assert_eq!(written(&reopened), written(&clock));
    assert!(written(&clock).is_sorted());
}

#[test]
fn a_doubt_that_an_earlier_version_wrote_down_makes_nothing_older() {
    let (storage, clock, [_, in_doubt]) = doubted(8 * DAY);
    clock.write();
    drop(clock);
    for slot in 0..2 {
        for at in 72..512 {
            let byte = storage.contents(CLOCK_FILE).unwrap()[slot * 512 + at];
            storage.flip(CLOCK_FILE, (slot * 512 + at) as u64, byte);
        }
    }
    let clock = open(&storage.kill());
    assert_eq!(clock.doubt().unwrap().unproven, 8 * DAY);
    assert_eq!(clock.stamp(), clock.now());
    assert!(clock.release(true));
    assert_eq!(age(&clock, in_doubt), 0);
}

#[test]
fn a_torn_anchor_leaves_the_one_before() {
    let storage = machine(1);
    let clock = running(&storage);
    let before = clock.now().0;
    for round in 0..40 {
        clock.write();
        let torn = storage.kill();
        let slot = torn.contents(CLOCK_FILE).unwrap();
        assert_eq!(slot.len(), 1024);
        torn.flip(CLOCK_FILE, 512 * ((round + 1) % 2) + 20, 1);
        torn.set_wall_clock(8 * DAY);
        assert!(same(open(&torn).now().0 - before, 0), "round {round}");
    }
    // Both are damaged: as if there were none.
    storage.flip(CLOCK_FILE, 20, 1);
    storage.flip(CLOCK_FILE, 532, 1);
    storage.set_wall_clock(8 * DAY);
    assert!(same(open(&storage).now().0 - before, 8 * DAY));
}

#[test]
fn a_crash_at_every_step_leaves_a_clock_that_is_right_or_in_doubt() {
    for changes in 0..12 {
        for seed in 0..20 {
            let storage = machine(seed);
            let before = storage.moment().wall.0;
            storage.halt_after(changes);
            let clock = running(&storage);
            clock.write();
            clock.write();
            let after = storage.crash_seeded(seed);
            after.set_wall_clock(8 * DAY);
            let clock = open(&after);
            clock.seen(crate::ids::Timestamp(before));
            assert!(same(clock.now().0 - before, 10 * SECOND) || same(clock.now().0 - before, 0), "{changes} {seed}");
            assert!(clock.doubt().is_some());
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_is_said_and_tried_again() {
    let storage = machine(1);
    let fault = storage.inject(Fault::next(Operation::Sync).on(CLOCK_FILE).always());
    let clock = running(&storage);
    assert!(clock.problem().unwrap().contains(CLOCK_FILE));
    storage.clear(fault);
    clock.keep(true);
    assert!(clock.problem().is_some(), "not each second");
    pass(&storage, 61 * SECOND);
    clock.keep(true);
    assert_eq!(clock.problem(), None);
    assert!(storage.stable_contents(Path::new(CLOCK_FILE)).is_some());
    let quiet = storage.calls(Operation::Write);
    pass(&storage, 59 * SECOND);
    clock.keep(true);
    clock.keep(false);
    assert_eq!(storage.calls(Operation::Write), quiet);
}
