//! How many streams and partitions there may be.

use forebay_core::ingest::route;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, ErrorKind, LOGS, MAX_PARTITIONS, OnInvalid, Options, Request};

use crate::common::{open, small};

fn limited(streams: usize, partitions: usize) -> Options {
    Options { max_streams: streams, max_partitions: partitions, ..small() }
}

fn refusal(engine: &Engine, name: &str, partitions: u32) -> String {
    let error = engine.create_stream(name, partitions).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StreamLimitReached);
    error.detail().to_owned()
}

#[test]
fn streams_are_limited_in_number_and_a_deletion_makes_room() {
    let engine = open(&Faulty::new(1), &limited(2, 10)).unwrap();
    engine.create_stream("a", 1).unwrap();
    engine.create_stream("b", 1).unwrap();
    assert_eq!(engine.create_stream("a", 1).unwrap_err().kind(), ErrorKind::StreamAlreadyExists);
    assert!(refusal(&engine, "c", 1).contains("max_streams is 2"));
    engine.delete_stream("a").unwrap();
    engine.create_stream("c", 1).unwrap();
    assert!(refusal(&engine, "a", 1).contains("there are 2 streams"));
}

#[test]
fn partitions_are_limited_in_all() {
    let engine = open(&Faulty::new(2), &limited(10, 1500)).unwrap();
    engine.create_stream("wide", MAX_PARTITIONS).unwrap();
    assert!(refusal(&engine, "wider", MAX_PARTITIONS).contains("max_partitions, which is 1500"));
    engine.create_stream("narrow", 1500 - MAX_PARTITIONS).unwrap();
    assert!(refusal(&engine, "one", 1).contains("1500 partitions"));
}

/// Ten at once for the last place: one of them gets it.
#[test]
fn the_last_place_is_given_once() {
    let engine = open(&Faulty::new(3), &limited(1, 10)).unwrap();
    let made = std::thread::scope(|scope| {
        let engine = &engine;
        let create = |number: u32| move || engine.create_stream(&format!("s{number}"), 1).is_ok();
        let threads: Vec<_> = (0..10).map(|number| scope.spawn(create(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|made| *made).count()
    });
    assert_eq!(made, 1);
}

#[test]
fn what_the_engine_makes_itself_always_has_a_place() {
    let engine = open(&Faulty::new(4), &limited(1, 1)).unwrap();
    engine.create_stream("full", 1).unwrap();
    let body = br#"{"events":[{"what":"is not an event"}]}"#.to_vec();
    let request = Request::new(&route::DRAIN, Box::new(body));
    let receipt = engine.ingest(Request { on_invalid: OnInvalid::Quarantine, ..request }).unwrap();
    assert_eq!(receipt.quarantined, 1);
    let rejected = engine.stream_report("logs.rejected").unwrap();
    assert_eq!(rejected.partitions[0].2.0, 1);
    assert!(engine.stream_report(LOGS).is_ok());
    refusal(&engine, "more", 1);
}

#[test]
fn a_directory_that_has_more_still_starts() {
    let storage = Faulty::new(5);
    let engine = open(&storage, &limited(10, 100)).unwrap();
    for name in ["a", "b", "c"] {
        drop(engine.create_stream(name, 20).unwrap());
    }
    drop(engine);
    let engine = open(&storage, &limited(1, 20)).unwrap();
    assert!(["a", "b", "c"].iter().all(|name| engine.stream_report(name).is_ok()));
    refusal(&engine, "d", 1);
    for name in ["a", "b", "c"] {
        engine.delete_stream(name).unwrap();
    }
    engine.create_stream("d", 20).unwrap();
}

#[test]
fn the_limits_are_checked_themselves() {
    for options in [limited(0, 1), limited(1, 0), limited(100_001, 1), limited(1, 1_000_001)] {
        assert_eq!(open(&Faulty::new(6), &options).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
}
