//! The events that a load test sends.

use std::fmt::Write;
use std::sync::Arc;

/// What the events say they come from.
const SOURCE: &str = "load_test";
/// Different events. As many as fill several blocks of a segment, so that sealing finds about what real events have in
/// common, and not the same bytes over and over.
const VARIANTS: usize = 1024;
/// Bodies of one size are at least so many, starting at different events.
const MIN_BODIES: usize = 16;

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

/// Numbers that look random, the same in each run (xorshift64*, Vigna 2016).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.get(usize::try_from(self.roll(of.len() as u64)).unwrap_or(0)).copied().unwrap_or_default()
    }
}

/// The kinds of events in the mix of a shop's site: mostly page views and clicks, few purchases and errors.
fn event(dice: &mut Dice) -> String {
    let user = 10_000 + dice.roll(50_000);
    let (kind, data) = match dice.roll(100) {
        0..35 => ("page_view", page_view(dice, user)),
        35..62 => ("user_action", user_action(dice, user)),
        62..80 => ("api_call", api_call(dice)),
        80..87 => ("login", login(dice, user)),
        87..91 => ("purchase", purchase(dice, user)),
        91..93 => ("signup", signup(dice, user)),
        93..97 => ("system_event", system_event(dice)),
        _ => ("error_event", error_event(dice)),
    };
    format!(r#"{{"type":"{kind}","source":"{SOURCE}","data":{{{data}}}}}"#)
}

fn page_view(dice: &mut Dice, user: u64) -> String {
    let (session, page, referrer, load) = (dice.roll(1 << 30), dice.one(&PAGES), dice.one(&PAGES), 40 + dice.roll(900));
    format!(
        r#""user_id":"{user}","session_id":"s{session:08x}","page":"{page}","referrer":"{referrer}","load_time_ms":{load}"#
    )
}

fn user_action(dice: &mut Dice, user: u64) -> String {
    let (action, page, element, x, y) =
        (dice.one(&ACTIONS), dice.one(&PAGES), dice.one(&ELEMENTS), dice.roll(1920), dice.roll(1080));
    format!(
        r#""user_id":"{user}","action":"{action}","page":"{page}","metadata":{{"element":"{element}","x":{x},"y":{y}}}"#
    )
}

fn api_call(dice: &mut Dice) -> String {
    let (method, path) = (dice.one(&["GET", "GET", "GET", "POST", "DELETE"]), dice.one(&PATHS));
    let (status, millis, bytes) = (dice.one(&["200", "200", "200", "201", "404"]), dice.roll(400), dice.roll(20_000));
    format!(r#""method":"{method}","path":"{path}","status":{status},"duration_ms":{millis},"response_bytes":{bytes}"#)
}

fn login(dice: &mut Dice, user: u64) -> String {
    let (method, passed) = (dice.one(&["password", "oauth", "passkey"]), dice.roll(20) > 0);
    let (third, fourth) = (dice.roll(256), dice.roll(256));
    format!(r#""user_id":"{user}","method":"{method}","success":{passed},"ip":"203.0.{third}.{fourth}""#)
}

fn purchase(dice: &mut Dice, user: u64) -> String {
    let (order, euros, cents, items) = (dice.roll(1 << 30), 5 + dice.roll(400), dice.roll(100), 1 + dice.roll(6));
    format!(
        r#""user_id":"{user}","order_id":"o{order:08x}","amount":{euros}.{cents:02},"currency":"EUR","items":{items}"#
    )
}

fn signup(dice: &mut Dice, user: u64) -> String {
    let (plan, country) = (dice.one(&["free", "pro", "team"]), dice.one(&COUNTRIES));
    format!(r#""user_id":"{user}","plan":"{plan}","country":"{country}""#)
}

fn system_event(dice: &mut Dice) -> String {
    let (host, cpu, memory) = (dice.one(&HOSTS), dice.roll(1000), 512 + dice.roll(7000));
    format!(r#""host":"{host}","event":"resource_sample","cpu_percent":{}.{},"memory_mb":{memory}"#, cpu / 10, cpu % 10)
}

fn error_event(dice: &mut Dice) -> String {
    let (service, trace) = (dice.one(&["checkout", "search", "auth"]), dice.roll(1 << 30));
    let message = dice.one(&["upstream timed out", "connection reset by peer", "invalid coupon code"]);
    format!(r#""service":"{service}","message":"{message}","trace_id":"t{trace:08x}","retryable":true"#)
}

/// Bodies of one size, made once. A body is a JSON array of consecutive variants.
#[derive(Debug)]
pub(super) struct Bodies {
    events: u64,
    bodies: Vec<Arc<[u8]>>,
    next: usize,
}

impl Bodies {
    /// Bodies of each of the sizes.
    pub(super) fn of_sizes(sizes: [u64; 2]) -> Vec<Self> {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        let variants: Vec<String> = (0..VARIANTS).map(|_| event(&mut dice)).collect();
        let mut sizes = sizes.to_vec();
        sizes.dedup();
        sizes.into_iter().map(|events| Self::new(&variants, events)).collect()
    }

    fn new(variants: &[String], events: u64) -> Self {
        let events_each = usize::try_from(events).unwrap_or(1).max(1);
        let count = (VARIANTS / events_each).max(MIN_BODIES);
        let body = |index: usize| {
            let consecutive = variants.iter().cycle().skip(index * VARIANTS / count).take(events_each);
            let mut body = String::from("[");
            for (place, event) in consecutive.enumerate() {
                let comma = if place > 0 { "," } else { "" };
                // Writing into a string cannot fail.
                let _infallible = write!(body, "{comma}{event}");
            }
            body.push(']');
            Arc::from(body.into_bytes())
        };
        Self { events, bodies: (0..count).map(body).collect(), next: 0 }
    }

    /// How many events each of them has.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// The next body in turn.
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
