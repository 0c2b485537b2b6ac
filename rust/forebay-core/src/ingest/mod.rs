//! From a request to records: the routes, the formats of their bodies, and what is behind all of them.

mod answer;
mod fields;
mod formats;
mod inflate;
mod integer;
mod list;
mod parsed;
mod parser;
mod pool;
mod problem;
mod quarantine;
mod request;
pub mod route;
mod worker;

pub use formats::drain::{MAX_EVENTS_PER_BODY, parse_drain};
pub(crate) use formats::{BodyRules, EventList};
pub use formats::{events, publish, track};
pub use inflate::{Encoding, inflate};
pub use parsed::{InvalidEvent, OnInvalid, Parsed};
pub(crate) use parser::Parser;
pub(crate) use pool::WorkerPool;
pub use quarantine::{MAX_NAMED_EVENTS, MAX_REASON_BYTES};
pub(crate) use request::Job;
pub use request::{Body, Intended, Request};
pub use route::IngestRoute;
pub(crate) use worker::JobQueue;
