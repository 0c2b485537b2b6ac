//! How far a group is behind: from its first call on, whether it has committed anything or not.

use std::time::Instant;

use forebay_core::consumer::{Consume, IDLE_GRACE, StartAt};
use forebay_core::storage::faulty::{Fault, Operation};
use forebay_core::{Engine, ErrorKind, Offset, PartitionId};

use crate::common;
use crate::world::*;

fn lag(engine: &Engine) -> u64 {
    engine.groups().report(GROUP, Instant::now()).unwrap().lag()
}

/// (partition, offset) of where the group began, in partitions without a commit.
fn begun(engine: &Engine) -> Vec<(u32, u64)> {
    let report = engine.groups().report(GROUP, Instant::now()).unwrap();
    report.begun.iter().map(|row| (row.partition.0, row.offset.0)).collect()
}

fn latest() -> Consume<'static> {
    Consume { start_at: StartAt::Latest, ..plain(Instant::now()) }
}

#[test]
fn it_counts_from_the_first_call() {
    let (storage, opened) = with_stream(2);
    append(&opened, 0, 3);
    consume(&opened);
    assert_eq!((lag(&opened), begun(&opened)), (3, vec![(0, 0), (1, 0)]));
    append(&opened, 1, 4);
    assert_eq!(lag(&opened), 7);
    drop(opened);
    let opened = engine(&storage);
    assert_eq!((lag(&opened), begun(&opened)), (7, vec![(0, 0), (1, 0)]), "durably");
    consume(&opened);
    commit(&opened, &[(0, 2)]).unwrap();
    assert_eq!((lag(&opened), begun(&opened), committed(&opened)), (5, vec![(1, 0)], vec![(0, 2)]));
    drop(opened);
    let opened = engine(&storage);
    assert_eq!((lag(&opened), begun(&opened), committed(&opened)), (5, vec![(1, 0)], vec![(0, 2)]));
}

#[test]
fn a_group_that_began_at_the_end_goes_on_there() {
    let (storage, opened) = with_stream(2);
    append(&opened, 0, 30);
    assert_eq!(opened.groups().consume(&latest()).unwrap().count(), 0);
    assert_eq!((lag(&opened), begun(&opened)), (0, vec![(0, 30), (1, 0)]));
    append(&opened, 0, 2);
    append(&opened, 1, 1);
    assert_eq!(lag(&opened), 3);
    let crashed = storage.crash();
    drop(opened);
    let opened = engine(&crashed);
    assert_eq!((lag(&opened), begun(&opened)), (3, vec![(0, 30), (1, 0)]), "what it did not commit is behind it");
    let next = consume(&opened);
    assert_eq!(places(&next), [(0, 30), (0, 31), (1, 0)], "without an offset it goes on where it began");
    assert_eq!(opened.groups().consume(&latest()).unwrap().count(), 0, "and with one there");
    assert_eq!(begun(&opened), [(0, 30), (1, 0)], "its beginning is its first call");
    commit(&opened, &[(0, 32), (1, 1)]).unwrap();
    assert_eq!((lag(&opened), begun(&opened)), (0, vec![]));
}

#[test]
fn only_partitions_that_were_read_count() {
    let (_storage, engine) = with_stream(3);
    for partition in 0..3 {
        append(&engine, partition, 5);
    }
    let one = Consume { partition: Some(PartitionId(1)), start_at: StartAt::At(Offset(3)), ..plain(Instant::now()) };
    engine.groups().consume(&one).unwrap();
    assert_eq!((lag(&engine), begun(&engine)), (2, vec![(1, 3)]));
    consume(&engine);
    assert_eq!((lag(&engine), begun(&engine)), (12, vec![(0, 0), (1, 3), (2, 0)]));
    let other = Consume { group: "other", ..latest() };
    engine.groups().consume(&other).unwrap();
    assert_eq!(engine.groups().report("other", Instant::now()).unwrap().lag(), 0);
}

#[test]
fn members_begin_with_what_they_hold() {
    let (_storage, engine) = with_stream(2);
    append(&engine, 0, 5);
    append(&engine, 1, 5);
    let now = Instant::now();
    engine.groups().consume(&Consume { member: Some("a"), start_at: StartAt::Latest, ..plain(now) }).unwrap();
    append(&engine, 0, 1);
    append(&engine, 1, 1);
    let taken_over = as_member(&engine, "b", now);
    assert_eq!(places(&taken_over), [(1, 5)], "where the group began, whoever it was");
    assert_eq!(lag(&engine), 2);
}

#[test]
fn a_beginning_goes_with_its_group_and_its_stream() {
    let (storage, opened) = with_stream(2);
    append(&opened, 0, 5);
    opened.groups().consume(&latest()).unwrap();
    opened.groups().delete(GROUP).unwrap();
    drop(opened);
    let opened = engine(&storage);
    assert_eq!(consume(&opened).count(), 5, "a new group of that name begins anew");
    assert_eq!(begun(&opened), [(0, 0), (1, 0)]);
    opened.delete_stream(STREAM).unwrap();
    opened.groups().sweep(IDLE_GRACE);
    opened.create_stream(STREAM, 2).unwrap();
    assert_eq!((lag(&opened), begun(&opened)), (0, vec![]));
    drop(opened);
    assert_eq!(begun(&engine(&storage)), []);
}

#[test]
fn a_beginning_that_is_not_durable_is_not_answered() {
    let (storage, opened) = with_stream(1);
    append(&opened, 0, 5);
    opened.groups().consume(&Consume { group: "known", ..plain(Instant::now()) }).unwrap();
    opened.create_stream("other", 1).unwrap();
    storage.inject(Fault::next(Operation::Sync).on("journal/").always());
    let other = Consume { group: "known", stream: "other", ..latest() };
    assert_eq!(kind(opened.groups().consume(&other)), ErrorKind::StorageUnavailable);
    // The log takes no writes now, and is read all the same.
    assert_eq!(opened.groups().consume(&other).unwrap().count(), 0);
    let known = Consume { group: "known", ..plain(Instant::now()) };
    assert_eq!(opened.groups().consume(&known).unwrap().count(), 5);
    let report = opened.groups().report("known", Instant::now()).unwrap();
    assert_eq!((report.begun.len(), report.lag()), (2, 5));
}

#[test]
fn what_a_full_disk_refused_is_written_by_a_later_call() {
    let (storage, opened) = with_stream(1);
    consume(&opened);
    opened.create_stream("other", 1).unwrap();
    storage.set_capacity(Some(0));
    let record = forebay_core::NewRecord { key: None, value: vec![b'1'; 1000], headers: Vec::new(), timestamp: None };
    let full = || {
        opened
            .append("other", &vec![record.clone(); 100], None)
            .is_err_and(|e| e.kind() == ErrorKind::StorageUnavailable)
    };
    common::until("a full disk", full);
    let other = Consume { stream: "other", ..latest() };
    let began = opened.groups().consume(&other).unwrap().reached[0].next;
    storage.set_capacity(None);
    common::until("room", || opened.append("other", std::slice::from_ref(&record), None).is_ok());
    opened.groups().consume(&other).unwrap();
    let crashed = storage.crash();
    drop(opened);
    let opened = engine(&crashed);
    let report = opened.groups().report(GROUP, Instant::now()).unwrap();
    let row = report.begun.iter().find(|row| row.stream == "other").unwrap();
    assert_eq!(row.offset, began, "where it began, not where it was written");
    assert!(report.lag() > 0);
}
