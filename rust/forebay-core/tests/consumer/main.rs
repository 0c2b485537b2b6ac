//! Consumer groups: what is committed survives, what is leased is fenced, and nothing is skipped.
#![allow(
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_debug_implementations
)]

mod commit;
#[path = "../common/mod.rs"]
mod common;
mod durable;
mod faulty_reads;
mod fetch;
mod lag;
mod member;
mod model;
mod threads;
mod world;
