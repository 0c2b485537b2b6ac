//! What a processor costs: records of 267 bytes with 10,000 keys and 30 minutes of event time, of which half pass the
//! filter, are counted by key in windows of five minutes. Wall clock, and CPU time of the threads that process and commit,
//! per million records, from the processor's creation until everything is processed and stored. The thread that prepares
//! journal files is left out: it writes half a gigabyte of zeros at once, now in one run and then in another.
//!
//! `cargo bench -p forebay-core --bench processors [part of a name]`
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::storage::Disk;
use forebay_core::{Compression, Durability, Engine, NewRecord, Options, PartitionId, StreamChange, Timestamp};

const RECORDS: u32 = 1_000_000;
const MINUTES: u32 = 30;
const BATCH: u32 = 10_000;
const ROUNDS: u32 = 3;
/// A processor that has done nothing for so long has read everything.
const SILENCE: Duration = Duration::from_millis(500);
const FILTER: &str = r#"{"type":"filter","predicate":"value.amount > 1000"}"#;
const COUNT: &str = r#"{"type":"aggregate","aggregation":"count","groupBy":"userId"}"#;

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, compression, keys) in
        [("ring", None, 10_000), ("zstd", Some(Compression::Zstd), 10_000), ("ring, 1 M keys", None, 1_000_000)]
    {
        let runs = [
            ("filter, tumbling", tumbling()),
            ("filter, sliding of 60 panes", sliding()),
            ("filter alone", FILTER.to_owned()),
        ];
        let runs = runs.map(|(what, operations)| (format!("{name}: {what}"), operations));
        let runs: Vec<_> = runs.iter().filter(|(name, _)| name.contains(&wanted)).collect();
        if runs.is_empty() {
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        let engine = filled(&directory, compression, keys);
        for round in 1..=ROUNDS {
            for (name, operations) in &runs {
                run(&engine, name, round, operations);
            }
        }
    }
}

fn tumbling() -> String {
    format!(r#"{FILTER},{{"type":"window","windowType":"tumbling","duration":300000}},{COUNT}"#)
}

fn sliding() -> String {
    format!(r#"{FILTER},{{"type":"window","windowType":"sliding","duration":3600000,"slide":60000}},{COUNT}"#)
}

fn filled(directory: &tempfile::TempDir, compression: Option<Compression>, keys: u32) -> Engine {
    let disk = Arc::new(Disk::new(directory.path()).unwrap());
    let quick = if compression.is_some() { Duration::from_millis(100) } else { Duration::from_secs(3600) };
    let options = Options {
        durability: Durability::Memory,
        ring_bytes: 4 << 30,
        journal_file_bytes: 512 << 20,
        journal_file_age: quick,
        processor_state_bytes: 4 << 30,
        ..Options::default()
    };
    let engine = Engine::open(disk, options).unwrap();
    engine.create_stream_with("transactions", 1, StreamChange { compression, ..StreamChange::default() }).unwrap();
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for begin in (0..RECORDS).step_by(BATCH as usize) {
        let record = |number: u32| {
            let millis = i64::from(number) * i64::from(MINUTES) * 60_000 / i64::from(RECORDS);
            let (user, amount, cents) = (random(keys.into()), random(2000), random(100));
            let value = format!(
                r#"{{"transactionId":"t{number:012}","userId":"user-{user:07}","amount":{amount}.{cents:02},"currency":"EUR","merchant":{{"id":"m-{:05}","category":"groceries","country":"DE"}},"card":"4111-XXXX-XXXX-{:04}","channel":"online","device":"ios","status":"authorised"}}"#,
                random(10_000),
                random(10_000),
            );
            NewRecord {
                key: None,
                value: value.into_bytes(),
                headers: Vec::new(),
                timestamp: Some(Timestamp(millis * 1000)),
            }
        };
        let batch: Vec<_> = (begin..begin + BATCH).map(record).collect();
        engine.append("transactions", &batch, Some(PartitionId(0))).unwrap();
    }
    if compression.is_some() {
        while engine.report().seal_backlog_files > 0 || engine.stream_report("transactions").unwrap().ring_bytes > 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    engine
}

fn run(engine: &Engine, name: &str, round: u32, operations: &str) {
    let definition = format!(
        r#"{{"name":"bench","source":"transactions","sink":"results-{round}","offset":"earliest","operations":[{operations}],"config":{{"maxFuture":0}}}}"#
    );
    let (started, cpu) = (Instant::now(), cpu_seconds());
    engine.processors().create(definition.as_bytes()).unwrap();
    let mut last = started;
    let found = loop {
        last = wait_for_silence(last);
        // The pause stores open windows now, and not at the next checkpoint.
        engine.processors().pause("bench").unwrap();
        let found: serde_json::Value = serde_json::from_slice(&engine.processors().metrics("bench").unwrap()).unwrap();
        if found["metrics"]["eventsProcessed"] == RECORDS {
            break found;
        }
        // Others had the machine for so long.
        engine.processors().resume("bench").unwrap();
    };
    let (wall, cpu) = ((last - started).as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "{name}, round {round}: {:.2} M records/s, {:.3} CPU s/M, {} results, {:.1} MB of state",
        f64::from(RECORDS) / wall / 1e6,
        cpu * 1e6 / f64::from(RECORDS),
        found["metrics"]["results"],
        found["metrics"]["stateBytes"].as_f64().unwrap_or(0.0) / 1e6,
    );
    engine.processors().delete("bench").unwrap();
}

/// Returns when the processor was last seen to work, which is `last` at least.
fn wait_for_silence(mut last: Instant) -> Instant {
    let (begin, mut busy) = (Instant::now(), cpu_seconds());
    while last.max(begin).elapsed() < SILENCE {
        std::thread::sleep(Duration::from_millis(5));
        let now = cpu_seconds();
        if now - std::mem::replace(&mut busy, now) > 0.0005 {
            last = Instant::now();
        }
    }
    last
}

/// The time that the threads which process and commit have been on a CPU.
fn cpu_seconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let nanos = threads.map(|thread| {
        let path = thread.unwrap().path();
        let read = |file: &str| std::fs::read_to_string(path.join(file)).unwrap_or_default();
        let name = read("comm");
        if !name.starts_with("forebay-process") && !name.starts_with("forebay-commit") {
            return 0.0;
        }
        read("schedstat").split_whitespace().next().map_or(0.0, |nanos| nanos.parse::<f64>().unwrap())
    });
    nanos.sum::<f64>() / 1e9
}
