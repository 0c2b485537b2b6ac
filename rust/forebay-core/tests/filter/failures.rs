//! What is said of a record for which an expression is neither true nor false.

use forebay_core::predicate::{MAX_FAILURE_BYTES, MAX_STEPS};
use forebay_core::record::Record;
use forebay_core::{Evaluation, Filter, Offset, PartitionId};

use crate::{VALUE, record};

fn failure(expression: &str, record: &Record<'_>) -> String {
    let filter = Filter::new(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    match filter.evaluate(PartitionId(3), Offset(42), record) {
        Evaluation::Failed(why) => why.to_string(),
        other @ (Evaluation::Match | Evaluation::NoMatch) => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn it_names_the_field_and_the_cause() {
    let record = record(VALUE);
    for (expression, why) in [
        ("value.missing > 1", "value.missing is missing"),
        ("value.who.age == 7", "value.who.age is missing"),
        (r#"value["a.b"].c in [1]"#, "value.a.b.c is missing"),
        ("value.text > 1000", "value.text is a text, which is neither more nor less than a number"),
        ("1000 < value.text", "value.text is a text, which is neither more nor less than a number"),
        ("value.none >= 1", "value.none is null, which is neither more nor less than a number"),
        ("value.amount < \"x\"", "value.amount is a number, which is neither more nor less than a text"),
        ("value.amount", "value.amount is a number, neither true nor false"),
        ("!value.list", "value.list is a list, neither true nor false"),
        ("has(value.list.a)", "value.list is a list, not an object"),
        ("has(value.missing.a)", "value.missing is missing"),
        ("value.who.startsWith(\"a\")", "value.who is an object, not a text"),
        ("headers.x == \"1\"", "headers.x is missing"),
        ("value.missing > 1 && value.amount > 1", "value.missing is missing"),
        ("value.amount > 1 && value.none > 1", "value.none is null, which is neither more nor less than a number"),
        ("value.missing > 1 || value.none > 1", "value.missing is missing"),
        ("value.missing + 1 > 1", "column 1: No such key: missing"),
        ("value.amount > 1 &&\n  size(value.missing) > 1", "line 2, column 3: No such key: missing"),
        ("value.yes && value.missing.exists(x, x > 1)", "column 14: No such key: missing"),
        ("value.list[0] ? value.amount : 1", "column 1: Unexpected type: got 'int', want 'bool'"),
        ("value.yes && (value.yes ? value.amount : 1)", "column 15: gives int, neither true nor false"),
        ("value.yes && -value.who == 1", "column 14: found no matching overload for '-_' applied to '(map)'"),
    ] {
        assert_eq!(failure(expression, &record), why, "{expression}");
    }
    let without_key = Record { key: None, ..record };
    assert_eq!(failure("key.contains(\"k\")", &without_key), "key is null, not a text");
}

#[test]
fn it_is_bounded() {
    let long = format!("value.{}", "é".repeat(MAX_FAILURE_BYTES));
    let path = format!("value[\"{}\"] > 1", &long[6..]);
    let why = failure(&path, &record(VALUE));
    assert!(why.len() <= MAX_FAILURE_BYTES && why.len() > MAX_FAILURE_BYTES - 8 && why.ends_with("é…"), "{why}");
    let text = format!(r#"{{"s":"{}"}}"#, "x".repeat(100_000)).leak();
    let why = failure("value.s + 1 > 1", &record(text));
    assert!(why.len() <= MAX_FAILURE_BYTES && why.ends_with('…'), "{why}");
}

#[test]
fn loops_that_take_too_many_steps_say_so() {
    let numbers: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let value = format!(r#"{{"l":[{}]}}"#, numbers.join(",")).leak();
    let expression = "value.l[0] == 0 && (value.l.all(a, value.l.all(b, a + b >= 0)) || true)";
    assert!(failure(expression, &record(value)).contains(&MAX_STEPS.to_string()));
}
