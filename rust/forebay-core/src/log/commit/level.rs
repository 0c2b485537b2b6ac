//! What an acknowledgement promises, proven.

use crate::options::Durability;
use crate::storage::Synced;

/// The level that an acknowledgement was really given at.
///
/// For a commit, `Fsync` cannot be made without a [`Synced`], which only a successful `fdatasync` hands out. A repeat has
/// no commit of its own: [`Level::repeated`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Durability);

impl Level {
    /// On stable storage.
    #[must_use]
    pub fn fsync(_proof: &Synced) -> Self {
        Self(Durability::Fsync)
    }

    /// With the operating system, synced within the interval.
    #[must_use]
    pub fn interval() -> Self {
        Self(Durability::Interval)
    }

    /// With the operating system.
    #[must_use]
    pub fn memory() -> Self {
        Self(Durability::Memory)
    }

    /// Of a request that was acknowledged before: its commit stands at the level that the log has now, or was synced
    /// since by the start of the process.
    pub(crate) fn repeated(durability: Durability) -> Self {
        Self(durability)
    }

    /// The promise.
    #[must_use]
    pub fn durability(self) -> Durability {
        self.0
    }
}
