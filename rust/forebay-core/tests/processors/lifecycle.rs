//! Making, pausing, resuming, deleting, and what a restart finds.

use forebay_core::ErrorKind;
use forebay_core::storage::faulty::Faulty;

use crate::reference;
use crate::world::*;

#[test]
fn what_cannot_be_made_is_refused_by_name() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    let refused = |json: &[u8]| engine.processors().create(json).unwrap_err();
    let missing = String::from_utf8(definition("p", COPY, "{}")).unwrap().replace(SOURCE, "nothing");
    assert_eq!(refused(missing.as_bytes()).kind(), ErrorKind::StreamNotFound);
    assert_eq!(refused(b"{}").kind(), ErrorKind::Malformed);
    create(&engine, &definition("p", COPY, "{}"));
    assert_eq!(refused(&definition("p", COPY, "{}")).kind(), ErrorKind::ProcessorAlreadyExists);
    let back = br#"{"name":"back","source":"alerts","sink":"transactions","operations":[{"type":"filter","predicate":"true"}]}"#;
    assert!(refused(back).detail().contains("back, p"), "{}", refused(back));
    assert_eq!(engine.processors().description("q").unwrap_err().kind(), ErrorKind::ProcessorNotFound);
}

#[test]
fn a_paused_processor_reads_nothing_and_goes_on_where_it_was() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    let id = create(&engine, &definition("p", COUNT, BY_RECORDS))["processorId"].as_str().unwrap().to_owned();
    send(&engine, &[Event::new(0, 1, 5000, 10), Event::new(1, 1, 5000, 20)]);
    wait_caught_up(&engine, "p");
    engine.processors().pause(&id).unwrap();
    send(&engine, &[Event::new(0, 1, 5000, 30), Event::last(0), Event::last(1)]);
    drop(engine);
    let engine = open(&storage);
    assert_eq!(
        (&description(&engine, &id)["status"], &metrics(&engine, &id)["metrics"]["lag"]),
        (&"paused".into(), &3.into())
    );
    engine.processors().resume(&id).unwrap();
    wait_caught_up(&engine, &id);
    assert_eq!(reference::given(&read(&engine, SINK)), reference::counts(&stored(&engine), PARTITIONS));
    assert_eq!(reference::given(&read(&engine, SINK)).values().sum::<u64>(), 3);
}

#[test]
fn what_is_deleted_is_gone_and_its_name_is_free() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    let id = create(&engine, &definition("p", COUNT, BY_RECORDS))["processorId"].clone();
    send(&engine, &[Event::new(0, 1, 5000, 10), Event::new(1, 1, 5000, 20)]);
    wait_caught_up(&engine, "p");
    engine.processors().delete("p").unwrap();
    assert_eq!(engine.processors().delete("p").unwrap_err().kind(), ErrorKind::ProcessorNotFound);
    drop(engine);
    let engine = open(&storage);
    assert_eq!(engine.processors().descriptions(), b"[]");
    let again = create(&engine, &definition("p", COUNT, BY_RECORDS));
    assert_ne!(again["processorId"], id, "numbers are never given twice");
    send(&engine, &[Event::last(0), Event::last(1)]);
    wait_caught_up(&engine, "p");
    assert_eq!(reference::given(&read(&engine, SINK)).values().sum::<u64>(), 2, "nothing of the first one counts");
}

#[test]
fn without_its_sink_it_fails_and_goes_on_when_there_is_one() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    create(&engine, &definition("p", COUNT, BY_RECORDS));
    send(&engine, &[Event::new(0, 1, 5000, 10), Event::new(1, 1, 5000, 20)]);
    wait_caught_up(&engine, "p");
    engine.delete_stream(SINK).unwrap();
    send(&engine, &[Event::last(0), Event::last(1)]);
    wait(&engine, "p", "failure", |metrics| metrics["status"] == "failed");
    assert!(description(&engine, "p")["reason"].as_str().unwrap().contains(SINK));
    assert_eq!(engine.processors().resume("p").unwrap_err().kind(), ErrorKind::Conflict);
    drop(engine);
    let engine = open(&storage);
    assert_eq!(description(&engine, "p")["status"], "failed");
    engine.create_stream(SINK, 3).unwrap();
    engine.processors().resume("p").unwrap();
    wait_caught_up(&engine, "p");
    assert_eq!(reference::given(&read(&engine, SINK)), reference::counts(&stored(&engine), PARTITIONS));
}

#[test]
fn without_its_source_it_fails_for_good() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    create(&engine, &definition("p", COUNT, BY_RECORDS));
    engine.delete_stream(SOURCE).unwrap();
    wait(&engine, "p", "failure", |metrics| metrics["status"] == "failed");
    // A stream of the same name is another one.
    engine.create_stream(SOURCE, PARTITIONS).unwrap();
    assert_eq!(engine.processors().resume("p").unwrap_err().kind(), ErrorKind::Conflict);
    drop(engine);
    let engine = open(&storage);
    assert_eq!(description(&engine, "p")["status"], "failed");
    assert_eq!(engine.processors().resume("p").unwrap_err().kind(), ErrorKind::Conflict);
    engine.processors().delete("p").unwrap();
}

#[test]
fn it_begins_behind_what_there_is_unless_told_otherwise() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    send(&engine, &[Event::new(0, 1, 5000, 10)]);
    let latest = String::from_utf8(definition("p", COPY, "{}")).unwrap().replace("earliest", "latest");
    create(&engine, latest.as_bytes());
    send(&engine, &[Event::new(0, 2, 5000, 20)]);
    wait_caught_up(&engine, "p");
    let sink = read(&engine, SINK);
    assert_eq!(sink.iter().map(|read| read.millis).collect::<Vec<_>>(), [20]);
}

#[test]
fn a_window_that_began_before_it_says_so() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    send(&engine, &[Event::new(0, 1, 5000, 10)]);
    let latest = String::from_utf8(definition("p", COUNT, BY_RECORDS)).unwrap().replace("earliest", "latest");
    create(&engine, latest.as_bytes());
    drop(engine);
    let engine = open(&storage);
    send(&engine, &[Event::new(0, 1, 5000, 20), Event::new(0, 1, 5000, 120), Event::last(0), Event::last(1)]);
    wait_caught_up(&engine, "p");
    let values: Vec<_> = read(&engine, SINK).into_iter().map(|read| read.value).collect();
    assert!(values[0].ends_with(r#""count":1,"incomplete":true}"#), "{values:?}");
    assert!(values[1].ends_with(r#""count":1}"#), "{values:?}");
}

/// A definition that takes the place of `p`.
fn following(operations: &str, more: &str) -> Vec<u8> {
    let definition = String::from_utf8(definition("next", operations, BY_RECORDS)).unwrap();
    definition.replace(r#""offset":"earliest","#, &format!(r#""from":"p",{more}"#)).into_bytes()
}

#[test]
fn one_that_follows_another_takes_over_its_windows_and_its_place() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    let id = create(&engine, &definition("p", COUNT, BY_RECORDS))["processorId"].clone();
    send(&engine, &[Event::new(0, 1, 5000, 10), Event::new(1, 1, 5000, 20), Event::new(0, 2, 700, 30)]);
    wait_caught_up(&engine, "p");
    let made = create(&engine, &following(&COUNT.replace("1000", "500"), ""));
    assert_eq!((&made["processorId"], &made["name"], &made["status"]), (&id, &"next".into(), &"running".into()));
    assert_eq!(made["metrics"]["eventsProcessed"], 3);
    assert_eq!(engine.processors().description("p").unwrap_err().kind(), ErrorKind::ProcessorNotFound);
    drop(engine);
    let engine = open(&storage);
    send(&engine, &[Event::new(0, 2, 700, 40), Event::last(0), Event::last(1)]);
    wait_caught_up(&engine, "next");
    let counts: Vec<u64> = reference::given(&read(&engine, SINK)).into_values().collect();
    assert_eq!(counts.iter().sum::<u64>(), 3, "two that p had counted, and one that only the next one takes");
    assert!(!read(&engine, SINK).iter().any(|read| read.value.contains("incomplete")));
}

#[test]
fn windows_of_another_kind_are_dropped_when_that_is_said() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    create(&engine, &definition("p", COUNT, BY_RECORDS));
    send(&engine, &[Event::new(0, 1, 5000, 10), Event::new(1, 1, 5000, 20)]);
    wait_caught_up(&engine, "p");
    let wider = COUNT.replace(r#""duration":100"#, r#""duration":300"#);
    let refused = engine.processors().create(&following(&wider, "")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.detail().contains("the windows, aggregations or groups differ"), "{refused}");
    assert_eq!(description(&engine, "p")["status"], "running");
    create(&engine, &following(&wider, r#""state":"discard","#));
    drop(engine);
    let engine = open(&storage);
    send(&engine, &[Event::new(0, 1, 5000, 30), Event::new(0, 1, 5000, 400), Event::last(0), Event::last(1)]);
    wait_caught_up(&engine, "next");
    let results: Vec<_> = read(&engine, SINK).into_iter().map(|read| read.value).collect();
    assert_eq!(results.len(), 2, "{results:?}");
    assert!(results[0].contains(r#""count":1,"incomplete":true"#), "{results:?}");
    assert!(!results[1].contains("incomplete"), "{results:?}");
}

#[test]
fn who_cannot_be_followed_goes_on() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    create(&engine, &definition("p", COUNT, BY_RECORDS));
    create(&engine, &definition("q", COPY, "{}"));
    let refused = |json: Vec<u8>| engine.processors().create(&json).unwrap_err();
    let text = |json: Vec<u8>| String::from_utf8(json).unwrap();
    let other = text(following(COUNT, "")).replace(r#""from":"p""#, r#""from":"nobody""#);
    assert_eq!(refused(other.into_bytes()).kind(), ErrorKind::ProcessorNotFound);
    let taken = text(following(COUNT, "")).replace(r#""name":"next""#, r#""name":"q""#);
    assert_eq!(refused(taken.into_bytes()).kind(), ErrorKind::ProcessorAlreadyExists);
    assert!(refused(following(COUNT, r#""offset":"latest","#)).detail().starts_with("offset: does not go with from"));
    assert!(refused(following(COUNT, r#""state":"some","#)).detail().starts_with("state: \"some\" is not"));
    engine.create_stream("elsewhere", 1).unwrap();
    let elsewhere = text(following(COUNT, "")).replace(SOURCE, "elsewhere");
    assert!(refused(elsewhere.into_bytes()).detail().contains("it reads another stream"));
    send(&engine, &[Event::new(0, 1, 5000, 10), Event::last(0), Event::last(1)]);
    wait_caught_up(&engine, "p");
    // It may keep its name, and follow one that is paused.
    engine.processors().pause("p").unwrap();
    let same = text(following(COUNT, "")).replace(r#""name":"next""#, r#""name":"p""#);
    assert_eq!(create(&engine, same.as_bytes())["status"], "running");
}
