//! Filters: a record's cost in CPU time, compiled and by the interpreter, and what it makes of a consumer's polls.
//!
//! `cargo bench -p forebay-core --bench filter`
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::consumer::{Consume, OnReset, StartAt, write_answer};
use forebay_core::json::{PathSet, Spans};
use forebay_core::record::Record;
use forebay_core::storage::Disk;
use forebay_core::{Durability, Engine, Filter, NewRecord, Offset, Options, PartitionId, Timestamp};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 7;
const RECORDS: usize = 20_000;
const RECORD_BYTES: usize = 267;
const STORED: usize = 200_000;
const LIMIT: usize = 1_000;

/// Half of the records match the first three.
const EXPRESSIONS: [&str; 7] = [
    "value.amount > 1000",
    "has(value.amount) && value.amount > 1000",
    "value.amount > 1000 && key.startsWith(\"user-\")",
    "value.device.os == \"android\" && value.country in [\"DE\", \"AT\", \"CH\"]",
    "value.message.contains(\"timeout\")",
    "value.missing == 1 || value.amount > 1000",
    "value.amount > 1000 && value.device.model.size() > 3",
];

/// The CPU time of this thread so far: the machine may do something else meanwhile.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}

/// Events of a shop; amounts are 0 to 1999 in an order that nobody guesses.
fn value(index: usize) -> Vec<u8> {
    let amount = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let json = format!(
        concat!(
            r#"{{"eventId":"evt-{:08}","userId":"user-{:04}","type":"purchase","amount":{},"currency":"EUR","#,
            r#""device":{{"os":"{}","version":"14","model":"Pixel 8"}},"country":"{}","page":"/checkout/confirm","message":""#
        ),
        index,
        index % 10_000,
        amount % 2000,
        ["android", "ios", "web"][index % 3],
        ["DE", "FR", "US", "CH"][index % 4],
    );
    let padding = "payment captured, order handed to the warehouse ".repeat(3);
    let padding = padding.get(..RECORD_BYTES - json.len() - 2).unwrap();
    format!("{json}{padding}\"}}").into_bytes()
}

fn best(mut round: impl FnMut() -> usize) -> (f64, usize) {
    let mut found = (f64::MAX, 0);
    for _ in 0..ROUNDS {
        let before = cpu();
        let count = round();
        let taken = (cpu() - before).as_secs_f64();
        found = (found.0.min(taken), count);
    }
    found
}

fn paths(values: &[Vec<u8>], names: &[&str]) {
    let (mut set, mut spans) = (PathSet::default(), Spans::default());
    let ids: Vec<_> = names.iter().map(|name| set.add(name.split('.'))).collect();
    let (seconds, _) = best(|| {
        let found = values.iter().filter(|value| {
            let walked = set.find(value, &mut spans);
            walked && ids.iter().all(|id| black_box(spans.get(value, *id)).is_some())
        });
        found.count()
    });
    println!("{:>6.0} ns a record: the paths {}", seconds * 1e9 / values.len() as f64, names.join(", "));
}

fn record(value: &[u8]) -> Record<'_> {
    Record { timestamp: Timestamp(0), key: Some(b"user-1234"), headers: b"", value }
}

fn filters(values: &[Vec<u8>]) {
    for expression in EXPRESSIONS {
        let [compiled, interpreted] = [false, true].map(|interpreted| {
            let filter = Filter::new(expression).unwrap();
            let filter = if interpreted { filter.uncompiled() } else { filter };
            best(|| {
                let matches = |value: &&Vec<u8>| filter.matches(PartitionId(0), Offset(0), &record(value));
                values.iter().filter(matches).count()
            })
        });
        assert_eq!(compiled.1, interpreted.1, "{expression}");
        let nanoseconds = |seconds: f64| seconds * 1e9 / values.len() as f64;
        println!(
            "{:>6.0} ns a record compiled, {:>5.0} by the interpreter, {:>3.0} % match: {expression}",
            nanoseconds(compiled.0),
            nanoseconds(interpreted.0),
            100.0 * compiled.1 as f64 / values.len() as f64
        );
    }
}

/// Reads the whole stream poll by poll, and writes the answers.
fn poll(engine: &Engine, filter: Option<&Filter>) -> usize {
    let (mut resume, mut records) = (Vec::new(), 0);
    loop {
        let fetched = engine.groups().consume(&Consume {
            group: "bench",
            stream: "bench",
            member: None,
            partition: None,
            start_at: StartAt::Committed,
            resume: &resume,
            gaps: &[],
            filter,
            limit: LIMIT,
            on_reset: OnReset::Error,
            auto_commit: false,
            hold: Duration::ZERO,
            now: Instant::now(),
        });
        let fetched = fetched.unwrap();
        let next: Vec<_> = fetched.reached.iter().map(|reached| (reached.partition, reached.next)).collect();
        records += fetched.count();
        black_box(write_answer("bench", &fetched));
        let ended = fetched.count() == 0 && next == resume;
        resume = next;
        if ended {
            return records;
        }
    }
}

fn polls(values: &[Vec<u8>]) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::new(directory.path()).unwrap());
    let options = Options { durability: Durability::Memory, journal_file_bytes: 256 << 20, ..Options::default() };
    let engine = Engine::open(disk, options).unwrap();
    engine.create_stream("bench", 4).unwrap();
    let stored = |value: &Vec<u8>| NewRecord {
        key: Some(b"user-1234".to_vec()),
        value: value.clone(),
        headers: Vec::new(),
        timestamp: None,
    };
    let batches: Vec<Vec<_>> = values.chunks(1_000).map(|values| values.iter().map(stored).collect()).collect();
    for index in 0..STORED / 1_000 {
        let partition = PartitionId(u32::try_from(index % 4).unwrap());
        engine.append("bench", &batches[index % batches.len()], Some(partition)).unwrap();
    }
    let show = |what: &str, (seconds, records): (f64, usize)| {
        println!(
            "polls of {LIMIT}, {what}: {:.2} million records read/s of CPU, {:.2} CPU s per million, {records} given",
            STORED as f64 / seconds / 1e6,
            seconds * 1e6 / STORED as f64
        );
    };
    show("no filter", best(|| poll(&engine, None)));
    for expression in [EXPRESSIONS[0], "value.amount > 1990"] {
        let filter = Filter::new(expression).unwrap();
        show(&format!("{expression}, compiled"), best(|| poll(&engine, Some(&filter))));
        let filter = filter.uncompiled();
        show(&format!("{expression}, by the interpreter"), best(|| poll(&engine, Some(&filter))));
    }
}

fn main() {
    let values: Vec<_> = (0..RECORDS).map(value).collect();
    assert!(values.iter().all(|value| value.len() == RECORD_BYTES));
    paths(&values, &["amount"]);
    paths(&values, &["userId", "amount", "device.os", "country", "page"]);
    paths(&values, &["amount", "missing"]);
    filters(&values);
    polls(&values);
}
