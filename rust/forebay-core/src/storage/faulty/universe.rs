//! The storage itself, and the switches of the tests.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::fault::{Armed, Fault, FaultId, Operation, Strike};
use super::inode::Inode;
use super::names::normal;
use super::state::State;

/// A stalled call gives up after this time with `TimedOut`: a test that forgets to release it ends.
pub const STALL_LIMIT: Duration = Duration::from_secs(30);

/// A storage in memory that fails on purpose; see the module's text for the model. Clones share one universe.
#[derive(Clone)]
pub struct Faulty {
    pub(super) universe: Arc<Universe>,
}

pub(super) struct Universe {
    state: Mutex<State>,
    changed: Condvar,
}

/// A call that was let in.
pub(super) struct Turn<'a> {
    pub(super) state: MutexGuard<'a, State>,
    /// The stamp when the call came, before it stalled.
    pub(super) entered: u64,
    pub(super) strike: Option<Strike>,
}

impl Universe {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn begin(&self, operation: Operation, path: &Path) -> io::Result<Turn<'_>> {
        let mut state = self.state.lock();
        let deadline = Instant::now() + STALL_LIMIT;
        let entered = state.stamp + 1;
        while state.stalls(operation) {
            state.waiting += 1;
            self.changed.notify_all();
            let waited = self.changed.wait_until(&mut state, deadline);
            state.waiting -= 1;
            if waited.timed_out() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        let counted = state.count(operation, path);
        if state.halted() {
            self.changed.notify_all();
        }
        let strike = counted?;
        Ok(Turn { state, entered, strike })
    }

    /// Does as `begin` does, for the operations that fail without an effect.
    pub(super) fn enter(&self, operation: Operation, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        let turn = self.begin(operation, path)?;
        turn.strike.map_or(Ok(turn.state), |strike| Err(strike.error()))
    }
}

impl fmt::Debug for Universe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Universe")
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").field("files", &self.files()).finish()
    }
}

/// Crashes and faults.
impl Faulty {
    /// Returns an empty storage. Everything random in it follows from `seed` and the order of the calls.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Faulty::with_state(State::new(seed))
    }

    /// Power loss, with the next seed of this universe. The result is another universe: this one goes on.
    #[must_use]
    pub fn crash(&self) -> Self {
        let seed = self.universe.state().random.bits();
        self.crash_seeded(seed)
    }

    /// Power loss; the same state and seed always leave the same. Capacity and broken ranges stay, other faults and
    /// stalls do not; locks are released.
    #[must_use]
    pub fn crash_seeded(&self, seed: u64) -> Self {
        Faulty::with_state(self.universe.state().crashed(seed))
    }

    /// Death of the process: all that was written is kept, and what was not synced is still only in the page cache of
    /// the universe returned. Else as [`Faulty::crash_seeded`].
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut state = self.universe.state();
        let seed = state.random.bits();
        Faulty::with_state(state.killed(seed))
    }

    /// Injects a fault.
    pub fn inject(&self, fault: Fault) -> FaultId {
        let mut state = self.universe.state();
        state.faults.push(Armed::new(fault));
        FaultId(state.faults.len() - 1)
    }

    /// Returns the number of calls that the fault has failed.
    #[must_use]
    pub fn hits(&self, id: FaultId) -> u64 {
        self.universe.state().faults.get(id.0).map_or(0, |armed| armed.hits)
    }

    /// Ends a fault; its count stays.
    pub fn clear(&self, id: FaultId) {
        if let Some(armed) = self.universe.state().faults.get_mut(id.0) {
            armed.disarm();
        }
    }

    /// Halts the machine after `changes` more calls that change something: all later calls fail with `EIO` without an
    /// effect, as if the machine were gone: run a workload with each number and crash after it, to see every crash
    /// point. Stalled calls are released when the machine is gone.
    pub fn halt_after(&self, changes: u64) {
        self.universe.state().halt_after = Some(changes.saturating_add(1));
    }

    /// Every later call fails with `EIO`, and stalled ones end.
    pub fn halt(&self) {
        self.universe.state().halt_after = Some(0);
        self.universe.changed.notify_all();
    }

    /// The bytes that all files together may have, by their lengths (also where they are sparse); `None` for no limit.
    /// Creating, growing and extending a file beyond it fail with `ENOSPC`; a write leaves what fits.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.universe.state().capacity = bytes;
    }

    /// While set, writes and changes of length wait, up to [`STALL_LIMIT`].
    pub fn stall_writes(&self, stalled: bool) {
        self.universe.state().stall_writes = stalled;
        self.universe.changed.notify_all();
    }

    /// While set, syncs of files and directories wait, up to [`STALL_LIMIT`].
    pub fn stall_syncs(&self, stalled: bool) {
        self.universe.state().stall_syncs = stalled;
        self.universe.changed.notify_all();
    }

    /// Waits until `calls` calls are stalled at once. False when `limit` is over before.
    #[must_use]
    pub fn wait_stalled(&self, calls: usize, limit: Duration) -> bool {
        let mut state = self.universe.state();
        let deadline = Instant::now() + limit;
        while state.waiting < calls {
            if self.universe.changed.wait_until(&mut state, deadline).timed_out() {
                return state.waiting >= calls;
            }
        }
        true
    }

    /// Sets whether a crash may leave garbage where a write was lost; it may at first.
    pub fn set_garbling(&self, garbles: bool) {
        self.universe.state().garble = garbles;
    }
}

/// Decay, and a look at what is there.
impl Faulty {
    fn with_state(state: State) -> Self {
        Self { universe: Arc::new(Universe { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    fn with<T>(&self, path: impl AsRef<Path>, act: impl FnOnce(&mut Inode) -> T) -> Option<T> {
        let mut state = self.universe.state();
        let id = state.names.find(&normal(path.as_ref()))?;
        state.inodes.get_mut(&id).map(act)
    }

    /// Flips the bits of `mask` in the byte at `offset`, also on stable storage. False without such a byte.
    pub fn flip(&self, path: impl AsRef<Path>, offset: u64, mask: u8) -> bool {
        self.with(path, |inode| inode.flip(offset as usize, mask)).unwrap_or(false)
    }

    /// Reads that touch the range fail with `EIO`, or end before it. False without such a file. It stays with the file
    /// over renamings and crashes.
    pub fn break_reads(&self, path: impl AsRef<Path>, range: Range<u64>) -> bool {
        self.with(path, |inode| inode.broken.push(range)).is_some()
    }

    /// Ends all broken ranges of a file.
    pub fn heal_reads(&self, path: impl AsRef<Path>) -> bool {
        self.with(path, |inode| inode.broken.clear()).is_some()
    }

    /// Puts a durable file there, in place of what was there.
    pub fn put(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        let path = normal(path.as_ref());
        let directory = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let mut state = self.universe.state();
        state.names.create_directory(&directory);
        state.add(path, Inode::with_stable(bytes.into()));
        state.names.sync(&directory);
        state.collect();
    }

    /// Returns all files and their lengths, sorted by path.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.universe.state();
        let length = |id| state.inodes.get(&id).map_or(0, |inode| inode.live().len() as u64);
        state.names.live().map(|(path, id)| (path.clone(), length(id))).collect()
    }

    /// Returns what a reader sees in the file now.
    #[must_use]
    pub fn contents(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.with(path, |inode| inode.live().to_vec())
    }

    /// Returns what certainly outlives a crash under that name: `None` where the name itself is not durable.
    #[must_use]
    pub fn stable_contents(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.universe.state();
        let id = state.names.find_stable(&normal(path.as_ref()))?;
        state.inodes.get(&id).map(|inode| inode.stable().to_vec())
    }

    /// Returns the number of calls of this kind.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        self.universe.state().counts[operation as usize]
    }
}
