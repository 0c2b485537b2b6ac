//! Who may come in: bytes are budgeted before anything is parsed, events are charged to quotas before the commit.

mod account;
mod budget;
mod hold;
mod quota;

pub use account::{Account, Charge};
pub use budget::{Budget, Permit};
pub use hold::Hold;
pub use quota::{Cost, MAX_QUOTA, Quota, QuotaRates, Rate, Shortage};
