//! The promise of an acknowledgement, with its proof.

use crate::options::Durability;
use crate::storage::Synced;

/// The level that an acknowledgement was really given at.
///
/// A commit cannot have `Fsync` without a [`Synced`], which only a successful `fdatasync` hands out. A repeat has
/// no commit of its own: [`Level::repeated`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Durability);

impl Level {
    /// On stable storage.
    #[must_use]
    pub fn fsync(_proof: &Synced) -> Self {
        Self(Durability::Fsync)
    }

    /// The operating system has it, and it is synced within the interval.
    #[must_use]
    pub fn interval() -> Self {
        Self(Durability::Interval)
    }

    /// The operating system has it.
    #[must_use]
    pub fn memory() -> Self {
        Self(Durability::Memory)
    }

    /// Returns the level of a request that was acknowledged before: its commit stands at the level that the log has
    /// now, or was synced since by the start of the process.
    pub(crate) fn repeated(durability: Durability) -> Self {
        Self(durability)
    }

    /// Returns the promise.
    #[must_use]
    pub fn durability(self) -> Durability {
        self.0
    }
}
