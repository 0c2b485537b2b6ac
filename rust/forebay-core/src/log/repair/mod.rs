//! A directory at rest: what is damaged in it, and how the rest is made usable.

mod intervals;
mod quarantine;
mod rebuild;
mod repair;
mod salvage;
mod survey;
mod verify;

pub use quarantine::{Item, OffsetRange};
pub use repair::{Apply, RepairReport, repair};
pub use survey::Finding;
pub use verify::{VerifyReport, verify};
