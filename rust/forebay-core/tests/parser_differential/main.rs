//! The hand-written parser against serde_json, on generated bodies: valid ones, odd ones and broken ones.
//!
//! `FOREBAY_FUZZ_CASES` sets the number of bodies (default 400,000), `FOREBAY_FUZZ_SEED` where the sequence begins. A
//! failure prints the seed of its one body: run with that seed and one case to see it again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod generate;
mod oracle;
#[path = "../common/random.rs"]
mod random;

use forebay_core::ingest::{OnInvalid, Parsed, parse_drain};
use forebay_core::json::{minify, validate};
use generate::body;
use oracle::{Expected, MAX_RECORD_BYTES, expected_drain, is_acceptable_json};
use random::setting;

const DEFAULT_CASES: u64 = 400_000;

/// How often each outcome was met: a generator that only makes garbage would agree with anything.
#[derive(Debug, Default)]
struct Tally {
    refused_as_json: u64,
    refused_as_drain: u64,
    with_invalid_events: u64,
    accepted: u64,
}

#[test]
fn parser_and_serde_agree() {
    let cases = setting("FOREBAY_FUZZ_CASES", DEFAULT_CASES);
    let first = setting("FOREBAY_FUZZ_SEED", 1);
    let mut tally = Tally::default();
    for seed in first..first.saturating_add(cases) {
        let body = body(seed);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&body, &mut tally)));
        if result.is_err() {
            panic!("FOREBAY_FUZZ_SEED={seed} FOREBAY_FUZZ_CASES=1 on: {}", body.escape_ascii());
        }
    }
    println!("{cases} bodies from seed {first}: {tally:?}");
    if cases >= 10_000 {
        let least = [tally.refused_as_json, tally.refused_as_drain, tally.with_invalid_events, tally.accepted];
        assert!(least.iter().all(|&count| count > cases / 50), "the generator is lopsided: {tally:?}");
    }
}

fn check(body: &[u8], tally: &mut Tally) {
    let acceptable = is_acceptable_json(body);
    assert_eq!(validate(body).is_ok(), acceptable, "validate: {:?}", validate(body));
    if let Err(error) = validate(body) {
        assert!(error.position <= body.len(), "{error}");
    }
    let expected = if acceptable { expected_drain(std::str::from_utf8(body).unwrap()) } else { None };
    check_drain(body, OnInvalid::Quarantine, expected.as_ref());
    check_drain(body, OnInvalid::Refuse, expected.as_ref().filter(|expected| expected.invalid.is_empty()));
    if acceptable {
        check_minify(body);
    }
    *match &expected {
        None if !acceptable => &mut tally.refused_as_json,
        None => &mut tally.refused_as_drain,
        Some(expected) if expected.invalid.is_empty() => &mut tally.accepted,
        Some(_) => &mut tally.with_invalid_events,
    } += 1;
}

fn check_drain(body: &[u8], on_invalid: OnInvalid, expected: Option<&Expected<'_>>) {
    let mut parsed = Parsed::default();
    let result = parse_drain(body, on_invalid, MAX_RECORD_BYTES, &mut parsed);
    let Some(expected) = expected else {
        assert!(result.is_err(), "{on_invalid:?}: accepted");
        assert_eq!(parsed, Parsed::default(), "{on_invalid:?}: left something behind");
        return;
    };
    assert_eq!(result, Ok(()), "{on_invalid:?}");
    let events: Vec<_> = parsed
        .events
        .iter()
        .map(|event| (&*event.value, event.key.as_deref().unwrap_or_default(), event.timestamp))
        .collect();
    let wanted: Vec<_> =
        expected.events.iter().map(|event| (event.span.as_bytes(), event.key.as_bytes(), event.timestamp)).collect();
    assert_eq!(events, wanted, "{on_invalid:?}");
    let invalid: Vec<_> = parsed.invalid.iter().map(|event| (event.index, event.span)).collect();
    let wanted: Vec<_> = expected.invalid.iter().map(|(index, span)| (*index, span.as_bytes())).collect();
    assert_eq!(invalid, wanted, "{on_invalid:?}");
}

/// Minified, it means the same to serde_json; and what is minified already stays as it is.
fn check_minify(body: &[u8]) {
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    minify(body, &mut once);
    minify(&once, &mut twice);
    assert_eq!(once, twice);
    assert!(is_acceptable_json(&once));
    // serde_json cannot read every number; then there is nothing to compare.
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) {
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&once).unwrap(), value);
    }
}
