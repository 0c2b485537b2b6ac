//! A data directory with everything in it, and the judge of its repairs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::log::journal::JournalFile;
use forebay_core::log::journal::{FRAME_HEADER_BYTES, FrameHead, FrameKind, PAGE_BYTES};
use forebay_core::status::Mode;
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::Faulty;
use forebay_core::stream::is_builtin;
use forebay_core::table::{Table, TableOp};
use forebay_core::{Apply, Engine, Limits, NewRecord, Offset, OffsetRange, Options, repair, verify};

/// Stream by its identity (a lost name is made up anew), partition, offset.
pub type Place = (u32, u32, u64);

pub struct World {
    pub storage: Faulty,
    pub records: BTreeMap<Place, Vec<u8>>,
    /// How many records are in the journal alone.
    pub unsealed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub lost_records: u64,
    pub rebuilt: bool,
}

pub fn open(storage: &Faulty) -> Engine {
    let options =
        Options { ring_bytes: 8 << 20, journal_file_bytes: 1 << 20, logs_partitions: 2, ..Options::default() };
    Engine::open(Arc::new(storage.clone()), options).unwrap()
}

fn record(number: u64) -> NewRecord {
    let text = format!("{:0200}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let value = format!(r#"{{"n":{number},"text":"{text}"}}"#).into_bytes();
    NewRecord { key: Some(format!("k{number}").into_bytes()), value, headers: Vec::new(), timestamp: None }
}

fn fill(engine: &Engine, commits: u64, each: u64) {
    for commit in 0..commits {
        for (stream, first) in [("orders", 0), ("clicks", 1000)] {
            let records: Vec<_> = (0..each).map(|i| record(first + commit * each + i)).collect();
            engine.append(stream, &records, None).unwrap();
        }
    }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

pub fn records(engine: &Engine) -> BTreeMap<Place, Vec<u8>> {
    let mut found = BTreeMap::new();
    for stream in engine.stream_reports() {
        for (partition, start, end) in stream.partitions {
            let mut offset = start;
            while offset < end {
                let batch =
                    engine.fetch(&stream.name, partition, offset, Limits { records: 500, bytes: 1 << 20 }).unwrap();
                for (at, record) in batch.iter() {
                    found.insert((stream.id, partition.0, at.0), record.value.to_vec());
                }
                assert!(batch.next_offset() > offset, "a reader gets on");
                offset = batch.next_offset();
            }
        }
    }
    found
}

impl World {
    /// Three streams, sealed in several segments, with a base and deltas, and commits that only the journal has.
    pub fn new() -> Self {
        let storage = Faulty::new(11);
        let engine = open(&storage);
        engine.create_stream("orders", 3).unwrap();
        engine.create_stream("clicks", 1).unwrap();
        for round in 1..=3 {
            until("sealing", || {
                // A sealer that lags behind would have the ring refuse.
                until("the sealer", || engine.report().seal_backlog_files == 0);
                fill(&engine, 3, 60);
                engine.stream_reports().iter().map(|stream| stream.segments).max() >= Some(round)
            });
        }
        drop(engine);
        // Seals what is left, so that the journal holds what is appended from here on.
        let engine = open(&storage);
        until("sealing", || engine.report().seal_backlog_files == 0);
        let sealed = records(&engine).len();
        fill(&engine, 8, 15);
        let records = records(&engine);
        drop(engine);
        let unsealed = (records.len() - sealed) as u64;
        Self { storage, records, unsealed }
    }

    fn files(&self, suffix: &str) -> Vec<PathBuf> {
        let all = self.storage.files().into_iter().map(|(path, _)| path);
        all.filter(|path| path.extension().is_some_and(|of| of == suffix)).collect()
    }

    pub fn segment(&self) -> PathBuf {
        self.files("segment").remove(0)
    }

    pub fn state(&self) -> Vec<PathBuf> {
        self.files("base").into_iter().chain(self.files("delta")).collect()
    }

    /// Writes something else where a state file defines a stream, with sound checksums.
    pub fn spoil_definition(&self, storage: &Faulty, stream: &str) {
        const HEADER_BYTES: usize = 48;
        let mut spoilt = 0;
        for path in self.state() {
            let mut header = storage.contents(&path).unwrap();
            let body = header.split_off(HEADER_BYTES);
            let mut ops = TableOp::decode_all(&body).unwrap();
            let named = |op: &&mut TableOp| op.table == Table::Catalog && op.key == stream.as_bytes();
            let Some(op) = ops.iter_mut().find(named) else { continue };
            op.value = Some(b"{\"id\":2}".to_vec());
            let mut body = Vec::new();
            for op in &ops {
                op.encode(&mut body);
            }
            header[32..40].copy_from_slice(&(body.len() as u64).to_le_bytes());
            header[40..44].copy_from_slice(&crc32c::crc32c(&body).to_le_bytes());
            let crc = crc32c::crc32c(&header[..44]);
            header[44..48].copy_from_slice(&crc.to_le_bytes());
            storage.put(&path, [header, body].concat());
            spoilt += 1;
        }
        assert!(spoilt > 0, "a state file defines {stream}");
    }

    /// The journal file that is not sealed, and the position and the length of the head of each commit with records.
    pub fn journal(&self) -> (PathBuf, Vec<(usize, usize)>) {
        let mut best = (PathBuf::new(), Vec::new());
        for path in self.files("journal") {
            let file = Storage::open_read(&self.storage, &path).unwrap();
            let Some(file) = JournalFile::identify(file, path.clone()).unwrap() else { continue };
            let bytes = self.storage.contents(&path).unwrap();
            let (mut at, mut frames) = (PAGE_BYTES, Vec::new());
            while let Some(frame) = FrameHead::decode(file.life, &bytes[at..]) {
                if frame.head.kind == FrameKind::Commit && !frame.head.rows.is_empty() {
                    frames.push((at, frame.payload_at().max(FRAME_HEADER_BYTES)));
                }
                at += frame.frame_bytes();
            }
            if !frames.is_empty() {
                best = (path, frames);
            }
        }
        assert_eq!(best.1.len(), 16, "the commits of the last run");
        best
    }

    /// Damages a copy of the directory, repairs it, and judges the result.
    pub fn check(&self, what: &str, damage: impl FnOnce(&Faulty)) -> Outcome {
        let storage = self.storage.kill();
        damage(&storage);
        let damaged = storage.kill();
        let found = verify(&(Arc::new(storage.clone()) as Arc<dyn Storage>)).unwrap();
        let shared: Arc<dyn Storage> = Arc::new(storage.clone());
        let repaired = repair(&shared, Apply::Yes).unwrap();
        assert_eq!(repaired.findings, found.findings, "{what}");
        for item in &repaired.items {
            if item.unreadable.is_empty() {
                let original = damaged.contents(&item.from).unwrap();
                let (from, length) = item.range.unwrap_or((0, item.bytes));
                let original = &original[from as usize..(from + length) as usize];
                assert_eq!(storage.contents(&item.to).as_deref(), Some(original), "{what}: {item:?}");
            }
        }
        self.judge(what, &damaged, &storage)
    }

    /// Clean, nothing deleted, read-write, every record readable or named as lost, and no offset used twice.
    pub fn judge(&self, what: &str, damaged: &Faulty, storage: &Faulty) -> Outcome {
        let shared: Arc<dyn Storage> = Arc::new(storage.clone());
        let report = verify(&shared).unwrap();
        assert!(report.is_clean(), "{what}: {:?}", report.findings);
        assert_eq!(repair(&shared, Apply::Yes).unwrap(), forebay_core::RepairReport::default(), "{what}");
        keeps_every_byte(what, damaged, storage);
        let rebuilt = storage.files().iter().any(|(path, _)| {
            let name = path.to_string_lossy();
            name.starts_with("quarantine/") && (name.contains("state-") || name.contains("journal-"))
        });
        let engine = open(storage);
        assert_eq!(engine.report().mode, Mode::Running, "{what}: {:?}", engine.report());
        assert!(engine.report().damages.is_empty(), "{what}: {:?}", engine.report().damages);
        let readable = records(&engine);
        assert!(engine.report().damages.is_empty(), "{what}: readers skip what is known to be gone");
        let is_lost = |(stream, partition, offset): &Place| {
            let holds = |range: &OffsetRange| {
                range.stream_id == *stream && range.partition == *partition && (range.start..range.end).contains(offset)
            };
            report.quarantined.iter().any(holds)
        };
        let lost: BTreeSet<&Place> = self.records.keys().filter(|place| !readable.contains_key(*place)).collect();
        for (place, value) in &self.records {
            assert_eq!(is_lost(place), lost.contains(place), "{what}: {place:?} is readable or named as lost");
            assert!(lost.contains(place) || readable[place] == *value, "{what}: {place:?}");
        }
        assert_eq!(readable.len() + lost.len(), self.records.len(), "{what}: nothing is made up");
        for stream in engine.stream_reports().iter().filter(|stream| !is_builtin(&stream.name)) {
            for (partition, ..) in &stream.partitions {
                let appended = engine.append(&stream.name, &[record(7)], Some(*partition)).unwrap();
                let used = self.records.keys().filter(|(of, number, _)| *of == stream.id && *number == partition.0);
                let last = used.map(|(_, _, offset)| *offset).max().unwrap();
                assert!(appended.places[0].1 > Offset(last), "{what}: {} goes back to {appended:?}", stream.name);
            }
        }
        Outcome { lost_records: lost.len() as u64, rebuilt }
    }
}

/// Checks that the bytes of segments and state files are still in the directory, but where reads failed.
fn keeps_every_byte(what: &str, damaged: &Faulty, storage: &Faulty) {
    let after: Vec<(PathBuf, Vec<u8>)> =
        storage.files().into_iter().map(|(path, _)| (path.clone(), storage.contents(path).unwrap())).collect();
    let holds = |piece: &[u8]| after.iter().any(|(_, bytes)| bytes.windows(piece.len()).any(|window| window == piece));
    for (path, _) in damaged.files() {
        let bytes = damaged.contents(&path).unwrap();
        let is_kept = path.starts_with("state") || path.starts_with("segments");
        let same = storage.contents(&path).is_some_and(|now| now == bytes);
        if !is_kept || same || after.iter().any(|(_, other)| *other == bytes) {
            continue;
        }
        let name = path.to_string_lossy().replace('/', "-");
        let aside = after.iter().filter_map(|(path, bytes)| {
            let (_, position) = path.file_name()?.to_str()?.strip_prefix(&name)?.split_once('@')?;
            let position: usize = position.parse().ok()?;
            Some((position, position + bytes.len()))
        });
        let mut at = 0;
        for (from, to) in aside.collect::<BTreeSet<_>>() {
            assert!(at >= from || holds(&bytes[at..from]), "{what}: {path:?} from {at} to {from}");
            at = at.max(to);
        }
        assert!(at >= bytes.len() || holds(&bytes[at..]), "{what}: {path:?} from {at}");
    }
}
