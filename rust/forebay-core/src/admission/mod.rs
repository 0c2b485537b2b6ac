//! Admission: bytes are budgeted before anything is parsed, events are charged to quotas before the commit.

mod allowed_keys;
mod askers;
mod budget;
mod hold;
mod permit;
mod quota;
mod rate_limiter;

pub use allowed_keys::AllowedKeys;
pub use askers::Askers;
pub use budget::Budget;
pub use hold::Hold;
pub use permit::Permit;
pub use quota::{Cost, MAX_QUOTA, Quota, QuotaRates, Rate, Shortage};
pub use rate_limiter::{RateLimiter, Reservation};
