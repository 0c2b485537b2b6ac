use forebay_core::json::{Lookup, PathId, PathSet, Spans, validate};
use proptest::prelude::*;
use serde_json::Value;

/// Returns what stands at each path.
fn find<'v>(json: &'v str, paths: &[&[&str]]) -> Vec<Option<&'v str>> {
    let mut set = PathSet::default();
    let ids: Vec<_> = paths.iter().map(|path| set.add(path.iter().copied())).collect();
    let mut spans = Spans::default();
    assert!(set.find(json.as_bytes(), &mut spans), "{json}");
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    ids.into_iter().map(|id| spans.get(json.as_bytes(), id).map(text)).collect()
}

#[test]
fn values_are_found_as_they_were_written() {
    let json = " {\"a\" : {\"b\":[1, {\"b\":2}] ,\"c\":{}}\n,\"d\":\"x\\\"}\",\"e\":-1.5e+3,\"f\":null,\"g\":true , \"h\":false} ";
    let found = find(json, &[&["a"], &["a", "b"], &["a", "c"], &["d"], &["e"], &["f"], &["g"], &["h"], &["b"], &[]]);
    let wanted = [
        Some("{\"b\":[1, {\"b\":2}] ,\"c\":{}}"),
        Some("[1, {\"b\":2}]"),
        Some("{}"),
        Some("\"x\\\"}\""),
        Some("-1.5e+3"),
        Some("null"),
        Some("true"),
        Some("false"),
        None,
        Some(json.trim()),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn values_that_are_no_objects_have_no_paths() {
    for json in ["1", "\"a\"", "null", "[{\"a\":1}]", "{}", " { } "] {
        assert_eq!(find(json, &[&["a"], &[]]), [None, Some(json.trim())], "{json}");
    }
    assert_eq!(find(r#"{"a":[{"b":1}]}"#, &[&["a", "b"]]), [None]);
}

#[test]
fn a_dot_in_a_name_is_no_step() {
    assert_eq!(find(r#"{"a.b":1}"#, &[&["a", "b"], &["a.b"]]), [None, Some("1")]);
    assert_eq!(find(r#"{"":{"":1}}"#, &[&["", ""]]), [Some("1")]);
}

#[test]
fn the_last_of_two_counts_and_replaces_the_whole() {
    let tail = r#","padding":"as long as it takes to search the rest of a text""#;
    for end in ["", tail] {
        let last = |json: &str| find(&format!("{json}{end}}}"), &[&["a"], &["a", "b"]]).map_text();
        assert_eq!(last(r#"{"a":{"b":1},"a":{"b":2}"#), "{\"b\":2} 2");
        assert_eq!(last(r#"{"a":{"b":1},"a":{"c":2}"#), "{\"c\":2} -");
        assert_eq!(last(r#"{"a":{"b":1},"x":0,"a":7"#), "7 -");
        assert_eq!(last(r#"{"a":{"b":1,"b":3}"#), "{\"b\":1,\"b\":3} 3");
        assert_eq!(last(r#"{"a":{"b":{"c":1}},"x":{"a":5},"y":"\"a\":6""#), "{\"b\":{\"c\":1}} {\"c\":1}");
    }
    // All names are found before the rest, which is long enough to be searched instead of walked.
    let padding = "p".repeat(100);
    for (rest, wanted) in [
        (format!(r#""x":"{padding}""#), "1"),
        (format!(r#""x":"{padding}","a":2"#), "2"),
        (format!(r#""x":"{padding}","\u0061":2"#), "2"),
        (format!(r#""x":"{padding}","y":"a","z":{{"a":2}}"#), "1"),
        (format!(r#""x":"{padding}\n","a":2,"x":"{padding}","a":3"#), "3"),
        (format!(r#""a":2,"x":"{padding}","a":3"#), "3"),
    ] {
        let json = format!("{{\"a\":1,{rest}}} ");
        assert_eq!(find(&json, &[&["a"], &[]]), [Some(wanted), Some(json.trim())], "{json}");
    }
}

trait MapText {
    fn map_text(self) -> String;
}

impl MapText for Vec<Option<&str>> {
    fn map_text(self) -> String {
        self.into_iter().map(|found| found.unwrap_or("-").to_owned()).collect::<Vec<_>>().join(" ")
    }
}

/// Every escape of JSON in a name, by which the name is another text.
#[test]
fn names_with_escapes_are_found() {
    for (written, name) in [
        ("am\\u006funt", "amount"),
        ("\\u0061mount", "amount"),
        ("amoun\\u0074", "amount"),
        ("\\\"", "\""),
        ("\\\\", "\\"),
        ("\\/", "/"),
        ("\\b", "\u{8}"),
        ("\\f", "\u{c}"),
        ("\\n", "\n"),
        ("\\r", "\r"),
        ("\\t", "\t"),
        ("\\u00e9", "é"),
        ("\\u00E9", "é"),
        ("\\u20ac", "€"),
        ("\\ud83d\\ude00", "😀"),
        ("\\uD83D\\uDE00x", "😀x"),
        ("\\u0000", "\0"),
    ] {
        let json = format!("{{\"{written}\":1,\"x\":\"{written}\"}}");
        assert_eq!(validate(json.as_bytes()), Ok(()));
        assert_eq!(find(&json, &[&[name], &["x"]]), [Some("1"), Some(&*format!("\"{written}\""))], "{json}");
        assert_eq!(find(&json, &[&[written]]), [None], "{json}");
    }
}

#[test]
fn what_is_seen_not_to_be_json_is_given_up() {
    let mut set = PathSet::default();
    set.add(["amount"]);
    let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    for broken in [
        "",
        " ",
        "{",
        "{\"amount\"",
        "{\"amount\":",
        "{\"amount\":1",
        "{\"amount\":1}}",
        "{\"amount\" 1}",
        "{\"amount\":1 \"b\":2}",
        "{\"amount\":+1}",
        "{\"amount\":\"x}",
        "{\"x\\",
        "{\"x\\\"",
        "{x:1}",
        "[1",
        "tru",
        &deep,
    ] {
        assert!(!set.find(broken.as_bytes(), &mut Spans::default()), "{broken}");
    }
}

/// What is looked for first is judged by the whole text, and what is looked for then by what comes behind it as well.
#[test]
fn a_walk_in_two_parts_finds_what_one_walk_does() {
    let padding = "p".repeat(100);
    let (mut set, mut found) = (PathSet::default(), Lookup::default());
    let (a, ab) = (set.add(["a"]), set.add(["a", "b"]));
    set.end_first();
    let (ac, d) = (set.add(["a", "c"]), set.add(["d"]));
    for (json, first, rest) in [
        (format!(r#"{{"a":{{"b":1,"c":2}},"x":"{padding}","d":3}}"#), "1", "1 2 3"),
        (format!(r#"{{"d":3,"a":{{"b":1,"c":2}},"x":"{padding}"}}"#), "1", "1 2 3"),
        (format!(r#"{{"d":3,"a":{{"b":1}},"x":"{padding}","d":4}}"#), "1", "1 - 4"),
        (format!(r#"{{"d":3,"a":{{"b":1}},"x":"{padding}","a":{{"c":2}}}}"#), "-", "- 2 3"),
        (format!(r#"{{"d":3,"a":{{"b":1}},"x":"{padding}","\u0064":4}}"#), "1", "1 - 4"),
        (format!(r#"{{"a":{{"b":1}},"x":"{padding}","d":4,"d":{{"d":5}},"x":"{padding}"}} "#), "1", "1 - {\"d\":5}"),
        (format!(r#"{{"a":{{"b":1}},"x":"{padding}"}}"#), "1", "1 - -"),
        (r#"{"a":{"b":1},"d":2}"#.to_owned(), "1", "1 - 2"),
        ("7".to_owned(), "-", "- - -"),
    ] {
        found.begin();
        let text = |found: &Lookup, paths: &[PathId]| {
            paths
                .iter()
                .map(|path| found.get(json.as_bytes(), *path).map(|text| std::str::from_utf8(text).unwrap()))
                .collect::<Vec<_>>()
                .map_text()
        };
        for _ in 0..2 {
            assert!(found.find_first(&set, json.as_bytes()));
            assert_eq!(text(&found, &[ab]), first, "{json}");
        }
        for _ in 0..2 {
            assert!(found.find_all(&set, json.as_bytes()));
            assert!(found.find_first(&set, json.as_bytes()));
            assert_eq!(text(&found, &[ab, ac, d]), rest, "{json}");
        }
        let at_once = text(&found, &[PathId::ROOT, a, ab, ac, d]);
        found.begin();
        assert!(found.find_all(&set, json.as_bytes()));
        assert_eq!(text(&found, &[PathId::ROOT, a, ab, ac, d]), at_once, "{json}");
    }
    for broken in ["{\"a\":1,\"d\":2", "{"] {
        found.begin();
        assert!(!found.find_first(&set, broken.as_bytes()) && !found.find_all(&set, broken.as_bytes()));
    }
}

/// Spans serve many texts, and sets of any size.
#[test]
fn spans_can_be_used_again() {
    let names: Vec<String> = (0..100).map(|index| format!("n{index}")).collect();
    let (mut large, mut small, mut spans) = (PathSet::default(), PathSet::default(), Spans::default());
    let ids: Vec<PathId> = names.iter().map(|name| large.add([name.as_str()])).collect();
    assert_eq!(large.add(["n7"]), ids[7]);
    let id = small.add(["n1"]);
    let json =
        format!("{{{}}}", names.iter().map(|name| format!("\"{name}\":\"{name}\"")).collect::<Vec<_>>().join(","));
    for _ in 0..2 {
        assert!(large.find(json.as_bytes(), &mut spans));
        for (id, name) in ids.iter().zip(&names) {
            assert_eq!(spans.get(json.as_bytes(), *id), Some(format!("\"{name}\"").as_bytes()));
        }
        assert!(small.find(b"{\"n1\":1}", &mut spans));
        assert_eq!(spans.get(b"{\"n1\":1}", id), Some(&b"1"[..]));
        assert_eq!(spans.get(b"{\"n1\":1}", ids[50]), None);
        assert!(small.find(b"{\"n2\":1}", &mut spans));
        assert_eq!(spans.get(b"{\"n2\":1}", id), None);
    }
}

fn json() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "\\u0061", "c\\\"", "ab"]);
    let leaf =
        prop::sample::select(vec!["1", "-2.5e3", "null", "true", "\"a\"", "\"\\\"a\\\":1\"", "[]", "{}", "\"x}\""]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 60, 6, move |inner| {
        let member = (name.clone(), inner.clone()).prop_map(|(name, value)| format!("\"{name}\" :{value} "));
        prop_oneof![
            3 => prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => prop::collection::vec(inner, 0..4).prop_map(|elements| format!("[{}]", elements.join(" , "))),
        ]
    })
}

proptest! {
    #[test]
    fn it_agrees_with_a_tree(json in json()) {
        let paths: [&[&str]; 8] = [&["a"], &["b"], &["a", "a"], &["a", "b"], &["a", "b", "a"], &["c\""], &["ab", "b"], &[]];
        let tree: Value = serde_json::from_str(&json).unwrap();
        for (path, found) in paths.iter().zip(find(&json, &paths)) {
            let wanted = path.iter().try_fold(&tree, |value, name| value.as_object()?.get(*name));
            let found = found.map(|text| serde_json::from_str::<Value>(text).unwrap());
            prop_assert_eq!(found.as_ref(), wanted, "{:?} of {}", path, json);
        }
    }

    #[test]
    fn two_parts_agree_with_one(json in json(), padded in any::<bool>(), first in 0_usize..5) {
        let padding = format!(",\"x\":\"{}\"}}", "p".repeat(60));
        let json = match json.strip_suffix('}') {
            Some(object) if padded && object.trim_end() != "{" => format!("{object}{padding}"),
            _ => json,
        };
        let paths: [&[&str]; 5] = [&["a"], &["b"], &["a", "b"], &["c\""], &["ab", "b"]];
        let (mut set, mut lookup) = (PathSet::default(), Lookup::default());
        let mut ids = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            if index == first {
                set.end_first();
            }
            ids.push(set.add(path.iter().copied()));
        }
        let wanted = find(&json, &paths);
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        prop_assert!(lookup.find_first(&set, json.as_bytes()));
        for (id, wanted) in ids.iter().zip(&wanted).take(first) {
            prop_assert_eq!(lookup.get(json.as_bytes(), *id).map(text), *wanted, "{}", json);
        }
        prop_assert!(lookup.find_all(&set, json.as_bytes()));
        for (id, wanted) in ids.iter().zip(&wanted) {
            prop_assert_eq!(lookup.get(json.as_bytes(), *id).map(text), *wanted, "{}", json);
        }
    }
}
