//! A disk without room at the start.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{Mark, drain, open, read_all, small, until};
use forebay_core::ingest::route;
use forebay_core::status::Mode;
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{ErrorKind, LOGS, Options, Request, Retention};

fn request(batch: u32) -> Request {
    Request::new(&route::DRAIN, drain(&Mark::batch(batch, 30, 1000)))
}

fn used(storage: &Faulty) -> u64 {
    storage.files().iter().map(|(_, bytes)| bytes).sum()
}

/// A directory that a process left which died on a full disk, with sealed and unsealed records and no room at all; and
/// how many records were acknowledged.
fn left_full(seed: u64) -> (Faulty, usize) {
    let storage = Faulty::new(seed);
    storage.set_capacity(Some(common::NO_ROOM_TO_MERGE));
    let engine = open(&storage, &small()).unwrap();
    let mut batches = 0;
    while used(&storage) < 12 << 20 {
        match engine.ingest(request(batches)) {
            Ok(_) => batches += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Saturated),
        }
    }
    until("sealing", || engine.report().seal_backlog_files == 0);
    until("full", || {
        storage.set_capacity(Some(used(&storage)));
        match engine.ingest(request(batches)) {
            Ok(_) => {
                batches += 1;
                false
            }
            Err(error) => error.kind() == ErrorKind::StorageUnavailable,
        }
    });
    let left = storage.kill();
    // A journal file that was being made is room for the next start as well.
    let _none = left.remove(Path::new("journal/unfinished"));
    left.set_capacity(Some(used(&left)));
    (left, batches as usize * 30)
}

#[test]
fn a_start_on_a_full_disk_reads_everything_and_deletes_to_make_room() {
    for seed in 0..2 {
        let (storage, records) = left_full(seed);
        let mut storage = storage;
        // More than once, since a start takes the file that is kept for it: after a close, and after a kill.
        for closes in [true, false] {
            let engine = open(&storage, &small()).unwrap();
            assert_eq!(engine.report().mode, Mode::Full);
            assert_eq!(engine.ingest(request(0)).unwrap_err().kind(), ErrorKind::StorageUnavailable);
            let read: usize = read_all(&engine).unwrap().values().map(|log| log.records.len()).sum();
            assert_eq!(read, records);
            if closes {
                drop(engine);
            } else {
                storage = storage.kill();
            }
        }
        let logs_retention = Retention { age: None, bytes: Some(1 << 20) };
        let engine = open(&storage, &Options { logs_retention, ..small() }).unwrap();
        until("room", || engine.report().mode == Mode::Running);
        until("writing", || engine.ingest(request(0)).is_ok());
        assert!(engine.counters().segments_deleted.get() > 0);
        drop(engine);
        let engine = open(&storage, &small()).unwrap();
        assert!(engine.report().damages.is_empty(), "{:?}", engine.report().damages);
        assert!(engine.stream_reports().iter().any(|stream| stream.name == LOGS && stream.partitions[0].1.0 > 0));
    }
}

#[test]
fn built_in_streams_that_had_no_room_are_made_once_there_is() {
    let storage = Faulty::new(3);
    storage.set_capacity(Some(0));
    let engine = open(&storage, &small()).unwrap();
    assert!(engine.stream_reports().is_empty());
    let event = br#"{"type":"user_action","source":"web_app","data":{}}"#;
    let visit = br#"{"event":{"type":"page_view"},"user":{"id":"u"}}"#;
    let requests = || {
        let [event, visit] = [&event[..], &visit[..]].map(|body| Box::new(body.to_vec()));
        [request(0), Request::new(&route::EVENT, event), Request::new(&route::TRACK, visit)]
    };
    for request in requests() {
        assert_eq!(engine.ingest(request).unwrap_err().kind(), ErrorKind::StorageUnavailable);
    }
    storage.set_capacity(None);
    until("the streams", || engine.stream_reports().len() == 3);
    for request in requests() {
        engine.ingest(request).unwrap();
    }
}

#[test]
fn the_reserve_is_made_again_after_it_was_used() {
    let (storage, _) = left_full(9);
    let engine = open(&storage, &small()).unwrap();
    let is_kept = || storage.files().iter().any(|(path, _)| path.ends_with("journal/reserve"));
    assert!(!is_kept());
    storage.set_capacity(None);
    until("the reserve", is_kept);
    until("writing", || engine.ingest(request(0)).is_ok());
}
