//! Log search: what it finds is what a look at every event finds, wherever the events are stored.
#![allow(
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_debug_implementations
)]

mod bounds;
mod columns;
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod event;
mod exports;
mod fields;
mod pages;
mod query;
mod reference;
mod storage;
mod world;
