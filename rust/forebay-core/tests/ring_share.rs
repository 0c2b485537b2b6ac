//! The share of the ring that one token may hold, over all its streams, while others ask.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::{open, sealing_soon, small, until, wait_sealed};
use forebay_core::ingest::route;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Completer, CompletionId, Encoding, Engine, ErrorKind, RateLimiter, Receipt, Request, Result};

/// Small enough to be parsed where it comes in, so that what is admitted is charged with what it takes in the end.
const VALUE_BYTES: usize = 3_000;
/// Less than this is left when the next event is refused.
const ALMOST: u64 = 8 * VALUE_BYTES as u64;

/// Whoever does not wait for the outcome.
#[derive(Debug)]
struct Nobody;

impl Completer for Nobody {
    fn complete(&self, _: CompletionId, _: Result<Receipt>) {}

    fn wake(&self) {}
}

fn event(stream: &str, limiter: Option<&Arc<RateLimiter>>) -> Request {
    let body = format!(r#"{{"value":"{}"}}"#, "x".repeat(VALUE_BYTES));
    Request {
        stream: Some(stream.to_owned()),
        limiter: limiter.cloned(),
        ..Request::new(&route::PUBLISH, Box::new(body.into_bytes()))
    }
}

fn ready(storage: &Faulty) -> Engine {
    let engine = open(storage, &small()).unwrap();
    for stream in ["a", "b", "c"] {
        engine.create_stream(stream, 1).unwrap();
    }
    engine
}

/// Sends to each of the streams until it is refused; returns how much the ring was charged, and the last refusal.
fn flood(engine: &Engine, streams: &[&str], limiter: Option<&Arc<RateLimiter>>) -> (u64, String) {
    let before = engine.report().ring_used_bytes;
    let mut why = String::new();
    for stream in streams {
        why = loop {
            if let Err(error) = engine.submit(event(stream, limiter), Arc::new(Nobody), CompletionId(0)) {
                assert_eq!(error.kind(), ErrorKind::Saturated);
                break error.detail().to_owned();
            }
        };
    }
    (engine.report().ring_used_bytes - before, why)
}

#[test]
fn one_token_holds_half_of_the_ring_over_all_its_streams_while_another_asks() {
    let storage = Faulty::new(1);
    let engine = ready(&storage);
    let (greedy, modest) = (RateLimiter::new("greedy"), RateLimiter::new("modest"));
    engine.ingest(event("c", Some(&modest))).unwrap();
    storage.stall_syncs(true);
    let (held, why) = flood(&engine, &["a", "b"], Some(&greedy));
    let (other, _) = flood(&engine, &["c", "a"], Some(&modest));
    storage.stall_syncs(false);
    let half = engine.report().ring_limit_bytes / 2;
    assert!(held <= half, "one token holds {held} bytes, more than {half}");
    assert!(held + ALMOST > half, "it gets its half, not {held}");
    assert!(why.contains("the token \"greedy\"") && why.contains("half of the ring"), "{why}");
    assert!(other + ALMOST > half, "the other half is free for others, who got {other}");
}

#[test]
fn one_token_alone_and_senders_without_one_may_fill_the_ring() {
    for limiter in [None, Some(RateLimiter::new("only"))] {
        let storage = Faulty::new(2);
        let engine = ready(&storage);
        storage.stall_syncs(true);
        let (held, why) = flood(&engine, &["a", "b"], limiter.as_ref());
        storage.stall_syncs(false);
        assert!(held + ALMOST > engine.report().ring_limit_bytes, "{held}");
        assert_eq!(why, "server saturated");
    }
}

/// A share is given back when the records are sealed, however their requests end, and until then it is held.
#[test]
fn what_is_sealed_is_given_back_to_the_token() {
    let engine = open(&Faulty::new(3), &sealing_soon()).unwrap();
    engine.create_stream("a", 1).unwrap();
    let limiter = RateLimiter::new("shop");
    engine.ingest(event("a", Some(&limiter))).unwrap();
    let invalid = Request { limiter: Some(limiter.clone()), ..Request::new(&route::DRAIN, Box::new(b"{".to_vec())) };
    assert_eq!(engine.ingest(invalid).unwrap_err().kind(), ErrorKind::Malformed);
    let packed = Request { encoding: Encoding::Gzip, ..event("a", Some(&limiter)) };
    assert_eq!(engine.ingest(packed).unwrap_err().kind(), ErrorKind::Malformed);
    wait_sealed(&engine);
    until("the token's share is given back", || limiter.held() == 0);
    assert_eq!(engine.report().ring_used_bytes, 0);
}
