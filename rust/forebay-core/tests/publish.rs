//! Publishing: what is accepted, where it goes, what is answered, and that a repeat is answered the same.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{open, small, until};
use forebay_core::ingest::route;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{
    Completer, CompletionId, Engine, ErrorKind, IngestRoute, Key, Limits, Offset, PartitionId, Receipt, Request,
    Result, StreamChange,
};
use parking_lot::Mutex;

fn request(route: &'static IngestRoute, stream: &str, body: &str) -> Request {
    let plain = Request::new(route, Box::new(body.as_bytes().to_vec()));
    Request { stream: Some(stream.to_owned()), ..plain }
}

fn keyed(route: &'static IngestRoute, stream: &str, body: &str, key: &str) -> Request {
    Request { key: Some(Key::new(b"token", stream, key.as_bytes()).unwrap()), ..request(route, stream, body) }
}

fn answer(engine: &Engine, request: Request) -> Result<(u16, String)> {
    let receipt = engine.ingest(request)?;
    let (status, body) = receipt.answer()?;
    serde_json::from_slice::<serde_json::Value>(&body).expect("answers are JSON");
    Ok((status, String::from_utf8(body).unwrap()))
}

fn single(engine: &Engine, body: &str) -> Result<String> {
    let (status, body) = answer(engine, request(&route::PUBLISH, "s", body))?;
    assert_eq!(status, 201);
    Ok(body)
}

fn batch(engine: &Engine, body: &str) -> Result<(u16, String)> {
    answer(engine, request(&route::PUBLISH_BATCH, "s", body))
}

fn ready(storage: &Faulty) -> Engine {
    let engine = open(storage, &small()).unwrap();
    let choice = StreamChange { max_record_bytes: Some(100), ..StreamChange::default() };
    engine.create_stream_with("s", 4, choice).unwrap();
    engine
}

fn total(engine: &Engine) -> u64 {
    engine.stream_report("s").unwrap().partitions.iter().map(|(_, start, end)| end.0 - start.0).sum()
}

#[test]
fn an_event_is_stored_as_it_was_sent() {
    let engine = ready(&Faulty::new(1));
    let body =
        r#" {"key":"k\u00e9", "value": {"a" : [1, 2]}, "headers":{"h":"1"}, "partition":3, "timestamp":1736937000123}"#;
    let answer = single(&engine, body).unwrap();
    let id = engine.stream_report("s").unwrap().id;
    let wanted = format!(
        r#"{{"eventId":"evt_{id}_3_0","partition":3,"offset":0,"timestamp":"2025-01-15T10:30:00.123Z","status":"published"}}"#
    );
    assert_eq!(answer, wanted);
    let read = engine.fetch("s", PartitionId(3), Offset(0), Limits { records: 1, bytes: 1 }).unwrap();
    let record = read.get(0).unwrap();
    assert_eq!(record.key, Some("ké".as_bytes()));
    assert_eq!((record.value, record.headers), (&br#"{"a" : [1, 2]}"#[..], &br#"{"h":"1"}"#[..]));
    assert_eq!(record.timestamp.0, 1_736_937_000_123_000);
}

#[test]
fn partitions_follow_the_number_then_the_partition_key_then_the_key() {
    let engine = ready(&Faulty::new(2));
    let place = |body: &str| {
        let answer: serde_json::Value = serde_json::from_str(&single(&engine, body).unwrap()).unwrap();
        answer["partition"].as_u64().unwrap()
    };
    for key in ["a", "b", "c", "d", "e"] {
        let by_key = place(&format!(r#"{{"key":"{key}","value":1}}"#));
        assert_eq!(place(&format!(r#"{{"key":"x","partitionKey":"{key}","value":1}}"#)), by_key);
        assert_eq!(place(&format!(r#"{{"partitionKey":"{key}","partition":2,"value":1}}"#)), 2);
    }
    let turns: BTreeSet<u64> = (0..4).map(|_| place(r#"{"value":1}"#)).collect();
    assert_eq!(turns.len(), 4, "without a key they go in turn");
}

#[test]
fn whole_numbers_may_be_written_with_a_fraction_or_an_exponent() {
    let engine = ready(&Faulty::new(3));
    for (body, partition, micros) in [
        (r#"{"value":1,"partition":1.0,"timestamp":1640995200000.0}"#, 1, 1_640_995_200_000_000),
        (r#"{"value":1,"partition":0.2e1,"timestamp":1.6409952e12}"#, 2, 1_640_995_200_000_000),
        (r#"{"value":1,"partition":3,"timestamp":1e3}"#, 3, 1_000_000),
    ] {
        single(&engine, body).unwrap();
        let read = engine.fetch("s", PartitionId(partition), Offset(0), Limits { records: 1, bytes: 1 }).unwrap();
        assert_eq!(read.get(0).unwrap().timestamp.0, micros, "{body}");
    }
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_stored() {
    let engine = ready(&Faulty::new(3));
    let long = "x".repeat(1025);
    let cases = [
        ("[]".to_owned(), "the event must be an object"),
        ("{}".to_owned(), "value: missing"),
        (r#"{"value":1,"value":2}"#.to_owned(), "value: given more than once"),
        (r#"{"value":1,"key":1}"#.to_owned(), "key: must be a string"),
        (format!(r#"{{"value":1,"key":"{long}"}}"#), "key: has 1025 bytes"),
        (format!(r#"{{"value":1,"partitionKey":"{long}"}}"#), "partitionKey: has 1025 bytes"),
        (r#"{"value":1,"partition":4}"#.to_owned(), "partition: must be a whole number from 0 to 3"),
        (r#"{"value":1,"partition":-1}"#.to_owned(), "partition: "),
        (r#"{"value":1,"partition":1.5}"#.to_owned(), "partition: "),
        (r#"{"value":1,"partition":4.0}"#.to_owned(), "partition: must be a whole number from 0 to 3"),
        (r#"{"value":1,"partition":"1"}"#.to_owned(), "partition: "),
        (r#"{"value":1,"partition":99999999999999999999}"#.to_owned(), "partition: "),
        (r#"{"value":1,"headers":[]}"#.to_owned(), "headers: must be an object"),
        (r#"{"value":1,"headers":{"a":null}}"#.to_owned(), "headers.a: must be a string"),
        (format!(r#"{{"value":1,"headers":{{"a":"{}"}}}}"#, "x".repeat(33_000)), "headers: have 3"),
        (r#"{"value":1,"timestamp":"yesterday"}"#.to_owned(), "timestamp: "),
        (r#"{"value":1,"timestamp":1e-3}"#.to_owned(), "timestamp: "),
        (r#"{"value":1,"timestamp":1640995200000.5}"#.to_owned(), "timestamp: "),
        (r#"{"value":1,"timestamp":9223372036854775807}"#.to_owned(), "timestamp: "),
        (r#"{"value":1,"timestamp":{}}"#.to_owned(), "timestamp: "),
        (r#"{"value":1,"tipo":1}"#.to_owned(), "tipo: there is no such field"),
        (r#"{"value":1} x"#.to_owned(), "the body is not valid JSON"),
        (r#"{"value":"#.to_owned(), "the body is not valid JSON"),
        ("\u{feff}{\"value\":1}".to_owned(), "the body is not valid JSON"),
    ];
    for (body, place) in cases {
        let error = single(&engine, &body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{body}");
        assert!(error.detail().starts_with(place), "{body}: {error}");
    }
    let error = single(&engine, &format!(r#"{{"value":"{}"}}"#, "x".repeat(99))).unwrap_err();
    assert_eq!((error.kind(), error.detail().starts_with("value: has 101 bytes")), (ErrorKind::PayloadTooLarge, true));
    single(&engine, &format!(r#"{{"value":"{}"}}"#, "x".repeat(98))).unwrap();
    single(
        &engine,
        r#"{"key":null,"value":null,"headers":null,"partition":null,"partitionKey":null,"timestamp":null}"#,
    )
    .unwrap();
    assert_eq!(total(&engine), 2);
    until("memory", || engine.report().ring_used_bytes < 4096);
}

#[test]
fn batches_have_an_answer_for_each_event_in_order() {
    let engine = ready(&Faulty::new(4));
    let (status, body) = batch(
        &engine,
        r#"{"options":{"compression":"gzip","timeout":5000},"events":[{"value":1,"partition":1},{},{"value":2,"partition":0},7,{"value":3,"partition":1}]}"#,
    )
    .unwrap();
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let id = engine.stream_report("s").unwrap().id;
    assert_eq!((status, &answer["compression"]), (200, &"gzip".into()));
    assert_eq!(
        (&answer["totalEvents"], &answer["successCount"], &answer["failureCount"]),
        (&5.into(), &3.into(), &2.into())
    );
    let results = answer["results"].as_array().unwrap();
    let ids: Vec<_> = results.iter().map(|result| result["eventId"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(
        ids,
        [format!("evt_{id}_1_0"), String::new(), format!("evt_{id}_0_0"), String::new(), format!("evt_{id}_1_1")]
    );
    assert_eq!(results[1]["error"]["detail"], "events[1].value: missing");
    assert_eq!(
        (&results[3]["error"]["code"], &results[3]["error"]["message"]),
        (&1004.into(), &"SERIALIZATION_ERROR".into())
    );
    let half = batch(&engine, r#"{"events":[{"value":1},{"value":"#).unwrap_err();
    assert_eq!(half.kind(), ErrorKind::Malformed);
    let (status, body) = batch(&engine, r#"{"events":[{},[]]}"#).unwrap();
    assert!(status == 400 && body.contains(r#""successCount":0"#) && body.contains(r#""failureCount":2"#), "{body}");
    assert_eq!(total(&engine), 3);
}

#[test]
fn batches_of_another_shape_are_refused_whole() {
    let engine = ready(&Faulty::new(5));
    let many = format!(r#"{{"events":[{}]}}"#, vec![r#"{"value":1}"#; 10_001].join(","));
    let cases = [
        ("[]", "the body must be an object"),
        ("{}", "events: missing"),
        (r#"{"events":[]}"#, "events: must not be empty"),
        (r#"{"events":{}}"#, "events: must be an array"),
        (r#"{"events":[{"value":1}],"events":[]}"#, "events: given more than once"),
        (r#"{"events":[{"value":1}],"option":1}"#, "option: there is no such field"),
        (r#"{"events":[{"value":1}],"options":[]}"#, "options: must be an object"),
        (r#"{"events":[{"value":1}],"options":{"timeout":0}}"#, "options.timeout: "),
        (r#"{"events":[{"value":1}],"options":{"timeout":60001}}"#, "options.timeout: "),
        (r#"{"events":[{"value":1}],"options":{"compression":"rar"}}"#, "options.compression: must be one of none"),
        (r#"{"events":[{"value":1}],"options":{"acks":1}}"#, "options.acks: there is no such option"),
        (&many, "events: more than 10000"),
    ];
    for (body, place) in cases {
        let error = batch(&engine, body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
        assert!(error.detail().starts_with(place), "{error}");
    }
    assert_eq!(total(&engine), 0);
    let most = format!(r#"{{"events":[{}]}}"#, vec![r#"{"value":1}"#; 10_000].join(","));
    assert_eq!(batch(&engine, &most).unwrap().0, 200);
    assert_eq!(total(&engine), 10_000);
}

#[test]
fn a_repeat_is_given_the_same_answer_again_also_after_a_restart() {
    let storage = Faulty::new(6);
    let body = r#"{"events":[{"value":1},{"value":2},{},{"key":"k","value":3}]}"#;
    let engine = ready(&storage);
    // The record in between makes turns differ.
    single(&engine, r#"{"value":0}"#).unwrap();
    let ask = |engine: &Engine| {
        (
            answer(engine, keyed(&route::PUBLISH_BATCH, "s", body, "b")).unwrap(),
            answer(engine, keyed(&route::PUBLISH, "s", r#"{"value":1}"#, "e")).unwrap(),
        )
    };
    let first = ask(&engine);
    assert_eq!(ask(&engine), first);
    drop(engine);
    let engine = open(&storage, &small()).unwrap();
    assert_eq!(ask(&engine), first);
    assert_eq!(total(&engine), 5);
    let error = answer(&engine, keyed(&route::PUBLISH, "s", r#"{"value":2}"#, "e")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdempotencyMismatch);
    // The stream's limit has changed: an answer made now would not fit what is stored.
    let change = StreamChange { max_record_bytes: Some(1), ..StreamChange::default() };
    let long = r#"{"events":[{"value":10},{"value":2}]}"#;
    let before = answer(&engine, keyed(&route::PUBLISH_BATCH, "s", long, "c")).unwrap();
    engine.alter_stream("s", change).unwrap();
    let error = answer(&engine, keyed(&route::PUBLISH_BATCH, "s", long, "c")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdempotencyMismatch, "{before:?}");
    // A later stream of that name is another one.
    engine.delete_stream("s").unwrap();
    engine.create_stream("s", 4).unwrap();
    assert_ne!(ask(&engine), first);
    assert_eq!(total(&engine), 4);
}

#[test]
fn streams_that_are_not_there_or_the_engines_own_take_nothing() {
    let engine = ready(&Faulty::new(7));
    let kind = |stream: &str| answer(&engine, request(&route::PUBLISH, stream, r#"{"value":1}"#)).unwrap_err().kind();
    assert_eq!((kind("nothing"), kind("")), (ErrorKind::StreamNotFound, ErrorKind::StreamNotFound));
    assert_eq!(kind("logs"), ErrorKind::Forbidden);
}

#[derive(Debug, Default)]
struct Outcomes {
    due: Mutex<Vec<(CompletionId, Instant)>>,
    ended: Mutex<Vec<Result<Receipt>>>,
}

impl Completer for Outcomes {
    fn complete(&self, _ticket: CompletionId, outcome: Result<Receipt>) {
        self.ended.lock().push(outcome);
    }

    fn due(&self, completion: CompletionId, due: Instant) {
        self.due.lock().push((completion, due));
    }

    fn wake(&self) {}
}

#[test]
fn who_waits_is_told_how_long_before_the_commit() {
    let storage = Faulty::new(8);
    let engine = ready(&storage);
    let outcomes = Arc::new(Outcomes::default());
    storage.stall_syncs(true);
    let before = Instant::now();
    let body = r#"{"events":[{"value":1}],"options":{"timeout":1500}}"#;
    engine.submit(request(&route::PUBLISH_BATCH, "s", body), outcomes.clone(), CompletionId(7)).unwrap();
    until("the deadline", || !outcomes.due.lock().is_empty());
    assert!(outcomes.ended.lock().is_empty());
    let (completion, due) = outcomes.due.lock()[0];
    let wait = due.saturating_duration_since(before);
    assert!(
        completion == CompletionId(7) && wait >= Duration::from_millis(1500) && wait < Duration::from_secs(20),
        "{wait:?}"
    );
    storage.stall_syncs(false);
    until("the commit", || !outcomes.ended.lock().is_empty());
    assert!(outcomes.ended.lock()[0].is_ok());
}
