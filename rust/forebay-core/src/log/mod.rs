//! The partitioned ring-buffer log.

pub mod commit;
pub mod dedup;
pub mod journal;
pub(crate) mod read;
mod recovery;
pub(crate) mod repair;
pub(crate) mod retention;
pub(crate) mod segment;
pub mod state;
mod stream_admin;
mod strictness;

pub(crate) use recovery::{Recovered, Recovery};
pub use stream_admin::StreamAdmin;
pub(crate) use strictness::Strictness;
