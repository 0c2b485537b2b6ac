//! Predicates: what they choose, what they refuse, and that no expression hangs or ends the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod numbers;

use std::time::{Duration, Instant};

use forebay_core::filter::{MAX_EXPRESSION_BYTES, MAX_STEPS};
use forebay_core::log::record::Record;
use forebay_core::{ErrorKind, Filter, Offset, PartitionId, Timestamp};

const VALUE: &str = r#"{"amount":1500,"price":9.5,"who":{"name":"ann","tags":["a","b"]},"big":18446744073709551615,
    "none":null,"yes":true,"text":"hé\"llo","list":[1,2,3],"a b":1,"huge":1e999,"amount2":-1}"#;

fn record(value: &'static str) -> Record<'static> {
    let headers = br#"{"region":"eu","n":"1"}"#;
    Record { timestamp: Timestamp(1_700_000_000_123_456), key: Some(b"k1"), headers, value: value.as_bytes() }
}

fn chooses(expression: &str, record: &Record<'_>) -> bool {
    let filter = Filter::new(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    filter.matches(PartitionId(3), Offset(42), record)
}

fn refusal(expression: &str) -> String {
    let error = Filter::new(expression).map(drop).expect_err(expression);
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{expression}");
    error.detail().to_owned()
}

#[test]
fn it_chooses_what_is_true() {
    let value = VALUE.replace(r#""huge":1e999,"#, "").leak();
    let record = record(value);
    for expression in [
        "true",
        "value.amount > 1000",
        "value.amount > 1000.5",
        "value.amount == 1500.0",
        "value.price < 10 && value.price > 9",
        r#"value["amount"] + 1 == 1501"#,
        r#"value.who.name == "ann""#,
        r#"value.who["name"].startsWith("a")"#,
        r#""b" in value.who.tags"#,
        r#"value.who.tags.exists(t, t == "b")"#,
        "value.list.all(n, n > 0)",
        "value.list.map(n, n * 2).filter(n, n > 3).size() == 2",
        "value.list.exists_one(n, n == 2)",
        "value.list.all(n, value.list.exists(m, m == n))",
        "size(value.list) == 3",
        "value.big > 9223372036854775807u",
        "value.none == null",
        "value.yes",
        "has(value.amount) && !has(value.missing)",
        "has(value.who.name)",
        r#"value.text == "h\u00e9\"llo""#,
        r#"value["a b"] == 1"#,
        "value.amount2 == -1",
        r#"key == "k1""#,
        r#"headers.region == "eu" && headers["n"] == "1" && !has(headers.x)"#,
        "partition == 3 && offset == 42",
        "timestamp == 1700000000123",
        "size(value) > 5 && \"amount\" in value",
        "value.missing == 1 || true",
        "value.amount > 1 ? value.yes : false",
        "type(value.amount) == int && double(value.amount) == 1500.0",
        "[1, 2].exists(value, value == 2)",
    ] {
        assert!(chooses(expression, &record), "{expression}");
    }
}

#[test]
fn it_does_not_choose_what_is_false_fails_or_is_no_boolean() {
    let record = record(VALUE);
    for expression in [
        "false",
        "value.missing",
        "value.missing > 1",
        "value.amount",
        "value.who.name > 1",
        "value.amount / 0 == 1",
        "value.list[9] == 1",
        "!value.amount",
        "value.list",
        "value.huge < 1.0",
        "value.huge + 1.0 > 1.0",
    ] {
        assert!(!chooses(expression, &record), "{expression}");
    }
    assert!(chooses("value.amount == 1500", &record));
    assert!(chooses("size(value) > 0", &record), "a number that no type holds hides nothing");
    assert!(chooses("value.huge > 1.0 && value.huge > 1000 && value.huge != 1", &record));
}

#[test]
fn what_can_never_be_true_is_refused_by_name() {
    for (expression, column, what) in [
        ("0", 1, "a number is never true or false"),
        ("1.5", 1, "a number"),
        ("\"x\"", 1, "a text"),
        ("null", 1, "null"),
        ("[true]", 1, "a list"),
        ("{\"a\": true}", 1, "a map"),
        ("value.amount + 1", 14, "a number"),
        ("value.a + value.b", 9, "a sum"),
        ("value.a - value.b", 9, "a number"),
        ("-value.a", 1, "a number"),
        ("size(value)", 5, "a number"),
        ("string(value.a)", 7, "a text"),
        ("type(value.a)", 5, "a type"),
        ("int", 1, "a type"),
        ("key", 1, "a text"),
        ("headers", 1, "a map"),
        ("headers.region", 8, "a text"),
        ("headers[\"region\"]", 8, "a text"),
        ("offset", 1, "a number"),
        ("value.list.map(n, n)", 15, "a list"),
        ("value.list.filter(n, n > 1)", 18, "a list"),
        ("true ? 1 : 2", 6, "a number"),
        ("value.a ? 1 : \"x\"", 9, "what it gives"),
        ("value.a > 1 && 0", 16, "a number"),
        ("value.a > 1 || key", 16, "a text"),
        ("!partition", 2, "a number"),
        ("value.list.exists(n, n + 1)", 24, "a number"),
        ("value.list.filter(n, size(n)).size() > 0", 26, "a number"),
        ("dyn(1)", 4, "a number"),
        ("key > 1", 5, "a text is neither more nor less than a number"),
        ("offset < \"1\"", 8, "a number is neither more nor less than a text"),
        ("headers.a >= 1", 11, "a text"),
        ("[1] < value.a", 5, "a list is neither more nor less than anything"),
    ] {
        let refused = refusal(expression);
        let place = format!("filter: column {column}: ");
        assert!(refused.starts_with(&place) && refused.contains(what), "{expression}: {refused}");
    }
    for expression in [
        "value",
        "value.a",
        "value.a ? value.b : 1",
        "bool(value.a)",
        "dyn(value.a)",
        "value.list.exists_one(n, n)",
        "value.a + value.b > \"x\"",
        "key == 1",
        "value.list[0]",
        "[1, \"x\", true].exists(key, key)",
    ] {
        assert!(Filter::new(expression).is_ok(), "{expression}");
    }
}
