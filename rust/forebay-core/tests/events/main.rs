//! The events API: what is accepted, what is filled in, what is answered and counted, and that a repeat is answered the
//! same.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod sent;

use std::collections::BTreeMap;

use common::{open, small, until};
use forebay_core::ingest::route;
use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::{
    EVENTS, Engine, ErrorKind, IngestRoute, Key, Limits, NewRecord, Offset, Options, PartitionId, Request, Result,
    Timestamp,
};
use serde_json::{Value, json};

const EVENT: &str = r#"{"type":"user_action","source":"web_app","data":{"user_id":"12345","action":"click","page":"/dashboard","metadata":{}},"timestamp":1640995200000,"id":"optional-custom-id"}"#;

fn request(route: &'static IngestRoute, body: &str) -> Request {
    Request::new(route, Box::new(body.as_bytes().to_vec()))
}

fn keyed(route: &'static IngestRoute, body: &str, key: &str) -> Request {
    Request { key: Some(Key::new(b"token", EVENTS, key.as_bytes()).unwrap()), ..request(route, body) }
}

fn answer(engine: &Engine, request: Request) -> Result<(u16, Value)> {
    let (status, body) = engine.ingest(request)?.answer()?;
    Ok((status, serde_json::from_slice(&body).expect("answers are JSON")))
}

fn single(engine: &Engine, body: &str) -> Result<Value> {
    let (status, body) = answer(engine, request(&route::EVENT, body))?;
    assert_eq!(status, 200);
    Ok(body)
}

fn batch(engine: &Engine, body: &str) -> Result<(u16, Value)> {
    answer(engine, request(&route::EVENT_BATCH, body))
}

/// Every record's time, key and value, by partition.
fn records(engine: &Engine) -> Vec<(Timestamp, String, String)> {
    let Ok(report) = engine.stream_report(EVENTS) else { return Vec::new() };
    let mut all = Vec::new();
    for (partition, start, end) in report.partitions {
        let mut offset = start;
        while offset < end {
            let read = engine.fetch(EVENTS, partition, offset, Limits { records: 1000, bytes: 1 << 20 }).unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            all.extend(read.iter().map(|(_, one)| (one.timestamp, text(one.key.unwrap()), text(one.value))));
            offset = read.next_offset();
        }
    }
    all
}

fn started(seed: u64) -> Engine {
    open(&Faulty::new(seed), &small()).unwrap()
}

#[test]
fn a_whole_event_is_stored_as_it_was_sent() {
    let engine = started(1);
    assert!(records(&engine).is_empty());
    let answer = single(&engine, &format!(" {EVENT}\n")).unwrap();
    assert_eq!((&answer["success"], &answer["eventId"]), (&json!(true), &json!("optional-custom-id")));
    let took = answer["processingTime"].as_f64().unwrap();
    assert!(took > 0.0 && took < 30_000.0, "{took}");
    let stored = (Timestamp(1_640_995_200_000_000), "web_app".to_owned(), EVENT.to_owned());
    assert_eq!(records(&engine), [stored]);
}

#[test]
fn what_is_missing_or_null_is_filled_in() {
    let engine = started(2);
    let before = Timestamp::now().0 / 1000;
    for (body, names) in [
        (r#"{"type":"a","source":"k\u00e9","data":{}}"#, ["type", "source", "data", "id", "timestamp"]),
        (r#"{"type":"a", "id" : null ,"source":"ké","data":{} }"#, ["type", "id", "source", "data", "timestamp"]),
        (
            r#"{"timestamp":null,"type":"a","source":"ké","data":{},"id":null}"#,
            ["timestamp", "type", "source", "data", "id"],
        ),
    ] {
        let answer = single(&engine, body).unwrap();
        let (time, key, value) = records(&engine).pop().unwrap();
        let stored: Value = serde_json::from_str(&value).unwrap();
        assert_eq!(key, "ké");
        assert_eq!(stored["id"], answer["eventId"]);
        let millis = stored["timestamp"].as_i64().unwrap();
        assert!(millis >= before && millis <= Timestamp::now().0 / 1000);
        assert_eq!(time.0, millis * 1000, "the record's time is the event's");
        let id = answer["eventId"].as_str().unwrap();
        let token = id.strip_prefix(&format!("evt_{millis}_")).unwrap();
        assert!(token.len() == 20 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        // In the order in which they were sent, and each once.
        let places: Vec<_> = names.iter().map(|name| value.find(&format!("\"{name}\"")).unwrap()).collect();
        assert!(places.is_sorted(), "{value}");
        assert_eq!(value.matches("\"id\"").count() + value.matches("\"timestamp\"").count(), 2, "{value}");
    }
    let answer = single(&engine, r#"{"type":"a","source":"s","data":{},"timestamp":-5}"#).unwrap();
    assert!(answer["eventId"].as_str().unwrap().starts_with("evt_-5_"), "{answer}");
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_stored() {
    let engine = started(3);
    let with = |fields: &str| format!(r#"{{"type":"a","source":"s","data":{{}},{fields}}}"#);
    let cases = [
        ("[]".to_owned(), "the event must be an object"),
        ("{}".to_owned(), "type: missing"),
        (r#"{"type":"a","data":{}}"#.to_owned(), "source: missing"),
        (r#"{"type":"a","source":"s"}"#.to_owned(), "data: missing"),
        (r#"{"type":"","source":"s","data":{}}"#.to_owned(), "type: must not be empty"),
        (r#"{"type":1,"source":"s","data":{}}"#.to_owned(), "type: must be a string"),
        (r#"{"type":null,"source":"s","data":{}}"#.to_owned(), "type: must be a string"),
        (r#"{"type":"a","source":"","data":{}}"#.to_owned(), "source: must not be empty"),
        (r#"{"type":"a","source":["s"],"data":{}}"#.to_owned(), "source: must be a string"),
        (format!(r#"{{"type":"a","source":"{}","data":{{}}}}"#, "s".repeat(1025)), "source: has 1025 bytes"),
        (r#"{"type":"a","source":"s","data":[]}"#.to_owned(), "data: must be an object"),
        (r#"{"type":"a","source":"s","data":null}"#.to_owned(), "data: must be an object"),
        (with(r#""type":"b""#), "type: given more than once"),
        (with(r#""d\u0061ta":{}"#), "data: given more than once"),
        (with(r#""id":"a","id":null"#), "id: given more than once"),
        (with(r#""timestamp":1,"timestamp":2"#), "timestamp: given more than once"),
        (with(r#""id":"""#), "id: must not be empty"),
        (with(r#""id":7"#), "id: must be a string"),
        (with(&format!(r#""id":"{}""#, "i".repeat(257))), "id: has 257 bytes"),
        (with(r#""timestamp":"2024-05-31T15:30:45Z""#), "timestamp: must be whole milliseconds"),
        (with(r#""timestamp":1.5"#), "timestamp: must be whole milliseconds"),
        (with(r#""timestamp":253402300800000"#), "timestamp: must be whole milliseconds"),
        (with(r#""timestamp":-62135596800001"#), "timestamp: must be whole milliseconds"),
        (with(r#""timestamp":99999999999999999999"#), "timestamp: must be whole milliseconds"),
        (format!("{EVENT} x"), "the body is not valid JSON"),
        (EVENT[..EVENT.len() - 1].to_owned(), "the body is not valid JSON"),
        (String::new(), "the body is not valid JSON"),
    ];
    let count = cases.len() as u64;
    for (body, place) in cases {
        let error = single(&engine, &body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{body}");
        assert!(error.detail().starts_with(place), "{body}: {error}");
    }
    let long = with(&format!(r#""x":"{}""#, "x".repeat(small().max_record_bytes)));
    assert_eq!(single(&engine, &long).unwrap_err().kind(), ErrorKind::PayloadTooLarge);
    assert!(records(&engine).is_empty());
    assert_eq!(counted(&engine), (0, [count + 1, 0, 0]), "each of them is one event that failed validation");
    for last in ["253402300799999", "-62135596800000"] {
        single(&engine, &with(&format!(r#""timestamp":{last}"#))).unwrap();
    }
    // A text that only looks too long is measured unescaped.
    single(&engine, &with(&format!(r#""id":"{}""#, r"\u0069".repeat(256)))).unwrap();
    until("memory", || engine.report().ring_used_bytes < 4096);
}

#[test]
fn a_batch_names_its_bad_events_and_stores_the_others() {
    let engine = started(4);
    let body =
        format!(r#"[{EVENT},{{}},{{"type":"b","source":"s","data":{{}}}},7,{{"type":"c","source":"s","data":1}}]"#);
    let (status, answer) = batch(&engine, &body).unwrap();
    let errors = json!([
        {"index": 1, "error": "type: missing"},
        {"index": 3, "error": "must be an object"},
        {"index": 4, "error": "data: must be an object"},
    ]);
    assert_eq!((status, &answer["errors"]), (200, &errors));
    assert_eq!((&answer["success"], &answer["processed"], &answer["failed"]), (&json!(false), &json!(2), &json!(3)));
    assert!(answer["totalProcessingTime"].as_f64().unwrap() > 0.0 && answer.get("error").is_none(), "{answer}");
    assert_eq!(records(&engine).len(), 2);
    let (status, answer) = batch(&engine, &format!("[{EVENT}]")).unwrap();
    assert_eq!((status, &answer["success"], &answer["errors"]), (200, &json!(true), &json!([])));
    let (status, answer) = batch(&engine, "[{},[]]").unwrap();
    assert_eq!((status, &answer["processed"], &answer["failed"]), (400, &json!(0), &json!(2)));
    assert!(answer["error"].as_str().unwrap().ends_with("the first: type: missing"), "{answer}");
    assert_eq!(answer["errors"].as_array().unwrap().len(), 2);
    assert_eq!(records(&engine).len(), 3);
    assert_eq!(counted(&engine), (3, [5, 0, 0]));
}

#[test]
fn batches_of_another_shape_are_refused_whole() {
    let engine = started(5);
    let many = |count: usize| format!("[{}]", vec![r#"{"type":"a","source":"s","data":{}}"#; count].join(","));
    let half = format!("[{EVENT},{{");
    for (body, place) in [
        ("{}", "the body must be an array of events"),
        (EVENT, "the body must be an array of events"),
        ("[]", "events: must not be empty"),
        (&many(1001), "events: more than 1000"),
        (&half, "the body is not valid JSON"),
        ("[1]]", "the body is not valid JSON"),
    ] {
        let error = batch(&engine, body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
        assert!(error.detail().starts_with(place), "{error}");
    }
    assert!(records(&engine).is_empty());
    let (status, answer) = batch(&engine, &many(1000)).unwrap();
    assert_eq!((status, &answer["processed"]), (200, &json!(1000)));
    let ids: std::collections::BTreeSet<_> = records(&engine)
        .into_iter()
        .map(|(_, _, value)| serde_json::from_str::<Value>(&value).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 1000, "no two events have one id");
}

#[test]
fn a_repeat_is_given_the_same_answer_again_also_after_a_restart() {
    let storage = Faulty::new(6);
    let several = r#"[{"type":"a","source":"s","data":{}},{},{"type":"b","source":"t","data":{}}]"#;
    let without = |mut answer: (u16, Value)| {
        for name in ["processingTime", "totalProcessingTime"] {
            answer.1.as_object_mut().unwrap().remove(name);
        }
        answer
    };
    let ask = |engine: &Engine| {
        let one = r#"{"type":"a","source":"s","data":{}}"#;
        (
            without(answer(engine, keyed(&route::EVENT, one, "one")).unwrap()),
            without(answer(engine, keyed(&route::EVENT_BATCH, several, "several")).unwrap()),
        )
    };
    let engine = open(&storage, &small()).unwrap();
    let first = ask(&engine);
    let stored = records(&engine);
    let named = |value: &str| serde_json::from_str::<Value>(value).unwrap()["id"] == first.0.1["eventId"];
    assert_eq!(stored.iter().filter(|(_, _, value)| named(value)).count(), 1, "the answer names what is stored");
    // The pause shows a repeat that names its own arrival.
    until("the next millisecond", || {
        Timestamp::now().0 / 1000 > stored.iter().map(|one| one.0.0 / 1000).max().unwrap()
    });
    assert_eq!(ask(&engine), first);
    assert_eq!(counted(&engine).0, 3, "a repeat is not counted again");
    drop(engine);
    let engine = open(&storage, &small()).unwrap();
    assert_eq!(ask(&engine), first);
    assert_eq!(records(&engine), stored);
    let error = answer(&engine, keyed(&route::EVENT, EVENT, "one")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdempotencyMismatch);
    drop(engine);
    // The limit on records has changed: an answer made now would not fit what is stored.
    let long = format!(
        r#"[{{"type":"a","source":"s","data":{{"x":"{}"}}}},{{"type":"a","source":"s","data":{{}}}}]"#,
        "x".repeat(400)
    );
    let engine = open(&storage, &small()).unwrap();
    answer(&engine, keyed(&route::EVENT_BATCH, &long, "long")).unwrap();
    drop(engine);
    let engine = open(&storage, &Options { max_record_bytes: 256, ..small() }).unwrap();
    let error = answer(&engine, keyed(&route::EVENT_BATCH, &long, "long")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IdempotencyMismatch);
}

/// Returns the counts of `/api/metrics`: stored events, and those that failed validation, storage and processing.
fn counted(engine: &Engine) -> (u64, [u64; 3]) {
    let text = format!("{:?}", engine.counters().live);
    let numbers = |from: &str, to: &str| {
        let part = text.split(from).nth(1).unwrap().split(to).next().unwrap().to_owned();
        let digits: Vec<u64> = part.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
        digits
    };
    let failures = numbers("failures:", "latency:");
    (numbers("events:", ",")[0], [failures[0], failures[1], failures[2]])
}

#[test]
fn refusals_are_counted_by_what_they_are() {
    let storage = Faulty::new(7);
    let engine = open(&storage, &small()).unwrap();
    let two = format!("[{EVENT},{EVENT}]");
    batch(&engine, &two).unwrap();
    assert_eq!(counted(&engine), (2, [0, 0, 0]));
    answer(&engine, keyed(&route::EVENT, EVENT, "k")).unwrap();
    let other = EVENT.replace("click", "clack");
    answer(&engine, keyed(&route::EVENT, &other, "k")).unwrap_err();
    assert_eq!(counted(&engine), (3, [1, 0, 0]), "a key with another body");
    // Other shapes are not counted there.
    engine.ingest(request(&route::DRAIN, "{}")).unwrap_err();
    engine.ingest(request(&route::TRACK, r#"{"event":{"type":"a"}}"#)).unwrap();
    assert_eq!(counted(&engine), (3, [1, 0, 0]));
    storage.inject(Fault::next(Operation::Sync));
    let error = batch(&engine, &two).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageUnavailable);
    assert_eq!(counted(&engine), (3, [1, 2, 0]), "both of a batch whose commit failed");
    batch(&engine, &two).unwrap_err();
    assert_eq!(counted(&engine), (3, [1, 3, 0]), "one of a request whose body is not read any more");
    engine.close();
    single(&engine, EVENT).unwrap_err();
    assert_eq!(counted(&engine), (3, [1, 3, 1]));
}

#[test]
fn keys_keep_their_partition_and_options_are_followed() {
    let storage = Faulty::new(8);
    let engine = open(&storage, &Options { events_partitions: 3, ..small() }).unwrap();
    assert_eq!(engine.stream_report(EVENTS).unwrap().partitions.len(), 3, "there from the start");
    let events: Vec<_> =
        (0..60).map(|number| format!(r#"{{"type":"a","source":"s{}","data":{{"n":{number}}}}}"#, number % 7)).collect();
    batch(&engine, &format!("[{}]", events.join(","))).unwrap();
    let report = engine.stream_report(EVENTS).unwrap();
    assert_eq!((report.partitions.len(), report.engine_made), (3, true));
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for (_, key, value) in records(&engine) {
        let number = serde_json::from_str::<Value>(&value).unwrap()["data"]["n"].as_i64().unwrap();
        assert!(last.insert(key, number).is_none_or(|before| before < number), "a source keeps its order");
    }
    drop(engine);
    let engine = open(&storage, &Options { events_partitions: 5, max_record_bytes: 777, ..small() }).unwrap();
    let report = engine.stream_report(EVENTS).unwrap();
    assert_eq!((report.partitions.len(), report.definition.max_record_bytes), (3, 777));
    let change = forebay_core::StreamChange { retention_ms: Some(60_000), ..forebay_core::StreamChange::default() };
    let error = engine.alter_stream(EVENTS, change).unwrap_err();
    assert!(error.kind() == ErrorKind::Forbidden && error.detail().contains("events_retention_ms"), "{error}");
}

#[test]
fn programs_append_in_the_same_shape() {
    let engine = started(9);
    let record = |value: &str| NewRecord { key: None, value: value.into(), headers: Vec::new(), timestamp: None };
    let appended = engine.append(EVENTS, &[record(EVENT), record(EVENT)], None).unwrap();
    assert_eq!((appended.places.len(), records(&engine).len()), (2, 2));
    let error = engine.append(EVENTS, &[record(EVENT), record("{}")], None).unwrap_err();
    assert_eq!((error.kind(), error.detail()), (ErrorKind::Malformed, "events[1].type: missing"));
    let error = engine.append(EVENTS, &[NewRecord { key: Some(b"k".to_vec()), ..record(EVENT) }], None).unwrap_err();
    assert!(error.detail().starts_with("records[0]: stream \"events\" takes key and timestamp"), "{error}");
    engine.append(EVENTS, &vec![record(EVENT); 1500], None).unwrap();
    assert_eq!(records(&engine).len(), 1502, "the limit is that of one request");
    assert!(engine.fetch(EVENTS, PartitionId(9), Offset(0), Limits { records: 1, bytes: 1 }).is_err());
}
