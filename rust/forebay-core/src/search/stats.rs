//! Counts of what a search finds.

use std::collections::HashMap;

use serde::Serialize;

use super::columns::{Broken, Found};
use super::matcher::{Matcher, level_of, text_of};
use super::place::Place;
use super::progress::{Progress, ProgressJson, to_json};
use super::request::{CountBy, StatsRequest};
use super::scan::{Scan, Sink};
use super::search::{Caller, Searched};
use super::searches::Searches;
use super::watch::Watch;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Timestamp;
use crate::json::{PathId, PathSet, Spans};
use crate::record::Record;

/// The most intervals of time that are counted: more than a screen has columns.
pub const MAX_BUCKETS: i64 = 1_000;
/// The most different values that are counted each for itself: senders choose them, and each takes memory.
pub const MAX_GROUPS: usize = 1_000;
/// The longest value that is counted for itself.
pub const MAX_GROUP_BYTES: usize = 1_024;

/// How many matching records have one value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Group {
    /// A level, a service or a project.
    Value {
        /// The value.
        value: String,
        /// Their number.
        count: u64,
    },
    /// An interval of time.
    Interval {
        /// Its first microsecond since 1970.
        start: i64,
        /// Their number.
        count: u64,
    },
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsOutcome {
    /// Values by their counts, the largest first; intervals by their time, without those that have nothing.
    pub groups: Vec<Group>,
    /// Records with none of these values: of more than [`MAX_GROUPS`], of longer ones, or without one.
    pub other: u64,
    /// All records that match.
    pub total: u64,
    /// How far it came.
    pub progress: Progress,
}

impl Searches {
    /// Counts what a request asks for.
    ///
    /// # Errors
    /// As [`Searches::search`].
    pub(crate) fn stats(
        &self,
        Searched { reader, stream }: Searched<'_>,
        request: &StatsRequest,
        caller: Caller<'_>,
    ) -> Result<StatsOutcome> {
        let mut groups = Groups::new(request)?;
        let _permit = self.begin(caller.token)?;
        let compiled = Matcher::new(&request.conditions)?;
        let watch = Watch::new(&request.budget, caller.cancel, &self.closing)?;
        let (scanned, stopped) = Scan::new((reader, stream, &self.times), compiled, &watch).run(&mut groups)?;
        let progress = Progress { scanned, stopped, elapsed: watch.elapsed() };
        let other = groups.other;
        Ok(StatsOutcome { groups: groups.finish(), other, total: scanned.matched, progress })
    }
}

/// The counts of a scan under way.
#[derive(Debug)]
struct Groups {
    by: CountBy,
    interval: i64,
    paths: PathSet,
    path: PathId,
    spans: Spans,
    values: HashMap<Vec<u8>, u64>,
    intervals: HashMap<i64, u64>,
    other: u64,
}

impl Groups {
    fn new(request: &StatsRequest) -> Result<Self> {
        let mut paths = PathSet::default();
        let path = match request.by {
            CountBy::Level => paths.add(["level"]),
            CountBy::Service => paths.add(["service"]),
            CountBy::ProjectId | CountBy::Time => PathId::ROOT,
        };
        let interval = if request.by == CountBy::Time { checked_interval(request)? } else { 1 };
        let (values, intervals) = (HashMap::new(), HashMap::new());
        Ok(Self { by: request.by, interval, paths, path, spans: Spans::default(), values, intervals, other: 0 })
    }

    /// Counts so many records with a value.
    fn count(&mut self, value: Option<&[u8]>, more: u64) {
        let Some(value) = value.filter(|value| value.len() <= MAX_GROUP_BYTES) else {
            self.other += more;
            return;
        };
        if let Some(count) = self.values.get_mut(value) {
            *count += more;
        } else if self.values.len() < MAX_GROUPS {
            self.values.insert(value.to_vec(), more);
        } else {
            self.other += more;
        }
    }

    fn count_level(&mut self, level: Option<&[u8]>, more: u64) {
        let level = level.filter(|level| level.len() <= MAX_GROUP_BYTES);
        let level = level.map(|level| level_of(&String::from_utf8_lossy(level)));
        self.count(level.as_ref().map(String::as_bytes), more);
    }

    fn finish(self) -> Vec<Group> {
        if self.by == CountBy::Time {
            let mut intervals: Vec<_> = self.intervals.into_iter().collect();
            intervals.sort_unstable();
            let interval = |(index, count): (i64, u64)| Group::Interval { start: index * self.interval, count };
            return intervals.into_iter().map(interval).collect();
        }
        let mut values: Vec<_> = self.values.into_iter().collect();
        values.sort_unstable_by(|(value, count), (other, of_other)| of_other.cmp(count).then_with(|| value.cmp(other)));
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        values.into_iter().map(|(value, count)| Group::Value { value: text(value), count }).collect()
    }
}

impl Sink for Groups {
    fn take(&mut self, _place: Place, record: &Record<'_>) {
        match self.by {
            CountBy::Time => *self.intervals.entry(record.timestamp.0.div_euclid(self.interval)).or_default() += 1,
            CountBy::ProjectId => self.count(record.key, 1),
            CountBy::Level | CountBy::Service => {
                let is_read = self.paths.find(record.value, &mut self.spans);
                let value = self.spans.get(record.value, self.path).filter(|_| is_read).and_then(text_of);
                if self.by == CountBy::Level {
                    self.count_level(value.as_deref(), 1);
                } else {
                    self.count(value.as_deref(), 1);
                }
            }
        }
    }

    fn take_block(&mut self, found: &mut Found<'_, '_>) -> std::result::Result<(), Broken> {
        let (row, set) = (found.row, found.set);
        let is_counted = match self.by {
            CountBy::Time => {
                let times = found.times()?;
                set.each(|index| {
                    let time = times.get(index).map_or(0, |time| time.0);
                    *self.intervals.entry(time.div_euclid(self.interval)).or_default() += 1;
                });
                true
            }
            CountBy::ProjectId => found.count_keys(&mut |key, count| self.count(Some(key), count))?,
            CountBy::Service => found.count_values("service", &mut |text, count| self.count(Some(text), count))?,
            CountBy::Level => found.count_values("level", &mut |text, count| self.count_level(Some(text), count))?,
        };
        if is_counted {
            return Ok(());
        }
        found.each_record(&mut |index, record| self.take(Place::in_block(&row, index, record.timestamp), record))
    }

    fn wants(&self, _min: Timestamp, _max: Timestamp) -> bool {
        true
    }
}

/// Returns the length of the intervals, which are not too many.
fn checked_interval(request: &StatsRequest) -> Result<i64> {
    let refused = |detail: String| Err(Error::new(ErrorKind::InvalidRequest, detail));
    let Some(interval) = request.interval.filter(|interval| *interval > 0) else {
        return refused("interval: must be given, in microseconds above 0, to count by time".to_owned());
    };
    let (Some(start), Some(end)) = (request.conditions.start_time, request.conditions.end_time) else {
        return refused("start_time and end_time: must be given to count by time".to_owned());
    };
    let count = end.div_euclid(interval).saturating_sub(start.div_euclid(interval)).saturating_add(1);
    if count > MAX_BUCKETS {
        let detail =
            format!("interval: there are {count} of them in that time, more than {MAX_BUCKETS}; make it longer");
        return refused(detail);
    }
    Ok(interval)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatsJson<'a> {
    groups: &'a [Group],
    other: u64,
    total: u64,
    #[serde(flatten)]
    progress: ProgressJson,
}

impl StatsOutcome {
    /// Returns it as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let Self { groups, other, total, progress } = self;
        to_json(&StatsJson { groups, other: *other, total: *total, progress: progress.json() })
    }
}
