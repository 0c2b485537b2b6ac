//! Requests with idempotency keys, quarantine, encodings and restricted senders.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Barrier};

use forebay_core::ingest::MAX_NAMED_EVENTS;
use forebay_core::ingest::route;
use forebay_core::log::dedup::MAX_IDEMPOTENCY_KEY_BYTES;
use forebay_core::storage::faulty::Faulty;
use forebay_core::storage::{Disk, Storage};
use forebay_core::{
    Encoding, Engine, ErrorKind, Key, LOGS, Limits, OnInvalid, Options, PartitionId, Receipt, Request, Result,
};

fn options() -> Options {
    Options { ring_bytes: 8 << 20, journal_file_bytes: 1 << 20, logs_partitions: 2, ..Options::default() }
}

fn open(directory: &Path) -> Engine {
    Engine::open(Arc::new(Disk::new(directory).unwrap()), options()).unwrap()
}

fn event(project: &str, message: &str) -> String {
    format!(
        r#"{{"project_id":"{project}","timestamp":"2024-05-31T15:30:45Z","level":"info","service":"s","message":"{message}"}}"#
    )
}

fn body(events: &[String]) -> Vec<u8> {
    format!(r#"{{"events":[{}]}}"#, events.join(",")).into_bytes()
}

fn records(engine: &Engine, stream: &str) -> Vec<String> {
    let Some(report) = engine.stream_reports().into_iter().find(|report| report.name == stream) else {
        return Vec::new();
    };
    let mut values = Vec::new();
    for (partition, start, _) in report.partitions {
        let batch = engine.fetch(stream, partition, start, Limits { records: 100_000, bytes: 1 << 30 }).unwrap();
        values.extend(batch.iter().map(|(_, record)| String::from_utf8(record.value.to_vec()).unwrap()));
    }
    values
}

fn keyed(body: Vec<u8>, key: &str) -> Request {
    let key = Some(Key::new(b"token", LOGS, key.as_bytes()).unwrap());
    Request { key, ..Request::new(&route::DRAIN, Box::new(body)) }
}

fn quarantining(request: Request) -> Request {
    Request { on_invalid: OnInvalid::Quarantine, ..request }
}

fn answer(engine: &Engine, request: Request) -> Result<String> {
    let (status, body) = engine.ingest(request)?.answer()?;
    assert_eq!(status, 202);
    Ok(String::from_utf8(body).unwrap())
}

#[test]
fn a_repeat_is_answered_again_and_stored_once_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let large: Vec<_> = (0..100).map(|i| event("p", &format!("m{i}"))).collect();
    for (key, events) in [("small", vec![event("p", "one")]), ("large", large)] {
        let engine = open(directory.path());
        let before = records(&engine, LOGS).len();
        engine.ingest(keyed(body(&events), key)).unwrap();
        engine.ingest(keyed(body(&events), key)).unwrap();
        drop(engine);
        let engine = open(directory.path());
        engine.ingest(keyed(body(&events), key)).unwrap();
        assert_eq!(records(&engine, LOGS).len() - before, events.len());
        let error = engine.ingest(keyed(body(&[event("p", "two")]), key)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IdempotencyMismatch);
    }
}

#[test]
fn refusals_are_not_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let error = engine.ingest(keyed(b"{".to_vec(), "k")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    engine.ingest(keyed(body(&[event("p", "m")]), "k")).unwrap();
    assert_eq!(records(&engine, LOGS).len(), 1);
}

#[test]
fn keys_have_a_length_and_a_scope() {
    for length in [0, MAX_IDEMPOTENCY_KEY_BYTES + 1] {
        let error = Key::new(b"t", LOGS, &vec![b'k'; length]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
    assert!(Key::new(b"t", LOGS, &[b'k'; MAX_IDEMPOTENCY_KEY_BYTES]).is_ok());
    assert_ne!(Key::new(b"a", LOGS, b"k"), Key::new(b"b", LOGS, b"k"));
    assert_ne!(Key::new(b"a", LOGS, b"k"), Key::new(b"a", "logss", b"k"));
    assert_ne!(Key::new(b"a", "ab", b"c"), Key::new(b"a", "a", b"bc"));
}

#[test]
fn repeats_that_come_together_are_stored_once() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    for round in 0..20 {
        let senders = 8;
        let barrier = Barrier::new(senders);
        let events: Vec<_> = (0..50).map(|i| event("p", &format!("{round}-{i}"))).collect();
        std::thread::scope(|scope| {
            for _ in 0..senders {
                scope.spawn(|| {
                    barrier.wait();
                    engine.ingest(keyed(body(&events), &format!("k{round}"))).unwrap();
                });
            }
        });
    }
    assert_eq!(records(&engine, LOGS).len(), 20 * 50);
}

#[test]
fn a_failed_commit_fails_the_repeats_that_wait_and_forgets_the_key() {
    let storage = Faulty::new(7);
    let engine = Engine::open(Arc::new(storage.clone()) as Arc<dyn Storage>, options()).unwrap();
    engine.ingest(keyed(body(&[event("p", "before")]), "before")).unwrap();
    storage.stall_syncs(true);
    let outcomes: Vec<Result<Receipt>> = std::thread::scope(|scope| {
        let send = || engine.ingest(keyed(body(&[event("p", "m")]), "k"));
        let senders: Vec<_> = (0..4).map(|_| scope.spawn(send)).collect();
        assert!(storage.wait_stalled(1, std::time::Duration::from_secs(10)));
        storage.halt();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_err_and(|e| e.kind() == ErrorKind::StorageUnavailable)));
    drop(engine);
    let engine = Engine::open(Arc::new(storage.crash_seeded(1)) as Arc<dyn Storage>, options()).unwrap();
    engine.ingest(keyed(body(&[event("p", "m")]), "k")).unwrap();
    engine.ingest(keyed(body(&[event("p", "before")]), "before")).unwrap();
    let stored = records(&engine, LOGS);
    assert_eq!(stored.iter().filter(|value| value.contains("\"m\"")).count(), 1, "{stored:?}");
    assert_eq!(stored.iter().filter(|value| value.contains("\"before\"")).count(), 1);
}

#[test]
fn quarantine_keeps_the_good_and_names_the_bad() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let events = [event("p", "good"), event("", "bad"), "7".to_owned(), event("p", "good too")];
    let quarantine = |body| quarantining(Request::new(&route::DRAIN, Box::new(body)));
    let error = engine.ingest(Request::new(&route::DRAIN, Box::new(body(&events)))).unwrap_err();
    assert!(error.detail().starts_with("events[1].project_id"), "{error}");
    assert!(records(&engine, LOGS).is_empty());
    let receipt = engine.ingest(quarantine(body(&events))).unwrap();
    assert_eq!(receipt.quarantined, 2);
    let named = concat!(
        r#"{"status":"accepted","quarantined":2,"errors":["#,
        r#"{"index":1,"error":"events[1].project_id: must not be empty"},"#,
        r#"{"index":2,"error":"events[2]: must be an object"}]}"#
    );
    assert_eq!(receipt.answer().unwrap(), (202, named.as_bytes().to_vec()));
    assert_eq!(records(&engine, LOGS), [event("p", "good"), event("p", "good too")]);
    let rejected = records(&engine, "logs.rejected");
    assert_eq!(rejected.len(), 2);
    assert!(rejected[0].starts_with(r#"{"index":1,"reason":"project_id"#), "{}", rejected[0]);
    assert!(rejected[1].ends_with(r#","event":7}"#), "{}", rejected[1]);
    for value in &rejected {
        serde_json::from_str::<serde_json::Value>(value).unwrap();
    }
    let error = engine.ingest(quarantine(b"{\"events\":[{]}".to_vec())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    drop(engine);
    assert_eq!(records(&open(directory.path()), "logs.rejected"), rejected);
}

#[test]
fn a_repeat_names_the_same_events_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let events: Vec<_> = (0..40).map(|i| if i % 3 == 1 { "{}".to_owned() } else { event("p", "good") }).collect();
    let ask = |engine: &Engine| answer(engine, quarantining(keyed(body(&events), "k"))).unwrap();
    let engine = open(directory.path());
    let barrier = Barrier::new(4);
    let send = || {
        barrier.wait();
        ask(&engine)
    };
    let answers: Vec<_> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4).map(|_| scope.spawn(send)).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let first = &answers[0];
    assert!(first.starts_with(r#"{"status":"accepted","quarantined":13,"errors":[{"index":1,"#), "{first}");
    assert!(answers.iter().all(|answer| answer == first));
    assert_eq!(ask(&engine), *first);
    drop(engine);
    let engine = open(directory.path());
    assert_eq!(ask(&engine), *first);
    let plain = answer(&engine, keyed(body(&events), "k")).unwrap();
    assert_eq!(plain, r#"{"status":"accepted"}"#, "whoever does not ask for it is not told");
    assert_eq!((records(&engine, LOGS).len(), records(&engine, "logs.rejected").len()), (27, 13));
    let other = answer(&engine, quarantining(keyed(body(&[event("p", "other")]), "k"))).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::IdempotencyMismatch);
}

#[test]
fn a_repeat_under_another_limit_is_refused_when_it_would_put_others_aside() {
    let storage = Faulty::new(8);
    let start = |max_record_bytes| {
        let options = Options { max_record_bytes, ..options() };
        Engine::open(Arc::new(storage.clone()) as Arc<dyn Storage>, options).unwrap()
    };
    let long = event("p", &"x".repeat(1000));
    let ask = |engine: &Engine, key: &str, events: &[String]| answer(engine, quarantining(keyed(body(events), key)));
    let engine = start(512);
    ask(&engine, "short", &[event("p", "short"), "{}".to_owned()]).unwrap();
    let refused = ask(&engine, "long", &[event("p", "short"), long.clone()]).unwrap();
    assert!(refused.contains(r#""quarantined":1,"errors":[{"index":1,"error":"events[1]: has 10"#), "{refused}");
    drop(engine);
    let engine = start(4096);
    ask(&engine, "short", &[event("p", "short"), "{}".to_owned()]).unwrap();
    let error = ask(&engine, "long", &[event("p", "short"), long]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdempotencyMismatch);
    assert!(error.detail().contains("limits"), "{error}");
}

#[test]
fn an_answer_names_the_first_events_and_counts_all() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    for bad in [MAX_NAMED_EVENTS, MAX_NAMED_EVENTS + 1] {
        let named =
            answer(&engine, quarantining(Request::new(&route::DRAIN, Box::new(body(&vec!["0".to_owned(); bad])))));
        let named: serde_json::Value = serde_json::from_str(&named.unwrap()).unwrap();
        assert_eq!(named["quarantined"], bad);
        let errors = named["errors"].as_array().unwrap();
        assert_eq!(errors.len(), MAX_NAMED_EVENTS);
        assert!(errors.iter().enumerate().all(|(index, row)| row["index"] == index), "in order, from the first");
        assert_eq!(errors[MAX_NAMED_EVENTS - 1]["error"], "events[999]: must be an object");
    }
}

#[test]
fn an_encoded_body_is_the_same_request() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let plain = body(&[event("p", "one"), event("p", "two")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let bodies = [
        (Encoding::Identity, plain.clone()),
        (Encoding::Gzip, gzip.finish().unwrap()),
        (Encoding::Zstd, zstd::bulk::compress(&plain, 1).unwrap()),
    ];
    for (encoding, body) in bodies {
        // The hash covers the decompressed body: the same events in another encoding are a repeat.
        engine.ingest(Request { encoding, ..keyed(body, "k") }).unwrap();
    }
    assert_eq!(records(&engine, LOGS).len(), 2);
    let refused = engine.ingest(Request { encoding: Encoding::Gzip, ..keyed(plain, "other") }).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Malformed);
    let bomb = zstd::bulk::compress(&vec![b' '; 64 << 20], 1).unwrap();
    let refused = engine.ingest(Request { encoding: Encoding::Zstd, ..keyed(bomb, "bomb") }).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::PayloadTooLarge | ErrorKind::Saturated), "{refused}");
    assert!(engine.report().ring_used_bytes < 4096, "refused bodies give their memory back");
}

#[test]
fn a_sender_writes_only_its_own_projects() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let allowed = Some(Arc::new(BTreeSet::from([b"mine".to_vec()])));
    let restricted =
        |events: &[String]| Request { allowed: allowed.clone(), ..Request::new(&route::DRAIN, Box::new(body(events))) };
    engine.ingest(restricted(&[event("mine", "a")])).unwrap();
    let error = engine.ingest(restricted(&[event("mine", "b"), event("other", "c")])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(error.detail().starts_with("events[1]"), "{error}");
    assert_eq!(records(&engine, LOGS).len(), 1);
    assert_eq!(
        engine
            .fetch(LOGS, PartitionId(9), forebay_core::Offset(0), Limits { records: 1, bytes: 1 })
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidRequest
    );
}
