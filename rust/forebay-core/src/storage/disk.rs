//! The real filesystem.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, OFlags, fcntl_getfl, fcntl_setfl, fdatasync, flock, statvfs};
use rustix::io::Errno;

use crate::storage::{DirectoryLock, Entry, Storage, StorageFile, Synced};

/// The operating system's filesystem below one directory.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// Uses `root`, which is created if it is missing.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        let missing: Vec<&Path> = root.ancestors().take_while(|path| !path.exists()).collect();
        fs::create_dir_all(&root)?;
        for created in missing {
            let parent = created.parent().filter(|path| !path.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(Self { root })
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    fn open_direct(&self, path: &Path, options: &mut OpenOptions) -> io::Result<Arc<dyn StorageFile>> {
        let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0);
        options.read(true).write(true).custom_flags(direct).open(self.at(path)).map(Self::wrap)
    }

    fn wrap(file: File) -> Arc<dyn StorageFile> {
        Arc::new(DiskFile { file })
    }
}

/// Returns whether this is how a filesystem without `O_DIRECT`, or a device with larger blocks, refuses it.
fn has_no_direct(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INVAL.raw_os_error())
}

impl Storage for Disk {
    fn root(&self) -> PathBuf {
        self.root.clone()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.at(path)).map(Self::wrap)
    }

    fn create_uncached(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        match self.open_direct(path, OpenOptions::new().create_new(true)) {
            Err(error) if has_no_direct(&error) => {
                // It may have made the file before it noticed.
                match fs::remove_file(self.at(path)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                self.create(path)
            }
            opened => opened,
        }
    }

    fn open_uncached(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        match self.open_direct(path, &mut OpenOptions::new()) {
            Err(error) if has_no_direct(&error) => self.open(path),
            opened => opened,
        }
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        OpenOptions::new().read(true).write(true).open(self.at(path)).map(Self::wrap)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        File::open(self.at(path)).map(Self::wrap)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.at(path))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.at(directory))? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed by another thread since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if metadata.is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                entries.push(Entry { name, bytes: metadata.len() });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(self.at(path))?;
        // Each new directory is an entry of its parent. One that existed may have been made just before a crash.
        for parent in path.ancestors().skip(1) {
            File::open(self.at(parent))?.sync_all()?;
        }
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(self.at(path))?.sync_all()
    }

    fn lock(&self) -> io::Result<Option<Box<dyn DirectoryLock>>> {
        lock(OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.root.join("LOCK"))?)
    }

    fn lock_to_read(&self) -> io::Result<Option<Box<dyn DirectoryLock>>> {
        match self.lock() {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                lock(File::open(self.root.join("LOCK"))?)
            }
            locked => locked,
        }
    }

    fn is_locked_here(&self) -> bool {
        let found = File::open(self.root.join("LOCK")).and_then(|file| inode(&file));
        found.is_ok_and(|inode| HELD.lock().contains(&inode))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stats = statvfs(&self.root)?;
        Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
    }
}

/// Locks the file of a data directory, without waiting; `None` when another process has done it.
fn lock(file: File) -> io::Result<Option<Box<dyn DirectoryLock>>> {
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            let inode = inode(&file)?;
            HELD.lock().push(inode);
            Ok(Some(Box::new(DiskLock { inode, _file: file })))
        }
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug)]
struct DiskLock {
    inode: Inode,
    _file: File,
}

impl DirectoryLock for DiskLock {}

impl Drop for DiskLock {
    fn drop(&mut self) {
        HELD.lock().retain(|held| *held != self.inode);
    }
}

/// Device and number of a file.
type Inode = (u64, u64);

/// The lock files that this process holds: the operating system says that a lock is taken, not by whom.
static HELD: Mutex<Vec<Inode>> = Mutex::new(Vec::new());

fn inode(file: &File) -> io::Result<Inode> {
    file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[derive(Debug)]
struct DiskFile {
    file: File,
}

impl DiskFile {
    /// Goes by way of the page cache from here on, when the device refuses what went past it: its blocks may be larger
    /// than what the engine aligns to. `false` when it went by the cache already.
    fn leave_direct(&self, refusal: &io::Error) -> io::Result<bool> {
        if !has_no_direct(refusal) {
            return Ok(false);
        }
        let flags = fcntl_getfl(&self.file)?;
        if flags.contains(OFlags::DIRECT) {
            fcntl_setfl(&self.file, flags - OFlags::DIRECT)?;
            return Ok(true);
        }
        Ok(false)
    }
}

impl StorageFile for DiskFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.leave_direct(&error)? => {}
                result => return result,
            }
        }
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        match self.file.write_all_at(bytes, position) {
            // The part that was written already is written again.
            Err(error) if self.leave_direct(&error)? => self.file.write_all_at(bytes, position),
            result => result,
        }
    }

    fn sync_data(&self) -> io::Result<Synced> {
        loop {
            match fdatasync(&self.file) {
                Ok(()) => return Ok(Synced(())),
                // A signal came first; the pages are as they were.
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
}

#[cfg(test)]
mod tests;
