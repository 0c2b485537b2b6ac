//! An engine with a stream, and short ways to call it as a consumer.

use std::time::Instant;

use forebay_core::consumer::{Consume, Fetched, OffsetCommit, write_answer};
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, Error, ErrorKind, NewRecord, Offset, PartitionId, Result};

use crate::common;

pub const STREAM: &str = "orders";
pub const GROUP: &str = "billing";

pub fn engine(storage: &Faulty) -> Engine {
    common::open(storage, &common::small()).unwrap()
}

/// An engine with a stream of so many partitions.
pub fn with_stream(partitions: u32) -> (Faulty, Engine) {
    let storage = Faulty::new(u64::from(partitions));
    let engine = engine(&storage);
    engine.create_stream(STREAM, partitions).unwrap();
    (storage, engine)
}

/// A machine with an engine that seals soon, and that is started again and again.
pub struct Machine {
    pub storage: Faulty,
    engine: Option<Engine>,
}

impl Machine {
    pub fn new(seed: u64) -> Self {
        let storage = Faulty::new(seed);
        let engine = Some(common::open(&storage, &common::sealing_soon()).unwrap());
        Self { storage, engine }
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    /// Starts the engine again: on what a crash of that seed leaves, or after it was closed.
    pub fn restart(&mut self, crash_seed: Option<u64>) {
        let crashed = crash_seed.map(|seed| self.storage.crash_seeded(seed));
        self.engine = None;
        self.storage = crashed.unwrap_or_else(|| self.storage.clone());
        self.engine = Some(common::open(&self.storage, &common::sealing_soon()).unwrap());
    }
}

/// Appends so many records, whose values are their offsets.
pub fn append(engine: &Engine, partition: u32, count: u64) {
    let reports = engine.stream_reports();
    let report = reports.iter().find(|report| report.name == STREAM).unwrap();
    let from = report.partitions[partition as usize].2.0;
    let record = |number: u64| NewRecord {
        key: Some(format!("k{number}").into_bytes()),
        value: number.to_string().into_bytes(),
        headers: Vec::new(),
        timestamp: None,
    };
    let records: Vec<_> = (from..from + count).map(record).collect();
    engine.append(STREAM, &records, Some(PartitionId(partition))).unwrap();
}

/// A call without anything special.
pub fn plain(now: Instant) -> Consume<'static> {
    Consume { now, ..common::consume_call(GROUP, STREAM, 100) }
}

pub fn consume(engine: &Engine) -> Fetched {
    engine.groups().consume(&plain(Instant::now())).unwrap()
}

pub fn as_member(engine: &Engine, member: &str, now: Instant) -> Fetched {
    engine.groups().consume(&Consume { member: Some(member), ..plain(now) }).unwrap()
}

pub fn partitions(fetched: &Fetched) -> Vec<u32> {
    fetched.reached.iter().map(|reached| reached.partition.0).collect()
}

/// (partition, offset) of every record; its value is checked to be the offset.
pub fn places(fetched: &Fetched) -> Vec<(u32, u64)> {
    let of = |batch: &forebay_core::RecordBatch| {
        let partition = batch.partition().0;
        let place = move |(offset, record): (Offset, forebay_core::record::Record<'_>)| {
            assert_eq!(record.value, offset.0.to_string().as_bytes());
            (partition, offset.0)
        };
        batch.iter().map(place).collect::<Vec<_>>()
    };
    fetched.batches.iter().flat_map(of).collect()
}

pub fn next(fetched: &Fetched) -> Vec<u64> {
    fetched.reached.iter().map(|reached| reached.next.0).collect()
}

/// Commits (partition, offset) pairs of the stream.
pub fn commit_as(
    engine: &Engine,
    offsets: &[(u32, u64)],
    member: Option<&str>,
    force: bool,
    now: Instant,
) -> Result<()> {
    let offsets: Vec<_> = offsets
        .iter()
        .map(|(partition, offset)| (STREAM.to_owned(), PartitionId(*partition), Offset(*offset)))
        .collect();
    let commit = OffsetCommit { group: GROUP, offsets: &offsets, member, force, now };
    engine.groups().commit_and_wait(&commit).map(drop)
}

pub fn commit(engine: &Engine, offsets: &[(u32, u64)]) -> Result<()> {
    commit_as(engine, offsets, None, false, Instant::now())
}

/// (partition, offset) of every committed offset of the group.
pub fn committed(engine: &Engine) -> Vec<(u32, u64)> {
    let report = engine.groups().report(GROUP, Instant::now()).unwrap();
    report.offsets.iter().map(|row| (row.partition.0, row.offset.0)).collect()
}

pub fn kind<T: std::fmt::Debug>(outcome: std::result::Result<T, Error>) -> ErrorKind {
    outcome.unwrap_err().kind()
}

pub fn json(fetched: &Fetched) -> serde_json::Value {
    serde_json::from_slice(&write_answer(GROUP, fetched)).unwrap()
}
