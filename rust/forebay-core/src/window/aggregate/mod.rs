mod aggregates;
mod cell;
mod distinct;
mod quantiles;
mod sum;
mod top;

pub use aggregates::{Aggregate, Aggregates, Aggregation, Sample};
pub(super) use cell::Cell;
pub use cell::MAX_KEPT_VALUE_BYTES;
pub use distinct::DISTINCT_ERROR;
pub use quantiles::QUANTILE_ERROR;
pub use top::{MAX_TOP_VALUE_BYTES, TOP_VALUES};
