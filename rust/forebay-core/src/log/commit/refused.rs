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
