//! Where a record stands among all others, and the cursor that names it.

use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId, StreamId, Timestamp};
use crate::log::segment::BlockRow;

/// A record's place. The largest is the newest: by event time, then partition and offset, so that there is one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) time: Timestamp,
    pub(super) partition: PartitionId,
    pub(super) offset: Offset,
}

impl Place {
    /// Returns the place of a record of a block: how many come before it, and its time.
    pub(super) fn in_block(row: &BlockRow, index: usize, time: Timestamp) -> Self {
        Self { time, partition: row.partition, offset: row.base.plus(index as u64) }
    }

    /// Returns the cursor that goes on behind it.
    pub(super) fn cursor(self, stream: StreamId) -> String {
        let Self { time, partition, offset } = self;
        format!("{:x}-{:x}-{:x}-{:x}", stream.0, time.0.cast_unsigned(), partition.0, offset.0)
    }

    /// Reads a cursor.
    ///
    /// # Errors
    /// `InvalidRequest` for what no page has given, and for one of another stream.
    pub(super) fn of_cursor(cursor: &str, stream: StreamId) -> Result<Self> {
        let refused = |why: &str| {
            let detail = format!("cursor: {why}; begin again without one");
            Error::new(ErrorKind::InvalidRequest, detail)
        };
        let mut numbers = cursor.split('-').map(|number| u64::from_str_radix(number, 16).ok());
        let mut next = || numbers.next().flatten();
        let read = (|| {
            let (of, time) = (u32::try_from(next()?).ok()?, Timestamp(next()?.cast_signed()));
            let (partition, offset) = (PartitionId(u32::try_from(next()?).ok()?), Offset(next()?));
            Some((StreamId(of), Self { time, partition, offset }))
        })();
        let Some((of, place)) = read.filter(|(of, place)| place.cursor(*of) == cursor) else {
            return Err(refused("is none that a page gave"));
        };
        if of == stream { Ok(place) } else { Err(refused("is of a stream that was deleted")) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use super::*;

    #[test]
    fn a_cursor_is_the_place_and_nothing_else_is_one() {
        let place = |time| Place { time: Timestamp(time), partition: PartitionId(3), offset: Offset(u64::MAX) };
        for time in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(Place::of_cursor(&place(time).cursor(StreamId(7)), StreamId(7)), Ok(place(time)));
        }
        let cursor = place(5).cursor(StreamId(7));
        let detail = |cursor: &str, stream| Place::of_cursor(cursor, StreamId(stream)).unwrap_err().detail().to_owned();
        assert_eq!(detail(&cursor, 8), "cursor: is of a stream that was deleted; begin again without one");
        for other in ["", "7", "7-5-3", "+7-5-3-0", "7-5-3-0-", "07-5-3-0", "7-5-3-g", "7-5-100000000-0", "é"] {
            assert_eq!(detail(other, 7), "cursor: is none that a page gave; begin again without one", "{other}");
        }
    }

    #[test]
    fn places_are_in_the_order_of_time_partition_and_offset() {
        let place = |time, partition, offset| Place {
            time: Timestamp(time),
            partition: PartitionId(partition),
            offset: Offset(offset),
        };
        assert!(place(1, 0, 0) > place(0, 9, 9) && place(1, 2, 0) > place(1, 1, 9) && place(1, 1, 2) > place(1, 1, 1));
    }
}
