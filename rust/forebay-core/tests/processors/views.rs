//! The processors behind the analytics views, which the engine keeps.

use std::time::Duration;

use forebay_core::ingest::route;
use forebay_core::processor::ViewsOptions;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, ErrorKind, Request, Timestamp};
use serde_json::Value;

use crate::common::until;
use crate::world::*;

const NAMES: [&str; 3] = ["analytics.views.events", "analytics.views.performance", "analytics.views.hours"];

fn options(lateness: u64) -> ViewsOptions {
    ViewsOptions { lateness: Duration::from_secs(lateness), retention: Duration::from_secs(86_400) }
}

fn track(engine: &Engine, events: &str) {
    let (status, _) = engine
        .ingest(Request::new(&route::TRACK_BATCH, Box::new(events.as_bytes().to_vec())))
        .unwrap()
        .answer()
        .unwrap();
    assert_eq!(status, 202);
}

/// The newest result of each window of a view, by its start.
fn newest(engine: &Engine, name: &str) -> Vec<Value> {
    let mut windows = std::collections::BTreeMap::new();
    for result in read(engine, name) {
        let value: Value = serde_json::from_str(&result.value).unwrap();
        windows.insert(value["windowStart"].as_str().unwrap().to_owned(), value);
    }
    windows.into_values().collect()
}

#[test]
fn open_windows_are_told_and_late_events_change_theirs() {
    let storage = Faulty::new(1);
    let engine = open(&storage);
    // What came before the views is in them.
    track(
        &engine,
        r#"[{"event":{"type":"page_view"},"user":{"id":"a"},"context":{"session_id":"s","url":"/x"},
             "metrics":{"load_time":100},"timestamp":"2025-01-15T10:00:01Z"},
            {"event":{"type":"click"},"user":{"id":"a"},"context":{"session_id":"t","url":"/x"},"metrics":{"load_time":null},
             "timestamp":"2025-01-15T10:00:02Z"}]"#,
    );
    engine.processors().keep_views(options(600)).unwrap();
    let first = |name: &str, path: &str| newest(&engine, name).first().and_then(|window| window.pointer(path).cloned());
    until("the first windows", || {
        first(NAMES[0], "/count") == Some(2.into())
            && first(NAMES[1], "/count") == Some(1.into())
            && first(NAMES[2], "/count") == Some(2.into())
    });
    // The next minute has begun, and the one before still takes what belongs to it.
    track(
        &engine,
        r#"[{"event":{"type":"page_view"},"user":{"id":"b"},"timestamp":"2025-01-15T10:01:30Z"},
            {"event":{"type":"page_view"},"user":{"id":"c"},"context":{"url":"/y"},"timestamp":"2025-01-15T10:00:59Z"}]"#,
    );
    until("the late event", || first(NAMES[0], "/count") == Some(3.into()));
    let minute = &newest(&engine, NAMES[0])[0];
    assert_eq!(
        (&minute["count_distinct_user.id"], &minute["count_distinct_context.session_id"]),
        (&2.into(), &2.into())
    );
    assert_eq!(
        minute["top_event.type"].to_string(),
        r#"[{"count":2,"value":"page_view"},{"count":1,"value":"click"}]"#
    );
    assert_eq!(minute["final"], false);
    until("the hour", || first(NAMES[2], "/count") == Some(4.into()));
    let hour = &newest(&engine, NAMES[2])[0];
    assert_eq!(hour["top_context.url"].to_string(), r#"[{"count":2,"value":"/x"},{"count":1,"value":"/y"}]"#);
    let median = first(NAMES[1], "/p50_metrics.load_time").and_then(|number| number.as_f64()).unwrap();
    assert!((99.0..=101.0).contains(&median), "{median}");
    assert!(metrics(&engine, NAMES[1])["metrics"]["filterFailures"] == 0, "{}", metrics(&engine, NAMES[1]));
}

#[test]
fn what_is_dated_hours_ahead_opens_no_window() {
    let storage = Faulty::new(1);
    let engine = open(&storage);
    let now = Timestamp::now().millis();
    let at = |ahead: i64| format!(r#"{{"event":{{"type":"a"}},"timestamp":{}}}"#, now + ahead);
    let far: Vec<String> = (0..500).map(|hours| at((hours + 2) * 3_600_000)).collect();
    track(&engine, &format!("[{},{},{}]", at(0), at(1_800_000), far.join(",")));
    engine.processors().keep_views(options(600)).unwrap();
    until("the windows of now and of soon", || newest(&engine, NAMES[0]).len() == 2);
    until("all records", || metrics(&engine, NAMES[0])["metrics"]["eventsProcessed"] == 502);
    let shown = metrics(&engine, NAMES[0]);
    assert_eq!(shown["metrics"]["futureEvents"], 501, "{shown}");
    assert_eq!(newest(&engine, NAMES[0]).len(), 2);
}

#[test]
fn only_the_engine_makes_writes_and_deletes_them() {
    let storage = Faulty::new(1);
    let engine = open(&storage);
    engine.processors().keep_views(options(600)).unwrap();
    engine.processors().keep_views(options(600)).unwrap();
    let ids = |engine: &Engine| NAMES.map(|name| description(engine, name)["processorId"].as_str().unwrap().to_owned());
    let before = ids(&engine);
    let own = String::from_utf8(definition("analytics.views.more", COPY, "{}")).unwrap();
    engine.create_stream(SOURCE, 1).unwrap();
    for refused in [
        engine.processors().create(own.as_bytes()).unwrap_err().kind(),
        engine.processors().delete(NAMES[0]).unwrap_err().kind(),
        engine.delete_stream(NAMES[0]).unwrap_err().kind(),
        engine.create_stream("analytics.views.mine", 1).unwrap_err().kind(),
    ] {
        assert_eq!(refused, ErrorKind::Forbidden);
    }
    let onto = own.replace("analytics.views.more", "more").replace(SINK, NAMES[0]);
    assert!(engine.processors().create(onto.as_bytes()).unwrap_err().detail().contains("engine's own"));
    let instead = own
        .replace("analytics.views.more", "more")
        .replace(r#""offset":"earliest""#, &format!(r#""from":"{}","state":"discard""#, NAMES[0]));
    assert_eq!(engine.processors().create(instead.as_bytes()).unwrap_err().kind(), ErrorKind::Forbidden);
    assert_eq!(ids(&engine), before);
    engine.close();
    drop(engine);
    // Another bound of lateness is another definition: it reads everything anew.
    let engine = open(&storage);
    assert_eq!(ids(&engine), before);
    engine.processors().keep_views(options(60)).unwrap();
    assert!(ids(&engine).iter().all(|id| !before.contains(id)));
    assert_eq!(description(&engine, NAMES[0])["config"]["allowedLateness"], 60_000);
}
