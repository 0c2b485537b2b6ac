//! Plans the tables and the sealed files anew when the journal or a state file is damaged: everything that is sound
//! becomes sealed, and the log goes on behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::intervals::Intervals;
use super::quarantine::OffsetRange;
use super::salvage::{Piece, Salvage, parts};
use super::survey::{PartitionKey, SegmentSurvey, Survey};
use crate::admission::QuotaRates;
use crate::ids::{Generation, PartitionId, Sequence, StreamId, Timestamp};
use crate::options::{MAX_JOURNAL_FILE_BYTES, MAX_PARTITIONS};
use crate::record::RECORD_HEADER_BYTES;
use crate::storage::{Storage, read_readable_at};
use crate::stream::{Compression, LOGS, SegmentName, SegmentPart, StreamDefinition, is_name};
use crate::table::{Changes, Table, TableOp, number_key};

/// No record takes less: a header and one byte of JSON.
const SMALLEST_RECORD_BYTES: u64 = RECORD_HEADER_BYTES as u64 + 1;
/// No journal file holds more records.
const MOST_RECORDS_PER_FILE: u64 = MAX_JOURNAL_FILE_BYTES / SMALLEST_RECORD_BYTES;
/// The engine makes this stream first.
const LOGS_ID: u32 = 1;

/// The state that repair writes.
#[derive(Debug, Default)]
pub(crate) struct Rebuild {
    /// Later than every file there is: they all count as sealed.
    pub(crate) generation: Generation,
    pub(crate) sequence: Sequence,
    pub(crate) rows: Changes,
    pub(crate) salvage: Vec<Salvage>,
    /// Segments that no sound row named, and that hold what nothing else does.
    pub(crate) adopted: BTreeSet<SegmentName>,
    /// Offsets that stay unused.
    pub(crate) skipped: Vec<OffsetRange>,
    pub(crate) notes: Vec<String>,
    definitions: BTreeMap<StreamId, StreamDefinition>,
    held: BTreeMap<PartitionKey, Intervals>,
}

impl Rebuild {
    /// Plans it.
    ///
    /// # Errors
    /// When a damaged state file cannot be opened any more.
    pub(crate) fn plan(storage: &dyn Storage, survey: &Survey) -> io::Result<Self> {
        let generation = Generation(survey.newest.0 + 1);
        let mut plan = Self { generation, sequence: survey.sequence, rows: survey.rows.clone(), ..Self::default() };
        plan.definitions.clone_from(&survey.definitions);
        for name in &survey.undefined {
            plan.rows.apply(TableOp::delete(Table::Catalog, name.as_slice()));
        }
        plan.find_definitions(storage, survey)?;
        plan.hold_sealed(survey);
        plan.take_over_journals(survey);
        plan.adopt(survey);
        plan.set_bounds(survey);
        plan.rows.drop_deleted();
        if !survey.damaged_state.is_empty() || survey.commits_lost {
            plan.notes.push("idempotency keys of the lost commits are forgotten: repeats are stored again".to_owned());
        }
        Ok(plan)
    }

    pub(crate) fn compression(&self, stream: StreamId) -> Compression {
        self.definitions.get(&stream).map_or(Compression::None, |definition| definition.compression)
    }

    /// Offsets whose records are gone for good: those that the findings name, and all other holes.
    pub(crate) fn losses(&self, survey: &Survey) -> Vec<OffsetRange> {
        let mut lost = Vec::new();
        for (stream, definition) in &self.definitions {
            for partition in 0..definition.partitions {
                let key = (*stream, PartitionId(partition));
                let none = Intervals::default();
                let held = self.held.get(&key).unwrap_or(&none);
                let mut gone = Intervals::default();
                let ranges = named(survey, key).chain([(self.start(survey, key), self.end(survey, key))]);
                for (start, end) in ranges.flat_map(|(start, end)| held.missing(start, end)) {
                    gone.insert(start, end);
                }
                lost.extend(gone.iter().map(|(start, end)| self.range(key, start, end)));
            }
        }
        lost
    }

    fn range(&self, (stream, partition): PartitionKey, start: u64, end: u64) -> OffsetRange {
        let name = self.definitions.get(&stream).map_or_else(String::new, |of| of.name.clone());
        OffsetRange { stream: name, stream_id: stream.0, partition: partition.0, start, end }
    }

    /// Returns the offset after the last one that is known.
    fn end(&self, survey: &Survey, key: PartitionKey) -> u64 {
        survey.end(key).max(self.held.get(&key).and_then(Intervals::end).unwrap_or(0))
    }

    /// Returns the first offset that is kept. Without all of the tables, nothing says where the partition began but
    /// what is there.
    fn start(&self, survey: &Survey, key: PartitionKey) -> u64 {
        let known = survey.start(key);
        if survey.damaged_state.is_empty() {
            return known;
        }
        let first = self.held.get(&key).and_then(|held| held.iter().next()).map(|(first, _)| first);
        let first = first.into_iter().chain(named(survey, key).map(|(start, _)| start)).min();
        first.map_or_else(|| self.end(survey, key), |first| first.max(known))
    }

    pub(crate) fn put_part(&mut self, stream: StreamId, part: &SegmentPart) {
        self.rows.apply(TableOp::put(Table::Segments, part.key(stream), part.encode()));
    }

    /// Definitions that the sound tables lack: out of damaged state files, else made up for records that are there.
    fn find_definitions(&mut self, storage: &dyn Storage, survey: &Survey) -> io::Result<()> {
        for path in &survey.damaged_state {
            let file = storage.open_read(Path::new(path))?;
            let (bytes, _) = read_readable_at(file.as_ref(), (0, file.length()?))?;
            for definition in definitions_in(&bytes) {
                let id = StreamId(definition.id);
                let taken = |known: &StreamDefinition| known.name == definition.name;
                if !self.definitions.contains_key(&id) && !self.definitions.values().any(taken) {
                    self.notes.push(format!("stream {:?} was found in the damaged {path}", definition.name));
                    self.define(definition);
                }
            }
        }
        for ((stream, _), partitions) in used(survey) {
            match self.definitions.get(&stream).cloned() {
                Some(known) if known.partitions >= partitions => {}
                Some(known) => self.define(StreamDefinition { partitions, ..known }),
                None if survey.damaged_state.is_empty() && survey.undefined.is_empty() && !survey.commits_lost => {}
                None => self.make_up(stream, partitions),
            }
        }
        Ok(())
    }

    fn make_up(&mut self, stream: StreamId, partitions: u32) {
        let is_logs = stream.0 == LOGS_ID && self.definitions.values().all(|known| known.name != LOGS);
        let name = if is_logs { LOGS.to_owned() } else { format!("recovered-{stream}") };
        self.notes.push(format!(
            "the definition of stream {stream} is lost: it is called {name:?} now and keeps everything for ever"
        ));
        self.define(StreamDefinition {
            id: stream.0,
            name,
            partitions,
            compression: if is_logs { Compression::Zstd } else { Compression::None },
            retention_ms: None,
            retention_bytes: None,
            max_record_bytes: 1024 * 1024,
            created_us: Timestamp::now().0,
            quota: QuotaRates::default(),
            dedup_window_seconds: None,
            layout: None,
        });
    }

    fn define(&mut self, definition: StreamDefinition) {
        self.rows.apply(TableOp::put(Table::Catalog, definition.name.as_bytes(), definition.encode()));
        self.definitions.insert(StreamId(definition.id), definition);
    }

    fn hold_sealed(&mut self, survey: &Survey) {
        for (stream, part) in &survey.parts {
            let Some(segment) = survey.segments.get(&part.name) else { continue };
            for (partition, base, records) in &part.spans {
                let held = self.held.entry((*stream, *partition)).or_default();
                for (from, to) in segment.offsets(*stream, *partition).iter() {
                    let from = from.max(base.0);
                    held.insert(from, to.min(base.0 + records).max(from));
                }
            }
        }
    }

    fn take_over_journals(&mut self, survey: &Survey) {
        for journal in &survey.journals {
            let mut pieces: BTreeMap<PartitionKey, Vec<Piece>> = BTreeMap::new();
            for (frame, seen) in journal.frames.iter().flat_map(|frame| frame.rows.iter().map(move |row| (frame, row)))
            {
                let key = (seen.row.stream, seen.row.partition);
                let known = self.definitions.get(&key.0).is_some_and(|of| key.1.0 < of.partitions);
                if !seen.sound || !known {
                    continue;
                }
                let start = survey.start(key).max(seen.row.base.0);
                let held = self.held.entry(key).or_default();
                let wanted = held.missing(start, seen.row.base.plus(seen.row.records.into()).0.max(start));
                for (from, to) in &wanted {
                    held.insert(*from, *to);
                }
                if !wanted.is_empty() {
                    let (position, bytes, base) = (seen.position, seen.row.bytes as usize, seen.row.base.0);
                    let piece = Piece { position, bytes, base, append_time: frame.append_time, wanted };
                    pieces.entry(key).or_default().push(piece);
                }
            }
            for pieces in pieces.values_mut() {
                pieces.sort_by_key(|piece| piece.base);
            }
            if !pieces.is_empty() {
                let generation = journal.generation;
                let names = survey.segments.keys().filter(|name| name.generation == generation);
                let ordinal = names.map(|name| name.ordinal + 1).max().unwrap_or(0);
                let name = SegmentName { generation, ordinal };
                self.salvage.push(Salvage { path: journal.path.clone(), name, pieces });
            }
        }
    }

    /// Segments without a row may hold what is nowhere else: the state file that named them is damaged, or the journal
    /// that they were sealed from.
    fn adopt(&mut self, survey: &Survey) {
        for name in survey.orphans() {
            let Some(segment) = survey.segments.get(&name) else { continue };
            for (stream, mut part) in parts(name, &segment.sound) {
                let Some(definition) = self.definitions.get(&stream) else { continue };
                let (partitions, stream_name) = (definition.partitions, definition.name.clone());
                let mut spans = Vec::new();
                for (partition, base, records) in part.spans.iter().filter(|(of, ..)| of.0 < partitions) {
                    let key = (stream, *partition);
                    let held = self.held.entry(key).or_default();
                    let start = base.0.max(survey.start(key));
                    for (from, to) in held.missing(start, (base.0 + records).max(start)) {
                        held.insert(from, to);
                        spans.push((*partition, crate::ids::Offset(from), to - from));
                    }
                }
                if !spans.is_empty() {
                    part.spans = spans;
                    self.put_part(stream, &part);
                    self.adopted.insert(name);
                    let of = format!("{} of the stream {stream_name:?}", name.path().display());
                    self.notes.push(format!("{of} is named by the tables again"));
                }
            }
        }
    }

    /// Sets where each partition begins and goes on. No offset that a record may have had is given to another one.
    fn set_bounds(&mut self, survey: &Survey) {
        for (stream, definition) in self.definitions.clone() {
            for partition in 0..definition.partitions {
                let key = (stream, PartitionId(partition));
                let (start, end, skip) = (self.start(survey, key), self.end(survey, key), skip(survey, key));
                if skip > 0 {
                    self.skipped.push(self.range(key, end, end + skip));
                }
                let row = number_key(stream.0, &[partition.into()]);
                if start > 0 {
                    self.rows.apply(TableOp::put(Table::Starts, row.clone(), start.to_le_bytes()));
                }
                self.rows.apply(TableOp::put(Table::Ends, row, (end + skip).to_le_bytes()));
            }
        }
    }
}

/// Offsets of a partition that the findings name, and those of damaged blocks in segments that no sound table names.
fn named(survey: &Survey, (stream, partition): PartitionKey) -> impl Iterator<Item = (u64, u64)> {
    let ranges = survey.findings.iter().flat_map(|finding| &finding.offsets);
    let of = ranges.filter(move |range| (range.stream_id, range.partition) == (stream.0, partition.0));
    let unnamed = if survey.damaged_state.is_empty() { Vec::new() } else { survey.orphans() };
    let damages = unnamed.into_iter().filter_map(|name| survey.segments.get(&name)).flat_map(|of| &of.damages);
    let blocks = damages.filter_map(|damage| damage.block);
    let blocks = blocks.filter(move |row| (row.stream, row.partition) == (stream, partition));
    of.map(|range| (range.start, range.end)).chain(blocks.map(|row| (row.base.0, row.end().0)))
}

/// Returns the most records that a partition can have had behind the last that is known: as many as fit the bytes that
/// are gone, when something is gone that came after.
fn skip(survey: &Survey, key: PartitionKey) -> u64 {
    let of = |index: usize| {
        let rows =
            survey.journals[index].frames.iter().flat_map(|frame| frame.rows.iter().map(move |row| (frame, row)));
        let mine = rows.filter(|(_, seen)| (seen.row.stream, seen.row.partition) == key);
        mine.map(|(frame, _)| (index, frame.position as u64)).max()
    };
    let last = (0..survey.journals.len()).filter_map(of).max();
    let mut skip = 0;
    if survey.commits_lost {
        for (index, journal) in survey.journals.iter().enumerate() {
            let after = journal.gone.iter().filter(|(position, _)| last.is_none_or(|last| last < (index, *position)));
            skip += after.map(|(_, bytes)| bytes / SMALLEST_RECORD_BYTES).sum::<u64>();
        }
        if survey.files_lost && last.is_none() {
            skip += MOST_RECORDS_PER_FILE * survey.newest.0.saturating_sub(survey.sealed.0).max(1);
        }
    }
    if !survey.damaged_state.is_empty() {
        let holds = |(_, segment): &(&SegmentName, &SegmentSurvey)| {
            segment.sound.iter().any(|row| (row.stream, row.partition) == key)
        };
        let sealed = survey.segments.iter().filter(holds).map(|(name, _)| name.generation).max();
        let journaled = last.map(|(index, _)| survey.journals[index].generation);
        let evidence = sealed.max(journaled).unwrap_or_default();
        skip += MOST_RECORDS_PER_FILE * survey.newest_state().0.saturating_sub(evidence.0);
    }
    skip
}

/// Streams that records are there of, with how many partitions they need at least.
fn used(survey: &Survey) -> BTreeMap<PartitionKey, u32> {
    let blocks = survey.segments.values().flat_map(|segment| &segment.sound).map(|row| (row.stream, row.partition));
    let blocks = blocks.filter(|_| !survey.damaged_state.is_empty());
    let rows = survey.journals.iter().flat_map(|journal| &journal.frames).flat_map(|frame| &frame.rows);
    let rows = rows.map(|seen| (seen.row.stream, seen.row.partition));
    let mut used: BTreeMap<PartitionKey, u32> = BTreeMap::new();
    for (stream, partition) in blocks.chain(rows).filter(|(_, partition)| partition.0 < MAX_PARTITIONS) {
        let most = used.entry((stream, PartitionId(0))).or_default();
        *most = (*most).max(partition.0 + 1);
    }
    used
}

/// Stream definitions in the bytes of a damaged state file. A row of the catalog says the name twice, in the key and in
/// the definition that follows it, so a row that agrees with itself is believed.
fn definitions_in(bytes: &[u8]) -> Vec<StreamDefinition> {
    let at = memchr::memchr_iter(b'{', bytes);
    at.filter_map(|at| definition_at(&bytes[..at], &bytes[at..])).collect()
}

fn definition_at(before: &[u8], bytes: &[u8]) -> Option<StreamDefinition> {
    let definition: StreamDefinition = serde_json::Deserializer::from_slice(bytes).into_iter().next()?.ok()?;
    let agrees = before.ends_with(definition.name.as_bytes())
        && is_name(&definition.name)
        && definition.id > 0
        && (1..=MAX_PARTITIONS).contains(&definition.partitions);
    agrees.then_some(definition)
}
