//! Makes the answer to a request, once its commit is done.

use std::fmt::Debug;
use std::sync::Arc;

use super::append::Receipt;
use crate::error::Result;

/// Makes the answer to one request from the receipt of its commit. Whoever parses a request implements it, so that the
/// log knows of no API. The same request has an equal one when it is repeated.
pub trait Respond: Debug + Send + Sync {
    /// The answer: its status and body.
    ///
    /// # Errors
    /// `IdempotencyMismatch` when a repeat would be accepted otherwise than the first request was, because limits were
    /// changed in between.
    fn respond(&self, receipt: &Receipt) -> Result<(u16, Vec<u8>)>;

    /// How many results are yet to be written into the answer, which tells how long it takes.
    fn results(&self) -> usize {
        1
    }
}

/// A [`Respond`] on its way from the parser of a request to its answer.
#[derive(Clone, Debug)]
pub enum Responder {
    /// Serves every request alike, and takes no memory of its own.
    Constant(&'static dyn Respond),
    /// Knows what one request asked for.
    OfRequest(Arc<dyn Respond>),
}

impl Responder {
    /// One that knows what its request asked for.
    pub fn new(respond: impl Respond + 'static) -> Self {
        Self::OfRequest(Arc::new(respond))
    }
}

impl Respond for Responder {
    fn respond(&self, receipt: &Receipt) -> Result<(u16, Vec<u8>)> {
        match self {
            Self::Constant(respond) => respond.respond(receipt),
            Self::OfRequest(respond) => respond.respond(receipt),
        }
    }

    fn results(&self) -> usize {
        match self {
            Self::Constant(respond) => respond.results(),
            Self::OfRequest(respond) => respond.results(),
        }
    }
}
