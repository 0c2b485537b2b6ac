//! Memory while the sealer stands still: it stays within the budgets, and the budgets are charged what things take.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::consumer::{Consume, OffsetCommit, OnReset};
use forebay_core::stream::Watcher;
use forebay_core::{
    CompletionId, Durability, Engine, Error, ErrorKind, MAX_PARTITIONS, NewRecord, Offset, Options, PartitionId, Result,
};
use parking_lot::Mutex;

use crate::allocator::in_use;
use crate::common::{self, until};
use crate::held::Held;

const MIB: usize = 1024 * 1024;
const RING_BYTES: usize = 64 * MIB;
/// The memory that the process may take beside the ring's budget.
const BESIDE: usize = 150 * MIB;
/// Set where a test runs in a process of its own.
const ALONE: &str = "FOREBAY_BOUNDS_ALONE";

/// Tests of one process take turns: what one takes must not be counted as another's.
static TURN: Mutex<()> = Mutex::new(());

fn options() -> Options {
    // Nothing here is about the disk's sync, and a file that is left for its age is another thing to seal.
    Options { ring_bytes: RING_BYTES as u64, durability: Durability::Memory, workers: 1, ..Options::default() }
}

fn held(options: &Options, test: impl FnOnce(&Engine, &Held)) {
    let directory = tempfile::tempdir().unwrap();
    let storage = Held::new(directory.path());
    let engine = Engine::open(storage.clone(), options.clone()).unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&engine, &storage)));
    // Also after a failure: the engine's threads are joined.
    storage.let_go();
    drop(engine);
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn tiny(number: u32) -> NewRecord {
    let key = Some(number.to_le_bytes().to_vec());
    NewRecord { key, value: b"1".to_vec(), headers: Vec::new(), timestamp: None }
}

/// Tiny records for nearly every partition, in batches, until there is no room; returns how many batches had it.
fn fill(engine: &Engine, stream: &str, records: u32, most: usize) -> usize {
    let records: Vec<_> = (0..records).map(tiny).collect();
    let mut stored = 0;
    while stored < most {
        match engine.append(stream, &records, None) {
            Ok(_) => stored += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Saturated, "{error}");
                break;
            }
        }
    }
    stored
}

fn group(name: &str, stream: &'static str, engine: &Engine) -> Result<()> {
    let call = Consume {
        partition: Some(PartitionId(0)),
        on_reset: OnReset::Earliest,
        ..common::consume_call(name, stream, 1)
    };
    engine.groups().consume(&call).map(drop)
}

/// Commits an offset of every partition for one group after the other, until there is no room.
fn commit_offsets(engine: &Engine, stream: &'static str, most: usize) -> usize {
    let offsets: Vec<_> = (0..MAX_PARTITIONS).map(|at| (stream.to_owned(), PartitionId(at), Offset(0))).collect();
    let commit = |name: &str| {
        group(name, stream, engine)?;
        let (group, offsets) = (name, &offsets[..]);
        engine.groups().commit_and_wait(&OffsetCommit {
            group,
            offsets,
            member: None,
            force: false,
            now: Instant::now(),
        })
    };
    let refused = |error: Error| assert_eq!(error.kind(), ErrorKind::Saturated, "{error}");
    (0..most).take_while(|number| commit(&format!("group-{number}")).map_err(refused).is_ok()).count()
}

#[derive(Debug)]
struct Nobody;

impl Watcher for Nobody {
    fn due(&self, _ticket: CompletionId, _outcome: Result<()>) {}

    fn wake(&self) {}
}

/// Waits at the end of every partition, until there is no room.
fn wait_for_more(engine: &Engine, stream: &str, most: usize) -> usize {
    let end = |(at, _, end): &(PartitionId, Offset, Offset)| (*at, *end);
    let ends: Vec<_> = engine.stream_report(stream).unwrap().partitions.iter().map(end).collect();
    let watcher: Arc<dyn Watcher> = Arc::new(Nobody);
    let watch = || engine.watch(stream, &ends, Arc::clone(&watcher), CompletionId(0));
    let refused = |error: Error| assert_eq!(error.kind(), ErrorKind::Saturated, "{error}");
    (0..most).take_while(|_| watch().map_err(refused).is_ok()).count()
}

fn charged(engine: &Engine) -> usize {
    let report = engine.report();
    let bytes =
        report.ring_used_bytes + report.unsealed_changes_bytes + report.waiting_readers_bytes + report.groups_bytes;
    usize::try_from(bytes).unwrap()
}

/// Checks that what `load` leaves in memory is charged, but for a little that does not grow.
fn is_charged(engine: &Engine, what: &str, load: impl FnOnce() -> usize) {
    let (before, charged_before) = (in_use(), charged(engine));
    let count = load();
    let (taken, charge) = (in_use().saturating_sub(before), charged(engine) - charged_before);
    println!("{what}: {count} take {taken} bytes, charged {charge}");
    assert!(count > 20 && charge > MIB, "{what}: only {count}, charged {charge}");
    assert!(taken <= charge + MIB, "{what}: {count} take {taken} bytes, and {charge} are charged");
}

#[test]
fn what_things_take_is_charged() {
    let _turn = TURN.lock();
    held(&options(), |engine, _storage| {
        engine.create_stream("wide", MAX_PARTITIONS).unwrap();
        engine.create_stream("narrow", 4).unwrap();
        // One round of each leaves what every partition keeps.
        fill(engine, "wide", 8192, 1);
        fill(engine, "narrow", 1, 8);
        // There are so many that a charge of half a run, or of a quarter of a batch, is told from what does not grow.
        is_charged(engine, "batches of a record for each partition", || fill(engine, "wide", 3000, 100));
        is_charged(engine, "batches of one record", || fill(engine, "narrow", 1, 24_000));
        is_charged(engine, "committed offsets", || commit_offsets(engine, "wide", 25));
        is_charged(engine, "readers that wait", || wait_for_more(engine, "wide", 100));
    });
}

fn resident() -> usize {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

#[test]
fn resident_memory_stays_within_the_budget_while_the_sealer_stands_still() {
    let myself = std::env::current_exe().unwrap();
    let name = "memory::in_a_process_of_its_own";
    let output = Command::new(myself).args(["--exact", name, "--ignored", "--nocapture"]).env(ALONE, "1").output();
    let output = output.unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "another test runs it, in a process of its own"]
fn in_a_process_of_its_own() {
    held(&options(), |engine, _storage| {
        engine.create_stream("one", MAX_PARTITIONS).unwrap();
        engine.create_stream("other", MAX_PARTITIONS).unwrap();
        let batches = fill(engine, "one", 4000, usize::MAX);
        assert!(batches > 50, "{batches} batches used up the stream's share");
        // Single records take much more beside their bytes than their bytes.
        let batches = fill(engine, "other", 1000, 80) + fill(engine, "other", 1, usize::MAX);
        assert!(batches > 5000, "{batches} batches used up the ring");
        assert!(engine.report().ring_used_bytes > RING_BYTES as u64 * 9 / 10, "{:?}", engine.report());
        let groups = commit_offsets(engine, "one", usize::MAX);
        let readers = wait_for_more(engine, "one", usize::MAX);
        assert!(groups > 10 && readers > 100, "{groups} groups, {readers} readers");
        let (resident, limit) = (resident(), RING_BYTES + BESIDE);
        println!("{resident} bytes are resident, of {limit}: {groups} groups, {readers} readers");
        assert!(resident <= limit, "{resident} bytes are resident, more than {limit}");
    });
}

#[test]
fn commits_of_offsets_are_refused_while_too_much_is_not_sealed_and_deletions_never_are() {
    let _turn = TURN.lock();
    held(&options(), |engine, storage| {
        engine.create_stream("wide", MAX_PARTITIONS).unwrap();
        // A file without a record needs no segment, and nothing would hold its sealing up.
        assert_eq!(fill(engine, "wide", 1, 1), 1);
        let groups = commit_offsets(engine, "wide", usize::MAX);
        assert!(groups > 10, "{groups} groups committed");
        // A stream's row is smaller than that of a thousand offsets.
        let refused = (0..1000).find_map(|number| engine.create_stream(&format!("s{number}"), 1).err());
        assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::Saturated));
        engine.groups().delete("group-0").unwrap();
        storage.let_go();
        until("room for a stream", || engine.create_stream("more", 1).is_ok());
        until("room for offsets", || commit_offsets(engine, "wide", 1) == 1);
        engine.delete_stream("wide").unwrap();
    });
}

/// A file for every second of a sealer's absence would be memory that no record is charged for, and disk.
#[test]
fn a_sealer_that_stands_still_is_not_handed_files_for_their_age() {
    let _turn = TURN.lock();
    held(&Options { journal_file_age: Duration::from_millis(100), ..options() }, |engine, _storage| {
        engine.create_stream("quiet", 1).unwrap();
        // One record for each file, so that none is left because it is full.
        let mut begun = None;
        let mut backlog = || {
            let files = engine.report().seal_backlog_files;
            if begun.replace(files) != Some(files) {
                fill(engine, "quiet", 1, 1);
            }
            files
        };
        until("eight files", || backlog() >= 8);
        // Five more would be due by now.
        let later = Instant::now() + Duration::from_millis(500);
        until("half a second", || {
            assert_eq!(backlog(), 8);
            Instant::now() > later
        });
    });
}
