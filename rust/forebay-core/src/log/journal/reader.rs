//! Reads one journal file back: which frames are sound, where the file ends, and whether that is where it was left.
//!
//! A start and a survey walk a file alike, so that both name the same damage. They differ in [`Strictness`]: a survey goes on
//! where the medium gives nothing back, and looks into the damaged frames.

use std::io;

use super::frame::{Decoded, FrameHead, FrameKind, Life, PAGE_BYTES};
use super::journal::JournalFile;
use crate::ids::Sequence;
use crate::log::Strictness;
use crate::storage::{Ranges, read_exact_at, read_readable_at};

/// The end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// It has an end frame: the log left it in order.
    Ended,
    /// It has none: it was being written to. The position is where the next frame would have stood; a torn one may.
    Open(usize),
}

/// A journal file's bytes, to be walked frame by frame.
#[derive(Debug)]
pub(crate) struct JournalReader {
    life: Life,
    bytes: Vec<u8>,
    unreadable: Ranges,
    position: usize,
    tail: Option<Tail>,
    synced_through: Sequence,
    last_known: Sequence,
    positions: Vec<(Sequence, usize)>,
    /// The first marker after the last commit.
    marker: Option<usize>,
    end: Option<usize>,
}

/// The next thing that the walk meets.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// A sound commit.
    Commit {
        /// Its first byte.
        position: usize,
        /// Its head and records.
        frame: Decoded<'a>,
    },
    /// Bytes that were synced and are not what was written.
    Damage {
        /// The first byte.
        position: usize,
        /// Their number.
        bytes: usize,
        /// The frame that begins there, when its head is sound and a part of its records may be.
        frame: Option<Decoded<'a>>,
    },
    /// A marker or an end after a later commit than the last one known.
    Gap(Sequence),
    /// The walk is over.
    Done(Tail),
}

impl JournalReader {
    /// Reads the file.
    ///
    /// # Errors
    /// Whatever the storage says; of a salvaging reader, that the file cannot be opened.
    pub(crate) fn open(file: &JournalFile, strictness: Strictness) -> io::Result<Self> {
        let length = file.file.length()?;
        let (bytes, unreadable) = match strictness {
            Strictness::Trusting => {
                let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
                read_exact_at(file.file.as_ref(), &mut bytes, 0)?;
                (bytes, Ranges::new())
            }
            Strictness::Salvaging => read_readable_at(file.file.as_ref(), (0, length))?,
        };
        Ok(Self {
            life: file.life,
            bytes,
            unreadable,
            position: PAGE_BYTES,
            tail: None,
            synced_through: Sequence(0),
            last_known: Sequence(0),
            positions: Vec::new(),
            marker: None,
            end: None,
        })
    }

    /// Takes the next step. `last` is the last commit known so far, in this file or before it.
    pub(crate) fn step(&mut self, last: Sequence) -> Step<'_> {
        loop {
            if let Some(tail) = self.tail {
                return Step::Done(tail);
            }
            let at = self.position;
            let Some((kind, sequence, synced, bytes)) = self.sound_at(at) else {
                let Some(next) = self.next_after_damage(at, last) else {
                    self.tail = Some(Tail::Open(at));
                    continue;
                };
                self.position = next;
                let frame = FrameHead::decode(self.life, self.bytes.get(at..next).unwrap_or_default());
                if let Some(frame) = &frame {
                    self.last_known = self.last_known.max(frame.head.sequence).max(frame.head.synced_through);
                }
                return Step::Damage { position: at, bytes: next - at, frame };
            };
            self.position = at + bytes;
            self.synced_through = self.synced_through.max(synced);
            self.last_known = self.last_known.max(sequence).max(synced);
            match kind {
                FrameKind::Marker => self.marker = self.marker.or(Some(at)),
                FrameKind::End => (self.tail, self.end) = (Some(Tail::Ended), Some(at)),
                FrameKind::Commit => {
                    self.marker = None;
                    self.positions.push((sequence, at));
                    let frame = FrameHead::decode(self.life, self.bytes.get(at..).unwrap_or_default());
                    return frame.map_or(Step::Done(Tail::Open(at)), |frame| Step::Commit { position: at, frame });
                }
            }
            if sequence > last {
                return Step::Gap(sequence);
            }
        }
    }

    /// Returns the file's length.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Returns the ranges that the medium did not give back, as positions and lengths.
    #[must_use]
    pub(crate) fn unreadable(&self) -> &[(u64, u64)] {
        &self.unreadable
    }

    /// Returns the last commit that any frame walked so far speaks of.
    #[must_use]
    pub(crate) fn last_known(&self) -> Sequence {
        self.last_known
    }

    /// Returns the bytes of the frames that may not be on stable storage, and where they stand: recovery writes them
    /// again before it lets anything build on them, because a page that is readable need not be on the disk.
    #[must_use]
    pub(crate) fn unsynced(&self, end: usize) -> (u64, &[u8]) {
        let first = self.positions.iter().find(|(sequence, _)| *sequence > self.synced_through);
        // A marker proves the commits before it, not itself.
        let from = first.map(|(_, at)| *at).or(self.marker).map_or(end, |at| at.min(end));
        (from as u64, self.bytes.get(from..end).unwrap_or_default())
    }

    /// Returns the page of the end, and where it stands.
    #[must_use]
    pub(crate) fn end(&self) -> Option<(u64, &[u8])> {
        let at = self.end?;
        Some((at as u64, self.bytes.get(at..at + PAGE_BYTES)?))
    }

    /// Returns whether a commit may not be on stable storage.
    #[must_use]
    pub(crate) fn has_unsynced_commits(&self) -> bool {
        self.positions.last().is_some_and(|(sequence, _)| *sequence > self.synced_through)
    }

    /// Returns the file up to `end`.
    #[must_use]
    pub(crate) fn before(&self, end: usize) -> &[u8] {
        self.bytes.get(..end).unwrap_or(&self.bytes)
    }

    fn sound_at(&self, at: usize) -> Option<(FrameKind, Sequence, Sequence, usize)> {
        let frame = FrameHead::decode(self.life, self.bytes.get(at..)?)?;
        frame.payload_is_sound().then(|| {
            let head = &frame.head;
            (head.kind, head.sequence, head.synced_through, frame.frame_bytes())
        })
    }

    /// Tells damage from a torn tail: it is damage when a later frame of this life says that the commit that should
    /// stand at `at`, or one after it, was synced. Returns where the next frame stands then.
    fn next_after_damage(&mut self, at: usize, last: Sequence) -> Option<usize> {
        let mut next = None;
        for position in (at + PAGE_BYTES..self.bytes.len()).step_by(PAGE_BYTES) {
            let frame = self.bytes.get(position..).and_then(|rest| FrameHead::decode(self.life, rest));
            let Some(frame) = frame else { continue };
            next = next.or(Some(position));
            if frame.head.synced_through > last {
                self.last_known = self.last_known.max(frame.head.synced_through);
                return next;
            }
        }
        None
    }
}
