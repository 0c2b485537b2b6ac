//! Every recovery branch, one damage at a time: what is not damaged is served, what is damaged is named, and nothing is
//! lost silently.
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
mod crash;
mod directory;
mod flip;
mod journal;
mod recycled;
mod segment;
mod spill;
mod state;
