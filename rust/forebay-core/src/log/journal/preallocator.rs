//! Journal files made ready ahead of time, by a thread of their own: writing zeros into a new file inside of a commit
//! would show in every latency, and writing over a recycled file is faster than growing one.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::frame::{Life, PAGE_BYTES};
use super::journal::{FREEING_BYTES, JOURNAL_DIRECTORY, JournalFile, Room, journal_path};
use crate::ids::Generation;
use crate::options::{Durability, Options};
use crate::status::{Obstacle, Status, StorageFailure, Task};
use crate::storage::{AlignedBuffer, Storage, StorageFile, Synced, remove_if_there};

/// A file that could not be made is tried again this often.
const RETRY: Duration = Duration::from_secs(1);
/// The longest wait of a commit for a file that is being made, before it refuses: longer than zeros of one file take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Files kept for reuse; more are removed, or a burst would hold its disk space for ever.
const KEPT: usize = 3;
/// The path of a file in the making, before it takes its name.
pub(crate) const UNFINISHED: &str = "journal/unfinished";
const CHUNK_BYTES: usize = 1024 * 1024;
/// A file kept for a start on a full disk: without any journal file retention could not delete, nothing would make room,
/// and the log would stay full for ever.
const RESERVE: &str = "journal/reserve";
/// The length of a file that has the reserve for deletions and a header: too small for a record.
const RESERVE_BYTES: u64 = FREEING_BYTES;

/// Makes the next journal file ready while the log writes to the current one.
#[derive(Debug)]
pub(crate) struct JournalPreallocator {
    storage: Arc<dyn Storage>,
    status: Arc<Status>,
    file_bytes: u64,
    durability: Durability,
    state: Mutex<State>,
    changed: Condvar,
    /// Held while a file is made: all of them have the same name until they are finished.
    making: Mutex<()>,
}

#[derive(Debug)]
struct State {
    ready: Option<JournalFile>,
    recycled: Vec<JournalFile>,
    /// Files that have to be gone before another one is written to.
    unwanted: Vec<PathBuf>,
    next_generation: Generation,
    failure: Option<Obstacle>,
    closed: bool,
}

/// Nobody waits for a file when the thread that makes them is gone.
struct Ended<'a>(&'a JournalPreallocator);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl JournalPreallocator {
    /// Files with generations from `next_generation` on.
    #[must_use]
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        status: Arc<Status>,
        options: &Options,
        next_generation: Generation,
    ) -> Arc<Self> {
        let (recycled, unwanted) = (Vec::new(), Vec::new());
        let state = State { ready: None, recycled, unwanted, next_generation, failure: None, closed: false };
        let (file_bytes, durability) = (options.journal_file_bytes, options.durability);
        let (state, changed, making) = (Mutex::new(state), Condvar::new(), Mutex::default());
        Arc::new(Self { storage, status, file_bytes, durability, state, changed, making })
    }

    /// Takes the file that is ready, waiting while it is being made.
    ///
    /// # Errors
    /// Says why there is none.
    pub(crate) fn take(&self) -> Result<JournalFile, Obstacle> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        loop {
            if let Some(file) = state.ready.take() {
                self.changed.notify_all();
                return Ok(file);
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.closed || self.changed.wait_until(&mut state, deadline).timed_out() {
                let why = "the next journal file could not be made in time".to_owned();
                return Err(Obstacle { failure: StorageFailure::Device, why });
            }
        }
    }

    /// Returns why the last try to make a file failed, if it did.
    #[must_use]
    pub(crate) fn failure(&self) -> Option<Obstacle> {
        self.state.lock().failure.clone()
    }

    /// Takes back a file whose content is sealed.
    pub(crate) fn recycle(&self, file: JournalFile) {
        let mut state = self.state.lock();
        let keep = file.bytes == self.file_bytes && state.recycled.len() < KEPT;
        if keep {
            state.recycled.push(file);
            drop(state);
            self.changed.notify_all();
            return;
        }
        drop(state);
        // A file that stays behind is found and taken up at the next start.
        let _ignored = self.storage.remove(&file.path);
    }

    /// Removes a file that was prepared and holds no commit. It is not written over: a commit that failed to be written
    /// to it may still come up under its name. No further file is made before it is gone, and the sync of that one's name
    /// makes the removal durable.
    pub(crate) fn discard(&self, file: &JournalFile) {
        self.state.lock().unwanted.push(file.path.clone());
    }

    /// Ends [`JournalPreallocator::run`].
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// The thread's work: keeps one file ready until closed.
    pub(crate) fn run(&self) {
        let _end = Ended(self);
        loop {
            let mut state = self.state.lock();
            while state.ready.is_some() && !state.closed {
                self.changed.wait(&mut state);
            }
            if state.closed {
                return;
            }
            let recycled = state.recycled.pop();
            drop(state);
            self.make_ready(recycled);
            self.note_reserve(self.keep_reserve().err());
            let mut state = self.state.lock();
            if state.failure.is_some() && !state.closed {
                self.changed.wait_for(&mut state, RETRY);
            }
        }
    }

    /// Nobody else makes a file until this one is ready: files are used in the order of their generations.
    fn make_ready(&self, recycled: Option<JournalFile>) {
        let _making = self.making.lock();
        let made = self.make(recycled);
        let mut state = self.state.lock();
        match made {
            Ok(file) => (state.failure, state.ready) = (None, Some(file)),
            Err(error) => state.failure = Some(obstacle(&error)),
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Makes one file on the caller's thread.
    ///
    /// # Errors
    /// Says why there is none; [`JournalPreallocator::run`] goes on trying.
    pub(crate) fn make_now(&self) -> Result<JournalFile, Obstacle> {
        let recycled = self.state.lock().recycled.pop();
        let _making = self.making.lock();
        self.make(recycled).map_err(|error| {
            let failure = obstacle(&error);
            self.state.lock().failure = Some(failure.clone());
            failure
        })
    }

    /// It is for later: the next file that is made is another chance.
    fn note_reserve(&self, failed: Option<io::Error>) {
        let what = "cannot keep a journal file for deletions on a full disk";
        self.status.set_trouble(Task::Reserve, failed.map(|error| Obstacle::new(what, &error)));
    }

    /// Returns a small file for deletions while no other can be made: of the room that is left, or else, for a deletion
    /// that makes room for the next one, the one that is kept. Should another have become ready meanwhile, it is that
    /// one.
    ///
    /// # Errors
    /// Says why there is none.
    pub(crate) fn take_small(&self, room: Room) -> Result<JournalFile, Obstacle> {
        let busy = || {
            let why = "another journal file is being made".to_owned();
            Obstacle { failure: StorageFailure::Refused, why }
        };
        let _making = self.making.try_lock_for(RETRY).ok_or_else(busy)?;
        let ready = self.state.lock().ready.take();
        if let Some(file) = ready {
            self.changed.notify_all();
            return Ok(file);
        }
        let generation = self.next_generation();
        let fresh = || self.begin(generation, self.zeroed(RESERVE_BYTES)?, RESERVE_BYTES);
        let made = self.remove_unwanted().and_then(|()| fresh());
        let made = made.or_else(|error| match room {
            Room::Freeing => self.begin_again(generation, Path::new(RESERVE), RESERVE_BYTES).map_err(|_| error),
            Room::Records | Room::Deletion => Err(error),
        });
        made.map_err(|error| obstacle(&error))
    }

    /// Taken while a file is made, and by nobody else until that one is ready.
    fn next_generation(&self) -> Generation {
        let mut state = self.state.lock();
        let generation = state.next_generation;
        state.next_generation.0 += 1;
        generation
    }

    /// Takes the file that is kept for a start on a full disk, or makes it of the room that is left. It has room for
    /// deletions alone.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub(crate) fn take_reserve(&self) -> io::Result<JournalFile> {
        self.remove_unwanted()?;
        self.keep_reserve()?;
        let _making = self.making.lock();
        let generation = self.next_generation();
        self.begin_again(generation, Path::new(RESERVE), RESERVE_BYTES)
    }

    fn keep_reserve(&self) -> io::Result<()> {
        match self.storage.open(Path::new(RESERVE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map(drop),
        }
        let _making = self.making.lock();
        self.zeroed(RESERVE_BYTES)?;
        self.storage.rename(Path::new(UNFINISHED), Path::new(RESERVE))?;
        self.storage.sync_directory(Path::new(JOURNAL_DIRECTORY))
    }

    fn remove_unwanted(&self) -> io::Result<()> {
        let unwanted = self.state.lock().unwanted.clone();
        for path in unwanted {
            remove_if_there(self.storage.as_ref(), &path)?;
            self.state.lock().unwanted.retain(|other| *other != path);
        }
        Ok(())
    }

    fn make(&self, recycled: Option<JournalFile>) -> io::Result<JournalFile> {
        self.remove_unwanted()?;
        let generation = self.next_generation();
        match recycled {
            Some(old) => self.begin_again(generation, &old.path, self.file_bytes),
            None => self.begin(generation, self.zeroed(self.file_bytes)?, self.file_bytes),
        }
    }

    /// A torn header under a name that may hold commits would be taken for damage, so the file gives its name up first.
    fn begin_again(&self, generation: Generation, path: &Path, bytes: u64) -> io::Result<JournalFile> {
        self.storage.rename(path, Path::new(UNFINISHED))?;
        self.storage.sync_directory(Path::new(JOURNAL_DIRECTORY))?;
        self.begin(generation, self.open()?, bytes)
    }

    fn begin(&self, generation: Generation, file: Arc<dyn StorageFile>, bytes: u64) -> io::Result<JournalFile> {
        let life = Life { generation, salt: random_salt() };
        let made = JournalFile::begin(file, journal_path(generation), life, bytes)?;
        self.storage.rename(Path::new(UNFINISHED), &made.path)?;
        self.storage.sync_directory(Path::new(JOURNAL_DIRECTORY))?;
        Ok(made)
    }

    fn zeroed(&self, bytes: u64) -> io::Result<Arc<dyn StorageFile>> {
        remove_if_there(self.storage.as_ref(), Path::new(UNFINISHED))?;
        let file = self.create()?;
        match fill(file.as_ref(), bytes) {
            Ok(()) => Ok(file),
            Err(error) => {
                // A partly filled file would only make the full disk fuller.
                let _ignored = self.storage.remove(Path::new(UNFINISHED));
                Err(error)
            }
        }
    }

    /// Writes that are synced before they are answered skip the page cache, whose copy nobody reads. At the other
    /// levels the cache is what an answer waits for.
    fn create(&self) -> io::Result<Arc<dyn StorageFile>> {
        match self.durability {
            Durability::Fsync => self.storage.create_uncached(Path::new(UNFINISHED)),
            Durability::Interval | Durability::Memory => self.storage.create(Path::new(UNFINISHED)),
        }
    }

    fn open(&self) -> io::Result<Arc<dyn StorageFile>> {
        match self.durability {
            Durability::Fsync => self.storage.open_uncached(Path::new(UNFINISHED)),
            Durability::Interval | Durability::Memory => self.storage.open(Path::new(UNFINISHED)),
        }
    }
}

fn fill(file: &dyn StorageFile, length: u64) -> io::Result<()> {
    let mut zeros = AlignedBuffer::new(CHUNK_BYTES);
    zeros.zero_to(CHUNK_BYTES);
    let mut position = 0;
    while position < length {
        let bytes = (length - position).min(CHUNK_BYTES as u64);
        let end = usize::try_from(bytes).unwrap_or(PAGE_BYTES);
        file.write_at(&zeros.content()[..end], position)?;
        position += bytes;
        if position.is_multiple_of(8 * CHUNK_BYTES as u64) {
            // Synced in small steps: one huge writeback would stall the commits' own syncs.
            let _: Synced = file.sync_data()?;
        }
    }
    let _: Synced = file.sync_data()?;
    Ok(())
}

fn obstacle(error: &io::Error) -> Obstacle {
    Obstacle::new("cannot make the next journal file", error)
}

/// Returns a number that no client can know.
fn random_salt() -> u64 {
    RandomState::new().build_hasher().finish()
}
