//! The way of an append to stable storage: the queue, the one thread that commits, the receipt.

mod append;
mod committer;
mod counted_request;
mod delay;
mod encode;
mod footprint;
mod level;
mod queue;
mod refused;
mod respond;
mod waiter;

pub(crate) use append::Append;
pub use append::{Completer, Placed, Receipt, Reply};
pub(crate) use committer::{Committer, Wiring};
pub use counted_request::CountedRequest;
pub(crate) use encode::{Destination, Encoded, EncodedRun, Placement, encode, gather};
pub(crate) use footprint::{BATCH_OVERHEAD_BYTES, batch_bytes};
pub use level::Level;
pub(crate) use queue::{CommitQueue, OPS_BYTES};
pub(crate) use refused::Refused;
pub use respond::{Respond, Responder};
pub use waiter::Waiter;

#[cfg(test)]
mod tests;
