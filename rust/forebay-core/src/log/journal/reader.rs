//! One journal file, read back: which frames are sound, where the file ends, and whether that is where it was left.

use std::io;

use super::frame::{Decoded, FrameHead, FrameKind, Life, PAGE_BYTES};
use super::journal::JournalFile;
use crate::ids::Sequence;
use crate::storage::read_exact_at;

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With an end frame: the log left it in order.
    Ended,
    /// Without: it was being written to. The position is where the next frame would have stood; a torn one may.
    Open(usize),
}

/// A journal file's bytes, to be walked frame by frame.
#[derive(Debug)]
pub struct Replay {
    life: Life,
    bytes: Vec<u8>,
    position: usize,
    tail: Option<Tail>,
    synced_through: Sequence,
    positions: Vec<(Sequence, usize)>,
    /// The first marker after the last commit.
    marker: Option<usize>,
    end: Option<usize>,
}

/// What the walk meets next.
#[derive(Debug)]
pub enum Step<'a> {
    /// A sound commit.
    Commit(Decoded<'a>),
    /// Bytes that were synced and are not what was written: where, and how many.
    Damage(u64, u64),
    /// A marker or an end after a later commit than the last one known.
    Gap(Sequence),
    /// Nothing more.
    Done(Tail),
}

impl Replay {
    /// Reads the file.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn open(file: &JournalFile) -> io::Result<Self> {
        let length = usize::try_from(file.file.length()?).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        read_exact_at(file.file.as_ref(), &mut bytes, 0)?;
        Ok(Self {
            life: file.life,
            bytes,
            position: PAGE_BYTES,
            tail: None,
            synced_through: Sequence(0),
            positions: Vec::new(),
            marker: None,
            end: None,
        })
    }

    /// The next step. `last` is the last commit known so far, in this file or before it.
    pub fn step(&mut self, last: Sequence) -> Step<'_> {
        loop {
            if let Some(tail) = self.tail {
                return Step::Done(tail);
            }
            let at = self.position;
            let Some((kind, sequence, synced, bytes)) = self.sound_at(at) else {
                match self.next_after_damage(at, last) {
                    Some(next) => {
                        self.position = next;
                        return Step::Damage(at as u64, (next - at) as u64);
                    }
                    None => self.tail = Some(Tail::Open(at)),
                }
                continue;
            };
            self.position = at + bytes;
            self.synced_through = self.synced_through.max(synced);
            match kind {
                FrameKind::Marker => self.marker = self.marker.or(Some(at)),
                FrameKind::End => (self.tail, self.end) = (Some(Tail::Ended), Some(at)),
                FrameKind::Commit => {}
            }
            match kind {
                FrameKind::Marker | FrameKind::End if sequence > last => return Step::Gap(sequence),
                FrameKind::Marker | FrameKind::End => {}
                FrameKind::Commit => {
                    self.marker = None;
                    self.positions.push((sequence, at));
                    break;
                }
            }
        }
        let frame = self.positions.last().and_then(|(_, at)| FrameHead::decode(self.life, self.bytes.get(*at..)?));
        frame.map_or(Step::Done(Tail::Open(self.position)), Step::Commit)
    }

    /// The bytes of the frames that may not be on stable storage, and where they stand: recovery writes them again
    /// before it lets anything build on them, because a page that is readable need not be on the disk.
    #[must_use]
    pub fn unsynced(&self, end: usize) -> (u64, &[u8]) {
        let first = self.positions.iter().find(|(sequence, _)| *sequence > self.synced_through);
        // A marker proves the commits before it, not itself.
        let from = first.map(|(_, at)| *at).or(self.marker).map_or(end, |at| at.min(end));
        (from as u64, self.bytes.get(from..end).unwrap_or_default())
    }

    /// The page of the end, and where it stands.
    #[must_use]
    pub fn end(&self) -> Option<(u64, &[u8])> {
        let at = self.end?;
        Some((at as u64, self.bytes.get(at..at + PAGE_BYTES)?))
    }

    /// Whether a commit may not be on stable storage.
    #[must_use]
    pub fn has_unsynced_commits(&self) -> bool {
        self.positions.last().is_some_and(|(sequence, _)| *sequence > self.synced_through)
    }

    /// The file up to `end`.
    #[must_use]
    pub fn before(&self, end: usize) -> &[u8] {
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
    /// stand at `at`, or one after it, was synced. Where the next frame of all stands then.
    fn next_after_damage(&self, at: usize, last: Sequence) -> Option<usize> {
        let mut next = None;
        for position in (at + PAGE_BYTES..self.bytes.len()).step_by(PAGE_BYTES) {
            let frame = self.bytes.get(position..).and_then(|rest| FrameHead::decode(self.life, rest));
            let Some(frame) = frame else { continue };
            next = next.or(Some(position));
            if frame.head.synced_through > last {
                return next;
            }
        }
        None
    }
}
