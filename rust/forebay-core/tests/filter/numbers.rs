//! Numbers of every size in filters, and what stands beside them.

use forebay_core::record::Record;
use forebay_core::{Filter, Offset, PartitionId};

use crate::{chooses, record};

/// A number as JSON may hold it, and its place on the number line: equal places are equal numbers.
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
