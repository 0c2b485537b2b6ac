//! Stream processors, by what an engine's caller sees of them: results on a stream, and what is left after a crash.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects")]
#![allow(missing_debug_implementations, unreachable_pub)]

mod closes;
#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod functions;
mod letters;
mod lifecycle;
mod limits;
mod reference;
mod results;
mod room;
mod succession;
mod views;
mod world;
