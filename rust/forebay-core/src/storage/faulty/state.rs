//! Everything of one universe, behind its one lock.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::clocks::Clocks;
use super::fault::{Armed, Operation, Strike};
use super::inode::Inode;
use super::names::{InodeId, Names};
use crate::random::Random;

#[derive(Debug)]
pub(super) struct State {
    pub(super) names: Names,
    pub(super) inodes: BTreeMap<InodeId, Inode>,
    next_inode: InodeId,
    /// Grows with each change; tells what a sync covers.
    pub(super) stamp: u64,
    pub(super) random: Random,
    pub(super) locked: bool,
    pub(super) faults: Vec<Armed>,
    pub(super) counts: [u64; Operation::COUNT],
    pub(super) capacity: Option<u64>,
    pub(super) stall_writes: bool,
    pub(super) stall_syncs: bool,
    /// Calls that wait for a stall's end.
    pub(super) waiting: usize,
    /// Changes that still succeed before the machine halts.
    pub(super) halt_after: Option<u64>,
    pub(super) garble: bool,
    pub(super) clocks: Clocks,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            names: Names::default(),
            inodes: BTreeMap::new(),
            next_inode: 1,
            stamp: 0,
            random: Random::new(seed),
            locked: false,
            faults: Vec::new(),
            counts: [0; Operation::COUNT],
            capacity: None,
            stall_writes: false,
            stall_syncs: false,
            waiting: 0,
            halt_after: None,
            garble: true,
            clocks: Clocks::new(),
        }
    }

    /// Returns the machine after the process died: all that was written is there, synced or not.
    pub(super) fn killed(&self, seed: u64) -> Self {
        let mut inodes = self.inodes.clone();
        for inode in inodes.values_mut() {
            inode.handles = 0;
        }
        let mut next = Self {
            names: self.names.clone(),
            inodes,
            next_inode: self.next_inode,
            stamp: self.stamp,
            capacity: self.capacity,
            garble: self.garble,
            clocks: self.clocks,
            ..Self::new(seed)
        };
        next.collect();
        next
    }

    /// Returns the machine after a power loss.
    pub(super) fn crashed(&self, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let names = self.names.survive(&mut random);
        let garble = self.garble;
        let inodes = self.inodes.iter().map(|(id, inode)| (*id, inode.survive(&mut random, garble))).collect();
        let (next_inode, capacity, clocks) = (self.next_inode, self.capacity, self.clocks.restarted());
        let mut next = Self { names, inodes, next_inode, capacity, garble, clocks, ..Self::new(random.bits()) };
        next.collect();
        next
    }

    /// Drops files that no name and no handle can reach any more.
    pub(super) fn collect(&mut self) {
        let reachable = self.names.reachable();
        self.inodes.retain(|id, inode| inode.handles > 0 || reachable.contains(id));
    }

    pub(super) fn add(&mut self, path: PathBuf, inode: Inode) -> InodeId {
        let id = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(id, inode);
        self.names.link(path, id);
        id
    }

    pub(super) fn halted(&self) -> bool {
        self.halt_after == Some(0)
    }

    pub(super) fn stalls(&self, operation: Operation) -> bool {
        let stalled = match operation {
            Operation::Write | Operation::SetLength => self.stall_writes,
            Operation::Sync | Operation::SyncDirectory => self.stall_syncs,
            Operation::Create
            | Operation::Open
            | Operation::Rename
            | Operation::Remove
            | Operation::List
            | Operation::CreateDirectory
            | Operation::Read => false,
        };
        stalled && !self.halted()
    }

    /// Counts the call, and says whether and how it fails.
    pub(super) fn count(&mut self, operation: Operation, path: &Path) -> io::Result<Option<Strike>> {
        if self.halted() {
            return Err(Errno::IO.into());
        }
        if operation.changes() {
            self.stamp += 1;
            self.halt_after = self.halt_after.map(|left| left.saturating_sub(1));
            if self.halted() {
                return Err(Errno::IO.into());
            }
        }
        self.counts[operation as usize] += 1;
        // No short cut: every fault counts every call.
        let strikes = self.faults.iter_mut().filter_map(|armed| armed.strikes(operation, path));
        Ok(strikes.fold(None, |first, strike| first.or(Some(strike))))
    }

    pub(super) fn used(&self) -> u64 {
        let length = |(_, id)| self.inodes.get(&id).map_or(0, |inode| inode.live().len() as u64);
        self.names.live().map(length).sum()
    }

    /// Returns bytes that files can still grow by.
    pub(super) fn free(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }
}
