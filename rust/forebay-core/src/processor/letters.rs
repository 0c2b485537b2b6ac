//! Dead letters: what they are, trying them again, and letting them be.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::dead_letter::{DeadLetter, stream_name};
use super::environment::Environment;
use super::processor::Processor;
use super::processors::Processors;
use super::rows::Letters;
use super::status::ProcessorStatus;
use super::task::Task;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId};
use crate::json::Lookup;
use crate::log::read::{Limits, Visited};
use crate::record::Record;
use crate::stream::Stream;
use crate::time::format_millis;

/// The most dead letters of one list, and the bytes of records beyond which it ends.
pub const MAX_LISTED_LETTERS: usize = 1_000;
const LISTED_BYTES: usize = 4 * 1024 * 1024;

/// The one partition that they have.
const PARTITION: PartitionId = PartitionId(0);

/// One of them, as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownLetter {
    offset: u64,
    failed_at: String,
    error: String,
    operation: String,
    source: String,
    source_partition: u32,
    source_offset: u64,
    timestamp: String,
    key: Option<String>,
    value: Option<Box<RawValue>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownLetters {
    stream: String,
    /// All that are neither replayed nor dropped.
    waiting: u64,
    /// Those of them that are being replayed.
    replaying: u64,
    dead_letters: Vec<ShownLetter>,
    /// The first that is not in the list; `None` when it has all.
    next_offset: Option<u64>,
}

impl Processors {
    /// Returns the dead letters that are neither replayed nor dropped, the oldest first, from an offset on, as JSON.
    ///
    /// # Errors
    /// `ProcessorNotFound`; `InvalidRequest` for more than [`MAX_LISTED_LETTERS`].
    pub fn dead_letters(&self, id: &str, from: Offset, count: usize) -> Result<Vec<u8>> {
        if !(1..=MAX_LISTED_LETTERS).contains(&count) {
            let detail = format!("limit: must be 1 to {MAX_LISTED_LETTERS}");
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        let processor = self.find(id)?;
        let letters = processor.task().as_ref().map_or(Letters::default(), |task| task.letters);
        let name = stream_name(processor.name());
        let (mut shown, mut waiting, mut next_offset) = (Vec::new(), 0, None);
        if let Some((stream, start, end)) = self.letters_of(&processor) {
            let next = letters.next.max(start);
            waiting = end.0.saturating_sub(next.0);
            let mut at = from.max(next);
            if at < end {
                let limits = Limits { records: count, bytes: LISTED_BYTES };
                let show = &mut |visited: Visited<'_>| shown.extend(show(&visited));
                at = self.environment.reader.visit(&stream, PARTITION, at, limits, show)?.next_offset;
            }
            next_offset = (at < end).then_some(at.0);
        }
        let replaying = letters.due().map_or(0, |due| due.until.0 - due.next.0);
        let shown = ShownLetters { stream: name, waiting, replaying, dead_letters: shown, next_offset };
        // Texts, numbers and JSON always serialise.
        Ok(serde_json::to_vec(&shown).unwrap_or_default())
    }

    /// Has the processor try its dead letters again, all that there are now or those up to an offset: each goes the way of
    /// a record that has just come, and is late where its windows are closed. Durable when this returns; one that fails
    /// again is a new dead letter.
    ///
    /// # Errors
    /// `ProcessorNotFound`, `Conflict` for a processor that does not run, and why nothing can be written.
    pub fn replay_dead_letters(&self, id: &str, through: Option<Offset>) -> Result<Vec<u8>> {
        let processor = self.find(id)?;
        let mut held = processor.task();
        let Some(task) = held.as_mut().filter(|_| processor.status().is == ProcessorStatus::Running) else {
            return Err(Error::new(ErrorKind::Conflict, format!("{}; resume it first", processor.why_idle())));
        };
        self.environment.status.refuse_change()?;
        // Before they are counted: those that a function has now are not dealt with, and are read again.
        task.abandon();
        let (first, until) = self.chosen(&processor, task.letters, through);
        let asked = Letters { next: first, until: until.max(task.letters.until) };
        self.store_letters(task, asked)?;
        drop(held);
        self.pool.schedule(&processor);
        Ok(format!("{{\"replaying\":{}}}", until.0 - first.0).into_bytes())
    }

    /// Lets dead letters be, all that there are now or those up to an offset; durable when this returns. Their stream
    /// keeps them for as long as it keeps any.
    ///
    /// # Errors
    /// `ProcessorNotFound`, `Conflict` for a processor that cannot be read, and why nothing can be written.
    pub fn drop_dead_letters(&self, id: &str, through: Option<Offset>) -> Result<Vec<u8>> {
        let processor = self.find(id)?;
        let mut held = processor.task();
        let Some(task) = held.as_mut() else {
            let detail = format!("the processor {:?} cannot be read; delete it", processor.name());
            return Err(Error::new(ErrorKind::Conflict, detail));
        };
        self.environment.status.refuse_change()?;
        task.abandon();
        let (first, until) = self.chosen(&processor, task.letters, through);
        let left = Letters { next: until, ..task.letters };
        self.store_letters(task, left)?;
        drop(held);
        Ok(format!("{{\"dropped\":{}}}", until.0 - first.0).into_bytes())
    }

    /// Stores how far dead letters are dealt with, at once.
    fn store_letters(&self, task: &mut Task, letters: Letters) -> Result<()> {
        let before = std::mem::replace(&mut task.letters, letters);
        task.is_changed = true;
        task.checkpoint(&self.environment, self.moment()).inspect_err(|_| task.letters = before)
    }

    /// Returns the first dead letter that is not dealt with, and the one behind the last that is chosen.
    fn chosen(&self, processor: &Processor, letters: Letters, through: Option<Offset>) -> (Offset, Offset) {
        let Some((_, start, end)) = self.letters_of(processor) else { return (letters.next, letters.next) };
        let first = letters.next.max(start).min(end);
        let until = through.map_or(end, |through| Offset(through.0.saturating_add(1)).min(end));
        (first, until.max(first))
    }

    /// Returns the stream of dead letters with its first offset and the one behind its last, when there is one.
    pub(super) fn letters_of(&self, processor: &Processor) -> Option<(Arc<Stream>, Offset, Offset)> {
        letters_of(&self.environment, &stream_name(processor.name()))
    }
}

/// Returns a stream of dead letters with its first offset and the one behind its last, when there is one of that name.
pub(super) fn letters_of(environment: &Environment, name: &str) -> Option<(Arc<Stream>, Offset, Offset)> {
    let stream = environment.catalog.named(name).ok()?;
    let log = stream.partition(PARTITION)?;
    let (start, end) = (log.start(), log.committed());
    Some((stream, start, end))
}

fn show(visited: &Visited<'_>) -> Option<ShownLetter> {
    let letter = DeadLetter::read(visited.record.headers)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(ShownLetter {
        offset: visited.offset.0,
        failed_at: format_millis(visited.append_time),
        error: letter.error,
        operation: letter.operation,
        source: letter.source,
        source_partition: letter.partition.0,
        source_offset: letter.offset.0,
        timestamp: format_millis(visited.record.timestamp),
        key: visited.record.key.map(text),
        // What a record has for a value is JSON.
        value: RawValue::from_string(text(visited.record.value)).ok(),
    })
}

impl Task {
    /// Tries a part of the dead letters again.
    pub(super) fn replay(&mut self, environment: &Environment, letters: Letters) -> Result<()> {
        let Some((stream, start, _)) = self.sinks.letters(environment) else {
            // The stream is gone, and they with it.
            self.letters.next = letters.until;
            self.is_changed = true;
            return Ok(());
        };
        let from = letters.next.max(start).min(letters.until);
        let left = usize::try_from(letters.until.0 - from.0).unwrap_or(usize::MAX);
        let limits = Limits { records: self.turn_records().min(left), bytes: self.step_bytes };
        let mut found = Lookup::default();
        let mut next = letters.until;
        if left > 0 {
            let mut take = |visited: Visited<'_>| self.take_letter(&visited, &mut found);
            next =
                environment.reader.visit(&stream, PARTITION, from, limits, &mut take)?.next_offset.min(letters.until);
        }
        self.letters.next = next;
        self.is_changed = true;
        self.is_updated = false;
        Ok(())
    }

    /// Takes in a dead letter as what it was before: a record of the source that comes now.
    fn take_letter(&mut self, visited: &Visited<'_>, found: &mut Lookup) {
        let Some(letter) = DeadLetter::read(visited.record.headers) else { return };
        let record = Record { headers: &letter.own, ..visited.record };
        let place = (letter.partition, letter.offset);
        let Some(time) = self.time_of(place, &record, found) else { return };
        // It moves no watermark, and keeps no partition awake.
        let watermark = self.watermarks.judge_again(letter.partition.0 as usize);
        self.process(place, &record, (time, watermark), found);
    }
}
