//! A data directory read back whole, without a change: what verify reports and what repair works from.

mod bounds;
mod files;
mod journal;
mod segment;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use files::Files;
pub(crate) use journal::JournalSurvey;
pub(crate) use segment::SegmentSurvey;

use crate::ids::{Generation, PartitionId, Sequence, StreamId};
use crate::log::journal::{JOURNAL_DIRECTORY, JournalFile, Tail};
use crate::log::repair::intervals::Intervals;
use crate::log::repair::quarantine;
use crate::log::repair::quarantine::OffsetRange;
use crate::log::repair::read_progress::ReadProgress;
use crate::log::state::{STATE_DIRECTORY, StateFiles};
use crate::status::Damage;
use crate::storage::{Entry, Storage};
use crate::stream::SEGMENT_DIRECTORY;
use crate::stream::{SegmentName, SegmentPart, StreamDefinition};
use crate::table::{Changes, Table};

/// Something that is not what was written, and what it takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, the range and what is wrong.
    pub damage: Damage,
    /// The offsets whose records it takes away, as far as they are known.
    pub offsets: Vec<OffsetRange>,
}

pub(crate) type PartitionKey = (StreamId, PartitionId);

/// Everything that was read.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The last sealed journal file, by the state files that are sound.
    pub(crate) sealed: Generation,
    /// The newest generation that any name speaks of.
    pub(crate) newest: Generation,
    /// The last commit that is known.
    pub(crate) sequence: Sequence,
    /// StateFiles files, sound or not.
    pub(crate) state_files: Vec<Entry>,
    /// Paths of those that are not what was written.
    pub(crate) damaged_state: BTreeSet<String>,
    /// Journal files that are not sealed and were written to, oldest first.
    pub(crate) journals: Vec<JournalSurvey>,
    /// True if commits are missing that no sound frame holds.
    pub(crate) commits_lost: bool,
    /// True if the commits before the first journal file's are missing.
    pub(crate) files_lost: bool,
    /// Every segment file.
    pub(crate) segments: BTreeMap<SegmentName, SegmentSurvey>,
    /// Rows of the tables, with what the journal changed.
    pub(crate) rows: Changes,
    /// Streams.
    pub(crate) definitions: BTreeMap<StreamId, StreamDefinition>,
    /// Streams whose definitions cannot be read, by name.
    pub(crate) undefined: Vec<Vec<u8>>,
    /// Rows of the segments table.
    pub(crate) parts: Vec<(StreamId, SegmentPart)>,
    /// Offsets that some file holds, sealed or not.
    pub(crate) held: BTreeMap<PartitionKey, Intervals>,
    /// Offsets that earlier repairs recorded as gone.
    pub(crate) recorded: Vec<OffsetRange>,
    /// Damages that were found.
    pub(crate) findings: Vec<Finding>,
    /// Files read.
    pub(crate) files: u64,
    /// Bytes read.
    pub(crate) bytes: u64,
}

impl Survey {
    /// Reads everything, and says in `progress` how far it is.
    ///
    /// # Errors
    /// When a directory itself cannot be read. A file that cannot be is a finding.
    pub(crate) fn of(storage: &dyn Storage, progress: &ReadProgress) -> io::Result<Self> {
        let files = Files::of(storage)?;
        progress.begin(files.bytes());
        let mut survey = Self { recorded: quarantine::recorded(storage)?, ..Self::default() };
        survey.read_state(storage, files.state, progress)?;
        survey.read_journals(storage, files.journals, progress)?;
        survey.read_segments(storage, files.segments, progress)?;
        survey.read_tables();
        survey.hold();
        survey.name_holes();
        Ok(survey)
    }

    /// Returns whether the log would start read-only: repairing a segment alone is not enough.
    pub(crate) fn needs_rebuilding(&self) -> bool {
        !self.damaged_state.is_empty()
            || !self.undefined.is_empty()
            || self.commits_lost
            || self.journals.iter().any(|journal| !journal.damages.is_empty())
            || self.findings.iter().map(|finding| &finding.damage.file).any(|file| {
                // A hole that no one segment accounts for stands between the tables and the journal.
                file.starts_with(JOURNAL_DIRECTORY) || file == SEGMENT_DIRECTORY
            })
    }

    /// Returns a stream's name, or what stands for it.
    pub(crate) fn name(&self, stream: StreamId) -> String {
        self.definitions.get(&stream).map_or_else(|| format!("stream {stream}"), |of| of.name.clone())
    }

    pub(crate) fn offsets(&self, (stream, partition): PartitionKey, start: u64, end: u64) -> OffsetRange {
        OffsetRange { stream: self.name(stream), stream_id: stream.0, partition: partition.0, start, end }
    }

    fn count(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }

    fn read_state(&mut self, storage: &dyn Storage, files: Vec<Entry>, progress: &ReadProgress) -> io::Result<()> {
        let state = StateFiles::load(storage)?;
        for damage in state.damages {
            self.damaged_state.insert(damage.file.clone());
            self.findings.push(Finding { damage, offsets: Vec::new() });
        }
        (self.sealed, self.sequence, self.rows) = (state.generation, state.sequence, state.rows);
        self.state_files = files;
        self.newest = self.sealed.max(self.newest_state());
        let bytes = self.state_files.iter().map(|entry| entry.bytes).sum();
        self.files += self.state_files.len() as u64;
        self.bytes += bytes;
        progress.count(bytes);
        Ok(())
    }

    /// Returns the newest journal file that any state file says it includes.
    pub(crate) fn newest_state(&self) -> Generation {
        let number = |entry: &Entry| entry.name.split('.').next().and_then(|number| number.parse().ok());
        Generation(self.state_files.iter().filter_map(number).max().unwrap_or(0))
    }

    fn read_journals(
        &mut self,
        storage: &dyn Storage,
        files: Vec<(u64, Entry)>,
        progress: &ReadProgress,
    ) -> io::Result<()> {
        let mut found = Vec::new();
        for (number, entry) in files {
            self.newest = self.newest.max(Generation(number));
            self.count(entry.bytes);
            let path = Path::new(JOURNAL_DIRECTORY).join(&entry.name);
            let identified = storage.open_read(&path).and_then(|file| JournalFile::identify(file, path.clone()));
            let path = path.to_string_lossy().into_owned();
            match identified {
                Ok(Some(file)) => {
                    self.newest = self.newest.max(file.life.generation);
                    if file.life.generation > self.sealed {
                        found.push((file.life.generation, path, Ok(file), entry.bytes));
                    } else {
                        progress.count(entry.bytes);
                    }
                }
                _ if Generation(number) <= self.sealed => progress.count(entry.bytes),
                Ok(None) => {
                    found.push((
                        Generation(number),
                        path,
                        Err("the journal file's header is damaged".to_owned()),
                        entry.bytes,
                    ));
                }
                Err(error) => {
                    let what = format!("the journal file's header cannot be read: {error}");
                    found.push((Generation(number), path, Err(what), entry.bytes));
                }
            }
        }
        found.sort_by_key(|(generation, ..)| *generation);
        for (generation, path, file, bytes) in found {
            match file {
                Ok(file) => self.walk(&file, path)?,
                Err(what) => {
                    self.commits_lost = true;
                    self.journals.push(JournalSurvey::unreadable(path, generation, bytes, what));
                }
            }
            progress.count(bytes);
        }
        self.judge_journals();
        Ok(())
    }

    fn walk(&mut self, file: &JournalFile, path: String) -> io::Result<()> {
        let last = self.journals.iter().filter_map(JournalSurvey::last).max().unwrap_or(self.sequence);
        let journal = JournalSurvey::of(path, file, last.max(self.sequence))?;
        if !journal.is_unused() {
            self.journals.push(journal);
        }
        Ok(())
    }

    /// Compares the files with each other: commits are consecutive, and every file but the last has an end.
    fn judge_journals(&mut self) {
        let mut last = self.sequence;
        let count = self.journals.len();
        for index in 0..count {
            let before_is_damaged =
                index.checked_sub(1).is_some_and(|before| !self.journals[before].damages.is_empty());
            let journal = &mut self.journals[index];
            for (first, sequence) in journal.frames.iter().map(|frame| frame.sequence).enumerate() {
                let expected = last.0 + 1;
                // Older commits are sealed, only not known to be, where the newest state file is missing.
                let known = first > 0 || index > 0 || self.damaged_state.is_empty();
                if sequence.0 != expected && known {
                    self.commits_lost = true;
                    if journal.damages.is_empty() && !before_is_damaged {
                        let what = format!("commits {expected} to {} are missing", sequence.0.wrapping_sub(1));
                        journal.damages.push((0, journal.bytes, what));
                        self.files_lost = true;
                    }
                }
                last = sequence;
            }
            if let Tail::Open(end) = journal.tail
                && index + 1 < count
            {
                let length = journal.bytes.saturating_sub(end as u64);
                let what = "the journal file has no end, though a later one was begun".to_owned();
                journal.damages.push((end as u64, length, what));
                journal.gone.push((end as u64, length));
            }
            self.commits_lost |= journal.last_known > last;
            last = last.max(journal.last_known);
            self.sequence = self.sequence.max(last);
        }
        self.commits_lost |= self.journals.iter().any(|journal| journal.damages.iter().any(|damage| damage.0 == 0));
    }

    fn read_segments(
        &mut self,
        storage: &dyn Storage,
        files: Vec<(SegmentName, Entry)>,
        progress: &ReadProgress,
    ) -> io::Result<()> {
        for (name, entry) in files {
            self.newest = self.newest.max(name.generation);
            self.count(entry.bytes);
            self.segments.insert(name, SegmentSurvey::of(storage, name)?);
            progress.count(entry.bytes);
        }
        Ok(())
    }

    fn read_tables(&mut self) {
        let frames = self.journals.iter().flat_map(|journal| &journal.frames);
        for op in frames.flat_map(|frame| &frame.ops) {
            self.rows.apply(op.clone());
        }
        for (key, value) in self.rows.rows(Table::Catalog) {
            match StreamDefinition::decode(value) {
                Ok(definition) => drop(self.definitions.insert(StreamId(definition.id), definition)),
                Err(error) => {
                    let what = format!("the definition of a stream cannot be read: {error}");
                    let stream = Some(String::from_utf8_lossy(key).into_owned());
                    let damage = Damage { file: STATE_DIRECTORY.to_owned(), range: None, stream, what };
                    self.findings.push(Finding { damage, offsets: Vec::new() });
                    self.undefined.push(key.to_vec());
                }
            }
        }
        // A deletion that was interrupted leaves rows of a stream that has no name any more, nor files. Where tables are
        // damaged it may be the name alone that is missing.
        let whole = self.damaged_state.is_empty() && self.undefined.is_empty() && !self.commits_lost;
        for (key, value) in self.rows.rows(Table::Segments) {
            let Some((stream, name)) = key.split_first_chunk::<4>() else { continue };
            let stream = StreamId(u32::from_be_bytes(*stream));
            if let Some(part) =
                SegmentPart::decode(name, value).filter(|_| !whole || self.definitions.contains_key(&stream))
            {
                self.parts.push((stream, part));
            }
        }
    }

    /// Segment files that no row names: left by a sealing or a deletion that a crash interrupted.
    pub(crate) fn orphans(&self) -> Vec<SegmentName> {
        let named: BTreeSet<SegmentName> = self.parts.iter().map(|(_, part)| part.name).collect();
        self.segments.keys().filter(|name| !named.contains(name)).copied().collect()
    }
}

pub(crate) fn path_of(name: SegmentName) -> String {
    name.path().to_string_lossy().into_owned()
}
