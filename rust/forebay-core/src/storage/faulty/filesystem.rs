//! The storage trait over a universe.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::fault::Operation;
use super::file::{FaultyFile, Purpose};
use super::inode::Inode;
use super::names::{InodeId, normal};
use super::state::State;
use super::universe::{Faulty, Universe};
use crate::storage::clock_reading::ClockReading;
use crate::storage::{DirectoryLock, Entry, Storage, StorageFile};

/// The answer of `free_bytes` while no capacity is set: 1 TiB.
const UNLIMITED: u64 = 1 << 40;

impl Faulty {
    fn file(&self, state: &mut State, id: InodeId, path: PathBuf, purpose: Purpose) -> Arc<dyn StorageFile> {
        if let Some(inode) = state.inodes.get_mut(&id) {
            inode.handles += 1;
        }
        Arc::new(FaultyFile { universe: Arc::clone(&self.universe), inode: id, path, purpose })
    }

    fn open_as(&self, path: &Path, purpose: Purpose) -> io::Result<Arc<dyn StorageFile>> {
        let path = normal(path);
        let mut state = self.universe.enter(Operation::Open, &path)?;
        let id = state.names.find(&path).ok_or(Errno::NOENT)?;
        Ok(self.file(&mut state, id, path, purpose))
    }

    fn create_as(&self, path: &Path, purpose: Purpose) -> io::Result<Arc<dyn StorageFile>> {
        let path = normal(path);
        let mut state = self.universe.enter(Operation::Create, &path)?;
        if state.names.find(&path).is_some() || state.names.is_directory(&path) {
            return Err(Errno::EXIST.into());
        }
        if !state.names.has_parent(&path) {
            return Err(Errno::NOENT.into());
        }
        if state.free() == 0 {
            return Err(Errno::NOSPC.into());
        }
        let id = state.add(path.clone(), Inode::default());
        Ok(self.file(&mut state, id, path, purpose))
    }
}

impl Storage for Faulty {
    fn root(&self) -> PathBuf {
        PathBuf::from("/faulty")
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.create_as(path, Purpose::Writing)
    }

    fn create_uncached(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.create_as(path, Purpose::Uncached)
    }

    fn open_uncached(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.open_as(path, Purpose::Uncached)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.open_as(path, Purpose::Writing)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.open_as(path, Purpose::Reading)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normal(from), normal(to));
        let mut state = self.universe.enter(Operation::Rename, &from)?;
        if state.names.find(&from).is_none() || !state.names.has_parent(&to) {
            return Err(Errno::NOENT.into());
        }
        if state.names.is_directory(&to) {
            return Err(Errno::ISDIR.into());
        }
        if from != to {
            state.names.rename(from, to);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let mut state = self.universe.enter(Operation::Remove, &path)?;
        state.names.find(&path).ok_or(Errno::NOENT)?;
        state.names.unlink(path);
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let directory = normal(directory);
        let state = self.universe.enter(Operation::List, &directory)?;
        if !state.names.is_directory(&directory) {
            return Err(Errno::NOENT.into());
        }
        let entry = |(path, id): (&Path, InodeId)| Entry {
            name: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            bytes: state.inodes.get(&id).map_or(0, |inode| inode.live().len() as u64),
        };
        Ok(state.names.in_directory(&directory).map(entry).collect())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let mut state = self.universe.enter(Operation::CreateDirectory, &path)?;
        if path.ancestors().any(|ancestor| state.names.find(ancestor).is_some()) {
            return Err(Errno::EXIST.into());
        }
        state.names.create_directory(&path);
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let mut state = self.universe.enter(Operation::SyncDirectory, &path)?;
        if !state.names.is_directory(&path) {
            return Err(Errno::NOENT.into());
        }
        state.names.sync(&path);
        state.collect();
        Ok(())
    }

    fn lock(&self) -> io::Result<Option<Box<dyn DirectoryLock>>> {
        let mut state = self.universe.state();
        if state.halted() {
            return Err(Errno::IO.into());
        }
        if state.locked {
            return Ok(None);
        }
        state.locked = true;
        if state.names.find(Path::new("LOCK")).is_none() {
            state.add(PathBuf::from("LOCK"), Inode::default());
        }
        Ok(Some(Box::new(FaultyLock { universe: Arc::clone(&self.universe) })))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.universe.state();
        if state.halted() { Err(Errno::IO.into()) } else { Ok(state.free().min(UNLIMITED)) }
    }

    fn moment(&self) -> ClockReading {
        self.universe.state().clocks.moment()
    }
}

#[derive(Debug)]
struct FaultyLock {
    universe: Arc<Universe>,
}

impl DirectoryLock for FaultyLock {}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        self.universe.state().locked = false;
    }
}
