//! Choosing records by a predicate in CEL (Common Expression Language, github.com/google/cel-spec).

mod bind;
mod check;
mod compare;
mod compile;
mod constant;
mod decimal;
mod evaluation;
mod failure;
mod field_test;
mod filter;
mod interpreted;
mod json;
mod meter;
mod number;
mod operand;
mod plan;
mod position;
mod truth;
mod view;
mod walk;

pub use check::{MAX_CONCATENATIONS, MAX_DEPTH, MAX_NODES};
pub use evaluation::Evaluation;
pub use failure::{Failure, MAX_FAILURE_BYTES};
pub use filter::{Filter, MAX_EXPRESSION_BYTES};
pub use meter::MAX_STEPS;
