//! An open file of the faulty storage.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use super::fault::{Effect, Operation};
use super::inode::Inode;
use super::names::InodeId;
use super::state::State;
use super::universe::Universe;
use crate::storage::aligned::ALIGNMENT;
use crate::storage::{StorageFile, Synced};

/// The way a file was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Reading,
    Writing,
    /// Like `O_DIRECT`: demands alignment, of reads too.
    Uncached,
}

impl Purpose {
    fn check(self, memory: &[u8], position: u64) -> io::Result<()> {
        let aligned = |number: usize| number.is_multiple_of(ALIGNMENT);
        if self == Self::Uncached
            && !(aligned(memory.as_ptr().addr()) && aligned(memory.len()) && aligned(place(position)?))
        {
            return Err(Errno::INVAL.into());
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct FaultyFile {
    pub(super) universe: Arc<Universe>,
    pub(super) inode: InodeId,
    /// The name it was opened by: what a fault's path is compared with.
    pub(super) path: PathBuf,
    pub(super) purpose: Purpose,
}

impl Drop for FaultyFile {
    fn drop(&mut self) {
        if let Some(inode) = self.universe.state().inodes.get_mut(&self.inode) {
            inode.handles -= 1;
        }
    }
}

impl FaultyFile {
    fn of<'a>(&self, state: &'a mut State) -> io::Result<&'a mut Inode> {
        state.inodes.get_mut(&self.inode).ok_or_else(|| Errno::BADF.into())
    }
}

fn place(position: u64) -> io::Result<usize> {
    usize::try_from(position).map_err(|_| Errno::FBIG.into())
}

impl StorageFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.purpose.check(buffer, position)?;
        let mut turn = self.universe.begin(Operation::Read, &self.path)?;
        if let Some(strike) = turn.strike {
            return Err(strike.error());
        }
        let inode = self.of(&mut turn.state)?;
        let start = place(position)?.min(inode.live().len());
        let mut end = inode.live().len().min(start.saturating_add(buffer.len()));
        for broken in &inode.broken {
            let (from, to) = (place(broken.start)?, place(broken.end)?);
            if from < end && start < to {
                end = from.max(start);
            }
        }
        let wanted = !buffer.is_empty() && start < inode.live().len();
        if wanted && end == start {
            return Err(Errno::IO.into());
        }
        buffer[..end - start].copy_from_slice(&inode.live()[start..end]);
        Ok(end - start)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        if self.purpose == Purpose::Reading {
            return Err(Errno::BADF.into());
        }
        self.purpose.check(bytes, position)?;
        let position = place(position)?;
        let turn = self.universe.begin(Operation::Write, &self.path)?;
        let (mut state, strike) = (turn.state, turn.strike);
        let (stamp, free) = (state.stamp, state.free());
        let short = state.random.below(bytes.len() as u64) as usize;
        let inode = self.of(&mut state)?;
        if let Some(strike) = strike {
            match strike.effect {
                Effect::Nothing => {}
                Effect::Partial => inode.write(position, &bytes[..short], stamp),
                Effect::Later => inode.write_hidden(position, bytes, stamp),
            }
            return Err(strike.error());
        }
        let limit = usize::try_from((inode.live().len() as u64).saturating_add(free)).unwrap_or(usize::MAX);
        let fits = bytes.len().min(limit.saturating_sub(position));
        inode.write(position, &bytes[..fits], stamp);
        if fits < bytes.len() { Err(Errno::NOSPC.into()) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<Synced> {
        let turn = self.universe.begin(Operation::Sync, &self.path)?;
        let (mut state, entered) = (turn.state, turn.entered);
        let mut random = state.random.clone();
        state.random.bits();
        let inode = self.of(&mut state)?;
        let Some(strike) = turn.strike else {
            inode.sync(entered);
            return Ok(Synced(()));
        };
        match strike.effect {
            Effect::Nothing => inode.fail_sync(entered, || false),
            Effect::Partial => inode.fail_sync(entered, || random.chance(1, 2)),
            Effect::Later => {}
        }
        Err(strike.error())
    }

    fn length(&self) -> io::Result<u64> {
        let mut state = self.universe.state();
        if state.halted() {
            return Err(Errno::IO.into());
        }
        Ok(self.of(&mut state)?.live().len() as u64)
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        if self.purpose == Purpose::Reading {
            return Err(Errno::BADF.into());
        }
        let mut turn = self.universe.begin(Operation::SetLength, &self.path)?;
        if let Some(strike) = turn.strike {
            return Err(strike.error());
        }
        let (stamp, free) = (turn.state.stamp, turn.state.free());
        let inode = self.of(&mut turn.state)?;
        if bytes.saturating_sub(inode.live().len() as u64) > free {
            return Err(Errno::NOSPC.into());
        }
        inode.set_length(place(bytes)?, stamp);
        Ok(())
    }
}
