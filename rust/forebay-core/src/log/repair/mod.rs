//! A directory at rest: what is damaged in it, and how the rest is made usable.

mod intervals;
mod quarantine;
mod read_progress;
mod rebuild;
mod repair;
mod salvage;
mod survey;
mod verify;

pub use quarantine::{Item, OffsetRange};
pub use read_progress::ReadProgress;
pub use repair::{Apply, RepairReport, repair, repair_with};
pub use survey::Finding;
pub use verify::{VerifyReport, verify, verify_with};
