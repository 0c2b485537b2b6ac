//! The history of `/api/metrics`, on the disk: a point every 10 seconds for a day, and every minute for a week.

mod point;
mod recorder;
mod series;
mod timeline;

pub(crate) use recorder::{History, HistoryAnswer};

/// The longest time that can be asked for: a week.
pub(crate) const MAX_HISTORY_HOURS: u32 = 168;
