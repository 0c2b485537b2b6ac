//! Numbers of every size in filters, and what stands beside them.

use forebay_core::log::record::Record;
use forebay_core::{Filter, Offset, PartitionId};

use crate::{chooses, record};

/// What JSON may hold as a number, and its place on the number line: equal places are equal numbers.
const LINE: [(&str, i32); 34] = [
    ("-1e401", -12),
    ("-1e400", -11),
    ("-10e399", -11),
    ("-1e308", -10),
    ("-1000000000000000000000000000001", -9),
    ("-1000000000000000000000000000000", -8),
    ("-9223372036854775809", -7),
    ("-9223372036854775808", -6),
    ("-9007199254740993", -5),
    ("-9007199254740992", -4),
    ("-1", -3),
    ("-1.0", -3),
    ("-1e-400", -1),
    ("0", 0),
    ("-0", 0),
    ("-0.0", 0),
    ("0e5", 0),
    ("1e-400", 1),
    ("1", 3),
    ("1.0", 3),
    ("10e-1", 3),
    ("9007199254740992", 4),
    ("9007199254740992.0", 4),
    ("9007199254740993", 5),
    ("9223372036854775807", 6),
    ("9223372036854775808", 7),
    ("18446744073709551615", 8),
    ("18446744073709551616", 9),
    ("1000000000000000000000000000000", 10),
    ("1e30", 10),
    ("1000000000000000000000000000001", 11),
    ("1e308", 12),
    ("1e400", 13),
    ("1e401", 14),
];

/// Every number beside every other, by every operator, both as fields of a record and, where an expression can spell it,
/// as a literal.
#[test]
fn numbers_compare_by_their_values() {
    let spelled = |text: &str| {
        let whole = !text.contains(['.', 'e']);
        let fits = text.parse::<i64>().is_ok();
        let finite =
            text.parse::<f64>().is_ok_and(|double| double.is_finite() && (double != 0.0 || !text.contains("400")));
        match (whole, fits) {
            (true, true) => Some(text.to_owned()),
            (true, false) => text.parse::<u64>().ok().map(|number| format!("{number}u")),
            (false, _) => finite.then(|| text.to_owned()),
        }
    };
    let operators = ["<", "<=", ">", ">=", "==", "!="];
    let fields = operators.map(|operator| Filter::new(&format!("value.a {operator} value.b")).unwrap());
    let within = Filter::new("value.a in [value.b] && value.a in value.l").unwrap();
    let mut wrong = Vec::new();
    for (a, at) in LINE {
        for (b, beside) in LINE {
            let value = format!(r#"{{"huge":1e999,"a":{a},"b":{b},"l":["x",{b}]}}"#);
            let record = Record { value: value.as_bytes(), ..record("1") };
            let wanted = [at < beside, at <= beside, at > beside, at >= beside, at == beside, at != beside];
            for ((operator, filter), wanted) in operators.iter().zip(&fields).zip(wanted) {
                if filter.matches(PartitionId(0), Offset(0), &record) != wanted {
                    wrong.push(format!("{a} {operator} {b}"));
                }
                for expression in [
                    spelled(b).map(|b| format!("value.a {operator} {b}")),
                    spelled(a).map(|a| format!("{a} {operator} value.b")),
                ] {
                    if expression.as_ref().is_some_and(|expression| chooses(expression, &record) != wanted) {
                        wrong.push(expression.unwrap_or_default());
                    }
                }
            }
            if within.matches(PartitionId(0), Offset(0), &record) != (at == beside) {
                wrong.push(format!("{a} in [{b}]"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
}

/// Long numbers and deep values beside the field that is asked for.
#[test]
fn neighbours_of_what_no_type_holds_are_seen() {
    let digits = "7".repeat(5000);
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    for neighbour in
        [digits.as_str(), "-1e400", "1e-400", "1E+999999999999999999999", &deep, "\"\\\"]}\"", "{\"amount\":2}"]
    {
        let value = format!(r#" {{ "n" : {neighbour} , "amount" : 1 , "list":[1,{{"x":"y"}}],"m":{neighbour}}} "#);
        let record = Record { value: value.as_bytes(), ..record("1") };
        for expression in ["value.amount == 1", "value[\"amount\"] < 2", "value.list[1].x == \"y\" && has(value.n)"] {
            let reads_all = expression.contains("value.n") && neighbour.starts_with("[[");
            assert_eq!(chooses(expression, &record), !reads_all, "{expression} beside {:.40}", neighbour);
        }
    }
    for broken in ["{\"amount\":1", "{\"amount\":1}}", "{\"amount\" 1}", "{\"amount\":1 \"b\":2}", "{\"amount\":+1}"] {
        assert!(!chooses("value.amount == 1", &Record { value: broken.as_bytes(), ..record("1") }), "{broken}");
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

/// The same conditions in Rust over the same values.
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
