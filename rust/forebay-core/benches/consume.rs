//! How many records a second one core hands to consumers: read from the ring, and written as the JSON answer.
//!
//! `cargo bench -p forebay-core --bench consume`
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::consumer::{Consume, OnReset, StartAt, write_answer};
use forebay_core::storage::Disk;
use forebay_core::{Durability, Engine, NewRecord, Options, PartitionId};

const RECORDS: usize = 200_000;
const RECORD_BYTES: usize = 250;
const LIMIT: usize = 1_000;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::new(directory.path()).unwrap());
    let options = Options { durability: Durability::Memory, journal_file_bytes: 256 << 20, ..Options::default() };
    let engine = Engine::open(disk, options).unwrap();
    engine.create_stream("bench", 4).unwrap();
    let key = b"user-1234".to_vec();
    let value = format!(r#"{{"text":"{}"}}"#, "x".repeat(RECORD_BYTES - key.len() - 11)).into_bytes();
    let record = NewRecord { key: Some(key), value, headers: Vec::new(), timestamp: None };
    let batch = vec![record; 1_000];
    for index in 0..RECORDS / batch.len() {
        engine.append("bench", &batch, Some(PartitionId(u32::try_from(index % 4).unwrap()))).unwrap();
    }
    for round in 1..=5 {
        let (mut resume, mut records, mut bytes) = (Vec::new(), 0, 0);
        let (started, mut reading) = (Instant::now(), Duration::ZERO);
        while records < RECORDS {
            let began = Instant::now();
            let fetched = engine.groups().consume(&Consume {
                group: "bench",
                stream: "bench",
                member: None,
                partition: None,
                start_at: StartAt::Committed,
                resume: &resume,
                gaps: &[],
                filter: None,
                limit: LIMIT,
                on_reset: OnReset::Error,
                auto_commit: false,
                hold: Duration::ZERO,
                now: began,
            });
            let fetched = fetched.unwrap();
            reading += began.elapsed();
            let answer = black_box(write_answer("bench", &fetched));
            records += fetched.count();
            bytes += answer.len();
            resume = fetched.reached.iter().map(|reached| (reached.partition, reached.next)).collect();
        }
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "round {round}: {:.2} million records/s of {RECORD_BYTES} bytes, {:.0} MB/s of JSON, {:.0} % of it reading",
            records as f64 / seconds / 1e6,
            bytes as f64 / seconds / 1e6,
            100.0 * reading.as_secs_f64() / seconds
        );
    }
}
