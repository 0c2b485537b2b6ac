//! Functions that users have written: a batch of values in, what each of them becomes out. They run in worker processes,
//! which are killed when they hang and started anew when they end, or in the process that opened the engine.
//!
//! The bodies of calls and answers are the same for both. Numbers are 32 bits, little-endian:
//!
//! - a call: the length of the name, the name, the number of values, and the values as a JSON array;
//! - an answer: the length of the failures, the failures as a JSON array of `[index, "text"]` in the order of the
//!   indices, and a JSON array of as many results as values: null for none, an array for several, or one value.
//!
//! A worker process has them as frames, a length before each, on its standard input and output. Its first frame is a
//! JSON object: `protocol`, the names of its `functions`, and `error` when it cannot run any.

mod answer;
mod call;
mod call_queue;
mod functions;
mod hello;
mod options;
mod process;
mod worker;

pub(crate) use answer::{Answer, FunctionResult};
pub(crate) use call::{Call, Values, Waker};
pub(crate) use functions::Functions;
pub use functions::{CallTicket, LocalCalls};
pub use options::FunctionOptions;
