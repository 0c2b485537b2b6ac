//! Tests of `src/ingest`, one module a source file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod drain;
mod json;
mod parsed;
mod path_set;
mod timestamp;
