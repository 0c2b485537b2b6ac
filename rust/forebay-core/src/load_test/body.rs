//! The events that a load test sends.

use std::sync::Arc;

use crate::load::{Random, push_list};

/// The `source` of every event.
const SOURCE: &str = "load_test";
/// The number of different events. They fill several blocks of a segment, so that sealing finds about as much in common
/// as among real events, and not the same bytes over and over.
const VARIANTS: usize = 1024;
/// The least number of bodies of one size; each starts at another event.
const MIN_BODIES: usize = 16;
/// Every load test sends the same events.
const SEED: u64 = 1;

const PAGES: [&str; 8] = [
    "/home",
    "/dashboard",
    "/products/1842",
    "/products/77",
    "/cart",
    "/checkout",
    "/search?q=shoes",
    "/account/settings",
];
const ACTIONS: [&str; 5] = ["click", "scroll", "hover", "submit", "select"];
const ELEMENTS: [&str; 5] = ["add_to_cart", "nav_menu", "hero_banner", "filter_price", "newsletter"];
const PATHS: [&str; 4] = ["/v2/orders", "/v2/users/me", "/v2/inventory/search", "/v2/payments"];
const COUNTRIES: [&str; 6] = ["DE", "US", "FR", "JP", "BR", "IN"];
const HOSTS: [&str; 4] = ["web-01", "web-02", "worker-07", "db-03"];

/// The kinds of events in the mix of a shop's site: mostly page views and clicks, few purchases and errors.
fn event(random: &mut Random) -> String {
    let user = 10_000 + random.below(50_000);
    let (kind, data) = match random.below(100) {
        0..35 => ("page_view", page_view(random, user)),
        35..62 => ("user_action", user_action(random, user)),
        62..80 => ("api_call", api_call(random)),
        80..87 => ("login", login(random, user)),
        87..91 => ("purchase", purchase(random, user)),
        91..93 => ("signup", signup(random, user)),
        93..97 => ("system_event", system_event(random)),
        _ => ("error_event", error_event(random)),
    };
    format!(r#"{{"type":"{kind}","source":"{SOURCE}","data":{{{data}}}}}"#)
}

fn page_view(random: &mut Random, user: u64) -> String {
    let (session, page, referrer, load) =
        (random.below(1 << 30), random.pick(&PAGES), random.pick(&PAGES), 40 + random.below(900));
    format!(
        r#""user_id":"{user}","session_id":"s{session:08x}","page":"{page}","referrer":"{referrer}","load_time_ms":{load}"#
    )
}

fn user_action(random: &mut Random, user: u64) -> String {
    let (action, page, element, x, y) =
        (random.pick(&ACTIONS), random.pick(&PAGES), random.pick(&ELEMENTS), random.below(1920), random.below(1080));
    format!(
        r#""user_id":"{user}","action":"{action}","page":"{page}","metadata":{{"element":"{element}","x":{x},"y":{y}}}"#
    )
}

fn api_call(random: &mut Random) -> String {
    let (method, path) = (random.pick(&["GET", "GET", "GET", "POST", "DELETE"]), random.pick(&PATHS));
    let (status, millis, bytes) =
        (random.pick(&["200", "200", "200", "201", "404"]), random.below(400), random.below(20_000));
    format!(r#""method":"{method}","path":"{path}","status":{status},"duration_ms":{millis},"response_bytes":{bytes}"#)
}

fn login(random: &mut Random, user: u64) -> String {
    let (method, passed) = (random.pick(&["password", "oauth", "passkey"]), random.below(20) > 0);
    let (third, fourth) = (random.below(256), random.below(256));
    format!(r#""user_id":"{user}","method":"{method}","success":{passed},"ip":"203.0.{third}.{fourth}""#)
}

fn purchase(random: &mut Random, user: u64) -> String {
    let (order, euros, cents, items) =
        (random.below(1 << 30), 5 + random.below(400), random.below(100), 1 + random.below(6));
    format!(
        r#""user_id":"{user}","order_id":"o{order:08x}","amount":{euros}.{cents:02},"currency":"EUR","items":{items}"#
    )
}

fn signup(random: &mut Random, user: u64) -> String {
    let (plan, country) = (random.pick(&["free", "pro", "team"]), random.pick(&COUNTRIES));
    format!(r#""user_id":"{user}","plan":"{plan}","country":"{country}""#)
}

fn system_event(random: &mut Random) -> String {
    let (host, cpu, memory) = (random.pick(&HOSTS), random.below(1000), 512 + random.below(7000));
    format!(r#""host":"{host}","event":"resource_sample","cpu_percent":{}.{},"memory_mb":{memory}"#, cpu / 10, cpu % 10)
}

fn error_event(random: &mut Random) -> String {
    let (service, trace) = (random.pick(&["checkout", "search", "auth"]), random.below(1 << 30));
    let message = random.pick(&["upstream timed out", "connection reset by peer", "invalid coupon code"]);
    format!(r#""service":"{service}","message":"{message}","trace_id":"t{trace:08x}","retryable":true"#)
}

/// The bodies of one size, made before the load begins. A body is a JSON array of consecutive variants.
#[derive(Debug)]
pub(super) struct Bodies {
    events: u64,
    bodies: Vec<Arc<[u8]>>,
    next: usize,
}

impl Bodies {
    /// Bodies of each size; equal sizes share theirs.
    pub(super) fn of_sizes(sizes: [u64; 2]) -> Vec<Self> {
        let mut random = Random::new(SEED);
        let variants: Vec<String> = (0..VARIANTS).map(|_| event(&mut random)).collect();
        let mut sizes = sizes.to_vec();
        sizes.dedup();
        sizes.into_iter().map(|events| Self::new(&variants, events)).collect()
    }

    fn new(variants: &[String], events: u64) -> Self {
        let events_each = usize::try_from(events).unwrap_or(1).max(1);
        let count = (VARIANTS / events_each).max(MIN_BODIES);
        let body = |index: usize| {
            let mut consecutive = variants.iter().cycle().skip(index * VARIANTS / count);
            let mut body = String::new();
            push_list(&mut body, events_each, |body| body.push_str(consecutive.next().map_or("", String::as_str)));
            Arc::from(body.into_bytes())
        };
        Self { events, bodies: (0..count).map(body).collect(), next: 0 }
    }

    /// The number of events in each body.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Returns the next body in turn.
    pub(super) fn next(&mut self) -> Option<Arc<[u8]>> {
        self.next = (self.next + 1) % self.bodies.len();
        self.bodies.get(self.next).cloned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;

    const TYPES: [&str; 8] =
        ["api_call", "error_event", "login", "page_view", "purchase", "signup", "system_event", "user_action"];

    #[test]
    fn bodies_are_json_of_events_of_all_types() {
        let mut types = BTreeSet::new();
        for mut bodies in Bodies::of_sizes([1, 1000]) {
            for _ in 0..bodies.bodies.len() {
                let body: serde_json::Value = serde_json::from_slice(&bodies.next().unwrap()).unwrap();
                let events = body.as_array().unwrap();
                assert_eq!(events.len() as u64, bodies.events());
                for event in events {
                    assert_eq!(event["source"], "load_test");
                    assert!(event["data"].as_object().unwrap().len() >= 3);
                    types.insert(event["type"].as_str().unwrap().to_owned());
                }
            }
        }
        assert_eq!(types.into_iter().collect::<Vec<_>>(), TYPES);
    }

    #[test]
    fn they_differ_and_their_memory_is_bounded() {
        for sizes in [[1, 1], [7, 8], [500, 501], [1000, 1000]] {
            let all = Bodies::of_sizes(sizes);
            let bodies: Vec<_> = all.iter().flat_map(|bodies| &bodies.bodies).collect();
            assert_eq!(bodies.iter().collect::<BTreeSet<_>>().len(), bodies.len());
            assert!(bodies.iter().map(|body| body.len()).sum::<usize>() < 8 << 20, "{sizes:?}");
        }
    }
}
