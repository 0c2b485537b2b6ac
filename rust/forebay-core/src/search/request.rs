//! What a search asks for: plain values, and their JSON.

use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};
use crate::options::check_range;

/// The longest request as JSON: a query, its filters, and the names of ten thousand projects.
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;
/// The most hits of one page.
pub const MAX_LIMIT: usize = 100;
/// The most hits that an offset and a limit reach over: their places are kept while the log is read. A cursor goes on from
/// any place.
pub const MAX_RESULT_WINDOW: usize = 10_000;
/// The most conditions on metadata.
pub const MAX_METADATA_CONDITIONS: usize = 16;
/// The longest text that a field is compared with: the longest key of a record.
pub const MAX_VALUE_BYTES: usize = 1024;
/// The most names in a path into metadata: it is followed by recursion.
pub const MAX_PATH_NAMES: usize = 16;
/// The longest time that one search may be given: its reader's thread belongs to nobody else meanwhile.
pub const MAX_SEARCH_TIME: Duration = Duration::from_secs(60);
/// The time of a search that says nothing of it.
const DEFAULT_SECONDS: f64 = 10.0;
/// The hits of a page that says nothing of it.
const DEFAULT_LIMIT: usize = 50;

/// What a record has to be for a search to find it: all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Full text over the message and the values in the metadata; empty for any.
    pub query: String,
    /// The level, in any case; `warning` is `warn`.
    pub level: Option<String>,
    /// The service, exactly.
    pub service: Option<String>,
    /// The project, exactly.
    pub project_id: Option<String>,
    /// The only projects that may be seen; `None` for all.
    pub projects: Option<Vec<String>>,
    /// The first event time, microseconds since 1970.
    pub start_time: Option<i64>,
    /// The last event time.
    pub end_time: Option<i64>,
    /// `metadata.request_id` as text.
    pub request_id: Option<String>,
    /// `metadata.user_id` as text: `123` is 123 and `"123"`.
    pub user_id: Option<String>,
    /// Conditions on other values of the metadata.
    pub metadata: Vec<MetadataCondition>,
}

/// A condition on one value of the metadata.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataCondition {
    /// The names on the way to it, separated by dots.
    pub path: String,
    /// How it is compared.
    pub is: Comparison,
    /// What with.
    pub value: String,
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Comparison {
    /// As text: a string, or a number, `true` or `false` as it is written.
    #[serde(rename = "=")]
    Equal,
    /// A number above.
    #[serde(rename = ">")]
    Above,
    /// A number above or equal.
    #[serde(rename = ">=")]
    AtLeast,
    /// A number below.
    #[serde(rename = "<")]
    Below,
    /// A number below or equal.
    #[serde(rename = "<=")]
    AtMost,
}

/// How far a search goes. Beyond it, it ends with what it has, and says so.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchBudget {
    /// The time that it takes.
    pub seconds: f64,
    /// The bytes of records that it reads, decompressed.
    pub bytes: Option<u64>,
    /// The records that may match.
    pub hits: Option<u64>,
}

impl Default for SearchBudget {
    fn default() -> Self {
        Self { seconds: DEFAULT_SECONDS, bytes: None, hits: None }
    }
}

/// A page of what a search finds, newest first: by event time, and where that is equal by partition and offset.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchRequest {
    /// What is looked for.
    pub conditions: Conditions,
    /// Hits that are left out before the page.
    pub offset: usize,
    /// Hits of the page, 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// Goes on behind the last hit of the page that gave it; new events do not shift that.
    pub cursor: Option<String>,
    /// Counts all that match. Without it, the search ends once nothing newer can come.
    pub count: bool,
    /// How far it goes.
    pub budget: SearchBudget,
}

impl Default for SearchRequest {
    fn default() -> Self {
        let (conditions, budget) = (Conditions::default(), SearchBudget::default());
        Self { conditions, offset: 0, limit: DEFAULT_LIMIT, cursor: None, count: true, budget }
    }
}

/// What matching records are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountBy {
    /// The level, in small letters; `warning` counts as `warn`.
    Level,
    /// The service.
    Service,
    /// The project.
    ProjectId,
    /// The event time, in intervals.
    Time,
}

/// Counts of what a search finds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatsRequest {
    /// What is looked for.
    #[serde(default)]
    pub conditions: Conditions,
    /// What it is counted by.
    pub by: CountBy,
    /// The length of the intervals of [`CountBy::Time`] in microseconds; they begin at multiples of it since 1970.
    #[serde(default)]
    pub interval: Option<i64>,
    /// How far it goes.
    #[serde(default)]
    pub budget: SearchBudget,
}

/// A step through all that a search finds, in the order of the log.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// What is looked for.
    #[serde(default)]
    pub conditions: Conditions,
    /// Where it goes on; `None` at the beginning.
    #[serde(default)]
    pub position: Option<ExportPosition>,
    /// The bytes of lines or columns after which it ends: at least one record is given, however large.
    pub max_bytes: usize,
    /// How the records are written.
    #[serde(default)]
    pub format: ExportFormat,
    /// How far it goes.
    #[serde(default)]
    pub budget: SearchBudget,
}

/// How an export writes what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// A line of JSON an event, as consumers get it.
    #[default]
    Json,
    /// Comma-separated values, without their head.
    Csv,
    /// A line an event for people.
    Txt,
    /// Columns in Arrow's layout.
    Columns,
}

/// Where an export is: what comes later than its beginning is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportPosition {
    /// The stream's identity.
    pub stream: u32,
    /// The next offset of each partition.
    pub next: Vec<u64>,
    /// The offset after the last of each partition.
    pub end: Vec<u64>,
}

/// Reads a request from its JSON.
///
/// # Errors
/// `InvalidRequest` naming the field.
pub(super) fn from_json<'j, T: Deserialize<'j>>(json: &'j [u8]) -> Result<T> {
    if json.len() > MAX_REQUEST_BYTES {
        let detail = format!("the search has {} bytes, more than the limit of {MAX_REQUEST_BYTES}", json.len());
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    serde_json::from_slice(json).map_err(|error| Error::new(ErrorKind::InvalidRequest, format!("search: {error}")))
}

impl SearchRequest {
    /// Reads a request from its JSON, in which every field may be missing.
    ///
    /// # Errors
    /// `InvalidRequest` naming the field.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        from_json(json)
    }

    /// Checks the page.
    pub(super) fn check(&self) -> Result<()> {
        check_range("limit", self.limit as u64, 1, MAX_LIMIT as u64)?;
        let window = self.offset.saturating_add(self.limit);
        if window > MAX_RESULT_WINDOW {
            let detail = format!(
                "offset and limit reach over {window} hits, more than {MAX_RESULT_WINDOW}; go on with the cursor of a page"
            );
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        if self.cursor.is_some() && self.offset > 0 {
            let detail = "offset: must be 0 beside a cursor, which says where the page begins";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        self.budget.time().map(|_| ())
    }
}

impl StatsRequest {
    /// Reads a request from its JSON, in which everything but `by` may be missing.
    ///
    /// # Errors
    /// `InvalidRequest` naming the field.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        from_json(json)
    }
}

impl ExportRequest {
    /// Reads a request from its JSON, in which everything but `max_bytes` may be missing.
    ///
    /// # Errors
    /// `InvalidRequest` naming the field.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        from_json(json)
    }
}

impl SearchBudget {
    /// Returns the time.
    ///
    /// # Errors
    /// `InvalidRequest` when it is none, or too long.
    pub(super) fn time(&self) -> Result<Duration> {
        let time = Duration::try_from_secs_f64(self.seconds).ok().filter(|time| *time <= MAX_SEARCH_TIME);
        time.ok_or_else(|| {
            let detail = format!("budget.seconds: must be from 0 to {}", MAX_SEARCH_TIME.as_secs());
            Error::new(ErrorKind::InvalidRequest, detail)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use super::*;

    #[test]
    fn a_request_is_read_and_everything_has_a_default() {
        assert_eq!(SearchRequest::from_json(b"{}").unwrap(), SearchRequest::default());
        let json =
            br#"{"conditions":{"query":"x","metadata":[{"path":"a.b","is":">=","value":"5"}]},"limit":3,"count":false,
            "budget":{"seconds":2.5,"hits":7}}"#;
        let request = SearchRequest::from_json(json).unwrap();
        assert_eq!(request.conditions.metadata[0].is, Comparison::AtLeast);
        assert_eq!((request.limit, request.count, request.budget.seconds), (3, false, 2.5));
        let refused = SearchRequest::from_json(br#"{"conditions":{"quary":"x"}}"#).unwrap_err();
        assert!(refused.detail().contains("unknown field `quary`"), "{refused}");
        let large = format!("{{\"cursor\":\"{}\"}}", "x".repeat(MAX_REQUEST_BYTES));
        assert!(SearchRequest::from_json(large.as_bytes()).unwrap_err().detail().contains("more than the limit"));
    }

    #[test]
    fn a_page_is_bounded() {
        let check = |request: SearchRequest| request.check().map_err(|error| error.detail().to_owned());
        let base = SearchRequest::default();
        assert_eq!(check(base.clone()), Ok(()));
        assert_eq!(
            check(SearchRequest { limit: MAX_LIMIT, offset: MAX_RESULT_WINDOW - MAX_LIMIT, ..base.clone() }),
            Ok(())
        );
        for limit in [0, MAX_LIMIT + 1] {
            assert!(check(SearchRequest { limit, ..base.clone() }).unwrap_err().starts_with("limit is"));
        }
        let beyond = SearchRequest { limit: 1, offset: MAX_RESULT_WINDOW, ..base.clone() };
        assert!(check(beyond).unwrap_err().contains("the cursor"));
        let both = SearchRequest { offset: 1, cursor: Some(String::new()), ..base.clone() };
        assert!(check(both).unwrap_err().starts_with("offset:"));
        for seconds in [-1.0, 60.1, f64::NAN, f64::INFINITY] {
            let budget = SearchBudget { seconds, ..base.budget };
            assert!(check(SearchRequest { budget, ..base.clone() }).unwrap_err().starts_with("budget.seconds"));
        }
    }
}
