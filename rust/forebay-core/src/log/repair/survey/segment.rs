//! One segment file, read back whole: which blocks are sound, and what is wrong with the rest.

use crate::ids::{Offset, PartitionId, StreamId};
use crate::log::repair::intervals::Intervals;
use crate::log::segment::BlockRow;
use crate::log::segment::{BLOCK_HEADER_BYTES, Footer, INDEX_ROW_BYTES, decompress, file_header};
use crate::record::Records;
use crate::stream::SegmentName;

/// What is wrong with a range of a segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentDamage {
    /// First byte and length.
    pub(crate) range: (u64, u64),
    /// What is wrong there.
    pub(crate) what: &'static str,
    /// The block whose records it takes away, when a sound index names it.
    pub(crate) block: Option<BlockRow>,
}

/// What a segment file holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct SegmentSurvey {
    /// The file's length.
    pub(crate) bytes: u64,
    /// Blocks that are what was written, ordered as an index is.
    pub(crate) sound: Vec<BlockRow>,
    /// Everything else that should be there.
    pub(crate) damages: Vec<SegmentDamage>,
}

impl SegmentSurvey {
    /// Checks a file's bytes: header, index, footer, and every block with every record in it.
    pub(crate) fn of(name: SegmentName, bytes: &[u8]) -> Self {
        let mut survey = Self { bytes: bytes.len() as u64, ..Self::default() };
        let header = file_header(name);
        if !bytes.starts_with(&header) {
            survey.damage(0, header.len() as u64, "the file's header is damaged", None);
        }
        match index(name, bytes) {
            Ok(rows) => {
                for row in rows {
                    match check(&row, bytes) {
                        Ok(()) => survey.sound.push(row),
                        Err(what) => survey.damage(row.position, row.file_bytes(), what, Some(row)),
                    }
                }
            }
            Err((position, length, what)) => {
                survey.damage(position, length, what, None);
                survey.sound = scan(bytes);
                survey.name_what_no_block_holds(header.len() as u64, position);
            }
        }
        survey
    }

    /// Everything outside of the sound blocks: first byte and length.
    pub(crate) fn rest(&self) -> Vec<(u64, u64)> {
        let mut blocks = Intervals::default();
        self.sound.iter().for_each(|row| blocks.insert(row.position, row.position + row.file_bytes()));
        blocks.missing(0, self.bytes).into_iter().map(|(from, to)| (from, to - from)).collect()
    }

    /// The offsets of one partition that the sound blocks hold.
    pub(crate) fn offsets(&self, stream: StreamId, partition: PartitionId) -> Intervals {
        let mut offsets = Intervals::default();
        let of = self.sound.iter().filter(|row| row.stream == stream && row.partition == partition);
        of.for_each(|row| offsets.insert(row.base.0, row.end().0));
        offsets
    }

    fn damage(&mut self, position: u64, length: u64, what: &'static str, block: Option<BlockRow>) {
        self.damages.push(SegmentDamage { range: (position, length), what, block });
    }

    /// Without an index, a damaged block shows as bytes before it that no sound block holds.
    fn name_what_no_block_holds(&mut self, from: u64, to: u64) {
        let mut blocks = Intervals::default();
        self.sound.iter().for_each(|row| blocks.insert(row.position, row.position + row.file_bytes()));
        for (start, end) in blocks.missing(from, to.max(from)) {
            self.damage(start, end - start, "no sound block is here", None);
        }
    }
}

type Broken = (u64, u64, &'static str);

fn index(name: SegmentName, bytes: &[u8]) -> Result<Vec<BlockRow>, Broken> {
    let length = bytes.len() as u64;
    let (footer_at, footer) = match bytes.len().checked_sub(Footer::BYTES) {
        Some(at) => (at as u64, Footer::decode(&bytes[at..])),
        None => return Err((0, length, "the file is too short")),
    };
    let Some(footer) = footer.filter(|footer| footer.name == name) else {
        return Err((footer_at, Footer::BYTES as u64, "the footer is damaged"));
    };
    let index_bytes = u64::from(footer.rows) * INDEX_ROW_BYTES as u64;
    if footer.index_position.checked_add(index_bytes) != Some(footer_at) {
        return Err((footer_at, Footer::BYTES as u64, "the footer does not fit the file"));
    }
    let broken = (footer.index_position, index_bytes, "the index is damaged");
    let from = usize::try_from(footer.index_position).map_err(|_| broken)?;
    let index = bytes.get(from..bytes.len() - Footer::BYTES).filter(|index| footer.covers(index)).ok_or(broken)?;
    let rows: Option<Vec<_>> = index.chunks_exact(INDEX_ROW_BYTES).map(BlockRow::from_index_row).collect();
    let rows = rows.ok_or(broken)?;
    let ordered = rows.is_sorted_by_key(|row| (row.stream, row.partition, row.base));
    if ordered { Ok(rows) } else { Err((broken.0, broken.1, "the index is not in order")) }
}

fn check(row: &BlockRow, bytes: &[u8]) -> Result<(), &'static str> {
    let at = usize::try_from(row.position).unwrap_or(usize::MAX);
    let block = bytes.get(at..).and_then(|rest| rest.split_at_checked(BLOCK_HEADER_BYTES));
    let stored = block.and_then(|(_, rest)| rest.get(..row.stored_bytes as usize));
    let (Some((header, _)), Some(stored)) = (block, stored) else { return Err("the file ends inside of a block") };
    if header != row.header() {
        return Err("a block's header differs from the index");
    }
    if !row.matches(stored) {
        return Err("a block's checksum does not match");
    }
    let raw = decompress(row, stored).ok_or("a block does not decompress")?;
    let mut records = Records::new(&raw);
    let in_time = |time| row.min_time <= time && time <= row.max_time;
    let mut count = 0_u64;
    for (record, _) in records.by_ref() {
        count += 1;
        if !in_time(record.timestamp) {
            return Err("a record's time is outside of its block's");
        }
    }
    if count == u64::from(row.records) && records.rest().is_empty() {
        Ok(())
    } else {
        Err("a block does not hold the records that it says")
    }
}

/// Finds blocks by their own headers. They are not aligned, so after a damaged one the search goes byte by byte.
fn scan(bytes: &[u8]) -> Vec<BlockRow> {
    let mut rows: Vec<BlockRow> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match BlockRow::find(&bytes[at..], at as u64).filter(|row| check(row, bytes).is_ok()) {
            Some(row) => {
                at += usize::try_from(row.file_bytes()).unwrap_or(1);
                rows.push(row);
            }
            None => at += 1,
        }
    }
    rows.sort_by_key(|row| (row.stream, row.partition, row.base));
    // Bytes inside of a damaged block may look like a block that stands elsewhere: no offset is taken twice.
    rows.dedup_by(|later, kept| {
        (later.stream, later.partition) == (kept.stream, kept.partition) && later.base < Offset(kept.end().0)
    });
    rows
}
