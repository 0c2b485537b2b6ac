//! Event shapes: from a request body to records.

mod drain;
pub mod events;
mod fields;
mod inflate;
mod integer;
mod list;
mod parsed;
mod parser;
mod plan;
mod pool;
mod problem;
pub mod publish;
mod quarantine;
mod request;
pub mod track;
mod worker;

pub use drain::{MAX_EVENTS_PER_BODY, parse_drain};
pub use inflate::{Encoding, inflate};
pub use parsed::{InvalidEvent, OnInvalid, Parsed};
pub(crate) use parser::Parser;
pub use plan::ResponsePlan;
pub(crate) use pool::WorkerPool;
pub use quarantine::{MAX_NAMED_EVENTS, MAX_REASON_BYTES, QuarantinePlan};
pub(crate) use request::Job;
pub use request::{Body, Intended, PayloadFormat, Request};
pub(crate) use worker::JobQueue;
