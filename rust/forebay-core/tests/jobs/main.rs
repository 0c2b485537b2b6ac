//! Durable jobs: what each call promises, and all of them against a model.
#![allow(
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_debug_implementations
)]

#[path = "../common/mod.rs"]
mod common;
mod model;
mod promises;
mod recovery;
