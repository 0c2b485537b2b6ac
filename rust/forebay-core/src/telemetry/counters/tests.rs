#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Api, Counters, LATENCY_BOUNDS_MICROS, MetricKind, Row, Value};
use crate::error::ErrorKind;
use crate::telemetry::histogram::MAX_MICROS;

fn integer(rows: &[Row], name: &str, labels: &[(&str, &str)]) -> u64 {
    let row = rows.iter().find(|row| row.name == name && row.labels == labels).unwrap();
    match &row.value {
        Value::Integer(value) => *value,
        Value::Histogram(_) => panic!("{name} is a histogram"),
    }
}

#[test]
fn counts_what_it_is_told() {
    let counters = Counters::default();
    assert!(counters.snapshot().iter().all(|row| match &row.value {
        Value::Integer(value) => *value == 0,
        Value::Histogram(snapshot) => snapshot.count() == 0,
    }));
    counters.events_accepted.add(Api::Drain, 100);
    counters.events_accepted.add(Api::Library, 7);
    counters.commits.increment();
    counters.commits.increment();
    counters.commit_latency.record(Duration::from_millis(3));
    let rows = counters.snapshot();
    assert_eq!(integer(&rows, "forebay_ingest_events_total", &[("api", "drain")]), 100);
    assert_eq!(integer(&rows, "forebay_ingest_events_total", &[("api", "library")]), 7);
    assert_eq!((counters.events_accepted.of(Api::Events), counters.events_accepted.get()), (0, 107));
    assert_eq!(integer(&rows, "forebay_commits_total", &[]), 2);
    assert_eq!(integer(&rows, "forebay_ingest_invalid_events_total", &[("api", "drain")]), 0);
    let latency = rows.iter().find(|row| row.name == "forebay_commit_seconds").unwrap();
    assert!(matches!(&latency.value, Value::Histogram(snapshot) if snapshot.sum() == 3000 && snapshot.count() == 1));
}

#[test]
fn every_error_has_its_own_counter() {
    let counters = Counters::default();
    for (index, kind) in ErrorKind::ALL.iter().enumerate() {
        for _ in 0..=index {
            counters.refused(Api::Streams, *kind);
        }
    }
    let rows = counters.snapshot();
    for (index, kind) in ErrorKind::ALL.iter().enumerate() {
        let labels = [("code", kind.name())];
        assert_eq!(integer(&rows, "forebay_ingest_refusals_total", &labels), index as u64 + 1);
        assert_eq!(counters.refusals.get(*kind), index as u64 + 1);
    }
    let kinds = ErrorKind::ALL.len() as u64;
    let labels = [("api", "streams"), ("outcome", "refused")];
    assert_eq!(integer(&rows, "forebay_ingest_requests_total", &labels), kinds * (kinds + 1) / 2);
}

#[test]
fn names_follow_the_conventions_and_rows_of_one_name_stay_together() {
    let rows = Counters::default().snapshot();
    let mut families: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let family = families.entry(row.name).or_default();
        assert!(family.is_empty() || rows[index - 1].name == row.name, "{} is scattered", row.name);
        assert!(family.iter().all(|other| other.help == row.help && other.labels != row.labels), "{}", row.name);
        family.push(row);
        let ending = match row.kind {
            MetricKind::Counter => "_total",
            MetricKind::Histogram => "_seconds",
        };
        assert!(row.name.starts_with("forebay_") && row.name.ends_with(ending), "{}", row.name);
        assert!(row.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", row.name);
        assert!(row.help.ends_with('.') && !row.help.contains(['\n', '\\']), "{}", row.name);
        assert_eq!(row.kind == MetricKind::Histogram, matches!(row.value, Value::Histogram(_)));
    }
    assert_eq!(families.len(), 21);
    assert_eq!((MetricKind::Counter.name(), MetricKind::Histogram.name()), ("counter", "histogram"));
}

#[test]
fn bounds_ascend_within_what_the_histogram_tells_apart() {
    assert!(LATENCY_BOUNDS_MICROS.is_sorted_by(|a, b| a < b));
    assert!(LATENCY_BOUNDS_MICROS.last().is_some_and(|bound| *bound < MAX_MICROS));
}

#[test]
fn counters_do_not_share_cache_lines() {
    assert!(align_of::<super::Counter>() == 64 && size_of::<super::Counter>() == 64);
}
