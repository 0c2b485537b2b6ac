//! Log search: what is stored now, by full text and fields, newest first.
//!
//! What cannot match is left out as early as it can be told: parts and blocks by their times (`scan.rs`). Of blocks of columns
//! the arrays are asked (`columns/`); of rows, and of the ring, the bytes are scanned (`prefilter.rs`), and only what is left
//! is parsed (`matcher.rs`). A scan holds no lock and no more memory than a block and the places of its hits, and ends with
//! its budget.

mod columns;
mod export;
mod exported;
mod fold;
mod matcher;
mod needle;
mod newest;
mod offsets;
mod pattern;
mod place;
mod prefilter;
mod progress;
mod query;
mod request;
mod scan;
mod search;
mod searches;
mod stats;
mod times;
mod watch;

pub use export::{ExportStep, MAX_EXPORT_BYTES};
pub use exported::{COLUMN_NAMES, CSV_HEAD, Columns, Exported, TextColumn};
pub use newest::MAX_EXACT_TOTAL;
pub use pattern::{MAX_REGEX_BYTES, MAX_REGEX_TEXT_BYTES};
pub use progress::Progress;
pub use query::{MAX_QUERY_BYTES, MAX_REGEXES, MAX_TERMS};
pub use request::{
    Comparison, Conditions, CountBy, ExportFormat, ExportPosition, ExportRequest, MAX_LIMIT, MAX_METADATA_CONDITIONS,
    MAX_PATH_NAMES, MAX_REQUEST_BYTES, MAX_RESULT_WINDOW, MAX_SEARCH_TIME, MAX_VALUE_BYTES, MetadataCondition,
    SearchBudget, SearchRequest, StatsRequest,
};
pub use scan::Scanned;
pub(crate) use search::Searched;
pub use search::{Caller, Hit, MAX_PAGE_BYTES, SearchOutcome};
pub use searches::{MAX_RUNNING_SEARCHES, Searches};
pub use stats::{Group, MAX_BUCKETS, MAX_GROUP_BYTES, MAX_GROUPS, StatsOutcome};
pub use watch::{SearchCancel, Stopped};
