//! Strict JSON (RFC 8259) over a byte slice, without a tree and without recursion.
//!
//! Stricter than the RFC where senders disagree: nesting to [`MAX_DEPTH`] only, no lone surrogates, no byte order mark.
//! Numbers are checked for their grammar and never converted. Duplicate keys are the business of the caller.
//!
//! [`Scanner`] is for what comes in; [`PathSet`] finds fields of what was checked then.

mod decimal;
mod elements;
mod error;
mod lookup;
mod minify;
mod number;
mod path_set;
mod scalars;
mod scanner;
mod spans;
mod string;

pub(crate) use decimal::{Decimal, read_exponent};
pub use elements::elements;
pub use error::{JsonError, JsonFault};
pub use lookup::Lookup;
pub use minify::minify;
pub use path_set::{PathId, PathSet};
pub(crate) use path_set::{end_of_space, quoted};
pub(crate) use scalars::{Scalar, each_scalar};
pub use scanner::{MAX_DEPTH, Scanner, validate};
pub use spans::Spans;
pub use string::JsonStr;
pub(crate) use string::find_special;
