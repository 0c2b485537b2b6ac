//! One journal file, read back whole: which frames and rows are sound, and what else was synced there.
//!
//! Damage is told from a torn tail as recovery does (see [`crate::log::journal::replay`]). Beyond that, what still is sound
//! inside of a damaged range is found: frames that stand behind the damaged one, and single rows of a frame.

use crate::ids::{Generation, Sequence, Timestamp};
use crate::log::journal::{Decoded, FrameHead, FrameKind, FrameRow, Life, PAGE_BYTES, Tail};
use crate::record::Records;
use crate::table::TableOp;

/// A row of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenRow {
    pub(crate) row: FrameRow,
    /// Where its records are in the file.
    pub(crate) position: usize,
    /// Whether they are what was written.
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

/// What a journal file holds that is not sealed.
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
    /// A file of which nothing can be read.
    pub(crate) fn unreadable(path: String, generation: Generation, bytes: u64, what: String) -> Self {
        let whole = (0, bytes, what);
        let gone = vec![(PAGE_BYTES as u64, bytes.saturating_sub(PAGE_BYTES as u64))];
        let (frames, last_known) = (Vec::new(), Sequence(0));
        Self { path, generation, bytes, frames, damages: vec![whole], gone, tail: Tail::Ended, last_known }
    }

    /// Walks a file's bytes. `last` is the last commit known before it.
    pub(crate) fn of(path: String, life: Life, bytes: &[u8], last: Sequence) -> Self {
        let mut survey = Self {
            path,
            generation: life.generation,
            bytes: bytes.len() as u64,
            frames: Vec::new(),
            damages: Vec::new(),
            gone: Vec::new(),
            tail: Tail::Open(PAGE_BYTES),
            last_known: last,
        };
        survey.walk(life, bytes, last);
        survey
    }

    /// Whether it was prepared and never written to.
    pub(crate) fn is_unused(&self) -> bool {
        self.frames.is_empty() && self.damages.is_empty() && self.tail != Tail::Ended
    }

    /// The last commit found.
    pub(crate) fn last(&self) -> Option<Sequence> {
        self.frames.last().map(|frame| frame.sequence)
    }

    fn walk(&mut self, life: Life, bytes: &[u8], mut last: Sequence) {
        let mut at = PAGE_BYTES;
        loop {
            let Some(frame) = decode(life, bytes, at).filter(Decoded::payload_is_sound) else {
                match next_known_synced(life, bytes, at, last) {
                    Some(next) => {
                        self.search(life, bytes, (at, next));
                        last = self.last().unwrap_or(last).max(last);
                        at = next;
                        continue;
                    }
                    None => {
                        self.tail = Tail::Open(at);
                        return;
                    }
                }
            };
            let next = at + frame.frame_bytes();
            let kind = frame.head.kind;
            last = last.max(frame.head.sequence);
            self.take_in(frame, at);
            if kind == FrameKind::End {
                self.tail = Tail::Ended;
                return;
            }
            at = next;
        }
    }

    /// A damaged range: what in it is sound all the same.
    fn search(&mut self, life: Life, bytes: &[u8], (from, to): (usize, usize)) {
        let what = "a commit's checksum does not match, though it was synced".to_owned();
        self.damages.push((from as u64, (to - from) as u64, what));
        let said = decode(life, bytes, to).map_or(self.last_known, |frame| frame.head.synced_through);
        self.last_known = self.last_known.max(said);
        let mut at = from;
        while at < to {
            let next = match decode(life, bytes, at).filter(|frame| at + frame.frame_bytes() <= to) {
                Some(frame) => {
                    let next = at + frame.frame_bytes();
                    self.take_in(frame, at);
                    next
                }
                None => {
                    let next = at + PAGE_BYTES;
                    match self.gone.last_mut().filter(|(position, length)| position + length == at as u64) {
                        Some((_, length)) => *length += PAGE_BYTES as u64,
                        None => self.gone.push((at as u64, PAGE_BYTES as u64)),
                    }
                    next
                }
            };
            at = next;
        }
    }

    fn take_in(&mut self, frame: Decoded<'_>, position: usize) {
        let head = &frame.head;
        self.last_known = self.last_known.max(head.sequence).max(head.synced_through);
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

fn decode(life: Life, bytes: &[u8], at: usize) -> Option<Decoded<'_>> {
    FrameHead::decode(life, bytes.get(at..)?)
}

fn next_known_synced(life: Life, bytes: &[u8], at: usize, last: Sequence) -> Option<usize> {
    (at + PAGE_BYTES..bytes.len())
        .step_by(PAGE_BYTES)
        .find(|next| decode(life, bytes, *next).is_some_and(|frame| frame.head.synced_through > last))
}
