//! Predicates: what they choose, what they refuse, and that no expression hangs or ends the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod differential;
mod failures;
mod generate;
mod numbers;
#[path = "../common/random.rs"]
mod random;

use std::time::{Duration, Instant};

use forebay_core::predicate::{MAX_EXPRESSION_BYTES, MAX_STEPS};
use forebay_core::record::Record;
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

#[test]
fn values_need_not_be_objects() {
    let plain = Record { key: None, headers: b"", ..record("[1,{\"a\":2}]") };
    assert!(chooses("value[1].a == 2 && size(value) == 2", &plain));
    assert!(!chooses("value.a == 2", &plain));
    assert!(chooses("partition == 3 || value.a == 2", &plain));
    assert!(chooses("key == null && size(headers) == 0", &plain));
    assert!(chooses("value == 7", &record("7")));
    assert!(chooses("value == \"x\"", &record("\"x\"")));
    assert!(!chooses("value", &record("nonsense")));
    let bytes = Record { key: Some(&[0xff, b'a']), ..record("1") };
    assert!(chooses("key == \"\u{fffd}a\"", &bytes));
    assert!(chooses("value.a == 2", &record(r#"{"a":1,"a":2}"#)), "the last of two counts");
}

#[test]
fn refusals_name_the_column() {
    let mut wrong: Vec<String> = Vec::new();
    for (expression, column) in [
        ("value.amount >", 15),
        ("value.amount > > 1", 16),
        ("valeu.amount > 1", 1),
        ("key == 1 && foo(2)", 13),
        ("key == \"a", 8),
        ("1 +", 4),
        ("value.s.matches(\"a+\")", 9),
        ("key == \"é\" && nope", 15),
        ("key == \"é\" > > 1", 14),
        ("[1].all(x, y)", 12),
        ("Foo{a: 1}.a == 1", 4),
        ("value.?a == 1", 6),
    ] {
        let refused = refusal(expression);
        let named = refused.starts_with(&format!("filter: column {column}: "));
        wrong.extend((!named).then(|| format!("{expression}: {refused}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(refusal("key == 1 &&\n  nope").starts_with("filter: line 2, column 3: "));
    assert!(refusal(" \n").contains("empty"));
    assert!(refusal(&format!("true{}", " ".repeat(MAX_EXPRESSION_BYTES))).contains("more than 4096"));
}

/// Each as long as an expression may be.
fn hostile() -> Vec<String> {
    let full = |piece: &str, end: &str| piece.repeat((MAX_EXPRESSION_BYTES - end.len()) / piece.len()) + end;
    let mut all = vec![
        full("(", ""),
        full("[", ""),
        full("{", ""),
        full("{1:", ""),
        full("!", "true"),
        full("-", "1"),
        full("- ", "1"),
        full("1+", "1"),
        full("1-", "1"),
        full("1<", "1"),
        full("1==", "1"),
        full("true&&", "true"),
        full("true||", "true"),
        full("key==1||key==2&&", "true"),
        full("true?1:", "1"),
        full("true?", "1"),
        full("value.a", ".b"),
        full("a.", "b"),
        full("value[0]", ""),
        full("value[", "0"),
        full("size(", "1"),
        full("[1].map(x,", "x"),
        full("\"", ""),
        full("\\", ""),
        full("'''", ""),
        full("\u{feff}", ""),
        full("é", ""),
        full("?", ""),
        full(".", "a"),
        full("a b ", "a"),
        full(")", ""),
        full("1 in ", "[1]"),
        full("[1],", ""),
        full("/* */", "1"),
        full("1//\n+", "1"),
        "has(".repeat(500) + "value.a" + &")".repeat(500),
    ];
    for depth in [8, 16, 24, 31, 32, 33] {
        all.push("(".repeat(depth) + "true" + &")".repeat(depth));
        all.push("[".repeat(depth) + "1" + &"]".repeat(depth));
        all.push("{1:".repeat(depth) + "1" + &"}".repeat(depth));
        all.push("size([".repeat(depth / 2) + "1" + &"])".repeat(depth / 2));
        all.push("(1+".repeat(depth) + "1" + &")".repeat(depth));
        all.push("(true?".repeat(depth) + "1" + &":1)".repeat(depth));
        all.push("[1].all(x,".repeat(depth) + "true" + &")".repeat(depth));
        all.push("!(".repeat(depth) + "true" + &")".repeat(depth));
    }
    all
}

#[test]
fn hostile_expressions_neither_hang_nor_end_the_process() {
    let record = record(VALUE);
    for expression in hostile() {
        let started = Instant::now();
        if let Ok(filter) = Filter::new(&expression) {
            let _either = filter.matches(PartitionId(0), Offset(0), &record);
        }
        let took = started.elapsed();
        let shown: String = expression.chars().take(40).collect();
        println!("{took:?} {shown}");
        assert!(took < Duration::from_secs(5), "{shown} took {took:?}");
    }
}

#[test]
fn loops_are_bounded() {
    let numbers: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
    let value = format!(r#"{{"l":[{}]}}"#, numbers.join(",")).leak();
    let record = record(value);
    assert!(chooses("value.l.exists(n, n == 4999)", &record), "one loop over 5,000");
    assert!(chooses("value.l.map(n, n).filter(n, n > 0).size() == 4999", &record));
    assert!(numbers.len() * numbers.len() > MAX_STEPS as usize);
    let started = Instant::now();
    for expression in [
        "value.l.all(a, value.l.exists(b, a == b))",
        "value.l.all(a, value.l.all(b, value.l.all(c, value.l.all(d, a + b + c + d >= 0))))",
        "value.l.map(a, value.l.map(b, value.l.map(c, 1))).size() == 5000",
        "value.l.all(a, value.l.all(b, a + b >= 0)) || true",
        "value.l.exists(a, value.l.exists(b, value.l.exists_one(c, a + b + c < 0))) || true",
    ] {
        assert!(!chooses(expression, &record), "{expression}");
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn additions_cannot_pile_up_memory() {
    let value = format!(r#"{{"s":"{}"}}"#, "x".repeat(1 << 20)).leak();
    let record = record(value);
    assert!(chooses("size(value.s + value.s) == 2097152", &record));
    assert!(refusal(&format!("size({}value.s) > 0", "value.s + ".repeat(100))).contains("16 additions"));
}

/// Evaluates the conditions in Rust over the same values.
#[test]
fn it_agrees_with_comparisons_in_rust() {
    let amounts = [-5_i64, -1, 0, 1, 2, 999, 1000, 1001, i64::MAX, i64::MIN];
    for amount in amounts {
        for bound in [-1_i64, 0, 1, 1000, 1001] {
            for (operator, expected) in [
                ("<", amount < bound),
                ("<=", amount <= bound),
                (">", amount > bound),
                (">=", amount >= bound),
                ("==", amount == bound),
                ("!=", amount != bound),
            ] {
                let value = format!(r#"{{"x":"y","amount":{amount}}}"#);
                let record = Record { value: value.as_bytes(), ..record("1") };
                for expression in [
                    format!("value.amount {operator} {bound}"),
                    format!(r#"value["amount"] {operator} {bound}"#),
                    format!("size(value) == 2 && value.amount {operator} {bound}"),
                    format!("!(!(value.amount {operator} {bound}))"),
                ] {
                    let chosen = Filter::new(&expression).unwrap().matches(PartitionId(0), Offset(0), &record);
                    assert_eq!(chosen, expected, "{expression} of {amount}");
                }
            }
        }
    }
}
