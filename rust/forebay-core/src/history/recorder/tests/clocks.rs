//! The wall clock is set while points are recorded, and between processes.

use super::{HOUR, World};
use crate::storage::Boot;

fn set_clock(world: &mut World, micros: i64) {
    world.now.wall.0 += micros;
}

fn expected(count: i64) -> Vec<i64> {
    (0..count).rev().map(|index| index * 10).collect()
}

#[test]
fn a_clock_that_is_set_moves_the_points_with_it() {
    let hour = i64::try_from(HOUR).unwrap();
    for step in [-hour, hour, -400 * 24 * hour, 30 * 24 * hour, -5_000_000] {
        let mut world = World::new();
        world.run(5, 1);
        set_clock(&mut world, step);
        // The points move at once, and not only with the next one.
        assert_eq!(world.ages(1), (expected(5), 0), "{step}");
        world.run(5, 1);
        set_clock(&mut world, step / 3);
        world.run(5, 1);
        assert_eq!(world.ages(1), (expected(15), 0), "{step}");
        assert!(world.totals().is_sorted());
        let world = world.restarted();
        assert_eq!(world.ages(1), (expected(15), 0), "{step} after a restart");
    }
}

#[test]
fn a_clock_that_is_trimmed_a_little_leaves_the_points_as_they_were_written() {
    let mut world = World::new();
    world.run(1, 1);
    let written = world.now.wall.0 / 1000;
    set_clock(&mut world, -300_000);
    world.run(3, 1);
    assert_eq!(world.history.answer_at(1, world.now).points[0].timestamp, written);
}

#[test]
fn after_a_reboot_with_the_clock_behind_the_order_is_that_of_the_recording() {
    let mut world = World::new();
    world.run(4, 1);
    world.now.boot = Boot(2);
    world.now.clock = 5_000_000;
    set_clock(&mut world, -i64::try_from(HOUR / 2).unwrap());
    let mut world = world.restarted();
    world.run(3, 1);
    // The earlier life ends where the later one's first interval begins: what lay between is not known.
    assert_eq!(world.ages(1), (vec![60, 50, 40, 30, 20, 10, 0], 0));
}

#[test]
fn after_a_reboot_with_a_right_clock_the_gap_is_shown() {
    let mut world = World::new();
    world.run(2, 1);
    world.now.boot = Boot(2);
    world.now.clock = 5_000_000;
    set_clock(&mut world, 600_000_000);
    let mut world = world.restarted();
    world.run(2, 1);
    assert_eq!(world.ages(1), (vec![630, 620, 10, 0], 0));
}
