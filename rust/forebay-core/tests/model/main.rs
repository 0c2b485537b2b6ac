//! The log against a model: whatever is sent, sealed, deleted, killed, switched off, refused or damaged on the way to
//! the disk, what was acknowledged is there once, where its receipt says, and nothing is there by halves.
//!
//! `FOREBAY_MODEL_CASES` sets how many cases are run, and `FOREBAY_MODEL_SEED` begins with another one.
#![allow(
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_debug_implementations
)]

#[path = "../common/mod.rs"]
mod common;
mod ops;
mod quarantine;
mod world;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// The number of cases that continuous integration can afford.
const CASES: u32 = 80;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

fn run(case: &ops::Case) {
    let mut world = world::World::new(case);
    for op in &case.ops {
        world.run(op);
    }
    world.finish();
}

#[test]
fn the_log_keeps_its_promises() {
    let seed = number("FOREBAY_MODEL_SEED").unwrap_or_else(rand_seed);
    let cases = number("FOREBAY_MODEL_CASES").map_or(CASES, |cases| u32::try_from(cases).unwrap());
    let config = Config {
        cases,
        max_shrink_iters: 300,
        max_shrink_time: 60_000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&ops::case(), |case| {
        // A panic of another thread than the test's is one of the engine's: the case fails by what it leads to.
        std::panic::catch_unwind(|| run(&case)).map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            TestCaseError::fail(text.unwrap_or_default())
        })
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, case)) => {
            panic!(
                "FOREBAY_MODEL_SEED={seed}: {reason}\nsmallest failing case (threads may interleave otherwise): {case:#?}"
            )
        }
        Err(TestError::Abort(reason)) => panic!("FOREBAY_MODEL_SEED={seed}: {reason}"),
    }
}

fn rand_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::from(now.subsec_nanos()) ^ now.as_secs() << 32)
}
