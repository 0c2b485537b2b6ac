//! One file's bytes: what is read now, what is stable, and the changes in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::odds::Odds;
use crate::random::Random;

/// Bytes that a disk writes whole or not at all (nearly always). The smallest in use: larger ones tear less.
const SECTOR: usize = 512;
/// Bytes that the operating system marks clean or dirty together.
const PAGE: usize = 4096;
/// One sector in so many, of those that lost a write, holds the first part of that write.
const TORN_ONE_IN: u64 = 16;
/// One sector in so many, of those that lost a write, holds garbage where that write was.
const GARBLED_ONE_IN: u64 = 64;

#[derive(Clone, Debug)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    Grow(usize),
    Cut(usize),
}

#[derive(Clone, Debug)]
struct Pending {
    stamp: u64,
    /// It failed and cannot be read yet, but may come up later.
    hidden: bool,
    change: Change,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    live: Vec<u8>,
    stable: Vec<u8>,
    pending: Vec<Pending>,
    /// Pages that a failed sync marked clean although they never reached the disk.
    forgotten: BTreeSet<usize>,
    /// Ranges where reads fail.
    pub(super) broken: Vec<Range<u64>>,
    /// Open handles: an unlinked file lives on in them.
    pub(super) handles: usize,
}

fn put(target: &mut Vec<u8>, position: usize, bytes: &[u8]) {
    let end = position + bytes.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    target[position..end].copy_from_slice(bytes);
}

/// Returns the parts of `position..position + length`, one per unit: the unit's number and the part, relative to
/// `position`.
fn pieces(position: usize, length: usize, unit: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = position + done;
        let start = done;
        done = length.min(start + unit - at % unit);
        (start < length).then_some((at / unit, start..done))
    })
}

impl Change {
    fn apply(&self, target: &mut Vec<u8>) {
        match self {
            Self::Write { position, bytes } => put(target, *position, bytes),
            Self::Grow(length) => target.resize(target.len().max(*length), 0),
            Self::Cut(length) => target.truncate(*length),
        }
    }
}

impl Inode {
    pub(super) fn with_stable(bytes: Vec<u8>) -> Self {
        Self { live: bytes.clone(), stable: bytes, ..Self::default() }
    }

    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    pub(super) fn stable(&self) -> &[u8] {
        &self.stable
    }

    fn push(&mut self, stamp: u64, hidden: bool, change: Change) {
        self.pending.push(Pending { stamp, hidden, change });
    }

    pub(super) fn write(&mut self, position: usize, bytes: &[u8], stamp: u64) {
        if bytes.is_empty() {
            return;
        }
        self.redirty(position, bytes.len(), stamp);
        let (before, end) = (self.live.len(), position + bytes.len());
        put(&mut self.live, position, bytes);
        self.push(stamp, false, Change::Write { position, bytes: bytes.to_vec() });
        if end > before {
            self.push(stamp, false, Change::Grow(end));
        }
    }

    /// A page that is written to again is dirty as a whole, with what a failed sync had forgotten in it.
    fn redirty(&mut self, position: usize, length: usize, stamp: u64) {
        for (page, _) in pieces(position, length, PAGE) {
            if self.forgotten.remove(&page) {
                let start = self.live.len().min(page * PAGE);
                let bytes = self.live[start..self.live.len().min(start + PAGE)].to_vec();
                self.push(stamp, false, Change::Write { position: start, bytes });
            }
        }
    }

    /// A write that failed, and comes up later.
    pub(super) fn write_hidden(&mut self, position: usize, bytes: &[u8], stamp: u64) {
        let end = position + bytes.len();
        self.push(stamp, true, Change::Write { position, bytes: bytes.to_vec() });
        if end > self.live.len() {
            self.push(stamp, true, Change::Grow(end));
        }
    }

    pub(super) fn set_length(&mut self, length: usize, stamp: u64) {
        let change = if length < self.live.len() { Change::Cut(length) } else { Change::Grow(length) };
        change.apply(&mut self.live);
        self.forgotten.retain(|page| page * PAGE < length);
        self.push(stamp, false, change);
    }

    /// Takes the changes made before `entered`: a sync says nothing about writes that came while it ran.
    fn take(&mut self, entered: u64) -> Vec<Pending> {
        let rest = self.pending.split_off(self.pending.partition_point(|p| p.stamp < entered));
        std::mem::replace(&mut self.pending, rest)
    }

    pub(super) fn sync(&mut self, entered: u64) {
        let synced = self.take(entered);
        for pending in &synced {
            pending.change.apply(&mut self.stable);
        }
        for pending in synced.iter().filter(|p| p.hidden) {
            if let Change::Write { position, bytes } = &pending.change {
                let end = self.stable.len().min(position + bytes.len());
                let start = end.min(*position);
                put(&mut self.live, start, &self.stable[start..end]);
            }
        }
        if synced.iter().any(|p| p.hidden) {
            for pending in self.pending.iter().filter(|p| !p.hidden) {
                pending.change.apply(&mut self.live);
            }
        }
    }

    /// A sync that failed: of the writes it should have made durable, those sectors that `keeps` names reach the disk;
    /// the rest is forgotten. The length stays dirty: it is metadata.
    pub(super) fn fail_sync(&mut self, entered: u64, mut keeps: impl FnMut() -> bool) {
        let mut rest = Vec::new();
        for pending in self.take(entered) {
            let Change::Write { position, bytes } = &pending.change else {
                rest.push(pending);
                continue;
            };
            if pending.hidden {
                rest.push(pending);
                continue;
            }
            for (_, piece) in pieces(*position, bytes.len(), SECTOR) {
                if keeps() {
                    put(&mut self.stable, position + piece.start, &bytes[piece]);
                }
            }
            let length = self.live.len();
            let pages = pieces(*position, bytes.len(), PAGE).map(|(page, _)| page);
            self.forgotten.extend(pages.filter(|page| page * PAGE < length));
        }
        rest.append(&mut self.pending);
        self.pending = rest;
    }

    /// Changes bits of one byte wherever it is. False when the file is shorter.
    pub(super) fn flip(&mut self, offset: usize, mask: u8) -> bool {
        if let Some(byte) = self.stable.get_mut(offset) {
            *byte ^= mask;
        }
        for pending in &mut self.pending {
            if let Change::Write { position, bytes } = &mut pending.change
                && let Some(byte) = offset.checked_sub(*position).and_then(|at| bytes.get_mut(at))
            {
                *byte ^= mask;
            }
        }
        self.live.get_mut(offset).map(|byte| *byte ^= mask).is_some()
    }

    /// Returns what a power loss leaves of the file.
    pub(super) fn survive(&self, random: &mut Random, garble: bool) -> Self {
        let odds = Odds::draw(random);
        let fates = self.fates(odds, random, garble);
        let lengths = self.pending.iter().filter(|p| !matches!(p.change, Change::Write { .. })).count() as u64;
        let mut kept_lengths = odds.prefix(random, lengths);
        let (mut bytes, mut length) = (self.stable.clone(), self.stable.len());
        // Writes behind a cut that was lost went to blocks that the file does not have.
        let mut unreachable = usize::MAX;
        let mut seen = BTreeMap::new();
        for pending in &self.pending {
            match &pending.change {
                Change::Write { position, bytes: written } => {
                    for (sector, piece) in pieces(*position, written.len(), SECTOR) {
                        let turn: &mut u64 = seen.entry(sector).or_default();
                        *turn += 1;
                        let end = piece.end.min(unreachable.saturating_sub(*position));
                        if let (Some(fate), true) = (fates.get(&sector), piece.start < end) {
                            fate.apply(*turn, &mut bytes, position + piece.start, &written[piece.start..end], random);
                        }
                    }
                }
                Change::Grow(to) if kept_lengths > 0 => length = length.max(*to),
                Change::Cut(to) if kept_lengths > 0 => {
                    bytes.truncate(*to);
                    length = *to;
                }
                Change::Grow(_) => {}
                Change::Cut(to) => unreachable = unreachable.min(*to),
            }
            if !matches!(pending.change, Change::Write { .. }) {
                kept_lengths = kept_lengths.saturating_sub(1);
            }
        }
        bytes.resize(length, 0);
        Self { broken: self.broken.clone(), ..Self::with_stable(bytes) }
    }

    fn fates(&self, odds: Odds, random: &mut Random, garble: bool) -> BTreeMap<usize, Fate> {
        let mut touches = BTreeMap::<usize, u64>::new();
        for pending in &self.pending {
            if let Change::Write { position, bytes } = &pending.change {
                for (sector, _) in pieces(*position, bytes.len(), SECTOR) {
                    *touches.entry(sector).or_default() += 1;
                }
            }
        }
        let draw = |(sector, count)| {
            let kept = odds.prefix(random, count);
            let torn = odds.tears() && random.chance(1, TORN_ONE_IN);
            let garbled = garble && odds.tears() && random.chance(1, GARBLED_ONE_IN);
            (sector, Fate { kept, torn, garbled })
        };
        touches.into_iter().map(draw).collect()
    }
}

/// The end of a sector: after `kept` of the writes to it, and perhaps in the middle of the next one.
#[derive(Debug)]
struct Fate {
    kept: u64,
    torn: bool,
    garbled: bool,
}

impl Fate {
    fn apply(&self, turn: u64, target: &mut Vec<u8>, position: usize, bytes: &[u8], random: &mut Random) {
        if turn <= self.kept {
            put(target, position, bytes);
        } else if turn == self.kept + 1 && self.garbled {
            let garbage: Vec<u8> = bytes.iter().map(|_| random.bits() as u8).collect();
            put(target, position, &garbage);
        } else if turn == self.kept + 1 && self.torn {
            put(target, position, &bytes[..random.below(bytes.len() as u64) as usize]);
        }
    }
}
