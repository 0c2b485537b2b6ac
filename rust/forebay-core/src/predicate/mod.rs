//! Choosing records by a predicate in CEL (Common Expression Language, github.com/google/cel-spec).

mod bind;
mod check;
mod compare;
mod decimal;
mod filter;
mod json;
mod meter;
mod truth;
mod walk;

pub use check::{MAX_CONCATENATIONS, MAX_DEPTH, MAX_NODES};
pub use filter::{Filter, MAX_EXPRESSION_BYTES};
pub use meter::MAX_STEPS;
