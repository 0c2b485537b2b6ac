//! What takes the place of a processor whose sink, state or status stands in the way.

use std::collections::BTreeMap;

use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, ErrorKind};

use crate::reference;
use crate::world::*;

const WIDE: u32 = 5;

/// A definition that takes the place of `p` and writes to another sink.
fn following(operations: &str, sink: &str, more: &str) -> Vec<u8> {
    let definition = String::from_utf8(definition("next", operations, BY_RECORDS)).unwrap();
    let from = format!(r#""sink":"{sink}","from":"p",{more}"#);
    definition.replace(&format!(r#""sink":"{SINK}","offset":"earliest","#), &from).into_bytes()
}

fn begun() -> (Faulty, Engine) {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    create(&engine, &definition("p", COUNT, BY_RECORDS));
    let events: Vec<_> =
        (0..40).map(|number| Event::new(number % 2, number % 8, 5000, i64::from(number) * 3)).collect();
    send(&engine, &events);
    wait_caught_up(&engine, "p");
    (storage, engine)
}

/// What comes behind all windows that [`begun`] has begun.
fn closing() -> Vec<Event> {
    vec![Event::new(0, 9, 5000, 400), Event::new(1, 9, 5000, 420), Event::last(0), Event::last(1)]
}

#[test]
fn a_sink_with_another_number_of_partitions_takes_new_windows_only() {
    let (storage, engine) = begun();
    engine.create_stream("wide", WIDE).unwrap();
    let refused = engine.processors().create(&following(COUNT, "wide", "")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    for what in ["the numbers of partitions of the sinks differ", r#""state": "discard" drops them"#] {
        assert!(refused.detail().contains(what), "{refused}");
    }
    assert_eq!(description(&engine, "p")["status"], "running", "what is refused changes nothing");
    assert_eq!(read(&engine, "wide"), []);
    create(&engine, &following(COUNT, "wide", r#""state":"discard","#));
    drop(engine);
    let engine = open(&storage);
    send(&engine, &[Event::new(0, 1, 5000, 110)]);
    send(&engine, &closing());
    wait_caught_up(&engine, "next");
    // Of the windows that p had begun, only what came later is there, and says so.
    let wide = read(&engine, "wide");
    let seen: Vec<_> = reference::given(&wide).into_iter().collect();
    assert_eq!(seen, [((200, "u1".to_owned()), 1), ((500, "u9".to_owned()), 2)]);
    for read in &wide {
        assert_eq!(read.value.contains("incomplete"), read.key.as_deref() == Some("u1"), "{read:?}");
    }
}

#[test]
fn copies_go_on_to_a_sink_with_another_number_of_partitions() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    create(&engine, &definition("p", COPY, BY_RECORDS));
    let events = |from: u32| -> Vec<_> {
        (from..from + 50).map(|number| Event::new(number % 2, number, 5000, i64::from(number))).collect()
    };
    send(&engine, &events(0));
    engine.create_stream("wide", WIDE).unwrap();
    create(&engine, &following(COPY, "wide", ""));
    send(&engine, &events(50));
    wait_caught_up(&engine, "next");
    let mut millis: Vec<_> = read(&engine, SINK).iter().chain(&read(&engine, "wide")).map(|read| read.millis).collect();
    millis.sort_unstable();
    assert_eq!(millis, (0..100).collect::<Vec<_>>(), "each record once, on either sink");
}

/// Has `p` fail with results in hand, for want of its sink.
fn failed() -> (Faulty, Engine) {
    let (storage, engine) = begun();
    engine.delete_stream(SINK).unwrap();
    send(&engine, &closing());
    wait(&engine, "p", "failure", |metrics| metrics["status"] == "failed");
    (storage, engine)
}

/// Every result: none was due before the sink was deleted.
fn due(engine: &Engine) -> BTreeMap<(i64, String), u64> {
    let wanted = reference::counts(&stored(engine), PARTITIONS);
    assert!(wanted.len() > 5);
    wanted
}

#[test]
fn one_that_failed_for_its_sink_is_followed_by_one_with_another() {
    for restarts in [false, true] {
        let (storage, mut engine) = failed();
        if restarts {
            drop(engine);
            engine = open(&storage);
        }
        let made = create(&engine, &following(COUNT, "elsewhere", ""));
        assert_eq!(made["status"], "running", "{made}");
        wait_caught_up(&engine, "next");
        assert_eq!(reference::given(&read(&engine, "elsewhere")), due(&engine), "restarted: {restarts}");
        drop(engine);
        let engine = open(&storage);
        assert_eq!(reference::given(&read(&engine, "elsewhere")), due(&engine));
        assert!(engine.stream_report(SINK).is_err(), "nobody makes the deleted one anew");
    }
}

#[test]
fn one_that_failed_for_its_sink_goes_on_as_it_was_when_it_cannot_be_followed() {
    let (_storage, engine) = failed();
    engine.create_stream("wide", WIDE).unwrap();
    let refused = engine.processors().create(&following(COUNT, "wide", "")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(description(&engine, "p")["status"], "failed");
    engine.create_stream(SINK, PARTITIONS).unwrap();
    engine.processors().resume("p").unwrap();
    wait_caught_up(&engine, "p");
    assert_eq!(reference::given(&read(&engine, SINK)), due(&engine));
}

#[test]
fn one_that_failed_for_its_sink_is_followed_onto_one_made_anew() {
    let (storage, engine) = failed();
    create(&engine, &following(COUNT, SINK, ""));
    wait_caught_up(&engine, "next");
    drop(engine);
    let engine = open(&storage);
    assert_eq!(reference::given(&read(&engine, SINK)), due(&engine));
}

#[test]
fn one_that_is_paused_is_followed_by_one_that_reads_what_came_meanwhile() {
    for restarts in [false, true] {
        let (storage, mut engine) = begun();
        engine.processors().pause("p").unwrap();
        send(&engine, &[Event::new(0, 1, 5000, 125), Event::new(1, 2, 5000, 130)]);
        if restarts {
            drop(engine);
            engine = open(&storage);
        }
        let made = create(&engine, &following(COUNT, SINK, ""));
        assert_eq!((&made["status"], &made["reason"]), (&"running".into(), &serde_json::Value::Null), "{made}");
        send(&engine, &closing());
        wait_caught_up(&engine, "next");
        let sink = read(&engine, SINK);
        assert_eq!(reference::given(&sink), reference::counts(&stored(&engine), PARTITIONS));
        assert!(!sink.iter().any(|read| read.value.contains("incomplete")));
        drop(engine);
        let engine = open(&storage);
        assert_eq!(description(&engine, "next")["status"], "running");
        assert_eq!(read(&engine, SINK), sink);
    }
}
