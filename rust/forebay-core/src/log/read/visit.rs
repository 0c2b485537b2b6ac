//! Looking at stored records where they stand, without a copy.

use super::reading::Taker;
use super::record_batch::Gap;
use crate::ids::{Offset, Timestamp};
use crate::record::Record;

/// A stored record, borrowed from the ring or from a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visited<'a> {
    /// Its offset.
    pub offset: Offset,
    /// When its commit was gathered, in the log's time; of a sealed record, when the newest of its block's was.
    pub append_time: Timestamp,
    /// The record.
    pub record: Record<'a>,
    /// The record as it is stored: to be copied, it need not be encoded again.
    pub stored: &'a [u8],
}

/// The end of a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Visit {
    /// Where the next one goes on.
    pub next_offset: Offset,
    /// Committed records that cannot be read any more, between the first offset and the next one, in order.
    pub gaps: Vec<Gap>,
    /// How many records were given.
    pub records: usize,
    /// Their encoded bytes.
    pub bytes: usize,
}

/// Gives each record on.
pub(super) struct Visitor<'a>(pub(super) &'a mut dyn FnMut(Visited<'_>));

impl Taker for Visitor<'_> {
    fn take(&mut self, record: Visited<'_>, _at: usize) {
        (self.0)(record);
    }

    fn take_bytes(&mut self, _bytes: &[u8]) {}
}
