//! Parse speed on one core, beside serde_json in the same run: `cargo bench -p forebay-core --bench parse`.
//!
//! Prints the best and the median of several rounds; rounds of the candidates alternate, so that a noisy machine treats
//! them alike.
#![allow(clippy::unwrap_used, missing_debug_implementations, unreachable_pub)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use forebay_core::ingest::{OnInvalid, Parsed, parse_drain};
use forebay_core::json;
use forebay_core::time::parse_timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

const ROUNDS: usize = 15;
const BODIES: usize = 64;
const EVENTS_PER_BODY: usize = 100;
const MAX_RECORD_BYTES: usize = 1 << 20;

/// A sequence of numbers that is the same in every run (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

const MESSAGES: &[&str] = &[
    "User logged in",
    "request completed with status 200 after 3 retries",
    "connection to upstream reset by peer, retrying in 250 ms",
    "cache miss for key session:profile, falling back to the database",
    "slow query",
    "payment captured; order moved to state fulfilled and handed to the warehouse queue",
];

fn event(random: &mut Random, escapes: bool) -> String {
    let message = random.pick(MESSAGES);
    let message = if escapes { message.replace(' ', "\\u0020\\\"") } else { message.to_owned() };
    format!(
        concat!(
            r#"{{"project_id":"org-{}","timestamp":"2024-05-{:02}T15:{:02}:45.{:03}Z","level":"{}","service":"{}","#,
            r#""message":"{}","metadata":{{"user_id":{},"ip":"10.{}.{}.{}","request_id":"{:016x}","duration_ms":{}.{}}}}}"#
        ),
        random.below(100),
        random.below(28) + 1,
        random.below(60),
        random.below(1000),
        random.pick(&["info", "error", "debug", "warning"]),
        random.pick(&["api-gateway", "billing", "auth", "search-indexer"]),
        message,
        random.below(1_000_000),
        random.below(256),
        random.below(256),
        random.below(256),
        random.below(u64::MAX),
        random.below(1000),
        random.below(100),
    )
}

fn bodies(escapes: bool) -> Vec<String> {
    let mut random = Random(0x5eed);
    let one = |random: &mut Random| {
        let events: Vec<_> = (0..EVENTS_PER_BODY).map(|_| event(random, escapes)).collect();
        format!(r#"{{"events":[{}]}}"#, events.join(","))
    };
    (0..BODIES).map(|_| one(&mut random)).collect()
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct TypedEvent<'a> {
    project_id: std::borrow::Cow<'a, str>,
    timestamp: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

fn with_forebay(bodies: &[String]) {
    let mut parsed = Parsed::default();
    for body in bodies {
        let mut out = parsed.recycle();
        parse_drain(black_box(body.as_bytes()), OnInvalid::Refuse, MAX_RECORD_BYTES, &mut out).unwrap();
        parsed = black_box(out).recycle();
    }
}

fn with_serde(bodies: &[String]) {
    for body in bodies {
        let typed: Typed<'_> = serde_json::from_str(body).unwrap();
        for raw in typed.events {
            let event: TypedEvent<'_> = serde_json::from_str(raw.get()).unwrap();
            black_box((&event.project_id, &event.timestamp, event.metadata));
        }
    }
}

fn with_validate(bodies: &[String]) {
    for body in bodies {
        json::validate(black_box(body.as_bytes())).unwrap();
    }
}

fn with_utf8(bodies: &[String]) {
    for body in bodies {
        black_box(simdutf8::basic::from_utf8(black_box(body.as_bytes())).unwrap());
    }
}

fn compare(title: &str, bodies: &[String]) {
    let bytes: usize = bodies.iter().map(String::len).sum();
    let events = BODIES * EVENTS_PER_BODY;
    println!("{title}: {} bytes an event", bytes / events);
    type Candidate = (&'static str, fn(&[String]));
    let candidates: [Candidate; 4] = [
        ("parse_drain", with_forebay),
        ("json::validate", with_validate),
        ("serde_json, RawValue", with_serde),
        ("simdutf8 alone", with_utf8),
    ];
    let mut seconds = vec![Vec::new(); candidates.len()];
    for _ in 0..ROUNDS {
        for ((_, run), seconds) in candidates.iter().zip(&mut seconds) {
            let begin = Instant::now();
            for _ in 0..4 {
                run(bodies);
            }
            seconds.push(begin.elapsed().as_secs_f64() / 4.0);
        }
    }
    for ((name, _), mut seconds) in candidates.iter().zip(seconds) {
        seconds.sort_by(f64::total_cmp);
        let mut line = format!("  {name:<22}");
        for (label, seconds) in [("best", seconds[0]), ("median", seconds[ROUNDS / 2])] {
            let (speed, each) = (bytes as f64 / seconds / 1e9, seconds * 1e9 / events as f64);
            write!(line, "  {label} {speed:5.2} GB/s {each:6.1} ns/event").unwrap();
        }
        println!("{line}");
    }
}

fn timestamps() {
    for text in
        ["2024-05-31T15:30:45.123Z", "2024-05-31T15:30:45Z", "2024-05-31 15:30:45.123456+00", "20240531T153045Z"]
    {
        let best = (0..ROUNDS).map(|_| {
            let begin = Instant::now();
            for _ in 0..100_000 {
                black_box(parse_timestamp(black_box(text.as_bytes())).unwrap());
            }
            begin.elapsed().as_secs_f64() * 1e9 / 100_000.0
        });
        println!("  {text:<32} {:5.1} ns", best.fold(f64::INFINITY, f64::min));
    }
}

fn main() {
    // `cargo bench` passes `--bench`; anything else is for a profiler: the one candidate, over and over.
    if std::env::args().any(|argument| argument == "profile") {
        let bodies = bodies(false);
        return (0..10_000).for_each(|_| with_forebay(&bodies));
    }
    compare("compact events", &bodies(false));
    compare("events with many escapes", &bodies(true));
    // Python's json.dumps separates them so. Another field comes first, so that no key is guessed.
    let spaced = |body: &String| {
        body.replace("\":", "\": ").replace(",\"", ", \"").replace("{\"project_id", "{\"id\": 1, \"project_id")
    };
    compare("spaced events", &bodies(false).iter().map(spaced).collect::<Vec<_>>());
    println!("timestamps");
    timestamps();
}
