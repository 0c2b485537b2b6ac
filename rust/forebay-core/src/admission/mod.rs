//! Who may come in: bytes are budgeted before anything is parsed.

mod budget;

pub use budget::{Budget, Permit};
