//! Durable jobs: queues with priorities, leases with fencing, retries. Every change is rows of two tables in a commit.

mod admin;
mod answer;
mod backoff;
mod change;
mod count;
mod enqueue;
mod finish;
mod id;
#[allow(clippy::module_inception)] // the job itself
mod job;
mod jobs;
mod lease;
mod limits;
mod name;
mod ordered;
mod queue;
mod row;
mod sweep;
mod table;

pub use enqueue::NewJob;
pub use jobs::Jobs;
pub use limits::{
    COMPLETED_AGE, COMPLETED_JOBS, FAILED_AGE, FAILED_JOBS, MAX_ERROR_BYTES, MAX_LEASE, MAX_LEASED_JOBS,
    MAX_LISTED_JOBS, MAX_PAYLOAD_BYTES, MAX_PROGRESS_BYTES, MAX_QUEUES, MAX_RESULT_BYTES, MAX_RETRIES,
    MAX_UNIQUE_KEY_BYTES,
};
pub use name::Priority;
