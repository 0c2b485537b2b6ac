//! Writes parts of several segments as one segment.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::plan::Candidate;
use crate::ids::{Offset, PartitionId};
use crate::log::Strictness;
use crate::log::segment::BlockRow;
use crate::log::segment::block::{BLOCK_BYTES, CODEC_COLUMNS};
use crate::log::segment::columns::COLUMN_BLOCK_BYTES;
use crate::log::segment::packer::{Packer, Packing};
use crate::log::segment::{SegmentError, SegmentReader, SegmentWriter};
use crate::record::Records;
use crate::storage::Storage;
use crate::stream::{Layout, SegmentName, SegmentPart, Times};

/// A block of columns of this size is taken over as it is: to make it larger would gain little, and cost as much as making
/// it did.
const LARGE_BYTES: usize = COLUMN_BLOCK_BYTES / 2;

/// The reason why nothing was written.
#[derive(Debug)]
pub(super) enum RewriteError {
    /// This segment cannot be read as it was written: it is left alone.
    Source(SegmentName),
    /// The storage cannot do it now.
    Storage,
    /// The engine closes.
    Closing,
}

/// One segment in the making.
pub(super) struct Rewrite<'a> {
    storage: &'a dyn Storage,
    writer: SegmentWriter,
    packer: Packer,
    sources: BTreeMap<SegmentName, SegmentReader>,
    open: Option<BlockRow>,
    raw: Vec<u8>,
    /// Asked before each block is read; `false` ends it.
    go_on: &'a dyn Fn(usize) -> bool,
}

impl<'a> Rewrite<'a> {
    pub(super) fn create(
        storage: &'a dyn Storage,
        name: SegmentName,
        go_on: &'a dyn Fn(usize) -> bool,
    ) -> Result<Self, RewriteError> {
        let writer = SegmentWriter::create(storage, name).map_err(|_| RewriteError::Storage)?;
        let raw = Vec::with_capacity(2 * BLOCK_BYTES);
        let (packer, sources, open) = (Packer::default(), BTreeMap::new(), None);
        Ok(Self { storage, writer, packer, sources, open, raw, go_on })
    }

    /// Takes over what the candidate's parts hold. Candidates come in the order of their streams.
    pub(super) fn take_over(&mut self, candidate: &Candidate) -> Result<(), RewriteError> {
        let packing = Packing::of(&candidate.stream.definition());
        let mut blocks = Vec::new();
        for part in &candidate.parts {
            let source = self.source(part.name)?;
            let rows = source.rows().iter().filter(|row| row.stream == candidate.stream.id());
            let mut holds = SegmentPart::new(part.name);
            holds.add_blocks(rows.clone().map(BlockRow::span));
            if holds.spans != part.spans {
                return Err(RewriteError::Source(part.name));
            }
            blocks.extend(rows.map(|row| (part.name, *row)));
        }
        blocks.sort_by_key(|(_, row)| (row.partition, row.base));
        for (name, row) in blocks {
            if !(self.go_on)(row.raw_bytes as usize) {
                return Err(RewriteError::Closing);
            }
            self.take_block(name, row, packing)?;
        }
        self.finish_block(packing)
    }

    fn source(&mut self, name: SegmentName) -> Result<&SegmentReader, RewriteError> {
        if !self.sources.contains_key(&name) {
            let opened = SegmentReader::open(self.storage, name, Strictness::Trusting);
            let (reader, damages) = opened.map_err(|_| RewriteError::Storage)?;
            if !damages.is_empty() {
                return Err(RewriteError::Source(name));
            }
            self.sources.insert(name, reader);
        }
        self.sources.get(&name).ok_or(RewriteError::Source(name))
    }

    fn take_block(&mut self, name: SegmentName, row: BlockRow, packing: Packing) -> Result<(), RewriteError> {
        // A sector that the medium does not give back will not be given back the next time either.
        let unreadable = |_: SegmentError| RewriteError::Source(name);
        if row.codec == CODEC_COLUMNS && packing.layout == Layout::Columns && row.raw_bytes as usize >= LARGE_BYTES {
            self.finish_block(packing)?;
            let stored = self.source(name)?.read_stored(&row).map_err(unreadable)?;
            return self.writer.add(row, &stored).map_err(|_| RewriteError::Storage);
        }
        let bytes = self.source(name)?.read(&row).map_err(unreadable)?;
        let mut records = Records::new(&bytes);
        let count = records.by_ref().count() as u64;
        if count != u64::from(row.records) || !records.rest().is_empty() {
            return Err(RewriteError::Source(name));
        }
        if let Some(open) = self.open.filter(|open| open.partition == row.partition) {
            if row.base < open.end() {
                return Err(RewriteError::Source(name));
            }
            if row.base > open.end() || self.raw.len() + bytes.len() > packing.block_bytes() {
                self.finish_block(packing)?;
            }
        } else {
            self.finish_block(packing)?;
        }
        let open = self.open.get_or_insert(BlockRow::empty(row.stream, row.partition, row.base));
        open.take_in(row.records, Times { min: row.min_time, max: row.max_time }, row.newest_append);
        self.raw.extend_from_slice(&bytes);
        Ok(())
    }

    fn finish_block(&mut self, packing: Packing) -> Result<(), RewriteError> {
        let Some(row) = self.open.take() else { return Ok(()) };
        let written = self.packer.pack(&mut self.writer, row, &self.raw, packing);
        self.raw.clear();
        written.map_err(|_| RewriteError::Storage)
    }

    /// Makes the file durable, but for its name; returns what it holds of each candidate's stream.
    pub(super) fn finish(self, name: SegmentName, candidates: &[Candidate]) -> Result<Vec<SegmentPart>, RewriteError> {
        let rows = self.writer.finish().map_err(|_| RewriteError::Storage)?;
        let part = |candidate: &Candidate| {
            let mut part = SegmentPart::new(name);
            part.add_blocks(rows.iter().filter(|row| row.stream == candidate.stream.id()).map(BlockRow::span));
            for source in &candidate.parts {
                part.appended_at(source.oldest_append);
            }
            // The blocks were checked when they were read; a difference here would be a defect of the merge itself.
            let is_whole = part.spans == spans(&candidate.parts);
            let last = candidate.parts.last().map_or(name, |part| part.name);
            if is_whole { Ok(part) } else { Err(RewriteError::Source(last)) }
        };
        candidates.iter().map(part).collect()
    }
}

/// Returns the spans of several parts as those of one, in the order of partitions and offsets.
fn spans(parts: &[Arc<SegmentPart>]) -> Vec<(PartitionId, Offset, u64)> {
    let mut all: Vec<_> = parts.iter().flat_map(|part| part.spans.iter().copied()).collect();
    all.sort_unstable();
    let mut spans: Vec<(PartitionId, Offset, u64)> = Vec::with_capacity(all.len());
    for (partition, base, records) in all {
        match spans.last_mut() {
            Some((of, first, count)) if *of == partition && first.plus(*count) == base => *count += records,
            Some(_) | None => spans.push((partition, base, records)),
        }
    }
    spans
}
