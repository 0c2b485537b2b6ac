use std::fmt::Write as _;

use forebay_core::load::{Random, push_list};

use crate::{Content, LoadOptions, target::Target};

/// The number of different bodies that are sent in turn: enough that no server profits from seeing the same bytes again
/// soon, few enough that the largest batches fit memory.
pub const BODY_VARIANTS: usize = 64;

const LEVELS: [&str; 8] = ["info", "info", "info", "info", "debug", "debug", "warn", "error"];
const SERVICES: [&str; 12] = [
    "api-gateway",
    "checkout",
    "payments",
    "inventory",
    "search",
    "auth",
    "mailer",
    "billing",
    "catalog",
    "shipping",
    "recommender",
    "webhooks",
];
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const ROUTES: [&str; 8] = [
    "/v1/orders",
    "/v1/orders/items",
    "/v1/users/me",
    "/v1/cart",
    "/v1/search",
    "/v1/sessions",
    "/internal/health",
    "/v2/payments/intents",
];
const MESSAGES: [&str; 10] = [
    "request completed",
    "cache miss, loading from the primary store",
    "user logged in",
    "payment authorised",
    "retrying upstream call after timeout",
    "rate limit close to exhaustion",
    "order state changed to shipped",
    "slow query on replica",
    "webhook delivered",
    "token refreshed",
];
const TYPES: [&str; 6] = ["user_action", "page_view", "purchase", "signup", "login", "api_call"];
const SOURCES: [&str; 4] = ["web_app", "mobile_app", "api", "external"];
/// The first day of the events, in June 2026. It is fixed, so that a seed fixes every byte.
const FIRST_DAY: u64 = 1;

/// Makes the JSON body `{"events": [...]}` of `batch` log events of about 250 bytes, the `variant`-th of `seed`.
#[must_use]
pub fn event_batch(seed: u64, variant: usize, batch: usize) -> String {
    content(Content::Drain, seed, variant, batch)
}

fn content(content: Content, seed: u64, variant: usize, batch: usize) -> String {
    let mut random = Random::new(seed ^ (variant as u64).wrapping_mul(0xd134_2543_de82_ef95));
    let mut text = String::with_capacity(16 + batch * 300);
    match content {
        Content::Fetch => {}
        Content::Publish => push_record(&mut text, &mut random),
        Content::Event => push_action(&mut text, &mut random),
        Content::Track => push_visit(&mut text, &mut random),
        Content::Drain => push_object(&mut text, &mut random, batch, push_event),
        Content::PublishBatch => push_object(&mut text, &mut random, batch, push_record),
        Content::EventBatch => push_list(&mut text, batch, |text| push_action(text, &mut random)),
    }
    text
}

fn push_object(text: &mut String, random: &mut Random, batch: usize, push: fn(&mut String, &mut Random)) {
    text.push_str("{\"events\":");
    push_list(text, batch, |text| push(text, random));
    text.push('}');
}

/// Appends an event of the events API, with a type and a source that its documentation names.
fn push_action(text: &mut String, random: &mut Random) {
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "{{\"type\":\"{kind}\",\"source\":\"{source}\",\"data\":{{\"user_id\":\"{user}\",\"session\":\"{session:016x}\",\
         \"page\":\"{page}\",\"amount\":{amount}.{cents:02},\"metadata\":{{\"attempt\":{attempt}}}}}}}",
        kind = random.pick(&TYPES),
        source = random.pick(&SOURCES),
        user = random.below(1_000_000),
        session = random.bits(),
        page = random.pick(&ROUTES),
        amount = random.below(500),
        cents = random.below(100),
        attempt = random.below(3),
    );
}

/// Appends an event of the analytics API.
fn push_visit(text: &mut String, random: &mut Random) {
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "{{\"event\":{{\"type\":\"{kind}\"}},\"user\":{{\"id\":\"user-{user:06}\"}},\
         \"device\":{{\"user_agent\":\"Mozilla/5.0\",\"screen_width\":1920,\"screen_height\":1080}},\
         \"context\":{{\"url\":\"https://example.com{page}\",\"session_id\":\"{session:016x}\"}},\
         \"metrics\":{{\"load_time\":{load_time}}}}}",
        kind = random.pick(&TYPES),
        user = random.below(1_000_000),
        page = random.pick(&ROUTES),
        session = random.bits(),
        load_time = random.below(3000),
    );
}

fn push_record(text: &mut String, random: &mut Random) {
    // Writing into a String cannot fail.
    let _ = write!(text, "{{\"key\":\"user-{:04}\",\"value\":", random.below(10_000));
    push_event(text, random);
    text.push('}');
}

fn push_event(text: &mut String, random: &mut Random) {
    let micros = random.below(86_400_000_000);
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let day = FIRST_DAY + random.below(28);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let status = [200, 200, 200, 201, 204, 304, 404, 500][random.below(8) as usize];
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "{{\"project_id\":\"proj-{project:03}\",\"timestamp\":\"2026-06-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z\",\
         \"level\":\"{level}\",\"service\":\"{service}\",\"message\":\"{message} {method} {route}\",\
         \"metadata\":{{\"request_id\":\"{request:016x}\",\"user_id\":{user},\"status\":{status},\
         \"duration_ms\":{duration}.{tenth}}}}}",
        project = random.below(200),
        level = random.pick(&LEVELS),
        service = random.pick(&SERVICES),
        message = random.pick(&MESSAGES),
        method = random.pick(&METHODS),
        route = random.pick(&ROUTES),
        request = random.bits(),
        user = random.below(1_000_000),
        duration = random.below(900),
        tenth = random.below(10),
    );
}

/// Makes the bytes of each request, head and body, in the order in which they are sent.
pub(crate) fn request_bytes(options: &LoadOptions, target: &Target) -> Vec<Box<[u8]>> {
    let method = if options.content == Content::Fetch { "GET" } else { "POST" };
    let typed = options.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    (0..BODY_VARIANTS)
        .map(|variant| {
            let body = content(options.content, options.seed, variant, options.batch);
            let mut head = format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", target.path, target.authority);
            for (name, value) in &options.headers {
                let _ = write!(head, "{name}: {value}\r\n");
            }
            if !body.is_empty() {
                if !typed {
                    head.push_str("Content-Type: application/json\r\n");
                }
                let _ = write!(head, "Content-Length: {}\r\n", body.len());
            }
            head.push_str("\r\n");
            [head.as_bytes(), body.as_bytes()].concat().into_boxed_slice()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_seed_fixes_every_byte() {
        assert_eq!(event_batch(7, 3, 10), event_batch(7, 3, 10));
        assert_ne!(event_batch(7, 3, 10), event_batch(8, 3, 10));
        assert_ne!(event_batch(7, 3, 10), event_batch(7, 4, 10));
    }

    #[test]
    fn bodies_are_valid_json_of_about_250_bytes_an_event() {
        for variant in 0..BODY_VARIANTS {
            let text = event_batch(1, variant, 100);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let events = value["events"].as_array().unwrap();
            assert_eq!(events.len(), 100);
            for field in ["project_id", "timestamp", "level", "service", "message"] {
                assert!(events.iter().all(|event| event[field].as_str().is_some_and(|s| !s.is_empty())), "{field}");
            }
            assert!((240..=260).contains(&(text.len() / 100)), "{} bytes an event", text.len() / 100);
        }
    }

    #[test]
    fn each_content_has_its_shape() {
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let batch = parsed(&content(Content::PublishBatch, 1, 0, 3));
        assert_eq!(batch["events"].as_array().unwrap().len(), 3);
        assert!(batch["events"][2]["value"]["message"].is_string());
        let one = parsed(&content(Content::Publish, 1, 0, 1));
        assert!(one["key"].is_string() && one["value"]["level"].is_string());
        let action = parsed(&content(Content::Event, 1, 0, 1));
        assert!(action["type"].is_string() && action["source"].is_string() && action["data"].is_object());
        assert_eq!(parsed(&content(Content::EventBatch, 1, 0, 3)).as_array().unwrap().len(), 3);
        let visit = parsed(&content(Content::Track, 1, 0, 1));
        assert!(visit["event"]["type"].is_string() && visit["user"]["id"].is_string());
        let options = LoadOptions { content: Content::Fetch, ..LoadOptions::default() };
        let target = Target::parse("http://127.0.0.1:1/p?q=1").unwrap();
        assert_eq!(&*request_bytes(&options, &target)[3], b"GET /p?q=1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n");
    }

    #[test]
    fn a_request_carries_its_headers_and_length() {
        let options = LoadOptions { batch: 2, headers: vec![("X-A".into(), "b".into())], ..LoadOptions::default() };
        let target = Target::parse("http://127.0.0.1:1/p").unwrap();
        let requests = request_bytes(&options, &target);
        assert_eq!(requests.len(), BODY_VARIANTS);
        let text = std::str::from_utf8(&requests[5]).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /p HTTP/1.1\r\nHost: 127.0.0.1:1\r\nX-A: b\r\n"));
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        assert_eq!(body, event_batch(options.seed, 5, 2));
    }
}
