//! A storage that fails, is full, or loses power.

use super::World;
use crate::storage::faulty::{Effect, Fault, Operation};

#[test]
fn a_power_loss_leaves_every_point_that_was_synced() {
    for seed in 0..200 {
        let mut world = World::new();
        world.run(15, 1);
        let crashed = World::over(world.storage.crash_seeded(seed), world.now);
        let (ages, damaged) = crashed.ages(1);
        // The twelfth point ended the second minute, and was synced.
        let synced: Vec<i64> = (3..15).rev().map(|index| index * 10).collect();
        assert!(ages.starts_with(&synced), "seed {seed}: {ages:?}");
        assert!(ages.len() as u64 + damaged <= 15, "seed {seed}");
        assert_eq!(crashed.ages(25).0, [90, 30], "seed {seed}");
        let mut crashed = crashed;
        let before = ages.len();
        crashed.run(1, 1);
        assert_eq!(crashed.ages(1).0.len(), before + 1, "seed {seed}");
    }
}

#[test]
fn a_killed_process_leaves_every_point() {
    let mut world = World::new();
    world.run(5, 1);
    let killed = World::over(world.storage.kill(), world.now);
    assert_eq!(killed.ages(1), (vec![40, 30, 20, 10, 0], 0));
}

#[test]
fn every_crash_point_leaves_a_history_that_goes_on() {
    for changes in 0..40 {
        let mut world = World::new();
        world.storage.halt_after(changes);
        world.run(14, 1);
        let mut after = World::over(world.storage.crash(), world.now);
        let found = after.ages(1).0.len();
        after.run(7, 1);
        assert_eq!(after.ages(1).0.len(), found + 7, "crash after {changes} changes");
        assert_eq!(after.history.problem(), None);
    }
}

#[test]
fn a_full_disk_skips_points_says_so_and_goes_on_by_itself() {
    let mut world = World::new();
    world.run(3, 1);
    let full = world.storage.inject(Fault::next(Operation::Write).on("history/").no_space().always());
    world.run(4, 1);
    assert!(world.history.problem().unwrap().contains("No space left"), "{:?}", world.history.problem());
    assert_eq!(world.history.skipped(), 5, "four fine ones and a coarse one");
    world.storage.clear(full);
    world.run(2, 1);
    assert_eq!((world.history.problem(), world.history.skipped()), (None, 5));
    assert_eq!(world.ages(1), (vec![80, 70, 60, 10, 0], 0));
    assert_eq!(world.files()[1].1, 5 * 192, "a point that is skipped takes no place");
}

#[test]
fn a_disk_that_is_full_from_the_start_does_not_stop_anything() {
    let mut world = World::new();
    let full = world.storage.inject(Fault::next(Operation::Create).on("history/").no_space().always());
    world.run(7, 1);
    assert_eq!(world.history.skipped(), 8, "seven fine ones and a coarse one");
    world.storage.clear(full);
    world.run(1, 1);
    assert_eq!(world.ages(1), (vec![0], 0));
}

#[test]
fn a_write_that_fails_halfway_is_written_over() {
    for effect in [Effect::Nothing, Effect::Partial] {
        let mut world = World::new();
        world.run(1, 1);
        world.storage.inject(Fault::next(Operation::Write).on("history/").effect(effect));
        world.run(3, 1);
        assert_eq!(world.ages(1), (vec![30, 10, 0], 0), "{effect:?}");
        assert_eq!(world.restarted().ages(1), (vec![30, 10, 0], 0), "{effect:?}");
    }
}

#[test]
fn a_sync_that_fails_is_told_and_takes_no_point_of_a_running_machine() {
    let mut world = World::new();
    world.storage.inject(Fault::next(Operation::Sync).on("history/"));
    world.run(6, 1);
    assert!(world.history.problem().is_some());
    world.run(1, 1);
    assert_eq!(world.ages(1).0.len(), 7);
}

#[test]
fn a_directory_that_cannot_be_listed_is_tried_again() {
    let mut world = World::new();
    world.run(2, 1);
    world.storage.inject(Fault::next(Operation::List));
    let mut world = world.restarted();
    assert!(world.history.problem().is_some());
    assert_eq!(world.ages(1).0, [0; 0]);
    world.run(3, 1);
    assert_eq!(world.ages(1), (vec![40, 30, 10, 0], 0));
    assert_eq!(world.history.problem(), None);
}

#[test]
fn a_reset_that_cannot_delete_says_so_and_resets_nothing() {
    let mut world = World::new();
    world.run(2, 5);
    world.storage.inject(Fault::next(Operation::Remove).on("history/"));
    assert!(world.history.reset().is_err());
    assert_eq!(world.counters.live.metrics().throughput.total_events, 10);
    assert_eq!(world.ages(1).0, [10, 0]);
    world.history.reset().unwrap();
    assert_eq!(world.counters.live.metrics().throughput.total_events, 0);
}
