//! How far a search came.

use std::time::Duration;

use serde::Serialize;

use super::scan::Scanned;
use super::watch::Stopped;

/// How much a search has read, and why it ended before it had read everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it read.
    pub scanned: Scanned,
    /// Why it ended early; `None` for an answer that is complete.
    pub stopped: Option<Stopped>,
    /// How long it took.
    pub elapsed: Duration,
}

/// The same in JSON, as a part of every answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProgressJson {
    complete: bool,
    stopped_by: Option<&'static str>,
    scanned: ScannedJson,
    records_lost: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ScannedJson {
    records: u64,
    bytes: u64,
    parts: u64,
    parts_skipped: u64,
    seconds: f64,
}

impl Progress {
    /// Returns whether everything was read that may count.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stopped.is_none()
    }

    pub(super) fn json(&self) -> ProgressJson {
        let Scanned { records, bytes, parts, parts_skipped, lost, .. } = self.scanned;
        ProgressJson {
            complete: self.is_complete(),
            stopped_by: self.stopped.map(Stopped::name),
            scanned: ScannedJson { records, bytes, parts, parts_skipped, seconds: self.elapsed.as_secs_f64() },
            records_lost: lost,
        }
    }
}

/// Returns JSON that cannot fail: it has texts and numbers alone.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
