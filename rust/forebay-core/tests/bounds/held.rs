//! A real disk on which no segment can be begun until it is let go: a sealer that stands still.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forebay_core::storage::{DirectoryLock, Disk, Entry, Storage, StorageFile};
use parking_lot::{Condvar, Mutex};

#[derive(Debug)]
pub struct Held {
    disk: Disk,
    held: Mutex<bool>,
    let_go: Condvar,
}

impl Held {
    pub fn new(root: &Path) -> Arc<Self> {
        Arc::new(Self { disk: Disk::new(root).unwrap(), held: Mutex::new(true), let_go: Condvar::new() })
    }

    pub fn let_go(&self) {
        *self.held.lock() = false;
        self.let_go.notify_all();
    }

    fn wait(&self, path: &Path) {
        if path.starts_with("segments") {
            let mut held = self.held.lock();
            while *held {
                self.let_go.wait(&mut held);
            }
        }
    }
}

impl Storage for Held {
    fn root(&self) -> PathBuf {
        self.disk.root()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.wait(path);
        self.disk.create(path)
    }

    fn create_uncached(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.wait(path);
        self.disk.create_uncached(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.disk.open(path)
    }

    fn open_uncached(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.disk.open_uncached(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.disk.open_read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(directory)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_directory(path)
    }

    fn lock(&self) -> io::Result<Option<Box<dyn DirectoryLock>>> {
        self.disk.lock()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}
