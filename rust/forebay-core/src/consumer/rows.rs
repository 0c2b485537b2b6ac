//! Groups and their offsets as they are stored: rows of two tables.

use serde::{Deserialize, Serialize};

use crate::ids::{Offset, PartitionId, StreamId};
use crate::table::{Table, TableOp};

/// A group's row, stored as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupRow {
    /// When the group was created, microseconds since 1970 UTC.
    pub(crate) created_us: i64,
    /// A call of the group not long before its last one, in the log's time, from which idleness counts after a restart.
    pub(crate) used_us: i64,
}

impl GroupRow {
    pub(crate) fn put(self, group: &str) -> TableOp {
        // A struct of numbers always serialises.
        TableOp::put(Table::Groups, group, serde_json::to_vec(&self).unwrap_or_default())
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }
}

/// One committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) stream: StreamId,
    pub(crate) partition: PartitionId,
    pub(crate) offset: Offset,
}

impl Committed {
    pub(crate) fn put(self, group: &str) -> TableOp {
        TableOp::put(Table::Offsets, offset_key(group, self.stream, self.partition), self.offset.0.to_le_bytes())
    }

    /// Reads the value of a row.
    fn decode(stream: StreamId, partition: PartitionId, value: &[u8]) -> Option<Self> {
        Some(Self { stream, partition, offset: Offset(u64::from_le_bytes(*value.first_chunk()?)) })
    }
}

/// The position where a group began to read a partition of which it has committed nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) stream: StreamId,
    pub(crate) partition: PartitionId,
    pub(crate) offset: Offset,
    /// True if it began at the first record that was kept, and follows that when retention moves it.
    pub(crate) floats: bool,
}

/// The last byte of a row that says where a group began. The row of a committed offset has none.
const BEGUN_FLOATING: u8 = 1;
const BEGUN_FIXED: u8 = 2;

impl Begun {
    pub(crate) fn put(self, group: &str) -> TableOp {
        let mut value = self.offset.0.to_le_bytes().to_vec();
        value.push(if self.floats { BEGUN_FLOATING } else { BEGUN_FIXED });
        TableOp::put(Table::Offsets, offset_key(group, self.stream, self.partition), value)
    }
}

/// A row of the table of offsets. A partition has one: the commit takes the place of the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetRow {
    Committed(Committed),
    Begun(Begun),
}

impl OffsetRow {
    /// Returns the group, and what the row says of it.
    pub(crate) fn decode<'a>(key: &'a [u8], value: &[u8]) -> Option<(&'a str, Self)> {
        let (group, place) = key.split_at_checked(key.len().checked_sub(9)?)?;
        let &[0, s0, s1, s2, s3, p0, p1, p2, p3] = place else { return None };
        let stream = StreamId(u32::from_be_bytes([s0, s1, s2, s3]));
        let partition = PartitionId(u32::from_be_bytes([p0, p1, p2, p3]));
        let committed = Committed::decode(stream, partition, value)?;
        let begun = |floats| Self::Begun(Begun { stream, partition, offset: committed.offset, floats });
        let row = match value.get(8) {
            None => Self::Committed(committed),
            Some(&BEGUN_FLOATING) => begun(true),
            Some(&BEGUN_FIXED) => begun(false),
            Some(_) => return None,
        };
        Some((std::str::from_utf8(group).ok()?, row))
    }
}

/// Deletes a partition's row, whichever it is.
pub(crate) fn delete_offset(group: &str, stream: StreamId, partition: PartitionId) -> TableOp {
    TableOp::delete(Table::Offsets, offset_key(group, stream, partition))
}

/// Group name, 0, stream u32, partition u32. A group's name has no zero byte.
fn offset_key(group: &str, stream: StreamId, partition: PartitionId) -> Vec<u8> {
    let mut key = Vec::with_capacity(group.len() + 9);
    key.extend_from_slice(group.as_bytes());
    key.push(0);
    key.extend_from_slice(&stream.0.to_be_bytes());
    key.extend_from_slice(&partition.0.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let committed = Committed { stream: StreamId(7), partition: PartitionId(1023), offset: Offset(u64::MAX) };
        let TableOp { key, value, .. } = committed.put("a.group");
        let decoded = OffsetRow::decode(&key, &value.unwrap_or_default());
        assert_eq!(decoded, Some(("a.group", OffsetRow::Committed(committed))));
        assert_eq!(OffsetRow::decode(&key[1..8], &[0; 8]), None);
        assert_eq!(OffsetRow::decode(&key, &[0; 7]), None);
        assert_eq!(OffsetRow::decode(&key, &[0; 9]), None);
        for floats in [false, true] {
            let begun = Begun { stream: StreamId(7), partition: PartitionId(1023), offset: Offset(9), floats };
            let TableOp { key: same, value, .. } = begun.put("a.group");
            assert_eq!(same, key, "one row a partition");
            let decoded = OffsetRow::decode(&key, &value.unwrap_or_default());
            assert_eq!(decoded, Some(("a.group", OffsetRow::Begun(begun))));
        }
        let row = GroupRow { created_us: -1, used_us: 5 };
        assert_eq!(GroupRow::decode(&row.put("g").value.unwrap_or_default()), Some(row));
    }
}
