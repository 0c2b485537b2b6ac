//! The journal's unit: one commit is one frame, and a frame is there whole or not at all.
//!
//! A frame starts at a multiple of [`PAGE_BYTES`], so that an acknowledged page is never written again:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | magic `FBJ1` |
//! | 4..8 | CRC32C, begun with the file's salt, of bytes 8.. up to the payload |
//! | 8..16 | generation of the file |
//! | 16..24 | sequence of the commit (of the last one, for a marker or an end) |
//! | 24..32 | every commit up to this sequence was synced when this frame was written |
//! | 32..40 | append time, microseconds of the log's time; by the wall clock for a marker or an end |
//! | 40..44 | kind: 1 commit, 2 marker, 3 end |
//! | 44..48 | rows |
//! | 48..52 | bytes of table operations |
//! | 52..56 | bytes of payload |
//! | 56..64 | zero |
//! | 64.. | rows of 32 bytes: stream u32, partition u32, base offset u64, records u32, bytes u32, CRC32C u32, zero u32 |
//! | .. | table operations |
//! | .. | payload: the rows' records, one row after the other; then zeros up to the page's end |
//!
//! Files are recycled, so old frames with valid checksums lie behind the new ones: the generation tells them apart. The
//! salt, random for each life of a file, keeps senders from putting frames into their records.

use crate::bytes::{u32_at, u64_at};
use crate::ids::{Generation, Offset, PartitionId, Sequence, StreamId, Timestamp};

/// The alignment of frames.
pub const PAGE_BYTES: usize = 4096;
/// Bytes of a frame before its rows.
pub const FRAME_HEADER_BYTES: usize = 64;
/// Bytes of one row.
pub(crate) const FRAME_ROW_BYTES: usize = 32;

const MAGIC: u32 = u32::from_le_bytes(*b"FBJ1");

/// The purpose of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Records and table operations of one commit.
    Commit,
    /// Written when the log falls quiet: says that everything before it was synced, so that damage to the last commit
    /// is told apart from a torn write.
    Marker,
    /// The last frame of a file that the log has left.
    End,
}

impl FrameKind {
    const fn number(self) -> u32 {
        match self {
            FrameKind::Commit => 1,
            FrameKind::Marker => 2,
            FrameKind::End => 3,
        }
    }

    const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(FrameKind::Commit),
            2 => Some(FrameKind::Marker),
            3 => Some(FrameKind::End),
            _ => None,
        }
    }
}

/// One run of records of one partition inside a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRow {
    /// The records' stream.
    pub stream: StreamId,
    /// The records' partition.
    pub partition: PartitionId,
    /// The first record's offset.
    pub base: Offset,
    /// Number of records.
    pub records: u32,
    /// Bytes of payload.
    pub bytes: u32,
    /// CRC32C of those bytes.
    pub crc: u32,
}

/// A frame without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// The frame's purpose.
    pub kind: FrameKind,
    /// The commit's number.
    pub sequence: Sequence,
    /// Commits up to this one were on stable storage when the frame was written.
    pub synced_through: Sequence,
    /// When the commit was gathered.
    pub append_time: Timestamp,
    /// The runs of records.
    pub rows: Vec<FrameRow>,
    /// Encoded table operations.
    pub ops: Vec<u8>,
}

/// Identifies one life of a journal file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The life's number.
    pub generation: Generation,
    /// Random, unknown to clients: begins every checksum of this life.
    pub salt: u64,
}

impl Life {
    fn crc(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.salt.to_le_bytes()), bytes)
    }
}

/// Returns bytes on disk of a frame with that much content, padding included.
#[must_use]
pub(crate) fn frame_bytes(rows: usize, ops_bytes: usize, payload_bytes: usize) -> usize {
    (FRAME_HEADER_BYTES + rows * FRAME_ROW_BYTES + ops_bytes + payload_bytes).next_multiple_of(PAGE_BYTES)
}

impl FrameHead {
    /// Returns the end of a file after the commit `sequence`, which is synced.
    #[must_use]
    pub fn end(sequence: Sequence) -> Self {
        let (kind, append_time) = (FrameKind::End, Timestamp::now());
        Self { kind, sequence, synced_through: sequence, append_time, rows: Vec::new(), ops: Vec::new() }
    }

    /// Writes header, rows and operations into `out`, which is cleared first.
    pub fn encode(&self, life: Life, out: &mut Vec<u8>) {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let payload: usize = self.rows.iter().map(|row| row.bytes as usize).sum();
        out.clear();
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&life.generation.0.to_le_bytes());
        out.extend_from_slice(&self.sequence.0.to_le_bytes());
        out.extend_from_slice(&self.synced_through.0.to_le_bytes());
        out.extend_from_slice(&self.append_time.0.to_le_bytes());
        for number in [self.kind.number(), count(self.rows.len()), count(self.ops.len()), count(payload), 0, 0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for row in &self.rows {
            out.extend_from_slice(&row.stream.0.to_le_bytes());
            out.extend_from_slice(&row.partition.0.to_le_bytes());
            out.extend_from_slice(&row.base.0.to_le_bytes());
            for number in [row.records, row.bytes, row.crc, 0] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out.extend_from_slice(&self.ops);
        let crc = life.crc(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the head of the frame at the start of `bytes` (the rest of the file); `None` when there is none.
    #[must_use]
    pub fn decode(life: Life, bytes: &[u8]) -> Option<Decoded<'_>> {
        let header = bytes.get(..FRAME_HEADER_BYTES)?;
        if u32_at(header, 0)? != MAGIC || u64_at(header, 8)? != life.generation.0 {
            return None;
        }
        let rows = u32_at(header, 44)? as usize;
        let ops = u32_at(header, 48)? as usize;
        let payload = u32_at(header, 52)? as usize;
        let rows_end = FRAME_HEADER_BYTES.checked_add(rows.checked_mul(FRAME_ROW_BYTES)?)?;
        let head_end = rows_end.checked_add(ops)?;
        let head = bytes.get(..head_end)?;
        if u32_at(header, 4)? != life.crc(&head[8..]) {
            return None;
        }
        let head = FrameHead {
            kind: FrameKind::from_number(u32_at(header, 40)?)?,
            sequence: Sequence(u64_at(header, 16)?),
            synced_through: Sequence(u64_at(header, 24)?),
            append_time: Timestamp(u64_at(header, 32)?.cast_signed()),
            rows: head[FRAME_HEADER_BYTES..rows_end]
                .chunks_exact(FRAME_ROW_BYTES)
                .map(decode_row)
                .collect::<Option<_>>()?,
            ops: head[rows_end..].to_vec(),
        };
        Some(Decoded { head, payload: bytes.get(head_end..head_end.checked_add(payload)?)?, at: head_end })
    }
}

/// A frame found in a file: its head is sound, its payload not yet checked.
#[derive(Clone, Debug)]
pub struct Decoded<'a> {
    /// Header, rows, operations.
    pub head: FrameHead,
    /// The records.
    pub payload: &'a [u8],
    at: usize,
}

impl Decoded<'_> {
    /// Returns whether every row's records are what was written.
    #[must_use]
    pub fn payload_is_sound(&self) -> bool {
        let mut rest = self.payload;
        self.head.rows.iter().all(|row| match rest.split_at_checked(row.bytes as usize) {
            Some((records, after)) => {
                rest = after;
                crc32c::crc32c(records) == row.crc
            }
            None => false,
        }) && rest.is_empty()
    }

    /// Returns the place where the payload begins, counted from the frame's first byte.
    #[must_use]
    pub fn payload_at(&self) -> usize {
        self.at
    }

    /// Returns bytes on disk, padding included.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        (self.at + self.payload.len()).next_multiple_of(PAGE_BYTES)
    }
}

fn decode_row(row: &[u8]) -> Option<FrameRow> {
    Some(FrameRow {
        stream: StreamId(u32_at(row, 0)?),
        partition: PartitionId(u32_at(row, 4)?),
        base: Offset(u64_at(row, 8)?),
        records: u32_at(row, 16)?,
        bytes: u32_at(row, 20)?,
        crc: u32_at(row, 24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Life = Life { generation: Generation(7), salt: 0x1234_5678 };

    fn frame() -> (FrameHead, Vec<u8>) {
        let payload = b"some records".to_vec();
        let head = FrameHead {
            kind: FrameKind::Commit,
            sequence: Sequence(9),
            synced_through: Sequence(8),
            append_time: Timestamp(-5),
            rows: vec![FrameRow {
                stream: StreamId(1),
                partition: PartitionId(2),
                base: Offset(3),
                records: 4,
                bytes: 12,
                crc: crc32c::crc32c(&payload),
            }],
            ops: b"ops".to_vec(),
        };
        (head, payload)
    }

    #[test]
    fn a_frame_comes_back_and_no_flipped_byte_goes_unnoticed() {
        let (head, payload) = frame();
        let mut bytes = Vec::new();
        head.encode(LIFE, &mut bytes);
        bytes.extend_from_slice(&payload);
        let decoded = FrameHead::decode(LIFE, &bytes).map(|frame| (frame.payload_is_sound(), frame.head));
        assert_eq!(decoded, Some((true, head.clone())));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let sound = FrameHead::decode(LIFE, &damaged).is_some_and(|frame| frame.payload_is_sound());
            assert!(!sound, "flipped byte {at}");
        }
    }

    #[test]
    fn a_frame_of_an_earlier_life_is_not_one() {
        let (head, payload) = frame();
        let mut bytes = Vec::new();
        head.encode(LIFE, &mut bytes);
        bytes.extend_from_slice(&payload);
        assert!(FrameHead::decode(Life { salt: 1, ..LIFE }, &bytes).is_none());
        assert!(FrameHead::decode(Life { generation: Generation(8), ..LIFE }, &bytes).is_none());
    }
}
