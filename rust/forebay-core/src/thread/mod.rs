//! The engine's threads, and how they wake each other.

mod event_queue;
mod notify;
mod spawn;

pub use event_queue::Inbox;
pub(crate) use notify::Bell;
pub(crate) use spawn::{OnPanic, join, spawn};
