use forebay_core::json::{JsonError, JsonFault, MAX_DEPTH, Scanner, minify, validate};
use proptest::prelude::*;

fn fault(text: &[u8]) -> Option<(JsonFault, usize)> {
    validate(text).err().map(|JsonError { fault, position }| (fault, position))
}

#[test]
fn accepted_values() {
    let table: &[&str] = &[
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-12.5e+10",
        "1E9",
        "0.0",
        "1e99999",
        "\"\"",
        "\"a\\u0041\\n\"",
        "\"\\ud83d\\ude00\"",
        "\"\u{7f}\u{2028}😀\"",
        "[]",
        "{}",
        " [ ] ",
        "\t{\r\n}\n",
        "[1,[2,{}],\"x\"]",
        "{\"a\":1,\"a\":{\"b\":[null]}}",
        "{\"\":\"\"}",
        "123456789012345678901234567890123456789012345678901234567890",
    ];
    for text in table {
        assert_eq!(fault(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn refused_values_and_where() {
    use JsonFault::*;
    let table: &[(&[u8], JsonFault, usize)] = &[
        (b"", Truncated, 0),
        (b"  ", Truncated, 2),
        (b"nul", Truncated, 3),
        (b"nulx", Value, 0),
        (b"NaN", Value, 0),
        (b"-Infinity", Number, 1),
        (b"[Infinity]", Value, 1),
        (b"+1", Value, 0),
        (b".5", Value, 0),
        (b"01", Number, 1),
        (b"-", Truncated, 1),
        (b"-01", Number, 2),
        (b"1.", Truncated, 2),
        (b"[1.]", Number, 3),
        (b"1e", Truncated, 2),
        (b"1e+", Truncated, 3),
        (b"0x10", Trailing, 1),
        (b"1 2", Trailing, 2),
        (b"{} ,", Trailing, 3),
        (b"\"abc", Truncated, 4),
        (b"\"a\nb\"", ControlCharacter, 2),
        (b"\"\x00\"", ControlCharacter, 1),
        (b"\"0123456789\x1f\"", ControlCharacter, 11),
        (b"\"\\x\"", Escape, 1),
        (b"\"\\u12g4\"", Escape, 5),
        (b"\"\\u12", Truncated, 5),
        (b"\"\\", Truncated, 2),
        (b"\"\\ud800\"", Surrogate, 1),
        (b"\"\\udc00\"", Surrogate, 1),
        (b"\"\\ud800\\u0041\"", Surrogate, 1),
        (b"\"\\ud800\\ud800\"", Surrogate, 1),
        (b"\"\xff\"", Utf8, 1),
        (b"\"\xed\xa0\x80\"", Utf8, 1),
        (b"\"\xc0\xaf\"", Utf8, 1),
        (b"\xef\xbb\xbf{}", ByteOrderMark, 0),
        (b"[1,]", Value, 3),
        (b"[,1]", Value, 1),
        (b"[1 2]", Comma, 3),
        (b"[1", Truncated, 2),
        (b"[1}", Comma, 2),
        (b"{\"a\":1]", Comma, 6),
        (b"]", Value, 0),
        (b"{\"a\"}", Colon, 4),
        (b"{\"a\":}", Value, 5),
        (b"{\"a\":1,}", Key, 7),
        (b"{a:1}", Key, 1),
        (b"{'a':1}", Key, 1),
        (b"{,}", Key, 1),
        (b"{\"a\" 1}", Colon, 5),
        (b"[1]//", Trailing, 3),
        (b"\x0c1", Value, 0),
        (b"\xc2\xa01", Value, 0),
    ];
    for (text, expected, position) in table {
        assert_eq!(fault(text), Some((*expected, *position)), "{}", String::from_utf8_lossy(text));
    }
}

fn nested(depth: usize) -> String {
    (0..depth).map(|level| if level % 2 == 0 { "[" } else { "{\"k\":" }).collect::<String>()
        + "1"
        + &(0..depth).rev().map(|level| if level % 2 == 0 { "]" } else { "}" }).collect::<String>()
}

#[test]
fn nesting_is_limited_and_costs_no_stack() {
    let limit = MAX_DEPTH as usize;
    assert_eq!(fault(nested(limit).as_bytes()), None);
    assert_eq!(fault(nested(limit + 1).as_bytes()).map(|(fault, _)| fault), Some(JsonFault::Depth));
    assert_eq!(fault(&vec![b'['; 10_000_000]), Some((JsonFault::Depth, limit)));
}

#[test]
fn nesting_counts_what_the_caller_has_opened() {
    let text = format!("[{}]", nested(MAX_DEPTH as usize));
    let mut scanner = Scanner::new(text.as_bytes()).unwrap();
    scanner.open_array().unwrap();
    assert!(scanner.next_element().unwrap());
    assert_eq!(scanner.skip_value().map_err(|error| error.fault), Err(JsonFault::Depth));
}

#[test]
fn an_object_is_walked_member_by_member() {
    let text = br#" { "a" : [1, 2] , "\u0062":"x\ty", "c":{}} "#;
    let mut scanner = Scanner::new(text).unwrap();
    scanner.open_object().unwrap();
    let key = scanner.next_key().unwrap().unwrap();
    assert_eq!((key.raw(), key.is_escaped()), (&b"a"[..], false));
    assert_eq!(scanner.skip_value().unwrap(), b"[1, 2]");
    let key = scanner.next_key().unwrap().unwrap();
    assert_eq!((key.raw(), key.is_escaped(), &*key.unescape()), (&b"\\u0062"[..], true, &b"b"[..]));
    assert_eq!(&*scanner.read_string().unwrap().unescape(), b"x\ty");
    assert_eq!(scanner.next_key().unwrap().unwrap().raw(), b"c");
    scanner.open_object().unwrap();
    assert_eq!(scanner.next_key(), Ok(None));
    assert_eq!(scanner.next_key(), Ok(None));
    assert_eq!(scanner.finish(), Ok(()));
}

#[test]
fn a_guessed_key_is_taken_only_where_a_key_may_stand() {
    let taken = |text: &'static [u8]| {
        let mut scanner = Scanner::new(text).unwrap();
        scanner.open_object().unwrap();
        let first = scanner.take_key(b"\"a\":");
        if first {
            scanner.skip_value().unwrap();
        }
        (first, scanner.take_key(b"\"b\":"), scanner.next_key().is_ok())
    };
    assert_eq!(taken(b"{\"a\":1,\"b\":"), (true, true, false));
    assert_eq!(taken(b"{\"a\":1}"), (true, false, true));
    assert_eq!(taken(b"{\"b\":"), (false, true, false));
    assert_eq!(taken(b"{\"a\":1, \"b\":2"), (true, false, true));
    assert_eq!(taken(b"{\"a\":1\"b\":2"), (true, false, false));
    assert_eq!(taken(b"{\"a\":1;\"b\":2"), (true, false, false));
    assert_eq!(taken(b"{,\"a\":1"), (false, false, false));
    assert_eq!(taken(b"{\"\\u0061\":1"), (false, false, true));
    assert_eq!(taken(b"{\"a\""), (false, false, false));
}

#[test]
fn an_array_is_walked_element_by_element() {
    let mut scanner = Scanner::new(b"[ 1 ,\"b\",[]]").unwrap();
    scanner.open_array().unwrap();
    let mut spans = Vec::new();
    while scanner.next_element().unwrap() {
        spans.push(scanner.skip_value().unwrap());
    }
    assert_eq!(spans, [&b"1"[..], b"\"b\"", b"[]"]);
    assert_eq!(scanner.finish(), Ok(()));
}

#[test]
fn a_value_of_another_type_is_said_to_be_one() {
    let error = |text: &'static [u8], read: fn(&mut Scanner<'static>) -> Result<(), JsonError>| {
        read(&mut Scanner::new(text).unwrap()).map_err(|error| error.fault)
    };
    assert_eq!(error(b"1", |scanner| scanner.open_object()), Err(JsonFault::Type));
    assert_eq!(error(b"{}", |scanner| scanner.open_array()), Err(JsonFault::Type));
    assert_eq!(error(b" 1", |scanner| scanner.read_string().map(drop)), Err(JsonFault::Type));
    assert_eq!(error(b"", |scanner| scanner.read_string().map(drop)), Err(JsonFault::Truncated));
}

#[test]
fn the_first_special_byte_is_found_at_every_place() {
    for length in 0..40 {
        for special in [b'"', b'\\', 0, 0x1f] {
            for neighbour in [b' ', b'!', b'#', b'[', b']', 0x7f, b'a'] {
                let mut text = vec![b'"'];
                text.resize(length + 1, neighbour);
                text.push(special);
                text.extend_from_slice(b"\"\"\"\"\"\"\"\"");
                let expected = match special {
                    b'"' => (JsonFault::Trailing, length + 2),
                    // The quotation mark after the backslash is part of an escape.
                    b'\\' => (JsonFault::Trailing, length + 4),
                    _ => (JsonFault::ControlCharacter, length + 1),
                };
                assert_eq!(fault(&text), Some(expected), "{length} {special} {neighbour}");
            }
        }
    }
}

#[test]
fn minify_keeps_strings() {
    let mut out = b"> ".to_vec();
    minify(b" { \"a b\" : [ 1 ,\t\"\\\" \\\\\" ] ,\r\n\"c\": \"\" } \n", &mut out);
    assert_eq!(out, b"> {\"a b\":[1,\"\\\" \\\\\"],\"c\":\"\"}");
}

proptest! {
    #[test]
    fn strings_unescape_as_in_serde(text: String, ascii: bool) {
        let mut quoted = serde_json::to_string(&text).unwrap();
        if ascii {
            let escape = |unit: u16| format!("\\u{unit:04X}");
            quoted = format!("\"{}\"", text.encode_utf16().map(escape).collect::<String>());
        }
        let string = Scanner::new(quoted.as_bytes()).unwrap().read_string().unwrap();
        prop_assert_eq!(&*string.unescape(), text.as_bytes());
        prop_assert_eq!(string.is_empty(), text.is_empty());
        prop_assert_eq!(string.is_escaped(), quoted.contains('\\'));
    }

    #[test]
    fn minified_text_means_the_same(text in "([\\[\\]{}:, \n\t\"\\\\a0]{0,6}|\"[a \\PC]{0,9}\"){0,9}") {
        let mut out = Vec::new();
        minify(text.as_bytes(), &mut out);
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).unwrap(), value);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = validate(&text);
        minify(&text, &mut Vec::new());
    }
}
