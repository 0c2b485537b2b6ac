//! Consumer groups: durable positions, and members that share partitions by leases.

mod answer;
mod begin;
mod commit;
mod fetch;
mod group;
mod groups;
mod lease;
mod memory;
mod names;
mod position;
mod reading;
mod report;
mod rows;
mod share;
mod sweep;

pub use answer::write_answer;
pub use commit::{MAX_COMMIT_OFFSETS, OffsetCommit};
pub use fetch::{Consume, Fetched, Reached};
pub use groups::{Groups, MAX_GROUPS};
pub use lease::{LEASE, MAX_MEMBERS};
pub use names::{MAX_MEMBER_CHARACTERS, check_group, check_member};
pub use position::{OnReset, StartAt};
pub use reading::{MAX_ANSWER_BYTES, MAX_FILTERED_RECORDS};
pub use report::{GroupReport, MemberReport, OffsetReport};
pub use sweep::{GROUP_IDLE, IDLE_GRACE};
