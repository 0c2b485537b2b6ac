//! Results, lateness, times, and where they go.

use forebay_core::storage::faulty::Faulty;
use forebay_core::{NewRecord, PartitionId, Timestamp};

use crate::common;
use crate::reference;
use crate::world::*;

#[test]
fn counts_by_window_and_key_are_on_the_sink() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    let made = create(&engine, &definition("p", COUNT, BY_RECORDS));
    assert_eq!((made["status"].as_str(), made["metrics"]["eventsProcessed"].as_u64()), (Some("running"), Some(0)));
    let events: Vec<_> = (0..400)
        .map(|number| Event::new(number % 2, number % 7, i64::from(number % 3) * 1000, i64::from(number) * 3 % 700))
        .collect();
    send(&engine, &events);
    send(&engine, &[Event::last(0), Event::last(1)]);
    wait_caught_up(&engine, "p");
    let wanted = reference::counts(&stored(&engine), PARTITIONS);
    assert!(wanted.len() > 20, "{wanted:?}");
    let sink = read(&engine, SINK);
    assert_eq!(reference::given(&sink), wanted);
    let first = &sink[0];
    assert!(
        first.value.starts_with(
            r#"{"windowStart":"1970-01-01T00:00:00.000Z","windowEnd":"1970-01-01T00:00:00.100Z","key":"u"#
        )
    );
    let metrics = metrics(&engine, "p");
    assert_eq!(metrics["metrics"]["eventsProcessed"], 402);
    assert_eq!(metrics["metrics"]["results"], wanted.len());
    assert!(metrics["metrics"]["lateEvents"].as_u64() > Some(0));
}

#[test]
fn a_filter_alone_copies_records_as_they_are() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    create(&engine, &definition("p", COPY, "{}"));
    let events: Vec<_> = (0..100).map(|number| Event::new(number % 2, number, i64::from(number) * 20, 5)).collect();
    send(&engine, &events);
    wait_caught_up(&engine, "p");
    let (source, sink) = (read(&engine, SOURCE), read(&engine, SINK));
    let chosen = source.into_iter().filter(|read| {
        let value: serde_json::Value = serde_json::from_str(&read.value).unwrap();
        value["amount"].as_i64() > Some(1000)
    });
    let mut next = [0; 2];
    let wanted: Vec<_> = chosen
        .map(|read| {
            let offset = next[read.partition as usize];
            next[read.partition as usize] += 1;
            Read { offset, ..read }
        })
        .collect();
    assert_eq!(sink, wanted, "same partition, key, headers, time and bytes, in the same order");
}

#[test]
fn late_records_are_kept_where_asked() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    let config = r#"{"checkpointInterval":10,"lateSink":"late","idleTimeout":3600000}"#;
    create(&engine, &definition("p", COUNT, config));
    let late = Event::new(0, 1, 5000, 99);
    send(&engine, &[Event::new(0, 1, 5000, 100), late, Event::new(0, 1, 5, 50), Event::new(0, 2, 5000, 100)]);
    wait_caught_up(&engine, "p");
    let kept = read(&engine, "late");
    assert_eq!(kept.len(), 1, "one that is not chosen is not late");
    assert_eq!((kept[0].millis, &*kept[0].headers), (99, r#"{"h":"1"}"#));
    assert_eq!(metrics(&engine, "p")["metrics"]["lateEvents"], 1);
}

#[test]
fn an_idle_partition_and_a_quiet_source_hold_nothing_back() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    create(&engine, &definition("p", COUNT, r#"{"checkpointInterval":10,"idleTimeout":50,"idleClose":100}"#));
    // The other partition never has a record, and no record comes behind these.
    send(&engine, &[Event::new(0, 1, 5000, 10), Event::new(0, 1, 5000, 110)]);
    wait(&engine, "p", "both results", |metrics| metrics["metrics"]["results"] == 2);
    // What comes later is late for the windows that were closed.
    send(&engine, &[Event::new(1, 1, 5000, 20)]);
    wait(&engine, "p", "a late record", |metrics| metrics["metrics"]["lateEvents"] == 1);
}

#[test]
fn what_comes_to_a_window_that_a_quiet_source_has_closed_is_late() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    // It closes windows long before a partition is taken for idle.
    create(&engine, &definition("p", COUNT, r#"{"checkpointInterval":10,"idleTimeout":3600000,"idleClose":20}"#));
    send(&engine, &[Event::new(0, 1, 5000, 10), Event::new(1, 1, 5000, 20)]);
    wait(&engine, "p", "its result", |metrics| metrics["metrics"]["results"] == 1);
    for partition in 0..PARTITIONS {
        send(&engine, &[Event::new(partition, 1, 5000, 30)]);
        let late = partition + 1;
        wait(&engine, "p", "a late record", |metrics| metrics["metrics"]["lateEvents"] == late);
    }
    send(&engine, &[Event::new(0, 1, 5000, 130)]);
    wait(&engine, "p", "the next result", |metrics| metrics["metrics"]["results"] == 2);
    let given: Vec<_> = reference::given(&read(&engine, SINK)).into_iter().collect();
    assert_eq!(given, [((100, "u1".to_owned()), 2), ((200, "u1".to_owned()), 1)]);
}

#[test]
fn times_of_a_field_and_records_without_one() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    let config = r#"{"checkpointInterval":10,"timestampField":"at","idleTimeout":3600000}"#;
    create(&engine, &definition("p", COUNT, config));
    let append = |value: &str| {
        let timestamp = Some(Timestamp(77_000_000));
        let record = NewRecord { key: None, value: value.into(), headers: Vec::new(), timestamp };
        engine.append(SOURCE, &[record], Some(PartitionId(0))).unwrap();
    };
    append(r#"{"userId":1,"amount":5000,"at":50}"#);
    append(r#"{"userId":1,"amount":5000,"at":"yesterday"}"#);
    append(r#"{"userId":1,"amount":5000}"#);
    append(r#"{"userId":1,"amount":0,"at":"1970-01-01T00:00:00.150Z"}"#);
    engine
        .append(
            SOURCE,
            &[NewRecord { key: None, value: br#"{"at":150}"#.to_vec(), headers: Vec::new(), timestamp: None }],
            Some(PartitionId(1)),
        )
        .unwrap();
    wait_caught_up(&engine, "p");
    let sink = read(&engine, SINK);
    assert_eq!(sink.len(), 1);
    assert_eq!((sink[0].key.as_deref(), sink[0].millis), (Some("1"), 99));
    let dead = read(&engine, "p.dead-letter");
    assert_eq!(dead.len(), 2);
    assert_eq!(dead[0].value, r#"{"userId":1,"amount":5000,"at":"yesterday"}"#);
    assert!(dead[1].headers.contains(r#""forebay-offset":"2""#), "{}", dead[1].headers);
    let metrics = metrics(&engine, "p");
    assert_eq!((&metrics["metrics"]["deadLetters"], &metrics["metrics"]["filterFailures"]), (&2.into(), &1.into()));
}

#[test]
fn one_processor_reads_what_another_writes() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    create(&engine, &definition("minutes", COUNT, BY_RECORDS));
    let hours =
        br#"{"name":"hours","source":"alerts","sink":"hours","offset":"earliest","config":{"checkpointInterval":10,
        "idleTimeout":3600000},"operations":[{"type":"window","windowType":"tumbling","duration":1000},
        {"type":"aggregate","aggregation":"sum","field":"count"}]}"#;
    create(&engine, hours);
    let events: Vec<_> =
        (0..200).map(|number| Event::new(number % 2, number % 9, 5000, i64::from(number) * 10)).collect();
    send(&engine, &events);
    send(&engine, &[Event::last(0), Event::last(1)]);
    wait_caught_up(&engine, "minutes");
    // Results of one window are in that window's hour: their time is its last millisecond.
    let total: u64 = reference::given(&read(&engine, SINK)).values().sum();
    assert_eq!(total, 200);
    wait_caught_up(&engine, "hours");
    let sums: Vec<u64> = read(&engine, "hours")
        .iter()
        .map(|read| serde_json::from_str::<serde_json::Value>(&read.value).unwrap()["sum"].as_u64().unwrap())
        .collect();
    assert_eq!(sums.first(), Some(&100), "{sums:?}");
}

#[test]
fn metrics_show_the_newest_windows_also_after_a_restart() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    create(&engine, &definition("p", COUNT, BY_RECORDS));
    let events: Vec<_> = (0..60).map(|number| Event::new(number % 2, number, 5000, i64::from(number) * 50)).collect();
    send(&engine, &events);
    wait_caught_up(&engine, "p");
    let windows = |engine: &forebay_core::Engine| metrics(engine, "p")["windows"].as_array().unwrap().clone();
    let shown = windows(&engine);
    assert_eq!(shown.len(), 20);
    assert_eq!((&shown[0]["windowEnd"], &shown[0]["eventsCount"]), (&"1970-01-01T00:00:03.000Z".into(), &2.into()));
    assert_eq!((&shown[0]["final"], &shown[19]["final"]), (&false.into(), &true.into()));
    assert!(shown.windows(2).all(|pair| pair[0]["windowEnd"].as_str() > pair[1]["windowEnd"].as_str()));
    drop(engine);
    let engine = open(&storage);
    assert_eq!(windows(&engine), shown);
}

#[test]
fn early_results_come_before_one_final_one() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    let config = r#"{"checkpointInterval":10,"emit":"update","idleTimeout":3600000}"#;
    create(&engine, &definition("p", COUNT, config));
    let values = || read(&engine, SINK).into_iter().map(|read| read.value).collect::<Vec<_>>();
    let early = |count: u32| format!(r#""key":"u1","count":{count},"final":false}}"#);
    for count in 1..=2 {
        send(&engine, &[Event::new(0, 1, 5000, 10)]);
        common::until("an early result", || values().last().is_some_and(|value| value.ends_with(&early(count))));
    }
    send(&engine, &[Event::new(0, 1, 5000, 10), Event::last(0), Event::last(1)]);
    common::until("the final result", || {
        values().last().is_some_and(|value| value.ends_with(r#""count":3,"final":true}"#))
    });
    assert_eq!(values().iter().filter(|value| value.ends_with(r#""final":true}"#)).count(), 1);
}

#[test]
fn a_preview_shows_values_as_they_stand() {
    const VALUE: &str = r#"{"large":9007199254740993,"most":18446744073709551616,"huge":1e400,"twice":1,"twice":2}"#;
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    let record = NewRecord { key: None, value: VALUE.into(), headers: Vec::new(), timestamp: Some(Timestamp(0)) };
    engine.append(SOURCE, &[record], Some(PartitionId(1))).unwrap();
    let all = definition("p", r#"[{"type":"filter","predicate":"value.twice == 2"}]"#, "{}");
    let shown = String::from_utf8(engine.processors().preview(&all, 10).unwrap()).unwrap();
    let wanted =
        r#"{"recordsRead":1,"matched":1,"results":[{"key":null,"timestamp":"1970-01-01T00:00:00.000Z","value":"#;
    assert_eq!(shown, format!(r#"{wanted}{VALUE}}}],"moreResults":false,"late":0,"failures":[]}}"#));
}
