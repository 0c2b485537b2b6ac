//! An engine with a source, and what its processors make of it.

use std::time::Instant;

use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, Limits, NewRecord, Offset, Options, PartitionId, Timestamp};
use serde_json::Value;

use crate::common::{self, PATIENCE};

pub const SOURCE: &str = "transactions";
pub const SINK: &str = "alerts";
pub const PARTITIONS: u32 = 2;

/// One record of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub partition: u32,
    pub user: u32,
    pub amount: i64,
    pub millis: i64,
}

impl Event {
    pub fn new(partition: u32, user: u32, amount: i64, millis: i64) -> Self {
        Self { partition, user, amount, millis }
    }

    /// A record behind all others, which closes their windows.
    pub fn last(partition: u32) -> Self {
        Self::new(partition, 0, 0, 1_000_000)
    }

    fn record(&self) -> NewRecord {
        NewRecord {
            key: Some(format!("u{}", self.user).into_bytes()),
            value: format!(r#"{{"userId":"u{}","amount":{},"at":{}}}"#, self.user, self.amount, self.millis)
                .into_bytes(),
            headers: br#"{"h":"1"}"#.to_vec(),
            timestamp: Some(Timestamp(self.millis * 1000)),
        }
    }
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    pub partition: u32,
    pub offset: u64,
    pub millis: i64,
    pub key: Option<String>,
    pub headers: String,
    pub value: String,
}

pub fn options() -> Options {
    Options { workers: 1, ..common::small() }
}

pub fn open(storage: &Faulty) -> Engine {
    common::open(storage, &options()).unwrap()
}

/// A new engine with the source.
pub fn begin(storage: &Faulty) -> Engine {
    let engine = open(storage);
    engine.create_stream(SOURCE, PARTITIONS).unwrap();
    engine
}

/// A definition of these operations.
pub fn definition(name: &str, operations: &str, config: &str) -> Vec<u8> {
    format!(
        r#"{{"name":"{name}","source":"{SOURCE}","sink":"{SINK}","offset":"earliest","operations":{operations},"config":{config}}}"#
    )
    .into_bytes()
}

pub const COUNT: &str = r#"[{"type":"filter","predicate":"value.amount > 1000"},
    {"type":"window","windowType":"tumbling","duration":100},
    {"type":"aggregate","aggregation":"count","groupBy":"userId"}]"#;
pub const COPY: &str = r#"[{"type":"filter","predicate":"value.amount > 1000"}]"#;
/// Windows close when the records say so, and not by the clock.
pub const BY_RECORDS: &str = r#"{"checkpointInterval":10,"allowedLateness":20,"idleTimeout":3600000}"#;

pub fn create(engine: &Engine, definition: &[u8]) -> Value {
    serde_json::from_slice(&engine.processors().create(definition).unwrap()).unwrap()
}

pub fn send(engine: &Engine, events: &[Event]) {
    try_send(engine, events).unwrap();
}

/// Appends many events of one partition, with few commits.
pub fn send_many(engine: &Engine, partition: u32, events: impl Iterator<Item = Event>) {
    let records: Vec<_> = events.map(|event| event.record()).collect();
    for part in records.chunks(1000) {
        common::until("room for records", || match engine.append(SOURCE, part, Some(PartitionId(partition))) {
            Ok(_) => true,
            // The sealer has to make room first.
            Err(error) if error.kind() == forebay_core::ErrorKind::Saturated => false,
            Err(error) => panic!("{error}"),
        });
    }
}

/// Appends the events of each partition, in order; those before an error are there.
pub fn try_send(engine: &Engine, events: &[Event]) -> forebay_core::Result<()> {
    for event in events {
        engine.append(SOURCE, &[event.record()], Some(PartitionId(event.partition)))?;
    }
    Ok(())
}

pub fn read(engine: &Engine, stream: &str) -> Vec<Read> {
    let Ok(report) = engine.stream_report(stream) else { return Vec::new() };
    let mut all = Vec::new();
    for (partition, start, end) in report.partitions {
        let mut from = start;
        while from < end {
            let limits = Limits { records: 10_000, bytes: 16 << 20 };
            let batch = engine.fetch(stream, partition, from, limits).unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            all.extend(batch.iter().map(|(offset, record)| Read {
                partition: partition.0,
                offset: offset.0,
                millis: record.timestamp.millis(),
                key: record.key.map(text),
                headers: text(record.headers),
                value: text(record.value),
            }));
            assert_eq!(batch.gaps(), []);
            from = batch.next_offset().max(Offset(from.0 + 1));
        }
    }
    all
}

/// The records of the source, as they are stored.
pub fn stored(engine: &Engine) -> Vec<Event> {
    let event = |read: Read| {
        let value: Value = serde_json::from_str(&read.value).unwrap();
        let user = value["userId"].as_str().unwrap()[1..].parse().unwrap();
        Event::new(read.partition, user, value["amount"].as_i64().unwrap(), read.millis)
    };
    read(engine, SOURCE).into_iter().map(event).collect()
}

pub fn description(engine: &Engine, name: &str) -> Value {
    serde_json::from_slice(&engine.processors().description(name).unwrap()).unwrap()
}

pub fn metrics(engine: &Engine, name: &str) -> Value {
    serde_json::from_slice(&engine.processors().metrics(name).unwrap()).unwrap()
}

/// Waits until all that is stored of the source is processed, and the results of it are there.
pub fn wait_caught_up(engine: &Engine, name: &str) {
    wait(engine, name, "lag 0", |metrics| metrics["metrics"]["lag"] == 0);
}

pub fn wait(engine: &Engine, name: &str, what: &str, holds: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = metrics(engine, name);
        if holds(&metrics) {
            return;
        }
        assert!(Instant::now() < deadline, "{what} did not come: {metrics}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
