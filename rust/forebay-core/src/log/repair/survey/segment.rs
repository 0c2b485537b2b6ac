//! One segment file, read back whole: which blocks are sound, and what is wrong with the rest.

use std::io;

use crate::ids::{PartitionId, StreamId};
use crate::log::Strictness;
use crate::log::repair::intervals::Intervals;
use crate::log::segment::{BlockRow, DamagedRange, FILE_HEADER_BYTES, SegmentError, SegmentReader};
use crate::storage::Storage;
use crate::stream::SegmentName;

/// A damaged range of a segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentDamage {
    /// First byte and length.
    pub(crate) range: (u64, u64),
    /// The damage, in one sentence.
    pub(crate) what: &'static str,
    /// The block whose records it takes away, when a sound index names it.
    pub(crate) block: Option<BlockRow>,
}

/// The contents of a segment file.
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
    /// Checks a file: header, index, footer, and every block with every record in it.
    ///
    /// # Errors
    /// When the file cannot be opened. A sector that cannot be read is a damage.
    pub(crate) fn of(storage: &dyn Storage, name: SegmentName) -> io::Result<Self> {
        let (reader, damages) = SegmentReader::open(storage, name, Strictness::Salvaging)?;
        let mut survey = Self { bytes: reader.bytes()?, ..Self::default() };
        for damage in &damages {
            survey.damage(*damage, None);
        }
        for row in reader.rows() {
            match reader.read(row) {
                Ok(_records) => survey.sound.push(*row),
                Err(SegmentError::Damaged(damage)) => survey.damage(damage, Some(*row)),
                Err(SegmentError::Io(error)) => return Err(error),
            }
        }
        for damage in damages {
            survey.name_bytes_of_no_block(damage.position);
        }
        Ok(survey)
    }

    /// Everything outside of the sound blocks: first byte and length.
    pub(crate) fn rest(&self) -> Vec<(u64, u64)> {
        self.blocks().missing(0, self.bytes).into_iter().map(|(from, to)| (from, to - from)).collect()
    }

    /// Returns the offsets of one partition that the sound blocks hold.
    pub(crate) fn offsets(&self, stream: StreamId, partition: PartitionId) -> Intervals {
        let mut offsets = Intervals::default();
        for row in self.sound.iter().filter(|row| row.stream == stream && row.partition == partition) {
            offsets.insert(row.base.0, row.end().0);
        }
        offsets
    }

    /// Returns the bytes that sound blocks take.
    fn blocks(&self) -> Intervals {
        let mut blocks = Intervals::default();
        for row in &self.sound {
            blocks.insert(row.position, row.position + row.file_bytes());
        }
        blocks
    }

    fn damage(&mut self, DamagedRange { position, bytes, what }: DamagedRange, block: Option<BlockRow>) {
        self.damages.push(SegmentDamage { range: (position, bytes), what, block });
    }

    /// Names what stands before a damaged index and is no sound block: without the index, a damaged block shows as that
    /// alone.
    fn name_bytes_of_no_block(&mut self, index: u64) {
        let header = FILE_HEADER_BYTES as u64;
        for (start, end) in self.blocks().missing(header, index.max(header)) {
            let what = "no sound block is here";
            self.damage(DamagedRange { position: start, bytes: end - start, what }, None);
        }
    }
}
