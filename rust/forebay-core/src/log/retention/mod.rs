//! Deletes what is too old or too much, and what deleted streams leave.

mod deletion;
mod discard;
mod retention;

pub(crate) use deletion::leftovers;
pub(crate) use retention::{Keeps, Retention};
