//! Synthetic load from inside the engine: an open loop of events that take the way of every request, from admission to
//! the acknowledgement.

mod body;
mod load_test;
mod report;
mod run;
mod sender;
mod spec;

pub use load_test::LoadTest;
pub use report::{LoadTestReport, LoadTestState};
pub use run::MAX_IN_FLIGHT;
pub(crate) use sender::Submit;
pub use spec::{LoadTestSpec, MAX_EVENTS_PER_SECOND, MAX_SECONDS};
