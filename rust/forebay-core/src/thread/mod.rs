//! The engine's threads, and how they wake each other.

mod event_queue;
mod notify;
mod spawn;

pub use event_queue::EventQueue;
pub(crate) use notify::Notify;
pub(crate) use spawn::{OnPanic, join, spawn, spawn_several};
