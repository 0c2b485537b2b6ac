//! Members: leases, and what they fence off.

use std::time::{Duration, Instant};

use forebay_core::ErrorKind;
use forebay_core::consumer::{Consume, LEASE, StartAt};

use crate::common;
use crate::world::*;

#[test]
fn members_share_the_partitions_and_keep_what_they_can() {
    let (_storage, engine) = with_stream(4);
    let now = Instant::now();
    assert_eq!(partitions(&as_member(&engine, "a", now)), [0, 1, 2, 3]);
    let joined = as_member(&engine, "b", now);
    assert!(joined.rebalanced);
    assert_eq!(partitions(&joined), [2, 3]);
    let stays = as_member(&engine, "a", now);
    assert_eq!((partitions(&stays), stays.rebalanced), (vec![0, 1], false));
    engine.groups().leave(GROUP, "a").unwrap();
    assert_eq!(kind(engine.groups().leave(GROUP, "a")), ErrorKind::NotFound);
    assert_eq!(partitions(&as_member(&engine, "b", now)), [0, 1, 2, 3]);
    for member in ["", "a b", &"x".repeat(129), "é"] {
        let bad = Consume { member: Some(member), ..plain(now) };
        assert_eq!(kind(engine.groups().consume(&bad)), ErrorKind::InvalidRequest);
    }
}

#[test]
fn who_lost_the_lease_cannot_commit_and_nothing_is_skipped() {
    let (_storage, engine) = with_stream(2);
    append(&engine, 0, 5);
    append(&engine, 1, 5);
    let now = Instant::now();
    assert_eq!(as_member(&engine, "a", now).count(), 10);
    commit_as(&engine, &[(0, 1), (1, 2)], Some("a"), false, now).unwrap();
    // Not even when nobody has taken over yet.
    let later = now + LEASE;
    assert_eq!(kind(commit_as(&engine, &[(0, 2)], Some("a"), false, later)), ErrorKind::FencedMember);
    let taken_over = as_member(&engine, "b", later);
    assert_eq!(places(&taken_over).iter().filter(|(partition, _)| *partition == 1).min(), Some(&(1, 2)));
    assert_eq!(taken_over.count(), 7);
    assert_eq!(partitions(&as_member(&engine, "a", later)), [1], "it comes back with its next call");
    let both = commit_as(&engine, &[(0, 3), (1, 3)], Some("a"), false, later).unwrap_err();
    assert_eq!(both.kind(), ErrorKind::FencedMember);
    assert!(both.detail().contains("partition 0 of"), "{both}");
    assert_eq!(committed(&engine), [(0, 1), (1, 2)]);
    commit_as(&engine, &[(1, 3)], Some("a"), false, later).unwrap();
    commit_as(&engine, &[(0, 3)], Some("b"), false, later).unwrap();
}

#[test]
fn calls_commits_and_waits_hold_the_lease() {
    let (_storage, engine) = with_stream(1);
    append(&engine, 0, 5);
    let now = Instant::now();
    let waits = Consume { member: Some("a"), hold: Duration::from_secs(20), ..plain(now) };
    engine.groups().consume(&waits).unwrap();
    let soon = now + LEASE;
    assert_eq!(kind(commit_as(&engine, &[(0, 1)], Some("a"), false, soon)), ErrorKind::FencedMember, "it has got it");
    engine.groups().consume(&Consume { start_at: StartAt::Latest, ..waits }).unwrap();
    let later = now + LEASE + Duration::from_secs(19);
    commit_as(&engine, &[(0, 1)], Some("a"), false, later).unwrap();
    let later = later + LEASE - Duration::from_secs(1);
    let other = as_member(&engine, "b", later);
    assert_eq!(partitions(&other), Vec::<u32>::new());
    assert_eq!(other.next_expiry, Some(later + Duration::from_secs(1)));
    commit_as(&engine, &[(0, 2)], Some("a"), false, later).unwrap();
}

#[test]
fn without_a_member_nothing_is_committed_while_members_hold_the_group() {
    let (_storage, engine) = with_stream(2);
    append(&engine, 0, 5);
    let now = Instant::now();
    as_member(&engine, "a", now);
    assert_eq!(partitions(&engine.groups().consume(&plain(now)).unwrap()), [0, 1], "reading is free");
    assert_eq!(kind(commit_as(&engine, &[(0, 1)], None, true, now)), ErrorKind::FencedMember);
    let auto = Consume { auto_commit: true, ..plain(now) };
    assert_eq!(kind(engine.groups().consume(&auto)), ErrorKind::FencedMember);
    commit_as(&engine, &[(0, 1)], None, false, now + LEASE).unwrap();
    let elsewhere = Consume { group: "other", ..auto };
    engine.groups().consume(&elsewhere).unwrap();
}

#[test]
fn a_partition_changes_hands_only_between_commits() {
    // The call that stalls may be one of the log's own, and the other member then comes before the commit.
    assert!((0..20).any(|_| a_commit_goes_before_a_new_member()), "the commit never came first");
}

/// Lets a member take a partition over whose commit is on its way to the disk. Returns whether the commit was there
/// first; if not, it is refused.
fn a_commit_goes_before_a_new_member() -> bool {
    let (storage, engine) = with_stream(1);
    append(&engine, 0, 5);
    let now = Instant::now();
    as_member(&engine, "a", now);
    storage.stall_syncs(true);
    std::thread::scope(|scope| {
        let commit = scope.spawn(|| commit_as(&engine, &[(0, 4)], Some("a"), false, now));
        assert!(storage.wait_stalled(1, common::PATIENCE));
        let takes_over = scope.spawn(|| as_member(&engine, "b", now + 2 * LEASE));
        // Another group's members come and go meanwhile; so does its reader.
        let other = Consume { group: GROUP, ..plain(now) };
        assert_eq!(engine.groups().consume(&other).unwrap().count(), 5);
        storage.stall_syncs(false);
        let committed = commit.join().unwrap();
        let taken = takes_over.join().unwrap();
        let Err(refused) = committed else {
            assert_eq!(places(&taken), [(0, 4)]);
            return true;
        };
        assert_eq!((refused.kind(), places(&taken).first()), (ErrorKind::FencedMember, Some(&(0, 0))));
        false
    })
}

#[test]
fn a_rebalance_of_one_group_does_not_touch_another() {
    let (storage, engine) = with_stream(2);
    append(&engine, 0, 5);
    let now = Instant::now();
    let other = |member| Consume { group: "other", member: Some(member), ..plain(now) };
    as_member(&engine, "a", now);
    engine.groups().consume(&other("a")).unwrap();
    storage.stall_syncs(true);
    std::thread::scope(|scope| {
        let commit = scope.spawn(|| commit_as(&engine, &[(0, 4)], Some("a"), false, now));
        assert!(storage.wait_stalled(1, common::PATIENCE));
        let stuck = scope.spawn(|| as_member(&engine, "b", now));
        // The first group waits for its commit; this one gets its members while the disk stands still.
        assert_eq!(partitions(&engine.groups().consume(&other("b")).unwrap()), [1]);
        assert_eq!(partitions(&engine.groups().consume(&other("a")).unwrap()), [0]);
        assert!(!stuck.is_finished() && !commit.is_finished());
        storage.stall_syncs(false);
        commit.join().unwrap().unwrap();
        stuck.join().unwrap();
    });
}
