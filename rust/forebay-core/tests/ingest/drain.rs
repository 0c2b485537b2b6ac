use forebay_core::ingest::{MAX_EVENTS_PER_BODY, OnInvalid, Parsed, parse_drain};
use forebay_core::record::MAX_KEY_BYTES;
use forebay_core::time::parse_timestamp;
use forebay_core::{Error, ErrorKind};

const MAX_RECORD_BYTES: usize = 1 << 20;
const GOOD: &str =
    r#"{"project_id":"p","timestamp":"2024-05-31T15:30:45Z","level":"info","service":"s","message":"m"}"#;

fn parse<'a>(body: &'a str, on_invalid: OnInvalid) -> Result<Parsed<'a>, Error> {
    let mut parsed = Parsed::default();
    parse_drain(body.as_bytes(), on_invalid, MAX_RECORD_BYTES, &mut parsed)?;
    Ok(parsed)
}

fn refusal(body: &str, on_invalid: OnInvalid) -> String {
    let error = parse(body, on_invalid).expect_err(body);
    assert_eq!(error.kind(), ErrorKind::Malformed, "{body}");
    error.detail().to_owned()
}

fn around(event: &str) -> String {
    format!("{{\"events\":[{GOOD},{event}]}}")
}

/// `GOOD` with one field's text, `"name":"value"`, replaced.
fn with(field: &str, replacement: &str) -> String {
    let start = GOOD.find(&format!("\"{field}\"")).unwrap();
    let end = GOOD[start..].find([',', '}']).unwrap() + start;
    let mut event = GOOD.to_owned();
    event.replace_range(start..end, replacement);
    event
}

#[test]
fn the_seed_example_is_accepted_as_sent() {
    let event = r#"{
        "project_id": "org-xyz", "timestamp": "2024-05-31T15:30:45Z", "level": "info", "service": "api-gateway",
        "message": "User logged in", "metadata": { "user_id": 123, "ip": "1.1.1.1" }
    }"#;
    let body = format!("{{ \"events\": [ {event} ] }}");
    let parsed = parse(&body, OnInvalid::Refuse).unwrap();
    assert_eq!(parsed.events.len(), 1);
    assert_eq!(parsed.events[0].value, event.as_bytes());
    assert_eq!(parsed.events[0].key.as_deref(), Some(&b"org-xyz"[..]));
    assert_eq!(parsed.events[0].timestamp, parse_timestamp(b"2024-05-31T15:30:45Z").unwrap());
    assert!(parsed.events[0].headers.is_empty());
}

#[test]
fn accepted_variants() {
    let table = [
        with("message", r#""message":"""#),
        with("message", r#""message":"m","metadata":null"#),
        with("message", r#""message":"m","metadata":{"a":1,"a":[{}]}"#),
        with("message", r#""message":"m","extra":[1e999],"extra":2"#),
        with("message", r#""\u006dessage":"m""#),
        with("timestamp", r#""\u0074imestamp":"2024-05-31 15:30:45""#),
        with("timestamp", r#""timestamp":"2024-05-31T15:30:45\u005a""#),
        with("level", r#""level":"CRITICAL!""#),
    ];
    for event in table {
        let body = around(&event);
        let parsed = parse(&body, OnInvalid::Refuse).unwrap_or_else(|error| panic!("{event}: {error}"));
        assert_eq!(parsed.events[1].value, event.as_bytes());
    }
}

#[test]
fn the_key_is_unescaped() {
    let body = around(&with("project_id", r#""project_id":"a\u0062\ud83d\ude00""#));
    let parsed = parse(&body, OnInvalid::Refuse).unwrap();
    assert_eq!(parsed.events[1].key.as_deref(), Some("ab😀".as_bytes()));
}

#[test]
fn other_members_of_the_body_are_checked_and_ignored() {
    let body = format!("{{\"source\":{{\"x\":[1]}},\"\\u0065vents\":[{GOOD}],\"source\":null}}");
    assert_eq!(parse(&body, OnInvalid::Refuse).unwrap().events.len(), 1);
    let body = format!("{{\"events\":[{GOOD}],\"source\":nul}}");
    let detail = format!("the body is not valid JSON: expected a value at byte {}", body.find("nul}").unwrap());
    assert_eq!(refusal(&body, OnInvalid::Quarantine), detail);
}

#[test]
fn invalid_events_are_named_or_set_aside() {
    let table = [
        ("7".to_owned(), "", "must be an object"),
        ("[]".to_owned(), "", "must be an object"),
        ("{}".to_owned(), "project_id", "missing"),
        (with("service", r#""servic":"s""#), "service", "missing"),
        (with("message", r#""msg":"m""#), "message", "missing"),
        (with("level", r#""level":"""#), "level", "must not be empty"),
        (with("level", r#""level":null"#), "level", "must be a string"),
        (with("message", r#""message":{"a":"b"}"#), "message", "must be a string"),
        (with("service", r#""service":3"#), "service", "must be a string"),
        (with("level", r#""level":"a","\u006cevel":"a""#), "level", "given more than once"),
        (with("message", r#""message":"m","metadata":[]"#), "metadata", "must be an object or null"),
        (with("message", r#""message":"m","metadata":"{}""#), "metadata", "must be an object or null"),
        (with("timestamp", r#""timestamp":"2024-02-30""#), "timestamp", "that month has no such day"),
        (with("timestamp", r#""timestamp":"2024-02-3\u0030""#), "timestamp", "that month has no such day"),
        (with("timestamp", r#""timestamp":1717169445"#), "timestamp", "must be a string"),
    ];
    for (event, field, reason) in table {
        let body = around(&event);
        let (named, place) = if field.is_empty() {
            (reason.to_owned(), format!("events[1]: {reason}"))
        } else {
            (format!("{field}: {reason}"), format!("events[1].{field}: {reason}"))
        };
        assert_eq!(refusal(&body, OnInvalid::Refuse), place);
        let parsed = parse(&body, OnInvalid::Quarantine).unwrap();
        assert_eq!(parsed.events.len(), 1);
        assert_eq!(parsed.events[0].value, GOOD.as_bytes());
        let [invalid] = &parsed.invalid[..] else { panic!("{event}") };
        assert_eq!((invalid.index, invalid.span, &invalid.reason), (1, event.as_bytes(), &named));
    }
}

#[test]
fn bodies_of_another_shape_are_refused_whole() {
    let table = [
        ("[]".to_owned(), "the body must be an object with an array named events"),
        ("\"events\"".to_owned(), "the body must be an object with an array named events"),
        ("{}".to_owned(), "events: missing"),
        ("{\"Events\":[1]}".to_owned(), "events: missing"),
        ("{\"events\":[]}".to_owned(), "events: must not be empty"),
        ("{\"events\":null}".to_owned(), "events: must be an array"),
        ("{\"events\":{}}".to_owned(), "events: must be an array"),
        (format!("{{\"events\":[{GOOD}],\"event\\u0073\":[{GOOD}]}}"), "events: given more than once"),
        (String::new(), "the body is not valid JSON: unexpected end at byte 0"),
        ("{\"events\":[".to_owned(), "the body is not valid JSON: unexpected end at byte 11"),
        ("{\"events\":[{]}".to_owned(), "the body is not valid JSON: expected a quoted key at byte 12"),
        ("{\"events\":7 8}".to_owned(), "events: must be an array"),
    ];
    for (body, detail) in table {
        for mode in [OnInvalid::Refuse, OnInvalid::Quarantine] {
            assert_eq!(refusal(&body, mode), detail, "{body}");
        }
    }
}

#[test]
fn a_broken_end_refuses_the_good_events_before_it() {
    let body = format!("{{\"events\":[{GOOD},{GOOD}]");
    let mut parsed = Parsed::default();
    let result = parse_drain(body.as_bytes(), OnInvalid::Quarantine, MAX_RECORD_BYTES, &mut parsed);
    assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Malformed));
    assert_eq!(parsed, Parsed::default());
}

#[test]
fn what_was_parsed_before_is_forgotten() {
    let body = around(GOOD);
    let mut parsed = Parsed::default();
    for _ in 0..2 {
        parse_drain(body.as_bytes(), OnInvalid::Refuse, MAX_RECORD_BYTES, &mut parsed).unwrap();
        assert_eq!(parsed.events.len(), 2);
    }
}

#[test]
fn the_number_of_events_is_limited() {
    let body = |count: usize| format!("{{\"events\":[{}]}}", vec!["1"; count].join(","));
    let full = body(MAX_EVENTS_PER_BODY);
    assert_eq!(parse(&full, OnInvalid::Quarantine).unwrap().invalid.len(), MAX_EVENTS_PER_BODY);
    let detail = refusal(&body(MAX_EVENTS_PER_BODY + 1), OnInvalid::Quarantine);
    assert_eq!(detail, "events: more than 100000 in one body, send several");
}

#[test]
fn the_key_is_limited_by_its_unescaped_length() {
    let event = |id: &str| with("project_id", &format!("\"project_id\":\"{id}\""));
    let body = around(&event(&"\\u0061".repeat(MAX_KEY_BYTES)));
    assert_eq!(parse(&body, OnInvalid::Refuse).unwrap().events.len(), 2);
    let body = around(&event(&"a".repeat(MAX_KEY_BYTES + 1)));
    let detail = refusal(&body, OnInvalid::Refuse);
    assert_eq!(detail, "events[1].project_id: has 1025 bytes, more than the limit of 1024");
}

#[test]
fn a_record_is_limited() {
    let long = with("message", &format!("\"message\":\"{}\"", "x".repeat(100)));
    let body = around(&long);
    let mut parsed = Parsed::default();
    let mut at = |limit, mode| {
        parse_drain(body.as_bytes(), mode, limit, &mut parsed)
            .map(|()| (parsed.events.len(), parsed.invalid.len()))
            .map_err(|error| (error.kind(), error.detail().to_owned()))
    };
    assert_eq!(at(long.len(), OnInvalid::Refuse), Ok((2, 0)));
    let detail = format!("events[1]: has {} bytes, more than the limit of {}", long.len(), long.len() - 1);
    assert_eq!(at(long.len() - 1, OnInvalid::Refuse), Err((ErrorKind::PayloadTooLarge, detail)));
    assert_eq!(at(long.len() - 1, OnInvalid::Quarantine), Ok((1, 1)));
}
