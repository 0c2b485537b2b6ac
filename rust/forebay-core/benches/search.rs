//! Log search: the CPU time of a search over sealed events.
//!
//! `cargo bench -p forebay-core --bench search`; `FOREBAY_SEARCH_EVENTS` says over how many.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::search::{Caller, Conditions, CountBy, SearchBudget, SearchCancel, SearchRequest, StatsRequest};
use forebay_core::storage::Disk;
use forebay_core::{Compression, Durability, Engine, LOGS, NewRecord, Options, StreamChange, Timestamp};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 3;
const EVENTS: usize = 1_000_000;
const BATCH: usize = 2_000;

/// The CPU time of this thread so far: the machine may do something else meanwhile.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}

/// An event of about 250 bytes, a millisecond after the one before. One in 100,000 says `deadlock`, one in a hundred
/// `timeout`, one in three `upstream`.
fn event(index: usize) -> Vec<u8> {
    let mixed = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    let message = match index {
        _ if index.is_multiple_of(100_000) => "deadlock detected while waiting for a row lock",
        _ if index.is_multiple_of(100) => "request failed: timeout after 30s, will retry",
        _ if index.is_multiple_of(3) => "upstream answered, response was sent to the client",
        _ => "user logged in, session was created and stored in the cache",
    };
    let time = forebay_core::time::format_micros(Timestamp(1_700_000_000_000_000 + index as i64 * 1000));
    format!(
        concat!(
            r#"{{"project_id":"org-{}","timestamp":"{}","level":"{}","service":"{}","message":"{}","#,
            r#""metadata":{{"request_id":"req-{:012x}","user_id":{},"ip":"10.{}.{}.{}","status":{}}}}}"#
        ),
        mixed % 40,
        time,
        ["info", "info", "warn", "error"][mixed % 4],
        ["api-gateway", "auth", "billing", "worker"][mixed / 7 % 4],
        message,
        mixed & 0xffff_ffff_ffff,
        mixed % 100_000,
        mixed / 3 % 256,
        mixed / 5 % 256,
        mixed / 11 % 256,
        [200, 200, 404, 500][mixed / 13 % 4],
    )
    .into_bytes()
}

fn fill(engine: &Engine, events: usize) {
    for from in (0..events).step_by(BATCH) {
        let record = |index| NewRecord { key: None, value: event(index), headers: Vec::new(), timestamp: None };
        let records: Vec<_> = (from..events.min(from + BATCH)).map(record).collect();
        while engine.append(LOGS, &records, None).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while engine.stream_report(LOGS).unwrap().ring_bytes > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn report(name: &str, events: usize, mut search: impl FnMut() -> (u64, u64)) {
    let mut best = (Duration::MAX, (0, 0));
    for _ in 0..ROUNDS {
        let began = cpu();
        let found = search();
        best = best.min((cpu() - began, found));
    }
    let (time, (found, bytes)) = best;
    let nanos = time.as_nanos() as f64 / events as f64;
    println!(
        "{name:40} {:8.1} ms, {nanos:6.1} ns an event, {found} found, {bytes} bytes read",
        time.as_secs_f64() * 1e3
    );
}

fn main() {
    let events = std::env::var("FOREBAY_SEARCH_EVENTS").ok().map_or(EVENTS, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let options =
        Options { durability: Durability::Memory, journal_file_age: Duration::from_millis(500), ..Options::default() };
    let engine = Engine::open(Arc::new(Disk::new(directory.path()).unwrap()), options).unwrap();
    let compressed = StreamChange { compression: Some(Compression::Zstd), ..StreamChange::default() };
    engine.alter_stream(LOGS, compressed).unwrap();
    fill(&engine, events);
    let stored = engine.stream_report(LOGS).unwrap();
    println!(
        "{events} events, {} bytes, {} stored in {} parts",
        stored.raw_bytes, stored.stored_bytes, stored.segments
    );
    let cancel = SearchCancel::default();
    let caller = Caller { token: b"bench", cancel: &cancel };
    let budget = SearchBudget { seconds: 60.0, ..SearchBudget::default() };
    for (query, count) in [
        ("deadlock", true),
        ("deadlock", false),
        ("absent", true),
        ("timeout retry", true),
        ("request timeout", true),
        ("upstream", true),
        ("/dead(lock|line) det/", true),
        ("/time.?out after \\d+s/", true),
        ("/\\bses+ion\\b.*cache/", true),
        ("/[0-9a-f]{4}7777/", true),
        ("дедлок", true),
        ("", true),
        ("", false),
    ] {
        let conditions = Conditions { query: query.to_owned(), ..Conditions::default() };
        let request = SearchRequest { conditions, count, budget, ..SearchRequest::default() };
        report(&format!("{query:?} count {count}"), events, || {
            let outcome = engine.search(&request, caller).unwrap();
            assert!(outcome.progress.is_complete());
            (outcome.progress.scanned.matched, outcome.progress.scanned.bytes)
        });
    }
    for by in [CountBy::Level, CountBy::ProjectId] {
        let request = StatsRequest { conditions: Conditions::default(), by, interval: None, budget };
        report(&format!("counts by {by:?}"), events, || {
            let outcome = engine.search_stats(&request, caller).unwrap();
            (outcome.total, outcome.progress.scanned.bytes)
        });
    }
}
