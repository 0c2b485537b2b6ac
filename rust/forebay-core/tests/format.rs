//! The format, as it is on the disk of whoever runs it: directories written once, by each version of it, and kept here, and
//! the numbers that `docs/format.md` gives, byte by byte.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::{Mark, frames, read_all, until};
use forebay_core::admission::Budget;
use forebay_core::clock::{CLOCK_FILE, LogClock};
use forebay_core::ingest::route;
use forebay_core::log::dedup::{Dedup, DedupLimits};
use forebay_core::log::journal::{FrameHead, FrameKind, JournalFile, Life, PAGE_BYTES};
use forebay_core::log::state::{KeyFiles, StateFiles};
use forebay_core::status::Mode;
use forebay_core::storage::faulty::Faulty;
use forebay_core::storage::{Disk, Storage};
use forebay_core::stream::{Compression, StreamDefinition};
use forebay_core::table::{Changes, Table, TableOp};
use forebay_core::{
    Access, Engine, Generation, LOGS, NewRecord, Offset, Options, PartitionId, Request, Retention, Sequence, Timestamp,
};

const STREAMS: [(&str, Compression); 3] =
    [(LOGS, Compression::Zstd), ("fast", Compression::Lz4), ("plain", Compression::None)];
/// Batches that the directory holds: the first in the first segment, the second in the next one, the third in the
/// journal alone.
const BATCHES: u32 = 3;

/// A kept directory, and what is new in it.
struct Kept {
    name: &'static str,
    journal: &'static [u8; 8],
    state: &'static [u8; 8],
    /// Tables that its state files have rows of.
    tables: &'static [u8],
    /// Rows of stream processors' state that its tables hold.
    windows: &'static [&'static str],
    /// What the directory says of jobs.
    jobs: Option<&'static str>,
}

const VERSIONS: [Kept; 3] = [
    Kept { name: "v1", journal: b"FBJOURN1", state: b"FBSTATE1", tables: &[1, 2, 4], windows: &[], jobs: None },
    Kept {
        name: "v2",
        journal: b"FBJOURN2",
        state: b"FBSTATE2",
        tables: &[1, 2, 4, 6, 10, 11, 12],
        windows: &["changed", "new", "old"],
        jobs: None,
    },
    Kept {
        name: "v3",
        journal: b"FBJOURN3",
        state: b"FBSTATE3",
        tables: &[1, 2, 4, 6, 10, 11, 12, 13, 14],
        windows: &["changed", "new", "old"],
        jobs: Some(JOBS),
    },
];
const NEWEST: &Kept = &VERSIONS[2];

/// Jobs of the queues of the kept directory: what was enqueued, and what became of it, by queue.
const JOBS: &str = r#"queue:kept:high paused, queue:kept waiting [1] k, queue:kept failed {"n":2} {"message":"m"}, queue:kept:low completed {} {"done":true}"#;

impl Kept {
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(self.name)
    }

    /// Puts the directory onto a storage in memory.
    fn load(&self) -> Faulty {
        let storage = Faulty::new(1);
        for directory in ["journal", "segments", "state"] {
            for entry in fs::read_dir(self.path().join(directory)).unwrap().flatten() {
                let path = Path::new(directory).join(entry.file_name());
                storage.put(path, fs::read(entry.path()).unwrap());
            }
        }
        storage
    }
}

/// Nothing expires: the directory gets older than any retention.
fn options() -> Options {
    let logs_retention = Retention { age: None, bytes: None };
    Options { workers: 1, logs_retention, ..common::small() }
}

fn only(storage: &Faulty, part: &str) -> Vec<Vec<u8>> {
    let files = storage.files().into_iter().filter(|(path, _)| path.to_string_lossy().ends_with(part));
    files.map(|(path, _)| storage.contents(path).unwrap()).collect()
}

fn marks(batch: u32) -> Vec<Mark> {
    Mark::batch(batch, 4, 60)
}

fn record(stream: &str, mark: &Mark) -> NewRecord {
    NewRecord {
        key: Some(b"key".to_vec()),
        value: mark.value(stream).into_bytes(),
        headers: br#"{"h":"1"}"#.to_vec(),
        timestamp: Some(Timestamp(i64::from(mark.batch) * 1_000_000 - 1)),
    }
}

fn write_batch(engine: &Engine, batch: u32) {
    engine.ingest(Request::new(&route::DRAIN, common::drain(&marks(batch)))).unwrap();
    for (stream, _) in &STREAMS[1..] {
        let records: Vec<_> = marks(batch).iter().map(|mark| record(stream, mark)).collect();
        engine.append(stream, &records, Some(PartitionId(0))).unwrap();
    }
}

fn assert_holds_everything(engine: &Engine) {
    let found = read_all(engine).unwrap();
    for (stream, _) in STREAMS {
        let of_stream = found.iter().filter(|((name, _), _)| name == stream);
        let mut seen: Vec<Mark> = of_stream.flat_map(|(_, log)| log.records.iter().map(|(_, mark)| *mark)).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..BATCHES).flat_map(marks).collect::<Vec<_>>(), "{stream}");
        found.iter().for_each(|(place, log)| common::assert_dense(place, log));
    }
    let all = forebay_core::Limits { records: usize::MAX, bytes: usize::MAX };
    for (stream, _) in &STREAMS[1..] {
        let batch = engine.fetch(stream, PartitionId(0), Offset(0), all).unwrap();
        let wanted = (0..BATCHES).flat_map(marks).map(|mark| record(stream, &mark));
        for ((_, found), wanted) in batch.iter().zip(wanted) {
            assert_eq!((found.key, found.headers), (wanted.key.as_deref(), wanted.headers.as_slice()));
            assert_eq!(Some(found.timestamp), wanted.timestamp);
        }
    }
}

/// Rows of stream processors, of the base and of the journal; everything is sealed.
fn assert_holds_rows(storage: &Faulty, kept: &Kept) {
    let rows = StateFiles::load(storage).unwrap().rows;
    let keys: Vec<_> = rows.rows(Table::WindowState).map(|(key, _)| std::str::from_utf8(key).unwrap()).collect();
    assert_eq!(keys, kept.windows);
    let position = (!kept.windows.is_empty()).then_some(&b"2"[..]);
    assert_eq!(rows.get(Table::Positions, b"p"), position);
    assert_eq!(rows.get(Table::WindowState, b"changed"), position);
    assert_eq!(rows.rows(Table::Processors).count(), usize::from(position.is_some()));
}

#[test]
fn the_directory_of_every_version_is_read_and_written_on() {
    for kept in &VERSIONS {
        let storage = kept.load();
        let engine = common::open(&storage, &options()).unwrap();
        assert_eq!((engine.report().damages, engine.report().mode), (Vec::new(), Mode::Running));
        assert_holds_everything(&engine);
        assert_eq!(jobs_of(&engine).as_deref(), kept.jobs);
        until("sealing", || engine.report().seal_backlog_files == 0);
        assert_holds_everything(&engine);
        assert_holds_rows(&storage, kept);
        let before = engine.stream_report(STREAMS[0].0).unwrap().partitions[0].2;
        write_batch(&engine, 90);
        drop(engine);
        let engine = common::open(&storage, &options()).unwrap();
        assert_eq!(engine.report().damages, []);
        assert!(engine.stream_report(STREAMS[0].0).unwrap().partitions[0].2 > before, "it goes on where it was left");
        until("sealing", || engine.report().seal_backlog_files == 0);
        assert_holds_rows(&storage, kept);
        let written = only(&storage, ".delta").pop().unwrap();
        assert_eq!(&written[..8], NEWEST.state, "the newest version is written");
    }
}

#[test]
fn the_directory_of_every_version_is_read_from_a_real_disk() {
    for kept in &VERSIONS {
        let directory = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Storage> = Arc::new(Disk::new(directory.path()).unwrap());
        for (path, _) in kept.load().files() {
            let target = directory.path().join(&path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(kept.path().join(&path), target).unwrap();
        }
        let engine = Engine::open(disk, Options { access: Access::ReadOnly, ..options() }).unwrap();
        assert_eq!(engine.report().damages, []);
        assert_holds_everything(&engine);
    }
}

#[test]
fn what_a_later_version_wrote_is_left_as_it_is() {
    for part in [".journal", ".delta"] {
        let storage = NEWEST.load();
        let path =
            storage.files().into_iter().map(|(path, _)| path).rfind(|path| path.to_string_lossy().ends_with(part));
        let (path, version) = (path.unwrap(), b'4');
        let mut bytes = storage.contents(&path).unwrap();
        // The checksums of both copies of a journal's header are right, and so is that of a state file.
        for copy in if part == ".journal" { vec![0, 2048] } else { vec![0] } {
            let crc = if part == ".journal" { copy + 32 } else { 44 };
            bytes[copy + 7] = version;
            let right = crc32c::crc32c(&bytes[copy..crc]).to_le_bytes();
            bytes[crc..crc + 4].copy_from_slice(&right);
        }
        storage.put(&path, bytes);
        let contents = || storage.files().into_iter().map(|(path, _)| (storage.contents(&path), path));
        let before: Vec<_> = contents().collect();
        let engine = common::open(&storage, &options()).unwrap();
        assert_eq!(engine.report().mode, Mode::ReadOnly, "{part}");
        assert_eq!(engine.report().damages[0].file, path.to_string_lossy());
        drop(engine);
        let changed = |path: &Path| !["LOCK", CLOCK_FILE].map(Path::new).contains(&path);
        let after: Vec<_> = contents().filter(|(_, path)| changed(path)).collect();
        assert_eq!(after, before);
    }
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn journal_files_are_as_described() {
    VERSIONS.iter().for_each(check_journal);
}

fn check_journal(kept: &Kept) {
    let storage = kept.load();
    let mut commits = 0;
    for (path, _) in storage.files().into_iter().filter(|(path, _)| path.starts_with("journal")) {
        let bytes = storage.contents(&path).unwrap();
        for copy in [0, 2048] {
            assert_eq!(&bytes[copy..copy + 8], kept.journal);
            assert_eq!(path.to_string_lossy(), format!("journal/{:020}.journal", long(&bytes, copy + 8)));
            assert_eq!(long(&bytes, copy + 24), options().journal_file_bytes);
            assert_eq!(word(&bytes, copy + 32), crc32c::crc32c(&bytes[copy..copy + 32]));
        }
        let salt = bytes[16..24].to_vec();
        for frame in frames(&storage, &path) {
            let at = usize::try_from(frame.position).unwrap();
            let (rows, ops) = (word(&bytes, at + 44) as usize, word(&bytes, at + 48) as usize);
            let head = &bytes[at..at + 64 + rows * 32 + ops];
            let mut checked = salt.clone();
            checked.extend_from_slice(&head[8..]);
            assert_eq!(word(head, 4), crc32c::crc32c(&checked), "begun with the salt");
            assert!(long(head, 24) <= long(head, 16) && word(head, 56) == 0 && word(head, 60) == 0);
            let mut payload = at + head.len();
            for row in head[64..64 + rows * 32].chunks_exact(32) {
                let records = &bytes[payload..payload + word(row, 20) as usize];
                assert_eq!(word(row, 24), crc32c::crc32c(records));
                assert_eq!(record_count(records), word(row, 16));
                payload += records.len();
            }
            commits += u32::from(frame.kind == 1);
            assert_eq!((payload - at) as u64, frame.bytes);
        }
    }
    assert!(commits >= 3, "the journal's own batch is one commit for each stream");
}

/// Walks stored records by their lengths alone.
fn record_count(mut records: &[u8]) -> u32 {
    let mut count = 0;
    while !records.is_empty() {
        let key = u16::from_le_bytes(records[4..6].try_into().unwrap());
        let key = if key == u16::MAX { 0 } else { usize::from(key) };
        let headers = usize::from(u16::from_le_bytes(records[6..8].try_into().unwrap()));
        records = &records[16 + key + headers + word(records, 0) as usize..];
        count += 1;
    }
    count
}

#[test]
fn segments_are_as_described() {
    let mut codecs: BTreeMap<u32, u32> = BTreeMap::new();
    for bytes in VERSIONS.iter().flat_map(|kept| only(&kept.load(), ".segment")) {
        assert_eq!(&bytes[..8], b"FBSEGMT1");
        assert_eq!(word(&bytes, 28), crc32c::crc32c(&bytes[..28]));
        let footer = &bytes[bytes.len() - 48..];
        assert_eq!(&footer[..8], b"FBSEGEND");
        assert_eq!(word(footer, 44), crc32c::crc32c(&footer[..44]));
        assert_eq!((long(footer, 16), word(footer, 24)), (long(&bytes, 8), word(&bytes, 16)), "names itself");
        let index = &bytes[usize::try_from(long(footer, 8)).unwrap()..bytes.len() - 48];
        assert_eq!(index.len(), 72 * word(footer, 28) as usize);
        assert_eq!(word(footer, 32), crc32c::crc32c(index));
        let mut next = 32;
        for row in index.chunks_exact(72) {
            let at = usize::try_from(long(row, 0)).unwrap();
            assert_eq!(at, next, "blocks stand one after the other");
            let block = &bytes[at..at + 64 + word(&bytes, at + 56) as usize];
            assert_eq!((&block[..4], &block[..64]), (&b"FBB1"[..], &row[8..]));
            assert_eq!(word(block, 4), crc32c::crc32c(&block[8..]));
            let raw = match word(block, 60) {
                0 => block[64..].to_vec(),
                1 => lz4_flex::block::decompress(&block[64..], word(block, 52) as usize).unwrap(),
                2 => zstd::bulk::decompress(&block[64..], word(block, 52) as usize).unwrap(),
                codec => panic!("codec {codec}"),
            };
            assert_eq!((raw.len(), record_count(&raw)), (word(block, 52) as usize, word(block, 48)));
            *codecs.entry(word(block, 60)).or_default() += 1;
            next = at + block.len();
        }
    }
    assert_eq!(codecs.keys().copied().collect::<Vec<_>>(), [0, 1, 2], "a block of each codec: {codecs:?}");
}

#[test]
fn state_files_are_as_described() {
    VERSIONS.iter().for_each(check_state);
}

fn check_state(kept: &Kept) {
    let storage = kept.load();
    let (bases, deltas) = (only(&storage, ".base"), only(&storage, ".delta"));
    assert!(bases.len() == 1 && !deltas.is_empty());
    let mut tables = Vec::new();
    let mut builds_on = 0;
    for (bytes, is_base) in bases.iter().map(|b| (b, true)).chain(deltas.iter().map(|d| (d, false))) {
        assert_eq!(&bytes[..8], kept.state);
        assert_eq!(word(bytes, 44), crc32c::crc32c(&bytes[..44]));
        assert_eq!(word(bytes, 40), crc32c::crc32c(&bytes[48..]));
        assert_eq!(long(bytes, 32), bytes.len() as u64 - 48);
        assert_eq!(long(bytes, 24), if is_base { 0 } else { builds_on });
        builds_on = long(bytes, 16);
        let mut at = 48;
        while at < bytes.len() {
            let key = usize::from(u16::from_le_bytes(bytes[at + 2..at + 4].try_into().unwrap()));
            assert!(bytes[at + 1] <= 1, "1 put, 0 delete");
            tables.push(bytes[at]);
            at += 8 + key + word(bytes, at + 4) as usize;
        }
        assert_eq!(at, bytes.len());
    }
    tables.sort_unstable();
    tables.dedup();
    assert_eq!(tables, kept.tables);
}

/// Writes the kept directory anew. Only for a new version of the format, into a directory of its own:
/// `cargo test -p forebay-core --test format -- --ignored`, and then this version's tests stay as they are.
#[test]
#[ignore = "writes into the source tree"]
fn write_the_directory() {
    let storage = Faulty::new(1);
    storage.create_directory(Path::new("state")).unwrap();
    let mut catalog = Changes::default();
    for ((name, compression), id) in STREAMS.into_iter().zip(1..) {
        let retention = Retention { age: None, bytes: None };
        let new = StreamDefinition::new(name, 2, retention, 1 << 20);
        let definition = StreamDefinition { id, compression, created_us: 0, ..new };
        catalog.apply(TableOp::put(Table::Catalog, name.as_bytes(), definition.encode()));
    }
    catalog.apply(TableOp::put(Table::Processors, "p", "{}"));
    catalog.apply(TableOp::put(Table::Positions, "p", "1"));
    for window in ["changed", "gone", "old"] {
        catalog.apply(TableOp::put(Table::WindowState, window, "1"));
    }
    let machine: Arc<dyn Storage> = Arc::new(storage.clone());
    let clock = Arc::new(LogClock::open(&machine));
    let limits = DedupLimits { window: options().dedup_window, keys: 1000, durability: options().durability };
    let dedup = Dedup::new(limits, clock, Budget::new(1 << 20), KeyFiles::new(machine));
    let mut state = StateFiles::default().writer(dedup);
    state.write_delta(&storage, Generation(0), Sequence(0), &catalog).unwrap();
    // So many deltas are merged.
    for generation in 1..64 {
        state.write_delta(&storage, Generation(generation), Sequence(0), &Changes::default()).unwrap();
    }
    state.merge_when_due(&storage).unwrap();
    assert_eq!(only(&storage, ".base").len(), 1);
    for batch in 0..BATCHES {
        let engine = common::open(&storage, &options()).unwrap();
        until("sealing", || engine.report().seal_backlog_files == 0);
        write_batch(&engine, batch);
    }
    write_jobs(&storage);
    write_step(&storage);
    for (path, _) in storage.files() {
        let mut bytes = storage.contents(&path).unwrap();
        if path.starts_with("journal") {
            if frames(&storage, &path).iter().all(|frame| frame.kind != 1) || is_sealed(&storage, &bytes) {
                continue;
            }
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            bytes.truncate(used.next_multiple_of(4096));
        }
        if !["LOCK", CLOCK_FILE].map(Path::new).contains(&path.as_path()) {
            let target = NEWEST.path().join(path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, bytes).unwrap();
        }
    }
}

/// Jobs in each status, of which a part is sealed.
fn write_jobs(storage: &Faulty) {
    use forebay_core::job::{NewJob, Priority};
    let engine = common::open(storage, &options()).unwrap();
    let jobs = engine.jobs();
    let new = |priority, payload| NewJob { priority, retries: 0, ..NewJob::new("kept", payload) };
    jobs.enqueue(&new(Priority::Low, b"{}")).unwrap();
    let (id, lease) = leased(jobs);
    jobs.complete(&id, &lease, Some(br#"{"done":true}"#)).unwrap();
    jobs.enqueue(&new(Priority::Normal, br#"{"n":2}"#)).unwrap();
    drop(engine);
    let engine = common::open(storage, &options()).unwrap();
    until("sealing", || engine.report().seal_backlog_files == 0);
    let jobs = engine.jobs();
    let (id, lease) = leased(jobs);
    jobs.fail(&id, &lease, br#"{"message":"m"}"#, true).unwrap();
    jobs.enqueue(&NewJob { unique_key: Some("k"), ..new(Priority::Normal, b"[1]") }).unwrap();
    let made = jobs.enqueue(&new(Priority::High, b"0")).unwrap();
    let made: serde_json::Value = serde_json::from_slice(&made).unwrap();
    jobs.delete(made["job_id"].as_str().unwrap()).unwrap();
    jobs.pause("queue:kept:high").unwrap();
}

fn leased(jobs: &forebay_core::job::Jobs) -> (String, String) {
    let leased: serde_json::Value =
        serde_json::from_slice(&jobs.lease("kept", 1, Duration::from_secs(60)).unwrap()).unwrap();
    let text = |name: &str| leased["jobs"][0][name].as_str().unwrap().to_owned();
    (text("id"), text("lease"))
}

/// What there is of jobs; `None` without a queue.
fn jobs_of(engine: &Engine) -> Option<String> {
    let parse = |json: Vec<u8>| serde_json::from_slice::<serde_json::Value>(&json).unwrap();
    let mut all = Vec::new();
    for queue in parse(engine.jobs().queues())["queues"].as_array().unwrap() {
        let name = queue["name"].as_str().unwrap();
        if queue["paused"] == true {
            all.push(format!("{name} paused"));
        }
        for job in parse(engine.jobs().list(name, None, 100, 0).unwrap())["jobs"].as_array().unwrap() {
            let parts =
                ["payload", "error", "result"].map(|part| &job[part]).into_iter().filter(|part| !part.is_null());
            let parts = parts.map(ToString::to_string).chain(job["unique_key"].as_str().map(str::to_owned));
            let parts: Vec<_> = parts.collect();
            all.push(format!("{name} {} {}", job["status"].as_str().unwrap(), parts.join(" ")));
        }
    }
    (!all.is_empty()).then(|| all.join(", "))
}

/// A commit of a stream processor, in a journal file of its own.
fn write_step(storage: &Faulty) {
    let journals = || storage.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with("journal"));
    let generation = journals().filter_map(|path| storage.contents(path)).map(|bytes| long(&bytes, 8)).max().unwrap();
    let sequence = journals().flat_map(|path| frames(storage, &path)).map(|frame| frame.sequence).max().unwrap();
    let life = Life { generation: Generation(generation + 1), salt: 0x5eed };
    let path = PathBuf::from(format!("journal/{:020}.journal", life.generation.0));
    let file = JournalFile::begin(storage.create(&path).unwrap(), path, life, options().journal_file_bytes).unwrap();
    let mut ops = Vec::new();
    TableOp::put(Table::Positions, "p", "2").encode(&mut ops);
    TableOp::put(Table::WindowState, "changed", "2").encode(&mut ops);
    TableOp::delete(Table::WindowState, "gone").encode(&mut ops);
    TableOp::put(Table::WindowState, "new", "2").encode(&mut ops);
    let head = FrameHead { kind: FrameKind::Commit, ops, ..FrameHead::end(Sequence(sequence)) };
    let head = FrameHead { sequence: Sequence(sequence + 1), ..head };
    let mut position = PAGE_BYTES as u64;
    for head in [head, FrameHead::end(Sequence(sequence + 1))] {
        let mut bytes = Vec::new();
        head.encode(life, &mut bytes);
        bytes.resize(bytes.len().next_multiple_of(PAGE_BYTES), 0);
        file.file.write_at(&bytes, position).unwrap();
        position += bytes.len() as u64;
    }
}

fn is_sealed(storage: &Faulty, journal: &[u8]) -> bool {
    let sealed = only(storage, ".delta").iter().map(|delta| long(delta, 8)).max();
    sealed.is_some_and(|sealed| long(journal, 8) <= sealed)
}
