//! The only way to the disk. The engine does all file I/O through [`Storage`], so that the tests can run it on a
//! storage that loses, tears, reorders and refuses writes ([`faulty`]), and so that durability is a value:
//! only a successful `fdatasync` makes a [`Synced`].

mod aligned;
mod clock_reading;
mod disk;
#[cfg(any(test, feature = "faulty"))]
pub mod faulty;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

pub(crate) use aligned::AlignedBuffer;
pub use clock_reading::{Boot, ClockReading};
pub use disk::Disk;

/// Bytes that a medium reads at once: what cannot be read is found out in steps of this.
const SECTOR_BYTES: usize = 4096;

/// Proof that everything written to one file before the call is on stable storage.
///
/// Only implementations of [`StorageFile::sync_data`] make one, and only after the operating system said so. The
/// acknowledgement of a commit at the `fsync` level takes one by reference: without a sync it does not type-check.
#[derive(Debug)]
#[must_use]
pub struct Synced(());

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The entry's name inside its directory.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// An exclusive hold on a directory; released when dropped.
pub trait DirectoryLock: Send + Sync + Debug {}

/// A filesystem below one root. All paths are relative to the root.
pub trait Storage: Send + Sync + Debug {
    /// Returns the root's path, for messages only.
    fn root(&self) -> PathBuf;

    /// Creates a file for reading and writing; fails if it exists.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>>;

    /// Creates a file whose writes go past the page cache, where the filesystem can do that. Memory, positions and
    /// lengths of all writes are then multiples of [`crate::storage::aligned::ALIGNMENT`].
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn create_uncached(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.create(path)
    }

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>>;

    /// Opens an existing file for reading and writing; all of either go past the page cache as with
    /// [`Storage::create_uncached`].
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn open_uncached(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.open(path)
    }

    /// Opens an existing file for reading only.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>>;

    /// Renames a file, replacing the target. Durable only after [`Storage::sync_directory`].
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Unlinks a file. Durable only after [`Storage::sync_directory`].
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns the regular files of a directory, sorted by name.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>>;

    /// Creates a directory and its parents, if they are missing, and makes them durable.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in a directory durable.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Takes the exclusive lock on the root (file `LOCK`), without waiting. `None` when another process holds it.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn lock(&self) -> io::Result<Option<Box<dyn DirectoryLock>>>;

    /// Takes the same lock for somebody who only reads: also where the file system is mounted read-only.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn lock_to_read(&self) -> io::Result<Option<Box<dyn DirectoryLock>>> {
        self.lock()
    }

    /// Returns whether this very process holds the lock, by another handle.
    fn is_locked_here(&self) -> bool {
        false
    }

    /// Returns bytes that can still be written, by the operating system's word.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn free_bytes(&self) -> io::Result<u64>;

    /// This moment, by the clocks of the machine that the storage belongs to.
    fn moment(&self) -> ClockReading {
        ClockReading::now()
    }
}

/// An open file. Positions are explicit, so one handle serves many threads.
pub trait StorageFile: Send + Sync + Debug {
    /// Reads at most `buffer.len()` bytes at `position`; 0 at the end of the file.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes all of `bytes` from `position` on.
    ///
    /// # Errors
    /// Whatever the operating system says; then any part of the range may have been written.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;

    /// `fdatasync`: all that was written to this file is on stable storage.
    ///
    /// # Errors
    /// Whatever the operating system says. After a failure the state of every unsynced byte is unknown, and calling
    /// again proves nothing (the page may have been marked clean).
    fn sync_data(&self) -> io::Result<Synced>;

    /// Returns the file's length in bytes.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn length(&self) -> io::Result<u64>;

    /// Cuts or extends (with zeros, sparse) the file.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn set_length(&self, bytes: u64) -> io::Result<()>;
}

/// Reads exactly `buffer.len()` bytes at `position`.
///
/// # Errors
/// `UnexpectedEof` when the file ends before that; else whatever the operating system says.
pub fn read_exact_at(file: &dyn StorageFile, buffer: &mut [u8], position: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        let read = file.read_at(&mut buffer[filled..], position + filled as u64)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
    }
    Ok(())
}

/// Ranges of a file: first bytes and lengths.
pub(crate) type Ranges = Vec<(u64, u64)>;

/// Reads a range, with zeros where the medium gives an error; returns the bytes and the ranges where it did.
///
/// # Errors
/// When the file ends before the range.
pub(crate) fn read_readable_at(
    file: &dyn StorageFile,
    (position, length): (u64, u64),
) -> io::Result<(Vec<u8>, Ranges)> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    if read_exact_at(file, &mut bytes, position).is_ok() {
        return Ok((bytes, Vec::new()));
    }
    let mut unreadable: Vec<(u64, u64)> = Vec::new();
    for (index, sector) in bytes.chunks_mut(SECTOR_BYTES).enumerate() {
        let at = position + (index * SECTOR_BYTES) as u64;
        match read_exact_at(file, sector, at) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(error),
            Err(_) => {
                sector.fill(0);
                let length = sector.len() as u64;
                match unreadable.last_mut().filter(|(from, bytes)| from + bytes == at) {
                    Some((_, bytes)) => *bytes += length,
                    None => unreadable.push((at, length)),
                }
            }
        }
    }
    Ok((bytes, unreadable))
}

/// Returns the error of a directory whose lock somebody else has.
pub(crate) fn locked(storage: &dyn Storage) -> Error {
    let root = storage.root();
    let detail = if storage.is_locked_here() {
        format!("data directory {} is open in this process already; use that log, or close it first", root.display())
    } else {
        format!("data directory {} belongs to another running process; stop it first", root.display())
    };
    Error::new(ErrorKind::DirectoryLocked, detail)
}

/// Removes a file that an interrupted attempt may have left.
///
/// # Errors
/// Whatever the storage says, but that the file is not there.
pub fn remove_if_there(storage: &dyn Storage, path: &Path) -> io::Result<()> {
    match storage.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
