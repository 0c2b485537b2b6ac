//! The analytics API: what is accepted as sent, what keys and times it gets, and that batches are whole or nothing.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use common::{open, small, until};
use forebay_core::ingest::route;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{
    ANALYTICS, Engine, ErrorKind, IngestRoute, Key, Limits, NewRecord, OnInvalid, Options, Request, Result, Timestamp,
};

const EVENT: &str = r#"{
  "event": { "type": "page_view" },
  "user": { "id": "user-123" },
  "device": { "user_agent": "Mozilla/5.0", "screen_width": 1920, "screen_height": 1080 },
  "context": { "url": "https://example.com", "session_id": "sess-abc" },
  "metrics": { "load_time": 250 }
}"#;

fn request(route: &'static IngestRoute, body: &str) -> Request {
    Request::new(route, Box::new(body.as_bytes().to_vec()))
}

fn answer(engine: &Engine, request: Request) -> Result<String> {
    let (status, body) = engine.ingest(request)?.answer()?;
    assert_eq!(status, 202);
    Ok(String::from_utf8(body).unwrap())
}

fn single(engine: &Engine, body: &str) -> Result<String> {
    answer(engine, request(&route::TRACK, body))
}

fn batch(engine: &Engine, body: &str) -> Result<String> {
    answer(engine, request(&route::TRACK_BATCH, body))
}

/// Every record's partition, time, key and value.
fn records(engine: &Engine, stream: &str) -> Vec<(u32, Timestamp, Option<String>, String)> {
    let Ok(report) = engine.stream_report(stream) else { return Vec::new() };
    let mut all = Vec::new();
    for (partition, start, end) in report.partitions {
        let mut offset = start;
        while offset < end {
            let read = engine.fetch(stream, partition, offset, Limits { records: 1000, bytes: 1 << 20 }).unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            all.extend(read.iter().map(|(_, one)| (partition.0, one.timestamp, one.key.map(text), text(one.value))));
            offset = read.next_offset();
        }
    }
    all
}

fn started(seed: u64) -> Engine {
    open(&Faulty::new(seed), &small()).unwrap()
}

#[test]
fn the_seed_example_is_stored_as_it_was_sent() {
    let engine = started(1);
    let before = Timestamp::now();
    assert_eq!(single(&engine, EVENT).unwrap(), r#"{"status":"accepted"}"#);
    let (_, time, key, value) = records(&engine, ANALYTICS).pop().unwrap();
    assert_eq!((key.as_deref(), value.as_str()), (Some("user-123"), EVENT));
    assert!(time >= before && time <= Timestamp::now());
}

#[test]
fn the_key_is_the_user_then_the_session_then_none() {
    let engine = started(2);
    let cases = [
        (r#"{"event":{"type":"a"},"user":{"id":"u\u00e9"},"context":{"session_id":"s"}}"#, Some("ué")),
        (r#"{"event":{"type":"a"},"context":{"session_id":"s"},"user":{"name":"x"}}"#, Some("s")),
        (r#"{"event":{"type":"a"},"context":{"session_id":"s"},"user":{"id":""}}"#, Some("s")),
        (r#"{"event":{"type":"a"},"context":{"session_id":"s"},"user":{"id":null}}"#, Some("s")),
        (r#"{"event":{"type":"a"},"user":null,"device":null,"context":null,"metrics":null,"timestamp":null}"#, None),
        (r#"{"extra":{"user":{"id":7}},"event":{"type":"a","more":[1,{"type":2}]},"device":{"os":[]}}"#, None),
    ];
    for (body, key) in cases {
        single(&engine, body).unwrap();
        let (.., found, _) = records(&engine, ANALYTICS).into_iter().find(|record| record.3 == body).unwrap();
        assert_eq!(found.as_deref(), key, "{body}");
    }
    let engine = open(&Faulty::new(3), &Options { analytics_partitions: 3, ..small() }).unwrap();
    let batches: Vec<_> =
        (0..3).map(|n| format!(r#"[{{"event":{{"type":"{n}"}}}},{{"event":{{"type":"{n}"}}}}]"#)).collect();
    for body in &batches {
        drop(batch(&engine, body).unwrap());
    }
    let places: BTreeSet<_> = records(&engine, ANALYTICS).into_iter().map(|record| (record.0, record.3)).collect();
    assert_eq!(places.len(), 3, "without a key each batch goes to the next partition, whole");
}

#[test]
fn times_may_be_text_or_milliseconds() {
    let engine = started(4);
    for (time, micros) in [
        (r#""2024-05-31T15:30:45.123456Z""#, 1_717_169_445_123_456),
        ("1717169445123", 1_717_169_445_123_000),
        ("1717169445123.0", 1_717_169_445_123_000),
        ("1.717169445e12", 1_717_169_445_000_000),
        ("-1", -1000),
    ] {
        let body = format!(r#"{{"event":{{"type":"a"}},"timestamp":{time}}}"#);
        single(&engine, &body).unwrap();
        assert!(records(&engine, ANALYTICS).iter().any(|record| record.3 == body && record.1.0 == micros), "{time}");
    }
}

fn wrong() -> Vec<(String, &'static str)> {
    let with = |fields: &str| format!(r#"{{"event":{{"type":"a"}},{fields}}}"#);
    vec![
        ("7".to_owned(), ""),
        ("{}".to_owned(), "event: missing"),
        (r#"{"event":null}"#.to_owned(), "event: must be an object"),
        (r#"{"event":"page_view"}"#.to_owned(), "event: must be an object"),
        (r#"{"event":{}}"#.to_owned(), "event.type: missing"),
        (r#"{"event":{"type":""}}"#.to_owned(), "event.type: must not be empty"),
        (r#"{"event":{"type":null}}"#.to_owned(), "event.type: must be a string"),
        (r#"{"event":{"type":"a","t\u0079pe":"b"}}"#.to_owned(), "event.type: given more than once"),
        (with(r#""event":{"type":"b"}"#), "event: given more than once"),
        (with(r#""user":[]"#), "user: must be an object or null"),
        (with(r#""user":{"id":1}"#), "user.id: must be a string"),
        (with(r#""user":{"id":"a","id":"b"}"#), "user.id: given more than once"),
        (with(&format!(r#""user":{{"id":"{}"}}"#, "u".repeat(1025))), "user.id: has 1025 bytes"),
        (with(r#""user":null,"user":{"id":"a"}"#), "user: given more than once"),
        (with(r#""device":"phone""#), "device: must be an object or null"),
        (with(r#""device":{"user_agent":{}}"#), "device.user_agent: must be a string"),
        (with(r#""device":{"screen_width":"1920"}"#), "device.screen_width: must be a whole number"),
        (with(r#""device":{"screen_height":10.5}"#), "device.screen_height: must be a whole number"),
        (with(r#""context":1"#), "context: must be an object or null"),
        (with(r#""context":{"url":1}"#), "context.url: must be a string"),
        (with(r#""context":{"session_id":false}"#), "context.session_id: must be a string"),
        (with(r#""metrics":[250]"#), "metrics: must be an object or null"),
        (with(r#""metrics":{"load_time":"fast"}"#), "metrics.load_time: must be a number"),
        (with(r#""timestamp":"soon""#), "timestamp: "),
        (with(r#""timestamp":1.5"#), "timestamp: must be RFC 3339, or whole milliseconds"),
        (with(r#""timestamp":1,"timestamp":1"#), "timestamp: given more than once"),
    ]
}

#[test]
fn what_is_wrong_is_named_and_the_whole_batch_refused() {
    let engine = started(5);
    for (body, place) in wrong() {
        let error = single(&engine, &body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{body}");
        let wanted = if place.is_empty() { "the event must be an object" } else { place };
        assert!(error.detail().starts_with(wanted), "{body}: {error}");
        let error = batch(&engine, &format!("[{EVENT},{body},{EVENT}]")).unwrap_err();
        let wanted = if place.is_empty() { "events[1]: must be".to_owned() } else { format!("events[1].{place}") };
        assert!(error.detail().starts_with(&wanted), "{body}: {error}");
    }
    let many = format!("[{}]", vec![r#"{"event":{"type":"a"}}"#; 1001].join(","));
    for (body, place) in [
        (EVENT, "the body must be an array of events"),
        ("[]", "events: must not be empty"),
        (&many, "events: more than 1000"),
        (r#"[{"event":{"type":"a"}}"#, "the body is not valid JSON"),
    ] {
        assert!(batch(&engine, body).unwrap_err().detail().starts_with(place), "{place}");
    }
    let long = format!(r#"{{"event":{{"type":"{}"}}}}"#, "x".repeat(small().max_record_bytes));
    assert_eq!(single(&engine, &long).unwrap_err().kind(), ErrorKind::PayloadTooLarge);
    assert!(records(&engine, ANALYTICS).is_empty());
    batch(&engine, &many.replacen(r#"{"event":{"type":"a"}},"#, "", 1)).unwrap();
    assert_eq!(records(&engine, ANALYTICS).len(), 1000);
    until("memory", || engine.report().ring_used_bytes < 1 << 20);
}

#[test]
fn what_is_wrong_may_be_put_aside() {
    let engine = started(6);
    let asking = |route, body: &str| Request { on_invalid: OnInvalid::Quarantine, ..request(route, body) };
    let body = format!("[{EVENT},{{}},{EVENT}]");
    let put_aside = answer(&engine, asking(&route::TRACK_BATCH, &body)).unwrap();
    let expected = |row: &str| format!(r#"{{"status":"accepted","quarantined":1,"errors":[{row}]}}"#);
    assert_eq!(put_aside, expected(r#"{"index":1,"error":"events[1].event: missing"}"#));
    let put_aside = answer(&engine, asking(&route::TRACK, r#"{"event":7}"#)).unwrap();
    assert_eq!(put_aside, expected(r#"{"index":0,"error":"event: must be an object"}"#));
    let put_aside = answer(&engine, asking(&route::TRACK, EVENT)).unwrap();
    assert_eq!(put_aside, r#"{"status":"accepted","quarantined":0}"#);
    assert_eq!(records(&engine, ANALYTICS).len(), 3);
    let rejected: Vec<_> = records(&engine, "analytics.rejected").into_iter().map(|record| record.3).collect();
    assert_eq!(
        rejected,
        [
            r#"{"index":1,"reason":"event: missing","event":{}}"#,
            r#"{"index":0,"reason":"event: must be an object","event":{"event":7}}"#
        ]
    );
}

#[test]
fn a_repeat_is_stored_once_and_programs_append_in_the_same_shape() {
    let storage = Faulty::new(7);
    let key = || Some(Key::new(b"token", ANALYTICS, b"k").unwrap());
    let ask = |engine: &Engine| answer(engine, Request { key: key(), ..request(&route::TRACK, EVENT) });
    let engine = open(&storage, &small()).unwrap();
    let first = ask(&engine).unwrap();
    assert_eq!(ask(&engine).unwrap(), first);
    drop(engine);
    let engine = open(&storage, &small()).unwrap();
    assert_eq!(ask(&engine).unwrap(), first);
    assert_eq!(records(&engine, ANALYTICS).len(), 1);
    let other = Request { key: key(), ..request(&route::TRACK_BATCH, &format!("[{EVENT}]")) };
    assert_eq!(answer(&engine, other).unwrap_err().kind(), ErrorKind::IdempotencyMismatch);
    let record = |value: &str| NewRecord { key: None, value: value.into(), headers: Vec::new(), timestamp: None };
    engine.append(ANALYTICS, &[record(EVENT), record(EVENT)], None).unwrap();
    let error = engine.append(ANALYTICS, &[record(EVENT), record("{}")], None).unwrap_err();
    assert_eq!(error.detail(), "events[1].event: missing");
    assert_eq!(records(&engine, ANALYTICS).len(), 3);
}
