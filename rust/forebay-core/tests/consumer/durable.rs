//! Offsets, groups and deletions over restarts and crashes.

use std::time::{Duration, Instant};

use forebay_core::ErrorKind;
use forebay_core::consumer::{Consume, GROUP_IDLE, IDLE_GRACE, MAX_GROUPS, OffsetCommit};
use forebay_core::storage::faulty::{Fault, Faulty, Operation};

use crate::common;
use crate::world::*;

#[test]
fn committed_offsets_survive_a_crash_and_sealing() {
    let mut storage = Faulty::new(3);
    let mut engine = common::open(&storage, &common::sealing_soon()).unwrap();
    engine.create_stream(STREAM, 2).unwrap();
    for round in 1..=6_u64 {
        append(&engine, 0, 10);
        append(&engine, 1, 10);
        consume(&engine);
        commit(&engine, &[(0, 10 * round), (1, 10 * round - 1)]).unwrap();
        if round % 2 == 0 {
            common::wait_sealed(&engine);
        }
        let after = if round % 3 == 0 { None } else { Some(storage.crash_seeded(round)) };
        drop(engine);
        storage = after.unwrap_or(storage);
        engine = common::open(&storage, &common::sealing_soon()).unwrap();
        assert_eq!(committed(&engine), [(0, 10 * round), (1, 10 * round - 1)], "round {round}");
        assert_eq!(places(&consume(&engine)), [(1, 10 * round - 1)]);
    }
}

#[test]
fn a_commit_is_there_whole_or_not_at_all() {
    for seed in 0..20 {
        let storage = Faulty::new(seed);
        let opened = engine(&storage);
        opened.create_stream(STREAM, 8).unwrap();
        for partition in 0..8 {
            append(&opened, partition, 2);
        }
        consume(&opened);
        let all = |offset| (0..8).map(|partition| (partition, offset)).collect::<Vec<_>>();
        commit(&opened, &all(1)).unwrap();
        storage.inject(Fault::next(Operation::Sync).on("journal/").always());
        commit(&opened, &all(2)).unwrap_err();
        let after = storage.crash_seeded(seed);
        drop(opened);
        let found = committed(&engine(&after));
        assert!(found == all(1) || found == all(2), "seed {seed}: {found:?}");
    }
}

/// Its first commits are durable, a later one is not: what is shown is what a start finds.
#[test]
fn a_deletion_that_fails_half_way_shows_what_a_start_finds() {
    // The first writes may be the end of a file or a marker, as the clock has it: then the next one fails as well.
    let tried = (2..8).any(deletion_that_fails_from_write);
    assert!(tried, "no deletion got through in part");
}

/// Returns whether the deletion of a group with many offsets was stored in part, when each write from the `nth` on
/// fails; then a start has to find what the engine shows.
fn deletion_that_fails_from_write(nth: u64) -> bool {
    const PARTITIONS: u32 = 1024;
    let name = "g".repeat(200);
    let (storage, opened) = with_stream(PARTITIONS);
    opened.groups().consume(&Consume { group: &name, ..plain(Instant::now()) }).unwrap();
    let offsets: Vec<_> = (0..PARTITIONS)
        .map(|partition| (STREAM.to_owned(), forebay_core::PartitionId(partition), forebay_core::Offset(0)))
        .collect();
    let all = OffsetCommit { group: &name, offsets: &offsets, member: None, force: false, now: Instant::now() };
    opened.groups().commit_and_wait(&all).unwrap();
    common::until("the spare file", || common::journals_with(&storage, <[common::Frame]>::is_empty) >= 1);
    storage.inject(Fault::nth(Operation::Write, nth).on("journal/").always());
    opened.groups().delete(&name).unwrap_err();
    let shown = |engine: &forebay_core::Engine| engine.groups().report(&name, Instant::now()).unwrap().offsets.len();
    let left = shown(&opened);
    let killed = storage.kill();
    drop(opened);
    assert_eq!(shown(&engine(&killed)), left);
    left < PARTITIONS as usize && left > 0
}

#[test]
fn a_group_is_durable_from_its_first_call_and_gone_after_its_deletion() {
    let (storage, opened) = with_stream(2);
    append(&opened, 0, 3);
    consume(&opened);
    commit(&opened, &[(0, 2)]).unwrap();
    drop(opened);
    let opened = engine(&storage);
    assert_eq!(places(&consume(&opened)), [(0, 2)]);
    opened.groups().delete(GROUP).unwrap();
    assert_eq!(kind(opened.groups().delete(GROUP)), ErrorKind::ConsumerGroupNotFound);
    assert_eq!(kind(commit(&opened, &[(0, 3)])), ErrorKind::ConsumerGroupNotFound);
    drop(opened);
    let opened = engine(&storage);
    assert_eq!(kind(opened.groups().report(GROUP, Instant::now())), ErrorKind::ConsumerGroupNotFound);
    assert_eq!(consume(&opened).count(), 3, "a new group of that name begins anew");
}

#[test]
fn groups_expire_when_nobody_calls_them() {
    let (storage, opened) = with_stream(1);
    append(&opened, 0, 3);
    consume(&opened);
    commit(&opened, &[(0, 2)]).unwrap();
    let pass_days = |days: u64| storage.pass(Duration::from_secs(days * 24 * 3600));
    let exists = |engine: &forebay_core::Engine| engine.groups().report(GROUP, Instant::now()).is_ok();
    pass_days(6);
    opened.groups().sweep(IDLE_GRACE);
    assert!(exists(&opened));
    // The wall clock says nothing.
    storage.set_wall_clock(8 * 24 * 3600 * 1_000_000);
    opened.groups().sweep(IDLE_GRACE);
    assert!(exists(&opened));
    pass_days(2);
    opened.groups().sweep(IDLE_GRACE - Duration::from_secs(1));
    assert!(exists(&opened), "not so soon after a start");
    drop(opened);
    let opened = engine(&storage);
    opened.groups().sweep(IDLE_GRACE);
    assert!(!exists(&opened));
    drop(opened);
    assert!(!exists(&engine(&storage)), "durably");
    assert_eq!(GROUP_IDLE, Duration::from_secs(7 * 24 * 3600));
}

/// The clock was behind when the machine started, and is set while the group is used: how long the machine was off makes
/// the group no older than its last call.
#[test]
fn a_group_that_was_used_while_the_clock_was_doubted_is_not_idle_when_it_is_believed() {
    let hour = Duration::from_secs(3600);
    let (storage, opened) = with_stream(1);
    consume(&opened);
    drop(opened);
    let storage = storage.crash_seeded(1);
    storage.set_wall_clock(-400 * 24 * 3600 * 1_000_000);
    let opened = engine(&storage);
    consume(&opened);
    storage.pass(hour / 2);
    storage.set_wall_clock(430 * 24 * 3600 * 1_000_000);
    opened.groups().sweep(IDLE_GRACE);
    assert!(opened.release_clock());
    opened.groups().sweep(IDLE_GRACE);
    assert!(opened.groups().report(GROUP, Instant::now()).is_ok());
    drop(opened);
    let opened = engine(&storage);
    opened.groups().sweep(IDLE_GRACE);
    assert!(opened.groups().report(GROUP, Instant::now()).is_ok(), "after a restart");
    storage.pass(GROUP_IDLE + hour);
    opened.groups().sweep(IDLE_GRACE);
    assert!(opened.groups().report(GROUP, Instant::now()).is_err());
}

#[test]
fn groups_are_bounded() {
    let storage = Faulty::new(1);
    let options = forebay_core::Options { durability: forebay_core::Durability::Memory, ..common::small() };
    let engine = common::open(&storage, &options).unwrap();
    engine.create_stream(STREAM, 1).unwrap();
    let group = |name: &str| engine.groups().consume(&Consume { group: name, ..plain(Instant::now()) }).map(drop);
    for number in 0..MAX_GROUPS {
        group(&format!("g{number}")).unwrap();
    }
    assert_eq!(kind(group("more")), ErrorKind::Saturated);
    group("g7").unwrap();
    engine.groups().delete("g7").unwrap();
    group("more").unwrap();
    for name in ["", ".", "..", "a/b", "a b", &"x".repeat(250)] {
        assert_eq!(kind(group(name)), ErrorKind::InvalidRequest);
    }
}
