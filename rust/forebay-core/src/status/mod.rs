//! The state of the log: whether it takes writes, and what follows from a failure of the storage.

mod failure;
mod status;

pub(crate) use failure::{FailureAction, Obstacle, Stage, StageError, StorageFailure};
pub use status::{Damage, Mode};
pub(crate) use status::{Status, Task};
