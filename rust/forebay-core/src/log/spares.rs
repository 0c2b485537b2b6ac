//! Journal files made ready ahead of time, by a thread of their own: writing zeros into a new file inside of a commit
//! would show in every latency, and writing over a recycled file is faster than growing one.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::aligned::AlignedBuffer;
use super::frame::{Life, PAGE_BYTES};
use super::journal::{JOURNAL_DIRECTORY, JournalFile, RESERVED_BYTES, journal_path};
use super::storage::{Storage, StorageFile, Synced, remove_if_there};
use crate::ids::Generation;
use crate::options::{Durability, Options};

/// A file that could not be made is tried again this often.
const RETRY: Duration = Duration::from_secs(1);
/// How long a commit waits for a file that is being made before it refuses: longer than zeros of one file take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Files kept for reuse; more are removed, or a burst would hold its disk space for ever.
const KEPT: usize = 3;
/// Where a file is made before it takes its name.
pub(crate) const UNFINISHED: &str = "journal/unfinished";
const CHUNK_BYTES: usize = 1024 * 1024;
/// A file kept for a start on a full disk: without any journal file retention could not delete, nothing would make room,
/// and the log would stay full for ever.
const RESERVE: &str = "journal/reserve";
/// What a journal file keeps free for table operations, and its header: too small for a record.
const RESERVE_BYTES: u64 = PAGE_BYTES as u64 + RESERVED_BYTES;

/// Makes the next journal file ready while the log writes to the current one.
#[derive(Debug)]
pub struct Spares {
    storage: Arc<dyn Storage>,
    file_bytes: u64,
    durability: Durability,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    ready: Option<JournalFile>,
    recycled: Vec<JournalFile>,
    next_generation: Generation,
    failure: Option<String>,
    closed: bool,
}

impl Spares {
    /// Files with generations from `next_generation` on.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, options: &Options, next_generation: Generation) -> Arc<Self> {
        let state = State { ready: None, recycled: Vec::new(), next_generation, failure: None, closed: false };
        let (file_bytes, durability) = (options.journal_file_bytes, options.durability);
        Arc::new(Self { storage, file_bytes, durability, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Takes the file that is ready, waiting while it is being made.
    ///
    /// # Errors
    /// Why there is none.
    pub fn take(&self) -> Result<JournalFile, String> {
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
                return Err("the next journal file could not be made in time".to_owned());
            }
        }
    }

    /// Whether the last try to make a file failed, and why.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.state.lock().failure.clone()
    }

    /// Takes back a file whose content is sealed.
    pub fn recycle(&self, file: JournalFile) {
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

    /// Ends [`Spares::run`].
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// The thread's work: keeps one file ready until closed.
    pub fn run(&self) {
        loop {
            let mut state = self.state.lock();
            while state.ready.is_some() && !state.closed {
                self.changed.wait(&mut state);
            }
            if state.closed {
                return;
            }
            let recycled = state.recycled.pop();
            let generation = state.next_generation;
            state.next_generation.0 += 1;
            drop(state);
            let made = self.make(generation, recycled);
            let mut state = self.state.lock();
            match made {
                Ok(file) => {
                    state.failure = None;
                    state.ready = Some(file);
                    self.changed.notify_all();
                    drop(state);
                    // It is for a later start; the next file that is made is another chance.
                    let _ignored = self.keep_reserve();
                }
                Err(error) => {
                    state.failure = Some(format!("cannot make the next journal file: {error}"));
                    self.changed.notify_all();
                    if !state.closed {
                        self.changed.wait_for(&mut state, RETRY);
                    }
                }
            }
        }
    }

    /// Makes one file on the caller's thread.
    ///
    /// # Errors
    /// Why there is none; [`Spares::run`] goes on trying.
    pub fn make_now(&self) -> Result<JournalFile, String> {
        let mut state = self.state.lock();
        let recycled = state.recycled.pop();
        let generation = state.next_generation;
        state.next_generation.0 += 1;
        drop(state);
        self.make(generation, recycled).map_err(|error| {
            let failure = format!("cannot make the next journal file: {error}");
            self.state.lock().failure = Some(failure.clone());
            failure
        })
    }

    /// Takes the file that is kept for a start on a full disk, or makes it of the room that is left. It has room for
    /// table operations alone.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn take_reserve(&self) -> io::Result<JournalFile> {
        self.keep_reserve()?;
        let mut state = self.state.lock();
        let generation = state.next_generation;
        state.next_generation.0 += 1;
        drop(state);
        self.begin_again(generation, Path::new(RESERVE), RESERVE_BYTES)
    }

    fn keep_reserve(&self) -> io::Result<()> {
        match self.storage.open(Path::new(RESERVE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map(drop),
        }
        self.zeroed(RESERVE_BYTES)?;
        self.storage.rename(Path::new(UNFINISHED), Path::new(RESERVE))?;
        self.storage.sync_directory(Path::new(JOURNAL_DIRECTORY))
    }

    fn make(&self, generation: Generation, recycled: Option<JournalFile>) -> io::Result<JournalFile> {
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
                // What was filled would only make the full disk fuller.
                let _ignored = self.storage.remove(Path::new(UNFINISHED));
                Err(error)
            }
        }
    }

    /// What is synced before it is answered skips the page cache, whose copy nobody reads. At the other levels the
    /// cache is what an answer waits for.
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
        file.write_at(&[IoSlice::new(&zeros.content()[..end])], position)?;
        position += bytes;
        if position.is_multiple_of(8 * CHUNK_BYTES as u64) {
            // In small steps, or one huge writeback would stall the commits' own syncs.
            let _: Synced = file.sync_data()?;
        }
    }
    let _: Synced = file.sync_data()?;
    Ok(())
}

/// A number that no client can know.
fn random_salt() -> u64 {
    RandomState::new().build_hasher().finish()
}
