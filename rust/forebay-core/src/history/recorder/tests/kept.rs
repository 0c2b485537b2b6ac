//! Points that are kept, and for how long.

use std::time::Duration;

use super::{SECOND, World};
use crate::history::series::{FILE_POINTS, Resolution};
use crate::status::Mode;
use crate::telemetry::{ErrorType, HealthStatus};

#[test]
fn a_point_has_the_rates_and_latencies_of_its_interval_and_the_totals_of_its_time() {
    let mut world = World::new();
    let live = &world.counters.live;
    live.set_instances(3);
    live.set_health(HealthStatus::Degraded);
    live.stored(100, Duration::from_millis(4));
    live.failed(ErrorType::Storage, 25);
    let _entered = live.in_flight().enter();
    world.run(1, 0);
    world.run(1, 40);
    let answer = world.history.answer_at(1, world.now);
    assert_eq!((answer.hours, answer.resolution_seconds, answer.damaged_points), (1, 10, 0));
    let [first, second] = answer.points.as_slice() else { panic!("{answer:?}") };
    assert_eq!((first.throughput.events_per_second, first.throughput.batches_per_second), (10.0, 0.1));
    assert_eq!(first.latency.avg, 4.0);
    assert!((first.latency.p50 - 4.0).abs() < 0.004 && first.latency.p99 == first.latency.p50);
    assert_eq!((first.errors.error_rate, first.errors.total_errors), (0.2, 25));
    assert_eq!(first.errors.errors_by_type.storage_error, 25);
    assert_eq!((first.system.processing_instances, first.system.queue_depth), (3, 1));
    assert_eq!(first.health.status, "degraded");
    assert_eq!((second.throughput.events_per_second, second.throughput.total_events), (4.0, 140));
    assert!((second.latency.p50 - 2.0).abs() < 0.002);
    assert_eq!(second.errors.error_rate, 0.0);
    assert_eq!(second.timestamp - first.timestamp, 10_000);
    assert_eq!(second.timestamp, world.now.wall.0 / 1000);
}

#[test]
fn an_interval_that_took_longer_is_not_taken_for_a_burst() {
    let mut world = World::new();
    world.counters.live.stored(600, Duration::ZERO);
    world.pass(50 * SECOND);
    world.run(1, 0);
    let answer = world.history.answer_at(1, world.now);
    assert_eq!(answer.points[0].throughput.events_per_second, 10.0);
}

#[test]
fn beyond_a_day_every_point_is_of_a_minute() {
    let mut world = World::new();
    world.run(12, 6);
    let fine = world.history.answer_at(24, world.now);
    assert_eq!((fine.resolution_seconds, fine.points.len()), (10, 12));
    let coarse = world.history.answer_at(25, world.now);
    assert_eq!((coarse.resolution_seconds, coarse.points.len()), (60, 2));
    assert_eq!(coarse.points[0].throughput.events_per_second, 0.6);
    assert_eq!(coarse.points[1].timestamp - coarse.points[0].timestamp, 60_000);
    assert_eq!(coarse.points[1].throughput.total_events, 72);
}

#[test]
fn the_space_is_bounded_and_holds_a_day_and_a_week() {
    let mut world = World::new();
    world.run(8 * 24 * 360, 1);
    let (fine, damaged) = world.ages(24);
    assert_eq!((fine.len(), damaged), (24 * 360, 0));
    let (coarse, damaged) = world.ages(168);
    assert_eq!((coarse.len(), damaged), (7 * 24 * 60, 0));
    // The oldest one's interval began a week ago.
    assert_eq!((coarse[0], coarse[1], *coarse.last().unwrap()), (168 * 3600 - 60, 168 * 3600 - 120, 0));
    let most: u64 = [Resolution::Fine, Resolution::Coarse].map(|series| series.kept() + FILE_POINTS).iter().sum();
    let bytes: u64 = world.files().iter().map(|(_, bytes)| bytes).sum();
    assert!(bytes <= most * 192, "{bytes} bytes");
    assert!(world.files().len() < 60);
}

#[test]
fn a_range_ends_where_it_should() {
    let mut world = World::new();
    world.run(3 * 360, 0);
    for hours in [1, 2] {
        let (ages, _) = world.ages(hours);
        assert_eq!((ages[0], ages.len()), (i64::from(hours) * 3600, hours as usize * 360 + 1));
    }
}

#[test]
fn after_a_restart_the_old_points_are_there_and_the_time_between_is_a_gap() {
    let mut world = World::new();
    world.run(5, 1);
    world.pass(100 * SECOND);
    let mut world = world.restarted();
    world.run(2, 1);
    assert_eq!(world.ages(1), (vec![160, 150, 140, 130, 120, 10, 0], 0));
    assert_eq!(world.files().len(), 1, "a restart goes on in the same file");
}

#[test]
fn a_reset_deletes_all_of_it_durably_and_begins_anew() {
    let mut world = World::new();
    world.run(7, 100);
    world.history.reset().unwrap();
    assert_eq!(world.files(), []);
    assert_eq!(world.ages(24).0, [0; 0]);
    for seed in 0..50 {
        let crashed = world.storage.crash_seeded(seed);
        assert_eq!(crashed.files().iter().filter(|(path, _)| path.starts_with("history")).count(), 0, "seed {seed}");
    }
    world.run(2, 10);
    assert_eq!(world.totals(), [10, 20]);
    let world = world.restarted();
    assert_eq!(world.ages(1), (vec![10, 0], 0));
}

#[test]
fn a_log_that_takes_no_writes_gets_no_points_and_keeps_those_it_had() {
    for mode in [Mode::ReadOnly, Mode::Poisoned, Mode::Closed] {
        let mut world = World::new();
        world.run(3, 1);
        world.status.set(mode, "a test");
        let before = world.files();
        world.run(20, 1);
        assert_eq!(world.files(), before);
        assert_eq!(world.history.problem(), None);
        assert_eq!(world.ages(1).0, [220, 210, 200]);
        assert!(world.history.reset().unwrap_err().to_string().contains("a test"));
        assert_eq!(world.counters.live.metrics().throughput.total_events, 23, "nothing is reset by half");
    }
}
