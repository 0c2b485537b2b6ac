//! Committing offsets.

use std::time::{Duration, Instant};

use forebay_core::consumer::{MAX_COMMIT_OFFSETS, OffsetCommit};
use forebay_core::storage::faulty::{Fault, Operation};
use forebay_core::{Engine, ErrorKind, Offset, PartitionId};

use crate::common;
use crate::world::*;

#[test]
fn everything_is_checked_before_anything_is_stored() {
    let (_storage, engine) = with_stream(2);
    append(&engine, 0, 5);
    append(&engine, 1, 5);
    assert_eq!(kind(commit(&engine, &[(0, 1)])), ErrorKind::ConsumerGroupNotFound);
    consume(&engine);
    commit(&engine, &[(0, 2), (1, 2)]).unwrap();
    assert_eq!(kind(commit(&engine, &[(0, 5), (1, 6)])), ErrorKind::InvalidOffset);
    assert_eq!(kind(commit(&engine, &[(0, 5), (1, 1)])), ErrorKind::InvalidOffset);
    assert_eq!(kind(commit(&engine, &[(0, 5), (2, 1)])), ErrorKind::InvalidRequest);
    assert_eq!(kind(commit(&engine, &[(0, 5), (0, 5)])), ErrorKind::InvalidRequest);
    assert_eq!(kind(commit(&engine, &[])), ErrorKind::InvalidRequest);
    let many: Vec<_> = (0..=MAX_COMMIT_OFFSETS).map(|_| (0, 1)).collect();
    assert_eq!(kind(commit(&engine, &many)), ErrorKind::InvalidRequest);
    let offsets = [(STREAM.to_owned(), PartitionId(0), Offset(5)), ("nothing".to_owned(), PartitionId(0), Offset(0))];
    let unknown = OffsetCommit { group: GROUP, offsets: &offsets, member: None, force: false, now: Instant::now() };
    assert_eq!(kind(engine.groups().commit_and_wait(&unknown)), ErrorKind::StreamNotFound);
    assert_eq!(committed(&engine), [(0, 2), (1, 2)]);
    commit(&engine, &[(0, 5), (1, 5)]).unwrap();
    assert_eq!(committed(&engine), [(0, 5), (1, 5)]);
}

#[test]
fn only_force_moves_back() {
    let (_storage, engine) = with_stream(1);
    append(&engine, 0, 5);
    consume(&engine);
    commit(&engine, &[(0, 4)]).unwrap();
    let back = commit(&engine, &[(0, 3)]).unwrap_err();
    assert!(back.detail().contains("force"), "{back}");
    commit_as(&engine, &[(0, 3)], None, true, Instant::now()).unwrap();
    assert_eq!(committed(&engine), [(0, 3)]);
}

#[test]
fn a_repeat_is_answered_and_not_written_again() {
    let (storage, engine) = with_stream(1);
    append(&engine, 0, 5);
    consume(&engine);
    commit(&engine, &[(0, 4)]).unwrap();
    let commits = engine.counters().commits.get();
    commit(&engine, &[(0, 4)]).unwrap();
    assert_eq!(engine.counters().commits.get(), commits);
    storage.inject(Fault::next(Operation::Sync).on("journal/").always());
    assert_eq!(kind(commit(&engine, &[(0, 5)])), ErrorKind::StorageUnavailable);
    assert_eq!(committed(&engine), [(0, 4)], "what is not durable is not committed");
    assert_eq!(consume(&engine).count(), 1, "reads go on");
}

/// Returns when the marker of a quiet log was synced: then no sync comes but that of a commit.
fn until_quiet(engine: &Engine) {
    let marked = || {
        append(engine, 0, 1);
        let synced = engine.counters().syncs.get();
        let patience = Instant::now() + Duration::from_secs(1);
        while engine.counters().syncs.get() == synced && Instant::now() < patience {
            std::thread::yield_now();
        }
        engine.counters().syncs.get() > synced
    };
    common::until("the marker", marked);
}

#[test]
fn commits_of_one_group_share_a_sync_and_keep_their_order() {
    let (storage, engine) = with_stream(1);
    append(&engine, 0, 100);
    consume(&engine);
    until_quiet(&engine);
    storage.stall_syncs(true);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| commit(&engine, &[(0, 1)]));
        assert!(storage.wait_stalled(1, common::PATIENCE));
        // Forward only counts from what is under way, too.
        let waits = scope.spawn(|| commit(&engine, &[(0, 50)]));
        common::until("the queue", || engine.report().commit_queue == 1);
        assert_eq!(kind(commit(&engine, &[(0, 20)])), ErrorKind::InvalidOffset);
        assert_eq!(committed(&engine), [], "not durable yet");
        storage.stall_syncs(false);
        first.join().unwrap().unwrap();
        waits.join().unwrap().unwrap();
    });
    assert_eq!(committed(&engine), [(0, 50)]);
}
