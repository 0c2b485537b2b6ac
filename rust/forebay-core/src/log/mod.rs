//! The partitioned ring-buffer log.

pub mod commit;
pub mod dedup;
pub mod journal;
pub mod read;
mod recovery;
pub mod repair;
pub mod retention;
pub mod segment;
pub mod state;
mod stream_admin;

pub(crate) use recovery::{Recovered, Recovery};
pub use stream_admin::StreamAdmin;
