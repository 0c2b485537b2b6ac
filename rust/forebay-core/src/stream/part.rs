//! The part of a stream that one segment file holds: a row of the segments table.

use super::segment_name::SegmentName;
use crate::bytes::{u32_at, u64_at};
use crate::ids::{Generation, Offset, PartitionId, StreamId, Timestamp};
use crate::table::number_key;

/// A stream's records in one segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPart {
    /// The file.
    pub name: SegmentName,
    /// Bytes of this stream's blocks in the file.
    pub stored_bytes: u64,
    /// Their records' bytes before compression.
    pub raw_bytes: u64,
    /// When the newest record was appended.
    pub newest_append: Timestamp,
    /// When the oldest record was appended, as far as it is known: not later than `newest_append`.
    pub oldest_append: Timestamp,
    /// Per partition: the first offset, and how many records.
    pub spans: Vec<(PartitionId, Offset, u64)>,
}

/// One block of a file, as a part counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSpan {
    /// The records' partition.
    pub partition: PartitionId,
    /// The first record's offset.
    pub base: Offset,
    /// Number of records.
    pub records: u64,
    /// Bytes in the file, the block's header included.
    pub stored_bytes: u64,
    /// The records' bytes before compression.
    pub raw_bytes: u64,
    /// When the newest record was appended.
    pub newest_append: Timestamp,
}

const SPAN_BYTES: usize = 20;
const FIXED_BYTES: usize = 24;
const OLDEST_BYTES: usize = 8;

impl SegmentPart {
    /// Makes an empty part.
    #[must_use]
    pub fn new(name: SegmentName) -> Self {
        Self {
            name,
            stored_bytes: 0,
            raw_bytes: 0,
            newest_append: Timestamp(i64::MIN),
            oldest_append: Timestamp(i64::MAX),
            spans: Vec::new(),
        }
    }

    /// Takes in blocks, in the order of their partitions and offsets. Where offsets are missing a span ends, so a
    /// partition with holes has several.
    pub fn add_blocks(&mut self, blocks: impl Iterator<Item = BlockSpan>) {
        for block in blocks {
            self.stored_bytes += block.stored_bytes;
            self.raw_bytes += block.raw_bytes;
            self.newest_append = self.newest_append.max(block.newest_append);
            self.oldest_append = self.oldest_append.min(block.newest_append);
            match self.spans.last_mut() {
                Some((partition, base, records))
                    if *partition == block.partition && base.plus(*records) == block.base =>
                {
                    *records += block.records;
                }
                Some(_) | None => self.spans.push((block.partition, block.base, block.records)),
            }
        }
    }

    /// Takes note of when a record of it was appended: blocks only know it of their newest.
    pub(crate) fn appended_at(&mut self, append: Timestamp) {
        self.oldest_append = self.oldest_append.min(append);
    }

    /// Returns the row's key: stream u32, generation u64, ordinal u64.
    #[must_use]
    pub fn key(&self, stream: StreamId) -> Vec<u8> {
        number_key(stream.0, &[self.name.generation.0, self.name.ordinal.into()])
    }

    /// Returns the row's value: stored bytes u64, raw bytes u64, newest append i64, then per partition: partition u32,
    /// first offset u64, records u64; then oldest append i64.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_bytes());
        for number in [self.stored_bytes, self.raw_bytes, self.newest_append.0.cast_unsigned()] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for (partition, base, records) in &self.spans {
            out.extend_from_slice(&partition.0.to_le_bytes());
            out.extend_from_slice(&base.0.to_le_bytes());
            out.extend_from_slice(&records.to_le_bytes());
        }
        out.extend_from_slice(&self.oldest_append.0.to_le_bytes());
        out
    }

    /// Returns how many bytes [`SegmentPart::encode`] makes.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        FIXED_BYTES + self.spans.len() * SPAN_BYTES + OLDEST_BYTES
    }

    /// Returns the segment that a row's key names, after the stream's number.
    #[must_use]
    pub fn name_of(key: &[u8]) -> Option<SegmentName> {
        let (generation, ordinal) = key.split_first_chunk::<8>()?;
        let ordinal = u64::from_be_bytes(*ordinal.first_chunk::<8>()?);
        let generation = Generation(u64::from_be_bytes(*generation));
        Some(SegmentName { generation, ordinal: u32::try_from(ordinal).ok()? })
    }

    /// Reads a row: its key after the stream's number, and its value. One that does not say when its oldest record was
    /// appended is of a file as it was sealed: within a tenth of the retention, all of it was appended at once.
    #[must_use]
    pub fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let spans = value.get(FIXED_BYTES..)?.chunks_exact(SPAN_BYTES);
        let newest_append = Timestamp(u64_at(value, 16)?.cast_signed());
        let oldest = u64_at(spans.remainder(), 0).map(|bits| Timestamp(bits.cast_signed()));
        let span = |bytes| Some((PartitionId(u32_at(bytes, 0)?), Offset(u64_at(bytes, 4)?), u64_at(bytes, 12)?));
        Some(Self {
            name: Self::name_of(key)?,
            stored_bytes: u64_at(value, 0)?,
            raw_bytes: u64_at(value, 8)?,
            newest_append,
            oldest_append: oldest.map_or(newest_append, |oldest| oldest.min(newest_append)),
            spans: spans.map(span).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_and_so_does_one_of_before_merging() {
        let name = SegmentName { generation: Generation(7), ordinal: 1024 };
        let spans = vec![(PartitionId(0), Offset(5), 6), (PartitionId(3), Offset(0), 1)];
        let (newest_append, oldest_append) = (Timestamp(200), Timestamp(100));
        let part = SegmentPart { name, stored_bytes: 1, raw_bytes: 2, newest_append, oldest_append, spans };
        let (key, value) = (part.key(StreamId(9)), part.encode());
        assert_eq!(value.len(), part.encoded_bytes());
        assert_eq!(SegmentPart::decode(&key[4..], &value).as_ref(), Some(&part));
        let older = SegmentPart::decode(&key[4..], &value[..value.len() - OLDEST_BYTES]);
        assert_eq!(older, Some(SegmentPart { oldest_append: newest_append, ..part }));
    }
}
