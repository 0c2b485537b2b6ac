//! Bounds: memory, whatever the load, and how many streams there may be.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod allocator;
#[path = "../common/mod.rs"]
mod common;
mod held;
mod limits;
mod memory;
