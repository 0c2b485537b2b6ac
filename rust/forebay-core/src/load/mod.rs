//! Load generation: the schedule of requests, their outcomes, and the loop that sends them. The engine's own load test
//! sends into the engine, `forebay-load` sends over HTTP; both implement [`Sender`].
//!
//! Latencies are free of coordinated omission (Tene, "How NOT to Measure Latency", 2013): in an open loop they count
//! from the time at which a request was due, however late it was sent.

mod generator;
mod list;
mod schedule;
mod tally;

pub use crate::random::Random;
pub use generator::{Generator, Sender};
pub use list::push_list;
pub use schedule::{Arrivals, Due, EventRatio, Schedule};
pub use tally::{Amount, Anchor, LoadTally, Outcome};
