//! Searching blocks of columns without making records of them.
//!
//! A condition is asked of a block's dictionaries and templates first, which answer for all of their rows at once; then of
//! the arrays of numbers; texts are put together only where neither can tell. Every answer is exact: it is what the matcher
//! would say of each record, which a test compares.

mod block;
mod rows;
mod templates;
mod texts;
mod wanted;

pub(super) use block::{Broken, ColumnBlock, Found};
