//! A request that is refused before its commit.

use super::append::Reply;
use crate::error::Error;

/// A request that was refused, and is not answered yet.
#[derive(Debug)]
pub struct Refused {
    /// The reason.
    pub error: Error,
    /// The way back to whoever waits.
    pub reply: Reply,
}

impl Refused {
    /// Returns it as results have it: in a box, since a success beside it is small.
    #[must_use]
    pub fn new(error: Error, reply: Reply) -> Box<Self> {
        Box::new(Self { error, reply })
    }
}
