//! Conditions on fields: what they compare, and which requests are refused.

use forebay_core::ErrorKind;
use forebay_core::search::{
    Comparison, Conditions, MAX_METADATA_CONDITIONS, MAX_PATH_NAMES, MAX_VALUE_BYTES, MetadataCondition, SearchRequest,
};

use crate::common::small;
use crate::event::{Event, Value};
use crate::world::{World, query, search};

fn event(level: &str, metadata: Vec<(&str, Value)>) -> Event {
    let metadata = metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Event {
        project: "p".to_owned(),
        time: 1_700_000_000_000_000,
        level: level.to_owned(),
        service: "api".to_owned(),
        message: "m".to_owned(),
        metadata: Some(metadata),
    }
}

fn total(world: &World, conditions: Conditions) -> u64 {
    search(&world.engine, &SearchRequest { conditions, ..SearchRequest::default() }).unwrap().total.unwrap()
}

fn metadata(path: &str, is: Comparison, value: &str) -> Conditions {
    let condition = MetadataCondition { path: path.to_owned(), is, value: value.to_owned() };
    Conditions { metadata: vec![condition], ..Conditions::default() }
}

#[test]
fn values_are_compared_as_text_and_numbers_by_their_value() {
    let plain = |text: &str| Value::Plain(text.to_owned());
    let text = |text: &str| Value::Text(text.to_owned());
    let mut world = World::new(1, &small());
    world.append(vec![
        event("WARNING", vec![("user_id", plain("123")), ("n", plain("99999999999999999999.5"))]),
        event("warn", vec![("user_id", text("123")), ("n", plain("1e2"))]),
        event("Warn", vec![("user_id", plain("1230")), ("n", text("100"))]),
        event("error", vec![("http", Value::Nested(vec![("ok".to_owned(), plain("true"))])), ("n", plain("-0.5"))]),
        event("info", vec![("user_id", plain("1")), ("user_id", plain("null"))]),
    ]);
    assert_eq!(total(&world, Conditions { user_id: Some("123".to_owned()), ..Conditions::default() }), 2);
    assert_eq!(
        total(&world, Conditions { user_id: Some("1".to_owned()), ..Conditions::default() }),
        0,
        "the last one counts"
    );
    assert_eq!(total(&world, Conditions { level: Some("warning".to_owned()), ..Conditions::default() }), 3);
    assert_eq!(total(&world, metadata("http.ok", Comparison::Equal, "true")), 1);
    assert_eq!(total(&world, metadata("http", Comparison::Equal, "true")), 0);
    assert_eq!(total(&world, metadata("n", Comparison::Equal, "100")), 1, "as text");
    for (is, value, count) in [
        (Comparison::AtLeast, "100", 2),
        (Comparison::Above, "100.0", 1),
        (Comparison::Above, "99999999999999999999.4", 1),
        (Comparison::Above, "99999999999999999999.6", 0),
        (Comparison::Below, "0", 1),
        (Comparison::AtMost, "1E+2", 2),
    ] {
        assert_eq!(total(&world, metadata("n", is, value)), count, "{is:?} {value}");
    }
}

#[test]
fn nobody_sees_more_than_the_projects_of_a_token() {
    let mut world = World::new(2, &small());
    world.append_any(100);
    let of = |project: &str| world.events.values().filter(|(event, _)| event.project == project).count() as u64;
    let among = |projects: &[&str], project_id: Option<&str>| Conditions {
        projects: Some(projects.iter().map(|name| (*name).to_owned()).collect()),
        project_id: project_id.map(str::to_owned),
        ..Conditions::default()
    };
    assert_eq!(total(&world, among(&["p0", "p1"], None)), of("p0") + of("p1"));
    assert_eq!(total(&world, among(&["p0", "p1"], Some("p1"))), of("p1"));
    assert_eq!(total(&world, among(&["p0", "p1"], Some("p2"))), 0);
    assert_eq!(total(&world, among(&[], None)), 0);
}

#[test]
fn what_cannot_be_compared_is_refused_by_its_name() {
    let world = World::new(3, &small());
    let refused = |conditions: Conditions| {
        let error = search(&world.engine, &SearchRequest { conditions, ..SearchRequest::default() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        error.detail().to_owned()
    };
    assert_eq!(
        refused(metadata("n", Comparison::Above, "many")),
        "metadata.n: \"many\" is no number; only = compares texts"
    );
    assert!(refused(metadata("a..b", Comparison::Equal, "1")).starts_with("metadata.a..b: must be 1 to"));
    assert!(refused(metadata("", Comparison::Equal, "1")).starts_with("metadata.: must have 1 to"));
    let deep = vec!["a"; MAX_PATH_NAMES + 1].join(".");
    assert!(refused(metadata(&deep, Comparison::Equal, "1")).contains("names with a dot"));
    let long = "x".repeat(MAX_VALUE_BYTES + 1);
    assert!(
        refused(Conditions { service: Some(long.clone()), ..Conditions::default() }).starts_with("service: must have")
    );
    assert!(refused(Conditions { user_id: Some(String::new()), ..Conditions::default() }).starts_with("user_id: must"));
    assert!(refused(metadata("a", Comparison::Above, &long)).starts_with("metadata.a: must have"));
    let many = vec![metadata("a", Comparison::Equal, "1").metadata.remove(0); MAX_METADATA_CONDITIONS + 1];
    assert!(refused(Conditions { metadata: many, ..Conditions::default() }).contains("at most 16"));
    assert!(refused(query("\"open")).starts_with("query: the term at byte 0"));
}
