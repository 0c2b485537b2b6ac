//! The room that a full disk keeps for deletions, and that nothing else uses it.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Instant;

use common::{Mark, drain, frames, open, read_all, records, small, until};
use forebay_core::consumer::OffsetCommit;
use forebay_core::ingest::route;
use forebay_core::log::journal::PAGE_BYTES;
use forebay_core::log::journal::RESERVED_BYTES;
use forebay_core::status::Mode;
use forebay_core::storage::faulty::{Fault, FaultId, Faulty, Operation};
use forebay_core::{
    Engine, ErrorKind, MIN_JOURNAL_FILE_BYTES, Offset, Options, PartitionId, Request, Result, StreamChange,
};

const REFUSED: ErrorKind = ErrorKind::StorageUnavailable;

fn ingest(engine: &Engine) -> Result<()> {
    engine.ingest(Request::new(&route::DRAIN, drain(&Mark::batch(0, 20, 8000)))).map(drop)
}

/// A group's first call, which makes it.
fn join(engine: &Engine, group: &str, stream: &str) {
    engine.groups().consume(&common::consume_call(group, stream, 1)).unwrap();
}

fn commit(engine: &Engine, group: &str, stream: &str, partitions: u32, offset: u64) -> Result<()> {
    let offsets: Vec<_> =
        (0..partitions).map(|partition| (stream.to_owned(), PartitionId(partition), Offset(offset))).collect();
    let commit = OffsetCommit { group, offsets: &offsets, member: None, force: true, now: Instant::now() };
    engine.groups().commit_and_wait(&commit).map(drop)
}

/// A stream with more than so many megabytes in segments of its own or shared ones.
fn create_large(engine: &Engine, name: &str, megabytes: u64) {
    engine.create_stream(name, 1).unwrap();
    until("its segments", || {
        let _saturated = engine.append(name, &records(name, &Mark::batch(1, 20, 8000), false), None);
        engine.stream_report(name).unwrap().stored_bytes > megabytes << 20
    });
}

/// Takes all room from the storage, and writes until nothing more is taken.
fn fill(storage: &Faulty, engine: &Engine) {
    fill_by(storage, engine, || ingest(engine));
}

fn fill_by(storage: &Faulty, engine: &Engine, mut write: impl FnMut() -> Result<()>) {
    until("a full disk", || {
        let files = storage.files().into_iter().filter(|(path, _)| !path.ends_with("unfinished"));
        storage.set_capacity(Some(files.map(|(_, bytes)| bytes).sum()));
        write().is_err_and(|error| error.kind() == REFUSED)
    });
    assert_eq!(engine.report().mode, Mode::Full, "{}", engine.report().reason);
}

/// Keeps the small file for deletions from being taken: they have what the active file keeps for them, and no more.
fn without_the_small_file(storage: &Faulty) -> FaultId {
    storage.inject(Fault::next(Operation::Rename).on("journal/reserve").always())
}

/// Nothing but the end of a file stands in the room that it keeps for deletions, which a small file has alone.
fn assert_kept_free(storage: &Faulty) {
    for (path, bytes) in storage.files().into_iter().filter(|(path, _)| path.to_string_lossy().ends_with(".journal")) {
        let free = bytes.saturating_sub(RESERVED_BYTES);
        for frame in frames(storage, &path).into_iter().filter(|frame| frame.kind != 3) {
            let end = frame.position + frame.bytes.next_multiple_of(PAGE_BYTES as u64);
            assert!(end <= free, "{path:?} of {bytes} bytes: {frame:?}");
        }
    }
}

fn assert_sound(storage: &Faulty) {
    let engine = open(&storage.kill(), &small()).unwrap();
    assert_eq!(engine.report().damages, []);
    read_all(&engine).unwrap();
}

#[test]
fn ten_thousand_offset_commits_leave_deletions_their_room() {
    let storage = Faulty::new(1);
    storage.set_capacity(Some(common::NO_ROOM_TO_MERGE));
    let engine = open(&storage, &small()).unwrap();
    create_large(&engine, "gone", 1);
    create_large(&engine, "kept", 1);
    join(&engine, "g", "kept");
    // An offset that is committed already is no change, and is not refused.
    let mut numbers = 0..;
    let mut next = || commit(&engine, "g", "kept", 1, numbers.next().unwrap() % 3);
    // The disk is filled by these commits themselves: once it is full, they are refused before they are looked at.
    fill_by(&storage, &engine, &mut next);
    assert_kept_free(&storage);
    let outcomes = (0..10_000).map(|_| next());
    let refused = outcomes.filter_map(Result::err).inspect(|error| assert_eq!(error.kind(), REFUSED, "{error}"));
    assert!(refused.count() > 5000);
    // Neither do changes that free nothing use it.
    let change = |bytes| StreamChange { max_record_bytes: Some(bytes), ..StreamChange::default() };
    let refused = (1..10_000).filter(|bytes| engine.alter_stream("kept", change(*bytes)).is_err());
    assert!(refused.count() > 5000);
    assert_kept_free(&storage);
    let fault = without_the_small_file(&storage);
    engine.delete_stream("gone").unwrap();
    assert_eq!(storage.hits(fault), 0, "the active file had room");
    storage.clear(fault);
    let shorter = StreamChange { retention_bytes: Some(1), ..StreamChange::default() };
    engine.alter_stream("kept", shorter).unwrap();
    until("expiry", || engine.stream_report("kept").unwrap().partitions[0].1.0 > 0);
    until("writing again", || ingest(&engine).is_ok());
    commit(&engine, "g", "kept", 1, engine.stream_report("kept").unwrap().partitions[0].2.0).unwrap();
    assert_sound(&storage);
}

#[test]
fn any_number_of_small_deletions_leaves_the_large_one_its_room() {
    const SMALL: u32 = 200;
    let storage = Faulty::new(2);
    storage.set_capacity(Some(common::NO_ROOM_TO_MERGE));
    let engine = open(&storage, &small()).unwrap();
    create_large(&engine, "large", 6);
    for number in 0..SMALL {
        drop(engine.create_stream(&format!("small{number}"), 1).unwrap());
    }
    fill(&storage, &engine);
    let refused = (0..SMALL).filter(|number| {
        let outcome = engine.delete_stream(&format!("small{number}"));
        outcome.is_err_and(|error| error.kind() == REFUSED)
    });
    let refused = refused.count() as u32;
    assert!((1..SMALL - 20).contains(&refused), "{refused} of {SMALL} were refused");
    let fault = without_the_small_file(&storage);
    engine.delete_stream("large").unwrap();
    assert_eq!(storage.hits(fault), 0, "the active file had room");
    storage.clear(fault);
    until("the small ones", || {
        let left = engine.stream_reports().into_iter().find(|stream| stream.name.starts_with("small"));
        left.is_none_or(|stream| {
            let _again = engine.delete_stream(&stream.name);
            false
        })
    });
    until("writing again", || ingest(&engine).is_ok());
    assert_sound(&storage);
}

/// Many commits that wait at once are not one frame, when that would be larger than the file.
#[test]
fn no_commit_is_larger_than_its_file() {
    // Each has 286 KB: together they are more than a file.
    const COMMITS: usize = 8;
    let storage = Faulty::new(3);
    // Records that are not sealed yet have an eighth of the ring.
    let engine = open(&storage, &Options { ring_bytes: 64 << 20, ..small() }).unwrap();
    engine.create_stream("wide", 1024).unwrap();
    let groups: Vec<String> = (0..COMMITS).map(|number| format!("{}{number}", "g".repeat(240))).collect();
    for group in &groups {
        join(&engine, group, "wide");
    }
    storage.stall_syncs(true);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| ingest(&engine));
        until("its commit", || engine.report().commit_queue == 0);
        assert!(storage.wait_stalled(1, common::PATIENCE));
        let commits: Vec<_> =
            groups.iter().map(|group| scope.spawn(|| commit(&engine, group, "wide", 1024, 0))).collect();
        until("the queue", || engine.report().commit_queue == COMMITS);
        storage.stall_syncs(false);
        first.join().unwrap().unwrap();
        for commit in commits {
            commit.join().unwrap().unwrap();
        }
    });
    for (path, bytes) in storage.files() {
        let name = path.to_string_lossy();
        assert!(!name.contains("journal/") || bytes <= MIN_JOURNAL_FILE_BYTES, "{name} has {bytes} bytes");
    }
    assert_sound(&storage);
}
