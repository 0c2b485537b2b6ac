//! Offsets: what should be there, what is, and what is not.

use super::{Finding, Intervals, PartitionId, PartitionKey, StreamId, Survey, Table, path_of};
use crate::log::repair::quarantine::OffsetRange;
use crate::status::Damage;
use crate::stream::SEGMENT_DIRECTORY;
use crate::stream::{SegmentPart, StreamDefinition};
use crate::table::number_key;

impl Survey {
    /// Returns every partition of every stream.
    pub(crate) fn partitions(&self) -> Vec<PartitionKey> {
        let of = |(id, definition): (&StreamId, &StreamDefinition)| {
            let id = *id;
            (0..definition.partitions).map(move |partition| (id, PartitionId(partition)))
        };
        self.definitions.iter().flat_map(of).collect()
    }

    /// Returns a bound that a table names.
    pub(crate) fn bound(&self, table: Table, (stream, partition): PartitionKey) -> Option<u64> {
        let key = number_key(stream.0, &[partition.0.into()]);
        self.rows.get(table, &key)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// Returns the first offset that is kept.
    pub(crate) fn start(&self, key: PartitionKey) -> u64 {
        self.bound(Table::Starts, key).unwrap_or(0)
    }

    /// Returns the offset after the last that any sound table, segment or commit speaks of.
    pub(crate) fn end(&self, key: PartitionKey) -> u64 {
        let (stream, partition) = key;
        let spans = self.parts.iter().filter(|(of, _)| *of == stream).flat_map(|(_, part)| &part.spans);
        let sealed = spans.filter(|(of, ..)| *of == partition).map(|(_, base, records)| base.plus(*records).0).max();
        let rows = self.journals.iter().flat_map(|journal| &journal.frames).flat_map(|frame| &frame.rows);
        let rows = rows.filter(|seen| (seen.row.stream, seen.row.partition) == key);
        let journaled = rows.map(|seen| seen.row.base.plus(seen.row.records.into()).0).max();
        let held = self.held.get(&key).and_then(Intervals::end);
        let ends = [Some(self.start(key)), self.bound(Table::Ends, key), sealed, journaled, held];
        ends.into_iter().flatten().max().unwrap_or(0)
    }

    /// Gathers what the named segments and the journal hold; names damages and what they take away.
    pub(super) fn hold(&mut self) {
        let mut findings = Vec::new();
        for (stream, part) in &self.parts {
            let file = path_of(part.name);
            let Some(segment) = self.segments.get(&part.name) else {
                let spans = part.spans.iter().filter(|(_, _, records)| *records > 0);
                let offsets: Vec<_> = spans
                    .map(|(partition, base, records)| self.offsets((*stream, *partition), base.0, base.0 + records))
                    .collect();
                findings.push(finding(&file, None, "the segment is missing".to_owned(), offsets));
                continue;
            };
            for damage in &segment.damages {
                // A damaged block of a stream whose part was deleted takes nothing away.
                if damage.block.is_some_and(|block| block.stream != *stream) {
                    continue;
                }
                let lost = damage.block.map(|row| self.offsets((row.stream, row.partition), row.base.0, row.end().0));
                let found = finding(&file, Some(damage.range), damage.what.to_owned(), lost.into_iter().collect());
                if !findings.contains(&found) {
                    findings.push(found);
                }
            }
            for (partition, base, records) in &part.spans {
                let held = self.held.entry((*stream, *partition)).or_default();
                let (start, end) = (base.0, base.plus(*records).0);
                if held.touches(start, end) {
                    let what = format!("partition {partition} of stream {stream}: {start} to {end} is held twice");
                    findings.push(finding(&file, None, what, Vec::new()));
                }
                for (from, to) in segment.offsets(*stream, *partition).iter() {
                    held.insert(from.max(start), to.min(end).max(from.max(start)));
                }
            }
        }
        self.hold_journal(&mut findings);
        self.findings.append(&mut findings);
    }

    fn hold_journal(&mut self, findings: &mut Vec<Finding>) {
        for journal in &self.journals {
            let first = findings.len();
            for (position, length, what) in &journal.damages {
                // The header stands at the first byte: damage there concerns the file as a whole.
                let range = (*position > 0).then_some((*position, *length));
                findings.push(finding(&journal.path, range, what.clone(), Vec::new()));
            }
            for (frame, seen) in journal.frames.iter().flat_map(|frame| frame.rows.iter().map(move |row| (frame, row)))
            {
                let key = (seen.row.stream, seen.row.partition);
                let (start, end) = (seen.row.base.0, seen.row.base.plus(seen.row.records.into()).0);
                if !seen.sound {
                    let offsets = self.offsets(key, start, end);
                    let at = frame.position as u64;
                    let holds = |found: &&mut Finding| {
                        found.damage.range.is_some_and(|(from, length)| from <= at && at < from + length)
                    };
                    if let Some(found) = findings[first..].iter_mut().find(holds) {
                        found.damage.stream.get_or_insert_with(|| offsets.stream.clone());
                        found.offsets.push(offsets);
                    }
                    continue;
                }
                let held = self.held.entry(key).or_default();
                if held.touches(start, end) {
                    let what = format!("partition {} goes on at {start}, which is held already", key.1);
                    findings.push(finding(&journal.path, None, what, Vec::new()));
                }
                held.insert(start, end);
            }
        }
    }

    /// Offsets between start and end that nothing holds, and that neither a finding nor an earlier repair names.
    pub(super) fn name_holes(&mut self) {
        let mut findings = Vec::new();
        for key in self.partitions() {
            let mut known = self.held.get(&key).cloned().unwrap_or_default();
            let named = self.findings.iter().flat_map(|finding| &finding.offsets).chain(&self.recorded);
            for range in named.filter(|range| (range.stream_id, range.partition) == (key.0.0, key.1.0)) {
                known.insert(range.start, range.end);
            }
            for (start, end) in known.missing(self.start(key), self.end(key)) {
                let spans = |part: &SegmentPart| {
                    let of = part.spans.iter().filter(|(partition, ..)| *partition == key.1);
                    of.map(|(_, base, records)| (base.0, base.0 + records)).any(|(from, to)| from < end && start < to)
                };
                let part = self.parts.iter().find(|(stream, part)| *stream == key.0 && spans(part));
                let journal = self.journals.iter().find(|journal| !journal.damages.is_empty());
                let file = match (part, journal) {
                    (Some((_, part)), _) => path_of(part.name),
                    (None, Some(journal)) => journal.path.clone(),
                    (None, None) => SEGMENT_DIRECTORY.to_owned(),
                };
                let what = "no file holds these offsets".to_owned();
                findings.push(finding(&file, None, what, vec![self.offsets(key, start, end)]));
            }
        }
        self.findings.append(&mut findings);
    }
}

fn finding(file: &str, range: Option<(u64, u64)>, what: String, offsets: Vec<OffsetRange>) -> Finding {
    let stream = offsets.first().map(|range| range.stream.clone());
    Finding { damage: Damage { file: file.to_owned(), range, stream, what }, offsets }
}
