//! The keys that are remembered: a hash table that grows and shrinks by one chain at a time (linear hashing: Litwin, VLDB
//! 1980), over slabs of entries that are given back when they are empty. So no call does more than a bounded amount of work,
//! and a key takes its entry of 52 bytes and a head of 4, whatever their number.

use super::entry::{Entry, NONE};
use super::key::Key;
use crate::ids::Timestamp;

/// Entries of a slab: 52 KiB. The first keys cost that much.
const SLAB: usize = 1024;
/// Heads of a segment of the table.
const SEGMENT: usize = 1024;

/// Acknowledged requests by their key.
#[derive(Debug)]
pub(super) struct Keys {
    /// The first entry of each chain, by segments.
    heads: Vec<Box<[u32; SEGMENT]>>,
    /// Chains that there are.
    chains: usize,
    slabs: Vec<Slab>,
    /// Slabs that have room, those given back included: each once.
    open: Vec<u32>,
    keys: usize,
    /// Bytes of receipts that are on the disk.
    bytes_elsewhere: u64,
    /// The entry that is looked at next for whether its window has passed.
    cursor: usize,
}

#[derive(Debug, Default)]
struct Slab {
    /// The entries; `None` when the slab was given back.
    entries: Box<[Entry]>,
    /// The first free entry.
    free: u32,
    used: usize,
    is_open: bool,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self {
            heads: Vec::new(),
            chains: 0,
            slabs: Vec::new(),
            open: Vec::new(),
            keys: 0,
            bytes_elsewhere: 0,
            cursor: 0,
        }
    }

    /// Returns the number of keys, those included that are past and were not looked at since.
    pub(super) fn len(&self) -> usize {
        self.keys
    }

    /// Returns bytes of their receipts on the disk.
    pub(super) fn bytes_elsewhere(&self) -> u64 {
        self.bytes_elsewhere
    }

    /// Returns the number of keys that there is memory for.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.slabs.iter().map(|slab| slab.entries.len()).sum()
    }

    /// Returns the key's request as it was remembered at that time.
    pub(super) fn get(&self, key: Key, now: Timestamp) -> Option<&Entry> {
        self.find(key).map(|at| self.entry(at)).filter(|entry| !entry.is_past(now))
    }

    pub(super) fn insert(&mut self, key: Key, mut entry: Entry) {
        self.bytes_elsewhere += entry.bytes_elsewhere();
        if let Some(at) = self.find(key) {
            entry.next = self.entry(at).next;
            self.bytes_elsewhere -= self.entry(at).bytes_elsewhere();
            *self.entry_mut(at) = entry;
            return;
        }
        self.keys += 1;
        if self.keys > self.chains {
            self.split();
        }
        let chain = self.chain(key);
        entry.next = *self.head(chain);
        let at = self.allocate();
        *self.entry_mut(at) = entry;
        *self.head(chain) = at;
    }

    /// Looks at up to `entries` of them, and forgets those that are past.
    pub(super) fn forget_past(&mut self, now: Timestamp, entries: usize) {
        for _ in 0..entries {
            let (slab, slot) = (self.cursor / SLAB, self.cursor % SLAB);
            let Some(there) = self.slabs.get(slab) else {
                self.cursor = 0;
                return;
            };
            let Some(entry) = there.entries.get(slot).copied() else {
                self.cursor = (slab + 1) * SLAB;
                continue;
            };
            self.cursor += 1;
            if !entry.is_free() && entry.is_past(now) {
                self.remove((slab * SLAB + slot) as u32);
            }
        }
    }

    /// Returns the number of entries that a look at all of them takes.
    pub(super) fn round(&self) -> usize {
        self.slabs.len() * SLAB
    }

    fn remove(&mut self, at: u32) {
        let entry = *self.entry(at);
        let chain = self.chain(entry.key());
        let mut before = *self.head(chain);
        if before == at {
            *self.head(chain) = entry.next;
        } else {
            while self.entry(before).next != at {
                before = self.entry(before).next;
            }
            self.entry_mut(before).next = entry.next;
        }
        self.bytes_elsewhere -= entry.bytes_elsewhere();
        self.keys -= 1;
        self.release(at);
        // Two, so that it shrinks faster than it can grow.
        for _ in 0..2 {
            if self.keys < self.chains / 2 {
                self.join();
            }
        }
    }

    fn find(&self, key: Key) -> Option<u32> {
        if self.chains == 0 {
            return None;
        }
        let chain = self.chain(key);
        let mut at = self.heads[chain / SEGMENT][chain % SEGMENT];
        while at != NONE {
            let entry = self.entry(at);
            if entry.is_of(key) {
                return Some(at);
            }
            at = entry.next;
        }
        None
    }

    /// Returns the chain of a key: by as many bits of it as tell all chains apart, and one fewer where that one is not
    /// there yet.
    fn chain(&self, key: Key) -> usize {
        let bits = self.chains.next_power_of_two();
        let chain = key.place(bits);
        if chain < self.chains { chain } else { chain - bits / 2 }
    }

    fn head(&mut self, chain: usize) -> &mut u32 {
        &mut self.heads[chain / SEGMENT][chain % SEGMENT]
    }

    /// One more chain, which takes its keys from the one that had them until now.
    fn split(&mut self) {
        let new = self.chains;
        if new / SEGMENT == self.heads.len() {
            self.heads.push(Box::new([NONE; SEGMENT]));
        }
        self.chains += 1;
        *self.head(new) = NONE;
        if new == 0 {
            return;
        }
        let old = new - self.chains.next_power_of_two() / 2;
        let mut at = std::mem::replace(self.head(old), NONE);
        while at != NONE {
            let chain = self.chain(self.entry(at).key());
            let next = self.entry(at).next;
            self.entry_mut(at).next = *self.head(chain);
            *self.head(chain) = at;
            at = next;
        }
    }

    /// One chain fewer, the other way round.
    fn join(&mut self) {
        let last = self.chains - 1;
        let mut at = std::mem::replace(self.head(last), NONE);
        let into = last.checked_sub(self.chains.next_power_of_two() / 2);
        self.chains = last;
        while let (true, Some(into)) = (at != NONE, into) {
            let next = self.entry(at).next;
            self.entry_mut(at).next = *self.head(into);
            *self.head(into) = at;
            at = next;
        }
        self.heads.truncate(last.div_ceil(SEGMENT));
    }

    fn entry(&self, at: u32) -> &Entry {
        let at = at as usize;
        &self.slabs[at / SLAB].entries[at % SLAB]
    }

    fn entry_mut(&mut self, at: u32) -> &mut Entry {
        let at = at as usize;
        &mut self.slabs[at / SLAB].entries[at % SLAB]
    }

    fn allocate(&mut self) -> u32 {
        if self.open.is_empty() {
            self.open.push(self.slabs.len() as u32);
            self.slabs.push(Slab { is_open: true, ..Slab::default() });
        }
        let number = self.open[self.open.len() - 1];
        let slab = &mut self.slabs[number as usize];
        if slab.entries.is_empty() {
            slab.fill();
        }
        let slot = slab.free;
        slab.free = slab.entries[slot as usize].next;
        slab.used += 1;
        if slab.free == NONE {
            slab.is_open = false;
            self.open.pop();
        }
        number * SLAB as u32 + slot
    }

    fn release(&mut self, at: u32) {
        let (number, slot) = (at / SLAB as u32, at % SLAB as u32);
        let slab = &mut self.slabs[number as usize];
        slab.entries[slot as usize] = Entry::free(slab.free);
        slab.free = slot;
        slab.used -= 1;
        if !std::mem::replace(&mut slab.is_open, true) {
            self.open.push(number);
        }
        if slab.used == 0 {
            slab.entries = Box::default();
        }
    }
}

impl Slab {
    fn fill(&mut self) {
        let next = |slot: u32| if slot as usize == SLAB { NONE } else { slot };
        self.entries = (1..=SLAB as u32).map(|slot| Entry::free(next(slot))).collect();
        self.free = 0;
    }
}
