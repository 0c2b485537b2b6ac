//! Following a stream: what a position means, and what becomes of what is no longer there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Mark, drain, open, sealing_soon, small, until, wait_sealed};
use forebay_core::ingest::route;
use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::{
    Engine, ErrorKind, Filter, LOGS, Limits, NewRecord, Offset, Options, PartitionId, Position, Request, Retention,
    StreamId, TailChunk, TailRequest,
};

const MANY: Limits = Limits { records: 1000, bytes: 1 << 20 };

fn engine() -> Engine {
    let engine = open(&Faulty::new(3), &small()).unwrap();
    engine.create_stream("orders", 2).unwrap();
    engine
}

fn append(engine: &Engine, partition: u32, value: &str, headers: &str) {
    let record = NewRecord { key: Some(b"k".to_vec()), value: value.into(), headers: headers.into(), timestamp: None };
    engine.append("orders", &[record], Some(PartitionId(partition))).unwrap();
}

fn request(position: Position) -> TailRequest<'static> {
    TailRequest { stream: "orders", position, until: None, filter: None, allowed: None, limits: MANY }
}

fn text(chunk: &TailChunk) -> String {
    String::from_utf8(chunk.body.clone()).unwrap()
}

fn ids(chunk: &TailChunk) -> Vec<String> {
    text(chunk).lines().filter_map(|line| line.strip_prefix("id: ").map(str::to_owned)).collect()
}

#[test]
fn each_event_carries_the_position_behind_it() {
    let engine = engine();
    for (partition, value) in [(0, "1"), (1, "2"), (0, "3")] {
        append(&engine, partition, value, "");
    }
    let start = engine.position("orders", true).unwrap();
    let id = start.stream;
    let chunk = engine.tail(request(start)).unwrap();
    assert_eq!(ids(&chunk), [format!("{id}:1.0"), format!("{id}:2.0"), format!("{id}:2.1")]);
    assert_eq!((chunk.records, chunk.scanned), (3, 3));
    assert_eq!(chunk.position, engine.position("orders", false).unwrap());
    let event = text(&chunk);
    let event = event.split("\n\n").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(event.split("data: ").nth(1).unwrap()).unwrap();
    assert_eq!(data["eventId"], format!("evt_{id}_0_0"));
    assert_eq!((&data["offset"], &data["partition"], &data["key"]), (&0.into(), &0.into(), &"k".into()));
    assert!(data.get("headers").is_none());
    let nothing = engine.tail(request(chunk.position)).unwrap();
    assert!(nothing.body.is_empty() && nothing.scanned == 0);
}

#[test]
fn an_event_is_one_line_of_data() {
    let engine = engine();
    append(&engine, 0, "{\n \"a\":\r\n [1,\n\"x\\n\"]}", "{\n\"h\":\"1\"}");
    let chunk = engine.tail(request(engine.position("orders", true).unwrap())).unwrap();
    let text = text(&chunk);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.ends_with("\"headers\":{\"h\":\"1\"},\"value\":{\"a\":[1,\"x\\n\"]}}\n\n"), "{text}");
}

#[test]
fn it_stops_where_it_is_told_to() {
    let engine = engine();
    for number in 0..10 {
        append(&engine, number % 2, "1", "");
    }
    let start = engine.position("orders", true).unwrap();
    let ends = [Offset(3), Offset(0)];
    let chunk = engine.tail(TailRequest { until: Some(&ends), ..request(start.clone()) }).unwrap();
    assert_eq!(chunk.position.next, ends);
    assert!(!chunk.more);
    assert_eq!(chunk.records, 3);
    let limits = Limits { records: 4, bytes: 1 << 20 };
    let chunk = engine.tail(TailRequest { limits, ..request(start) }).unwrap();
    assert_eq!(chunk.position.next, [Offset(2), Offset(2)], "each partition gets its part");
    assert!(chunk.more);
}

#[test]
fn what_is_not_chosen_moves_the_position_all_the_same() {
    let engine = engine();
    for number in 0..10 {
        append(&engine, 0, &number.to_string(), "");
    }
    let filter = Filter::new("value == 4").unwrap();
    let start = engine.position("orders", true).unwrap();
    let chunk = engine.tail(TailRequest { filter: Some(&filter), ..request(start) }).unwrap();
    assert_eq!((chunk.records, chunk.scanned), (1, 10));
    assert_eq!(chunk.position.next, [Offset(10), Offset(0)]);
    assert!(ids(&chunk)[0].ends_with(":5.0"));
}

#[test]
fn positions_that_the_stream_does_not_have_are_refused() {
    let engine = engine();
    let stream = engine.position("orders", false).unwrap().stream;
    let kind = |stream, next: &[u64]| {
        let next = next.iter().copied().map(Offset).collect();
        engine.tail(request(Position { stream, next })).unwrap_err().kind()
    };
    assert_eq!(kind(stream, &[0, 1]), ErrorKind::InvalidOffset);
    assert_eq!(kind(stream, &[0]), ErrorKind::InvalidOffset);
    assert_eq!(kind(StreamId(stream.0 + 7), &[0, 0]), ErrorKind::StreamNotFound);
    assert_eq!(engine.position("nothing", false).unwrap_err().kind(), ErrorKind::StreamNotFound);
}

#[test]
fn a_gap_says_what_retention_deleted() {
    let retention = Retention { age: None, bytes: Some(1) };
    let options = Options { logs_partitions: 1, logs_retention: retention, ..sealing_soon() };
    let engine = open(&Faulty::new(5), &options).unwrap();
    let start = engine.position(LOGS, true).unwrap();
    let mut batch = 0;
    until("retention", || {
        batch += 1;
        let _maybe = engine.ingest(Request::new(&route::DRAIN, drain(&Mark::batch(batch, 10, 100))));
        engine.position(LOGS, true).unwrap().next[0] > Offset(0)
    });
    let chunk = engine.tail(TailRequest { stream: LOGS, ..request(start) }).unwrap();
    let text = text(&chunk);
    let gap = text.split("\n\n").next().unwrap();
    let to = gap.split("\"to\":").nth(1).unwrap().split(',').next().unwrap();
    let data = format!("{{\"partition\":0,\"from\":0,\"to\":{to},\"reason\":\"expired\"}}");
    assert!(gap.contains(&format!(":{to}\nevent: gap\ndata: {data}")), "{gap}");
    assert!(to.parse::<u64>().unwrap() > 0);
}

/// Two partitions, each with a record in each of three segments.
fn sealed() -> Faulty {
    let storage = Faulty::new(3);
    let engine = open(&storage, &sealing_soon()).unwrap();
    engine.create_stream("orders", 2).unwrap();
    for value in ["1", "2", "3"] {
        append(&engine, 0, value, "");
        append(&engine, 1, value, "");
        wait_sealed(&engine);
    }
    drop(engine);
    storage
}

/// The second of the segments that hold something.
fn second(storage: &Faulty) -> std::path::PathBuf {
    let full = |path: &std::path::PathBuf| path.to_string_lossy().ends_with(".segment");
    let mut segments: Vec<_> = storage.files().into_iter().map(|(path, _)| path).filter(full).collect();
    segments.sort();
    segments.swap_remove(1)
}

#[test]
fn a_gap_names_what_is_damaged_and_its_id_goes_on_behind_it() {
    let storage = sealed();
    // The first block's first byte: that of partition 0.
    assert!(storage.flip(second(&storage), 32 + 64 + 9, 1) || storage.flip(second(&storage), 100, 1));
    let engine = open(&storage, &small()).unwrap();
    let start = engine.position("orders", true).unwrap();
    let chunk = engine.tail(request(start.clone())).unwrap();
    let text = text(&chunk);
    let gap = text.split("\n\n").find(|event| event.contains("event: gap")).unwrap();
    let lost = text.matches("event: gap").count();
    assert!(gap.contains("\"from\":1,\"to\":2,\"reason\":\"damaged\"}"), "{text}");
    assert_eq!((chunk.records, chunk.scanned), (6, 6 - lost));
    assert_eq!(chunk.position.next, [Offset(3), Offset(3)]);
    // A reader that comes back with the gap's id gets what is behind it, and no gap again.
    let id = gap.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let next = id.split(':').nth(1).unwrap().split('.').map(|offset| Offset(offset.parse().unwrap())).collect();
    let resumed = engine.tail(request(Position { stream: start.stream, next })).unwrap();
    assert!(!String::from_utf8(resumed.body).unwrap().contains("event: gap"));
    // Up to inside of the gap.
    let until = [Offset(1), Offset(0)];
    let chunk = engine.tail(TailRequest { until: Some(&until), ..request(start) }).unwrap();
    assert_eq!((chunk.position.next, chunk.records), (until.to_vec(), 1));
}

#[test]
fn a_read_that_fails_moves_no_position() {
    let storage = sealed();
    for operation in [Operation::Open, Operation::Read] {
        for nth in 1.. {
            let storage = storage.kill();
            let engine = open(&storage, &small()).unwrap();
            let fault = storage.inject(Fault::nth(operation, nth).on("segments/").times(3));
            let (mut position, mut body, mut failures) = (engine.position("orders", true).unwrap(), String::new(), 0);
            while position.next != [Offset(3), Offset(3)] {
                match engine.tail(request(position.clone())) {
                    Ok(chunk) => {
                        body += &text(&chunk);
                        position = chunk.position;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::StorageUnavailable, "{error}");
                        failures += 1;
                        assert!(failures < 5, "{error}");
                    }
                }
            }
            assert_eq!((body.matches("data: ").count(), body.matches("event: gap").count()), (6, 0), "{body}");
            if storage.hits(fault) == 0 {
                assert!(nth > 3, "the fault has to strike");
                break;
            }
        }
    }
}
