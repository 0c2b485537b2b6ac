//! Helpers of the log's tests: small options, records that say which batch they belong to, and a reader of
//! everything.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(missing_debug_implementations)]

pub mod ledger;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::consumer::{Consume, OnReset, StartAt};
use forebay_core::storage::faulty::Faulty;
use forebay_core::{
    Body, Engine, LOGS, Limits, MIN_JOURNAL_FILE_BYTES, MIN_RING_BYTES, NewRecord, Offset, Options, PartitionId,
    REJECTED_SUFFIX, Result,
};

/// The time within which everything that a test waits for comes, on a slow machine too.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Room that is too little for any merge. A merged file that streams share is freed by none of them alone, and one that
/// was being written is room for the next start: whether there is one is up to the clock.
pub const NO_ROOM_TO_MERGE: u64 = 128 << 20;

/// The smallest engine: files fill fast, and quiet files are sealed soon.
pub fn small() -> Options {
    Options {
        ring_bytes: MIN_RING_BYTES,
        journal_file_bytes: MIN_JOURNAL_FILE_BYTES,
        logs_partitions: 2,
        workers: 2,
        ..Options::default()
    }
}

/// Files are sealed as soon as the options allow.
pub fn sealing_soon() -> Options {
    Options { journal_file_age: Duration::from_millis(100), ..small() }
}

pub fn open(storage: &Faulty, options: &Options) -> Result<Engine> {
    Engine::open(Arc::new(storage.clone()), options.clone())
}

/// Polls until it holds; fails the test with `what` when it does not in time.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

/// Waits until every full journal file is sealed, and the active one holds nothing.
pub fn wait_sealed(engine: &Engine) {
    until("sealing", || {
        engine.report().seal_backlog_files == 0 && engine.stream_reports().iter().all(|stream| stream.ring_bytes == 0)
    });
}

/// One record that a test writes: whose batch it belongs to, which of how many it is, and how long its padding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub batch: u32,
    pub index: u32,
    pub records: u32,
    pub padding: u32,
}

impl Mark {
    fn token(self) -> String {
        // Padding that compresses neither to nothing nor not at all.
        let mut state = u64::from(self.batch) << 20 | u64::from(self.index);
        let mut padding = String::with_capacity(self.padding as usize);
        for _ in 0..self.padding {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            padding.push(char::from(b'a' + (state >> 60) as u8));
        }
        format!("#{}.{}.{}.{}#{padding}", self.batch, self.index, self.records, self.padding)
    }

    /// An event of the drain that lacks its project, and is put aside: every second one of its batch.
    pub fn invalid(self) -> String {
        format!(r#"{{"timestamp":"2024-05-31T15:30:45Z","level":"info","service":"s","message":"{}"}}"#, self.token())
    }

    /// The value as it is stored; of what was put aside, as far as a test knows it.
    pub fn value(self, stream: &str) -> String {
        let token = self.token();
        if stream.ends_with(REJECTED_SUFFIX) {
            return format!(r#","event":{}}}"#, self.invalid());
        }
        if stream != LOGS {
            return format!(r#"{{"mark":"{token}"}}"#);
        }
        let project = self.index % 5;
        format!(
            r#"{{"project_id":"p{project}","timestamp":"2024-05-31T15:30:45Z","level":"info","service":"s","message":"{token}"}}"#
        )
    }

    /// Reads a stored value back; `None` when it is not, byte for byte, one that a test wrote.
    pub fn of(stream: &str, value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut numbers = text.split('#').nth(1)?.split('.').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        let mark = Self { batch: next()?, index: next()?, records: next()?, padding: next()? };
        let same = match stream.ends_with(REJECTED_SUFFIX) {
            true => text.starts_with(&format!(r#"{{"index":{},"#, mark.index)) && text.ends_with(&mark.value(stream)),
            false => mark.value(stream) == text,
        };
        same.then_some(mark)
    }

    pub fn batch(batch: u32, records: u32, padding: u32) -> Vec<Self> {
        (0..records).map(|index| Self { batch, index, records, padding }).collect()
    }
}

pub fn drain(marks: &[Mark]) -> Body {
    let events: Vec<_> = marks.iter().map(|mark| mark.value(LOGS)).collect();
    Box::new(format!(r#"{{"events":[{}]}}"#, events.join(",")).into_bytes())
}

/// A body whose every second event is invalid.
pub fn half_invalid(marks: &[Mark]) -> Body {
    let event = |mark: &Mark| if mark.index.is_multiple_of(2) { mark.value(LOGS) } else { mark.invalid() };
    let events: Vec<_> = marks.iter().map(event).collect();
    Box::new(format!(r#"{{"events":[{}]}}"#, events.join(",")).into_bytes())
}

pub fn records(stream: &str, marks: &[Mark], keyed: bool) -> Vec<NewRecord> {
    let key = |mark: &Mark| keyed.then(|| format!("k{}", mark.index % 5).into_bytes());
    let record = |mark: &Mark| NewRecord {
        key: key(mark),
        value: mark.value(stream).into_bytes(),
        headers: Vec::new(),
        timestamp: None,
    };
    marks.iter().map(record).collect()
}

/// A group's call without a member, a filter or a commit: it begins at what is committed.
pub fn consume_call<'a>(group: &'a str, stream: &'a str, limit: usize) -> Consume<'a> {
    Consume {
        group,
        stream,
        member: None,
        partition: None,
        start_at: StartAt::Committed,
        resume: &[],
        gaps: &[],
        filter: None,
        limit,
        on_reset: OnReset::Error,
        auto_commit: false,
        hold: Duration::ZERO,
        now: Instant::now(),
    }
}

/// The seeds of a model's cases: `default_cases` of them from any number on, or as `FOREBAY_MODEL_CASES` and
/// `FOREBAY_MODEL_SEED` say. Each is printed, so that a failure can be run again.
pub fn model_seeds(default_cases: u64) -> impl Iterator<Item = u64> {
    let number = |variable: &str| std::env::var(variable).ok().map(|text| text.parse::<u64>().unwrap());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let first = number("FOREBAY_MODEL_SEED").unwrap_or(u64::from(now.subsec_nanos()));
    let cases = number("FOREBAY_MODEL_CASES").unwrap_or(default_cases);
    (first..first + cases).inspect(|seed| println!("FOREBAY_MODEL_SEED={seed}"))
}

/// Xorshift: the choices of one seed are the same on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    pub fn one_in(&mut self, limit: u64) -> bool {
        self.below(limit) == 0
    }
}

/// A stream and one of its partitions.
pub type Place = (String, u32);

/// One partition as it is read: its bounds, and every record in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    pub start: u64,
    pub committed: u64,
    pub records: Vec<(u64, Mark)>,
}

/// Reads one partition from its start to its end.
pub fn read_partition(engine: &Engine, stream: &str, partition: u32) -> Result<Log> {
    let report = engine.stream_report(stream).expect("the stream is there");
    let (_, start, committed) = report.partitions[partition as usize];
    assert!(start <= committed, "{stream} {partition}: start {start} is beyond {committed}");
    let mut log = Log { start: start.0, committed: committed.0, records: Vec::new() };
    let mut offset = start;
    while offset < committed {
        let batch = engine.fetch(stream, PartitionId(partition), offset, Limits { records: 500, bytes: 128 * 1024 })?;
        assert!(batch.next_offset() > offset, "{stream} {partition}: reading stands still at {offset}");
        for (at, record) in batch.iter() {
            let mark = Mark::of(stream, record.value);
            let mark = mark.unwrap_or_else(|| panic!("{stream} {partition} offset {at}: {record:?}"));
            log.records.push((at.0, mark));
        }
        offset = batch.next_offset();
    }
    log.records.retain(|(offset, _)| *offset < committed.0);
    Ok(log)
}

fn starts(engine: &Engine) -> Vec<(String, Vec<u64>)> {
    let of = |report: forebay_core::StreamReport| {
        (report.name, report.partitions.iter().map(|(_, start, _)| start.0).collect())
    };
    engine.stream_reports().into_iter().map(of).collect()
}

/// Reads everything, as of one moment: again when retention deleted meanwhile.
pub fn read_all(engine: &Engine) -> Result<BTreeMap<Place, Log>> {
    loop {
        let before = starts(engine);
        let read = read_once(engine);
        if starts(engine) == before {
            return read;
        }
    }
}

fn read_once(engine: &Engine) -> Result<BTreeMap<Place, Log>> {
    let mut all = BTreeMap::new();
    for stream in engine.stream_reports() {
        for (partition, _, _) in &stream.partitions {
            let log = read_partition(engine, &stream.name, partition.0)?;
            all.insert((stream.name.clone(), partition.0), log);
        }
    }
    Ok(all)
}

/// Offsets have no gap between start and end.
pub fn assert_dense(place: &Place, log: &Log) {
    let offsets: Vec<u64> = log.records.iter().map(|(offset, _)| *offset).collect();
    let wanted: Vec<u64> = (log.start..log.committed).collect();
    if offsets != wanted {
        let gap = offsets.iter().zip(&wanted).find(|(found, wanted)| found != wanted);
        panic!("{place:?} has {} of {} records, first difference {gap:?}", offsets.len(), wanted.len());
    }
}

/// An offset that is `parts` of 255 of the way from start to end.
pub fn offset_at(log: &Log, parts: u8) -> Offset {
    Offset(log.start + (log.committed - log.start) * u64::from(parts) / 255)
}

/// A frame of a journal file, found by its magic alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub position: u64,
    /// 1 commit, 2 marker, 3 end.
    pub kind: u32,
    pub sequence: u64,
    /// Header, rows, operations and payload, without padding.
    pub bytes: u64,
}

/// The frames of a journal file's present life, read with nothing of the engine's own code.
pub fn frames(storage: &Faulty, path: &std::path::Path) -> Vec<Frame> {
    let bytes = storage.contents(path).unwrap_or_default();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let mut frames = Vec::new();
    let mut at = 4096;
    while at + 64 <= bytes.len() && &bytes[at..at + 4] == b"FBJ1" && long(at + 8) == long(8) {
        let length = 64 + u64::from(word(at + 44)) * 32 + u64::from(word(at + 48)) + u64::from(word(at + 52));
        frames.push(Frame { position: at as u64, kind: word(at + 40), sequence: long(at + 16), bytes: length });
        at += usize::try_from(length.next_multiple_of(4096)).unwrap();
    }
    frames
}

/// How many journal files hold frames as `wanted` says.
pub fn journals_with(storage: &Faulty, wanted: impl Fn(&[Frame]) -> bool) -> usize {
    let paths = storage.files().into_iter().map(|(path, _)| path);
    let journals = paths.filter(|path| path.to_string_lossy().ends_with(".journal"));
    journals.filter(|path| wanted(&frames(storage, path))).count()
}

/// Waits until the log is quiet: its last frame is a marker, and that one is synced, too. At `Durability::Fsync` there is
/// one sync for each frame, of a log that began on an empty storage and has not reused a file yet.
pub fn wait_quiet(storage: &Faulty, engine: &Engine) {
    until("a quiet log", || {
        let paths = storage.files().into_iter().map(|(path, _)| path);
        let journals = paths.filter(|path| path.to_string_lossy().ends_with(".journal"));
        let frames: Vec<_> = journals.flat_map(|path| frames(storage, &path)).collect();
        let newest = frames.iter().max_by_key(|frame| frame.sequence);
        newest.is_some_and(|frame| frame.kind == 2) && engine.counters().syncs.get() == frames.len() as u64
    });
}
