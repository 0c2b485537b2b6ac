//! The layout of a segment file.
//!
//! | part | bytes | what |
//! |---|---|---|
//! | header | 32 | magic `FBSEGMT2`, or `FBSEGMT1` where no block is of columns, generation u64, ordinal u32, zeros, CRC32C u32 of the 28 bytes before |
//! | blocks | 64 + stored | block header, then the compressed records |
//! | index | 72 a block | position u64 of the block, and its header again; ordered by stream, partition, offset |
//! | footer | 48 | magic `FBSEGEND`, index position u64, generation u64, ordinal u32, rows u32, index CRC32C u32, zeros, CRC32C u32 of the 44 bytes before |
//!
//! A block's header: magic `FBB1`, CRC32C u32 of what follows up to the block's end, stream u32, partition u32, base
//! offset u64, newest append time i64, smallest and largest timestamp i64, records u32, bytes before compression u32,
//! stored bytes u32, codec u32 (0 none, 1 LZ4 block, 2 Zstandard, 3 gzip, 4 Snappy block, 5 columns). Blocks describe
//! themselves, so that a lost index can be made anew.

use std::io::{Read, Write};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use zstd::zstd_safe::{CParameter, ParamSwitch};

use super::columns;
use crate::bytes::{u32_at, u64_at};
use crate::ids::{Generation, Offset, PartitionId, StreamId, Timestamp};
use crate::stream::{BlockSpan, Compression, SegmentName, Times};

/// Bytes of a block before its records.
pub(super) const BLOCK_HEADER_BYTES: usize = 64;
/// Bytes of one index row.
pub(super) const INDEX_ROW_BYTES: usize = 8 + BLOCK_HEADER_BYTES;
/// Records are gathered into blocks of about this size: the largest that Zstandard compresses as one block, so that its
/// tables are built once, and small enough for the cache.
pub(crate) const BLOCK_BYTES: usize = 128 * 1024;

/// Stored as they are.
pub(super) const CODEC_NONE: u32 = 0;
const CODEC_LZ4: u32 = 1;
const CODEC_ZSTD: u32 = 2;
const CODEC_GZIP: u32 = 3;
const CODEC_SNAPPY: u32 = 4;
/// Columns, each compressed for itself: see [`super::columns`].
pub(crate) const CODEC_COLUMNS: u32 = 5;

const FILE_MAGIC: &[u8; 8] = b"FBSEGMT2";
/// That of files without columns.
const FIRST_MAGIC: &[u8; 8] = b"FBSEGMT1";
const END_MAGIC: &[u8; 8] = b"FBSEGEND";
const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"FBB1");
/// Bytes of a file before its blocks.
pub(crate) const FILE_HEADER_BYTES: usize = 32;

/// The description of a block, as its header and the index have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockRow {
    /// The place of its header in the file.
    pub position: u64,
    /// CRC32C of header and records.
    pub crc: u32,
    /// The records' stream.
    pub stream: StreamId,
    /// The records' partition.
    pub partition: PartitionId,
    /// The first record's offset.
    pub base: Offset,
    /// When the newest record was appended.
    pub newest_append: Timestamp,
    /// The smallest record time.
    pub min_time: Timestamp,
    /// The largest record time.
    pub max_time: Timestamp,
    /// Number of records.
    pub records: u32,
    /// Bytes before compression.
    pub raw_bytes: u32,
    /// Bytes in the file.
    pub stored_bytes: u32,
    /// Number of the compression.
    pub codec: u32,
}

impl BlockRow {
    /// Returns a block that nothing was taken in yet.
    #[must_use]
    pub(crate) fn empty(stream: StreamId, partition: PartitionId, base: Offset) -> Self {
        Self {
            position: 0,
            crc: 0,
            stream,
            partition,
            base,
            newest_append: Timestamp(i64::MIN),
            min_time: Timestamp(i64::MAX),
            max_time: Timestamp(i64::MIN),
            records: 0,
            raw_bytes: 0,
            stored_bytes: 0,
            codec: 0,
        }
    }

    /// Takes in the next records.
    pub(crate) fn take_in(&mut self, records: u32, times: Times, append: Timestamp) {
        self.records += records;
        self.newest_append = self.newest_append.max(append);
        self.min_time = self.min_time.min(times.min);
        self.max_time = self.max_time.max(times.max);
    }

    /// Returns the offset after the last record.
    #[must_use]
    pub(crate) fn end(&self) -> Offset {
        self.base.plus(self.records.into())
    }

    /// Returns bytes of the block in the file, header included.
    #[must_use]
    pub(crate) fn file_bytes(&self) -> u64 {
        BLOCK_HEADER_BYTES as u64 + u64::from(self.stored_bytes)
    }

    /// Returns what a stream's part of the file counts of the block.
    #[must_use]
    pub(crate) fn span(&self) -> BlockSpan {
        let Self { partition, base, newest_append, .. } = *self;
        let (records, raw_bytes) = (self.records.into(), self.raw_bytes.into());
        BlockSpan { partition, base, records, stored_bytes: self.file_bytes(), raw_bytes, newest_append }
    }

    /// Returns the block's header.
    #[must_use]
    pub(crate) fn header(&self) -> [u8; BLOCK_HEADER_BYTES] {
        let mut out = [0; BLOCK_HEADER_BYTES];
        let words32 = [
            (0, BLOCK_MAGIC),
            (4, self.crc),
            (8, self.stream.0),
            (12, self.partition.0),
            (48, self.records),
            (52, self.raw_bytes),
            (56, self.stored_bytes),
            (60, self.codec),
        ];
        for (at, word) in words32 {
            out[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        let times = [self.newest_append, self.min_time, self.max_time].map(|time| time.0.cast_unsigned());
        for (at, word) in [(16, self.base.0), (24, times[0]), (32, times[1]), (40, times[2])] {
            out[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    fn from_header(header: &[u8], position: u64) -> Option<Self> {
        let time = |at| u64_at(header, at).map(|bits| Timestamp(bits.cast_signed()));
        Some(Self {
            position,
            crc: u32_at(header, 4)?,
            stream: StreamId(u32_at(header, 8)?),
            partition: PartitionId(u32_at(header, 12)?),
            base: Offset(u64_at(header, 16)?),
            newest_append: time(24)?,
            min_time: time(32)?,
            max_time: time(40)?,
            records: u32_at(header, 48)?,
            raw_bytes: u32_at(header, 52)?,
            stored_bytes: u32_at(header, 56)?,
            codec: u32_at(header, 60)?,
        })
    }

    /// Returns the index row: position, then the header.
    pub(crate) fn index_row(&self) -> impl Iterator<Item = u8> + use<> {
        self.position.to_le_bytes().into_iter().chain(self.header())
    }

    /// Reads an index row.
    #[must_use]
    pub(crate) fn from_index_row(row: &[u8]) -> Option<Self> {
        (u32_at(row, 8)? == BLOCK_MAGIC).then_some(())?;
        Self::from_header(row.get(8..)?, u64_at(row, 0)?)
    }

    /// Returns the sound block at the start of `bytes`, if there is one.
    #[must_use]
    pub(crate) fn find(bytes: &[u8], position: u64) -> Option<Self> {
        (u32_at(bytes, 0)? == BLOCK_MAGIC).then_some(())?;
        let row = Self::from_header(bytes.get(..BLOCK_HEADER_BYTES)?, position)?;
        let stored = bytes.get(BLOCK_HEADER_BYTES..)?.get(..row.stored_bytes as usize)?;
        row.matches(stored).then_some(row)
    }

    fn checksum(&self, stored: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.header()[8..]), stored)
    }

    /// Computes the checksum over header and records.
    pub(crate) fn seal(&mut self, stored: &[u8]) {
        self.crc = self.checksum(stored);
    }

    /// Returns whether the records are what was written.
    #[must_use]
    pub(crate) fn matches(&self, stored: &[u8]) -> bool {
        stored.len() == self.stored_bytes as usize && self.crc == self.checksum(stored)
    }
}

/// Returns the file's first bytes.
#[must_use]
pub(crate) fn file_header(name: SegmentName) -> [u8; FILE_HEADER_BYTES] {
    header_of(FILE_MAGIC, name)
}

/// Returns whether these are the first bytes of a file of that name, of any version.
#[must_use]
pub(super) fn is_file_header(bytes: &[u8], name: SegmentName) -> bool {
    [FILE_MAGIC, FIRST_MAGIC].into_iter().any(|magic| *bytes == header_of(magic, name))
}

fn header_of(magic: &[u8; 8], name: SegmentName) -> [u8; FILE_HEADER_BYTES] {
    let mut out = [0; FILE_HEADER_BYTES];
    out[..8].copy_from_slice(magic);
    out[8..16].copy_from_slice(&name.generation.0.to_le_bytes());
    out[16..20].copy_from_slice(&name.ordinal.to_le_bytes());
    let crc = crc32c::crc32c(&out[..28]);
    out[28..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The file's last bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// Which file this is.
    pub name: SegmentName,
    /// The place where the index starts.
    pub index_position: u64,
    /// Number of its rows.
    pub rows: u32,
    index_crc: u32,
}

impl Footer {
    /// Length of the footer.
    pub(crate) const BYTES: usize = 48;

    /// Returns a footer for an index.
    #[must_use]
    pub(crate) fn new(name: SegmentName, index_position: u64, rows: usize, index: &[u8]) -> Self {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        Self { name, index_position, rows, index_crc: crc32c::crc32c(index) }
    }

    /// Returns whether the index is what was written.
    #[must_use]
    pub(crate) fn covers(&self, index: &[u8]) -> bool {
        crc32c::crc32c(index) == self.index_crc
    }

    /// Returns the footer's bytes.
    #[must_use]
    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..8].copy_from_slice(END_MAGIC);
        out[8..16].copy_from_slice(&self.index_position.to_le_bytes());
        out[16..24].copy_from_slice(&self.name.generation.0.to_le_bytes());
        for (at, word) in [(24, self.name.ordinal), (28, self.rows), (32, self.index_crc)] {
            out[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out[..44]);
        out[44..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a footer; `None` when it is damaged.
    #[must_use]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let sound = bytes.starts_with(END_MAGIC) && u32_at(bytes, 44)? == crc32c::crc32c(bytes.get(..44)?);
        sound.then_some(())?;
        let name = SegmentName { generation: Generation(u64_at(bytes, 16)?), ordinal: u32_at(bytes, 24)? };
        Some(Self { name, index_position: u64_at(bytes, 8)?, rows: u32_at(bytes, 28)?, index_crc: u32_at(bytes, 32)? })
    }
}

/// Compresses blocks; keeps its tables between them.
pub(crate) struct Compressor {
    zstd: Option<zstd::bulk::Compressor<'static>>,
    snappy: snap::raw::Encoder,
    out: Vec<u8>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// Zstandard's fastest level of the default family: a seventh of the size for logs at 0.6 GB/s.
const ZSTD_LEVEL: i32 = 1;
/// Logs repeat themselves in long stretches: looking for those alone is a little faster and packs a little better.
const ZSTD_MIN_MATCH: u32 = 7;
/// Bytes between two places that are looked at, less one, where nothing was found: long stretches are met all the same.
/// A tenth less time for 3 % more bytes; with it, Zstandard would leave literals as they are unless told otherwise.
const ZSTD_STEP: u32 = 2;

/// One thread seals for all streams: gzip's usual level 6 takes three times as long for a tenth less bytes of logs.
const GZIP_LEVEL: u32 = 1;

impl Compressor {
    /// Returns a compressor for every codec.
    #[must_use]
    pub(crate) fn new() -> Self {
        let zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).and_then(|mut zstd| {
            zstd.set_parameter(CParameter::MinMatch(ZSTD_MIN_MATCH))?;
            zstd.set_parameter(CParameter::TargetLength(ZSTD_STEP))?;
            zstd.set_parameter(CParameter::LiteralCompressionMode(ParamSwitch::Enable))?;
            Ok(zstd)
        });
        Self { zstd: zstd.ok(), snappy: snap::raw::Encoder::new(), out: Vec::new() }
    }

    /// Returns the codec's number and the compressed bytes; stored as they are when that is not smaller.
    pub(crate) fn compress<'a>(&'a mut self, raw: &'a [u8], compression: Compression) -> (u32, &'a [u8]) {
        let (codec, written) = match compression {
            Compression::None => return (CODEC_NONE, raw),
            Compression::Gzip => (CODEC_GZIP, self.gzip(raw)),
            Compression::Snappy => {
                self.out.resize(snap::raw::max_compress_len(raw.len()), 0);
                (CODEC_SNAPPY, self.snappy.compress(raw, &mut self.out).ok())
            }
            Compression::Lz4 => {
                self.out.resize(lz4_flex::block::get_maximum_output_size(raw.len()), 0);
                (CODEC_LZ4, lz4_flex::block::compress_into(raw, &mut self.out).ok())
            }
            Compression::Zstd => {
                self.out.resize(zstd::zstd_safe::compress_bound(raw.len()), 0);
                let out = self.out.as_mut_slice();
                (CODEC_ZSTD, self.zstd.as_mut().and_then(|zstd| zstd.compress_to_buffer(raw, out).ok()))
            }
        };
        match written {
            Some(written) if written < raw.len() => (codec, &self.out[..written]),
            Some(_) | None => (CODEC_NONE, raw),
        }
    }
}

impl Compressor {
    fn gzip(&mut self, raw: &[u8]) -> Option<usize> {
        self.out.clear();
        let mut encoder = GzEncoder::new(&mut self.out, flate2::Compression::new(GZIP_LEVEL));
        encoder.write_all(raw).ok()?;
        encoder.finish().ok()?;
        Some(self.out.len())
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

/// Decompresses blocks; keeps the tables of the usual codec between them.
#[derive(Default)]
pub(super) struct Decompressor {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

impl Decompressor {
    /// Puts the block's records in the place of what `raw` holds; false when they are not what the row says.
    pub(super) fn decompress(&mut self, row: &BlockRow, stored: &[u8], raw: &mut Vec<u8>) -> bool {
        if row.codec != CODEC_ZSTD {
            return decompress(row, stored).map(|records| *raw = records).is_some();
        }
        if self.zstd.is_none() {
            self.zstd = zstd::bulk::Decompressor::new().ok();
        }
        let Some(zstd) = &mut self.zstd else { return false };
        raw.clear();
        raw.reserve(row.raw_bytes as usize);
        let written = zstd.decompress_to_buffer(stored, raw);
        written.is_ok_and(|written| written == row.raw_bytes as usize)
    }
}

/// Returns the block's records; `None` when they are not what the row says.
#[must_use]
pub(super) fn decompress(row: &BlockRow, stored: &[u8]) -> Option<Vec<u8>> {
    let raw_bytes = row.raw_bytes as usize;
    let raw = match row.codec {
        CODEC_NONE => stored.to_vec(),
        CODEC_LZ4 => lz4_flex::block::decompress(stored, raw_bytes).ok()?,
        CODEC_ZSTD => zstd::bulk::decompress(stored, raw_bytes).ok()?,
        CODEC_GZIP => {
            let mut raw = Vec::with_capacity(raw_bytes);
            // One byte more than there should be is enough to know that it is too much.
            GzDecoder::new(stored).take(u64::from(row.raw_bytes) + 1).read_to_end(&mut raw).ok()?;
            raw
        }
        CODEC_SNAPPY => {
            // The length that the block itself states is not trusted: a damaged one would make us take any amount of
            // memory.
            let fits = snap::raw::decompress_len(stored).ok()? == raw_bytes;
            fits.then(|| snap::raw::Decoder::new().decompress_vec(stored).ok())??
        }
        CODEC_COLUMNS => columns::records(stored, row.records as usize, raw_bytes)?,
        _ => return None,
    };
    (raw.len() == raw_bytes).then_some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(compression: Compression, raw: &[u8]) -> (u32, usize) {
        let mut compressor = Compressor::new();
        let (codec, stored) = compressor.compress(raw, compression);
        let mut row = BlockRow::empty(StreamId(1), PartitionId(0), Offset(0));
        (row.codec, row.raw_bytes) = (codec, u32::try_from(raw.len()).unwrap_or(0));
        assert_eq!(decompress(&row, stored).as_deref(), Some(raw), "{compression:?}");
        let (mut decompressor, mut into) = (Decompressor::default(), b"before".to_vec());
        assert!(decompressor.decompress(&row, stored, &mut into), "{compression:?}");
        assert_eq!(into, raw, "{compression:?}");
        row.raw_bytes += 1;
        assert!(!decompressor.decompress(&row, stored, &mut into), "{compression:?} of another length");
        assert_eq!(decompress(&row, stored), None, "{compression:?} of another length");
        (codec, stored.len())
    }

    #[test]
    fn every_compression_comes_back_and_is_what_it_says() {
        let logs: Vec<u8> = (0..3000).flat_map(|n| format!("{{\"level\":\"info\",\"n\":{n}}}").into_bytes()).collect();
        let codecs = Compression::ALL.map(|compression| round_trip(compression, &logs));
        assert_eq!(codecs.map(|(codec, _)| codec), [CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD]);
        for (compression, (_, stored)) in Compression::ALL.into_iter().zip(codecs) {
            assert_eq!(stored * 2 < logs.len(), compression != Compression::None, "{compression:?}: {stored}");
        }
        for compression in Compression::ALL {
            assert_eq!(round_trip(compression, b"x").0, CODEC_NONE, "what grows is stored as it is");
            assert_eq!(Compression::named(compression.name()), Some(compression));
        }
    }
}
