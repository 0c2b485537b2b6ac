//! One journal file, read back whole: which frames and rows are sound, and what else was synced there.
//!
//! The walk is the one of a start (see [`JournalReader`]). Beyond that, single rows are found that are sound in a damaged
//! frame.

use std::io;

use crate::ids::{Generation, Sequence, Timestamp};
use crate::log::Strictness;
use crate::log::journal::{Decoded, FrameKind, FrameRow, JournalFile, JournalReader, PAGE_BYTES, Step, Tail};
use crate::record::Records;
use crate::table::TableOp;

/// A row of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenRow {
    pub(crate) row: FrameRow,
    /// The place of its records in the file.
    pub(crate) position: usize,
    /// True if they are what was written.
    pub(crate) sound: bool,
}

/// A commit whose head is sound.
#[derive(Clone, Debug)]
pub(crate) struct SeenFrame {
    pub(crate) position: usize,
    pub(crate) sequence: Sequence,
    pub(crate) append_time: Timestamp,
    pub(crate) rows: Vec<SeenRow>,
    pub(crate) ops: Vec<TableOp>,
}

/// The contents of a journal file that is not sealed.
#[derive(Clone, Debug)]
pub(crate) struct JournalSurvey {
    /// Relative to the data directory.
    pub(crate) path: String,
    pub(crate) generation: Generation,
    pub(crate) bytes: u64,
    pub(crate) frames: Vec<SeenFrame>,
    /// Position, length and what is wrong.
    pub(crate) damages: Vec<(u64, u64, String)>,
    /// Ranges in which whole commits may have stood: position and length.
    pub(crate) gone: Vec<(u64, u64)>,
    pub(crate) tail: Tail,
    /// The last commit that any frame speaks of.
    pub(crate) last_known: Sequence,
}

impl JournalSurvey {
    /// Returns a file of which nothing can be read.
    pub(crate) fn unreadable(path: String, generation: Generation, bytes: u64, what: String) -> Self {
        let whole = (0, bytes, what);
        let gone = vec![(PAGE_BYTES as u64, bytes.saturating_sub(PAGE_BYTES as u64))];
        let (frames, last_known) = (Vec::new(), Sequence(0));
        Self { path, generation, bytes, frames, damages: vec![whole], gone, tail: Tail::Ended, last_known }
    }

    /// Walks a file. `last` is the last commit known before it.
    ///
    /// # Errors
    /// When the file cannot be read at all. A sector that cannot be read is a damage.
    pub(crate) fn of(path: String, file: &JournalFile, last: Sequence) -> io::Result<Self> {
        let mut reader = JournalReader::open(file, Strictness::Salvaging)?;
        let mut survey = Self {
            path,
            generation: file.life.generation,
            bytes: reader.bytes(),
            frames: Vec::new(),
            damages: Vec::new(),
            gone: Vec::new(),
            tail: Tail::Open(PAGE_BYTES),
            last_known: last,
        };
        survey.walk(&mut reader, last);
        survey.last_known = survey.last_known.max(reader.last_known());
        for &(position, length) in reader.unreadable() {
            survey.damages.push((position, length, "the medium does not give this back".to_owned()));
            survey.gone.push((position, length));
        }
        Ok(survey)
    }

    /// Returns whether it was prepared and never written to.
    pub(crate) fn is_unused(&self) -> bool {
        self.frames.is_empty() && self.damages.is_empty() && self.tail != Tail::Ended
    }

    /// Returns the last commit found.
    pub(crate) fn last(&self) -> Option<Sequence> {
        self.frames.last().map(|frame| frame.sequence)
    }

    fn walk(&mut self, reader: &mut JournalReader, mut last: Sequence) {
        loop {
            match reader.step(last) {
                Step::Commit { position, frame } => {
                    last = last.max(frame.head.sequence);
                    self.take_in(&frame, position);
                }
                Step::Gap(sequence) => last = sequence,
                Step::Damage { position, bytes, frame } => {
                    let what = "a commit's checksum does not match, though it was synced".to_owned();
                    self.damages.push((position as u64, bytes as u64, what));
                    let kept = frame.as_ref().map_or(0, Decoded::frame_bytes);
                    if let Some(frame) = frame {
                        self.take_in(&frame, position);
                    }
                    self.lose(position + kept, bytes - kept);
                }
                Step::Done(tail) => {
                    self.tail = tail;
                    return;
                }
            }
        }
    }

    /// Records that whole commits may have stood in a range.
    fn lose(&mut self, position: usize, length: usize) {
        let (position, length) = (position as u64, length as u64);
        match self.gone.last_mut().filter(|(from, bytes)| from + bytes == position) {
            Some((_, bytes)) => *bytes += length,
            None if length > 0 => self.gone.push((position, length)),
            None => {}
        }
    }

    fn take_in(&mut self, frame: &Decoded<'_>, position: usize) {
        let head = &frame.head;
        if head.kind != FrameKind::Commit {
            return;
        }
        let Some(ops) = TableOp::decode_all(&head.ops) else {
            self.damages.push((position as u64, frame.frame_bytes() as u64, "operations cannot be read".to_owned()));
            return;
        };
        let mut at = position + frame.payload_at();
        let mut rest = frame.payload;
        let mut rows = Vec::with_capacity(head.rows.len());
        for row in &head.rows {
            let Some((records, after)) = rest.split_at_checked(row.bytes as usize) else { break };
            rows.push(SeenRow { row: *row, position: at, sound: is_sound(row, records) });
            rest = after;
            at += row.bytes as usize;
        }
        if frame.payload_is_sound() && rows.iter().any(|row| !row.sound) {
            let what = "a commit does not hold the records that it says".to_owned();
            self.damages.push((position as u64, frame.frame_bytes() as u64, what));
        }
        let (sequence, append_time) = (head.sequence, head.append_time);
        self.frames.push(SeenFrame { position, sequence, append_time, rows, ops });
    }
}

fn is_sound(row: &FrameRow, records: &[u8]) -> bool {
    let mut walked = Records::new(records);
    let count = walked.by_ref().count();
    crc32c::crc32c(records) == row.crc && count == row.records as usize && walked.rest().is_empty()
}
