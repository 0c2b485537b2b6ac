//! A definition that is compiled: what is done with each record, without a name being looked up again.

use std::sync::Arc;
use std::time::Duration;

use super::definition::{AggregationOf, Aggregations, GroupBy, Operation, ProcessorDefinition, Window};
use super::failures::Failures;
use super::fields::malformed;
use super::totals::Totals;
use crate::error::{Error, Result};
use crate::ids::{Offset, PartitionId, Timestamp};
use crate::json::{JsonStr, Lookup, PathId, PathSet};
use crate::predicate::{Evaluation, Filter};
use crate::record::Record;
use crate::time::parse_timestamp;
use crate::window::{Aggregate, Aggregates, Aggregation, EventTime, WatermarkOptions, WindowSpec};

/// The windows of a plan.
#[derive(Clone, Debug)]
pub(super) struct WindowPlan {
    pub(super) spec: WindowSpec,
    pub(super) aggregates: Arc<Aggregates>,
    /// The paths that records are grouped by, as many as `groups`, and then those of the fields that are aggregated.
    paths: Vec<PathId>,
    groups: usize,
}

/// A function, and the predicates behind it.
#[derive(Debug)]
pub(super) struct MapStage {
    /// The index of its operation.
    pub(super) operation: usize,
    pub(super) function: Arc<str>,
    /// They walk what the function has made by themselves.
    pub(super) filters: Vec<(usize, Filter)>,
}

/// What a processor does with a record.
#[derive(Debug)]
pub(super) struct Plan {
    /// The predicates before the first function, with the indices of their operations.
    pub(super) filters: Vec<(usize, Filter)>,
    /// The functions, in order.
    pub(super) maps: Vec<MapStage>,
    /// `None`: records are copied.
    pub(super) window: Option<WindowPlan>,
    pub(super) watermarks: WatermarkOptions,
    /// Where the event time is; `None` for the record's own.
    time: Option<PathId>,
    /// The paths of the time and of the filters, which every record is walked for, and then those of the windows.
    paths: PathSet,
}

impl Plan {
    /// Compiles a definition.
    ///
    /// # Errors
    /// `Malformed` naming the operation.
    pub(super) fn new(definition: &ProcessorDefinition) -> Result<Self> {
        let mut paths = PathSet::default();
        let config = &definition.config;
        let time = config.timestamp_field.as_ref().map(|path| paths.add(path.split('.')));
        let (mut filters, mut spec, mut window) = (Vec::new(), None, None);
        let mut maps: Vec<MapStage> = Vec::new();
        for (index, operation) in definition.operations.iter().enumerate() {
            let at = |error: &Error, field: &str| malformed(&format!("operations[{index}]{field}: {}", error.detail()));
            let order = |what: &str| malformed(&format!("operations[{index}]: {what}"));
            if window.is_some() {
                return Err(order("nothing comes behind an aggregate; let another processor read its sink"));
            }
            match operation {
                Operation::Filter { predicate } if spec.is_none() => {
                    let made = match maps.last() {
                        None => Filter::among(predicate, &mut paths),
                        Some(_) => Filter::new(predicate),
                    };
                    let filter = made.map_err(|error| at(&error, ".predicate"))?;
                    maps.last_mut().map_or(&mut filters, |map| &mut map.filters).push((index, filter));
                }
                Operation::Map { function } if spec.is_none() => {
                    maps.push(MapStage { operation: index, function: function.as_str().into(), filters: Vec::new() });
                }
                Operation::Window(of) if spec.is_none() => {
                    spec = Some(window_spec(*of).map_err(|error| at(&error, ""))?);
                    paths.end_first();
                }
                Operation::Filter { .. } | Operation::Map { .. } | Operation::Window(_) => {
                    return Err(order("what comes behind a window is its aggregate"));
                }
                Operation::Aggregate { aggregations, group_by } => {
                    let spec = spec.ok_or_else(|| order("an aggregate needs a window before it"))?;
                    let aggregates = aggregates(aggregations).map_err(|error| at(&error, ""))?;
                    window = Some(WindowPlan::new(spec, aggregates, group_by, &mut paths));
                }
            }
        }
        if spec.is_some() && window.is_none() {
            return Err(malformed("operations: a window needs an aggregate behind it"));
        }
        let watermarks = WatermarkOptions {
            allowed_lateness: config.allowed_lateness,
            max_future: Some(config.max_future).filter(|ahead| *ahead > 0),
            drop_future: Some(config.drop_future).filter(|ahead| *ahead > 0),
            idle_timeout: millis(config.idle_timeout),
        };
        Ok(Self { filters, maps, window, watermarks, time, paths })
    }

    /// Finds what is needed of a value to judge the record; false when it is no JSON, as of no stored record is.
    pub(super) fn find_first(&self, value: &[u8], found: &mut Lookup) -> bool {
        found.find_first(&self.paths, value)
    }

    /// Finds all that is needed of a value, also for the windows.
    pub(super) fn find_all(&self, value: &[u8], found: &mut Lookup) -> bool {
        found.find_all(&self.paths, value)
    }

    /// Evaluates a filter of this plan.
    pub(super) fn evaluate<'f>(
        &self,
        filter: &'f Filter,
        place: (PartitionId, Offset),
        record: &Record<'_>,
        found: &mut Lookup,
    ) -> Evaluation<'f> {
        filter.evaluate_found(place, record, (&self.paths, found))
    }

    /// Returns whether the event time is in the value.
    pub(super) fn has_time_field(&self) -> bool {
        self.time.is_some()
    }

    /// Returns the event time of a record; `None` when it has none that can be read.
    pub(super) fn time_of(&self, value: &[u8], timestamp: Timestamp, found: &Lookup) -> Option<EventTime> {
        match self.time {
            None => EventTime::new(timestamp.millis()),
            Some(path) => event_time(found.get(value, path)?),
        }
    }
}

impl WindowPlan {
    fn new(spec: WindowSpec, aggregates: Aggregates, group_by: &GroupBy, paths: &mut PathSet) -> Self {
        let all = group_by.paths().iter().chain(aggregates.fields());
        let all = all.map(|path| paths.add(path.split('.'))).collect();
        Self { spec, aggregates: Arc::new(aggregates), paths: all, groups: group_by.paths().len() }
    }

    /// Returns the values that a record is grouped by, as many as `groups`, and then those of the aggregated fields.
    pub(super) fn find<'v>(&self, value: &'v [u8], found: &Lookup) -> Values<'v> {
        let mut values = Values::default();
        let all = self.paths.iter().map(|path| found.get(value, *path));
        if self.paths.len() <= FEW_VALUES {
            values.few.iter_mut().zip(all).for_each(|(room, value)| *room = value);
        } else {
            values.many.extend(all);
        }
        values
    }

    /// Returns the values of the groups, and those of the fields.
    pub(super) fn split<'a, 'v>(&self, values: &'a Values<'v>) -> (&'a [Found<'v>], &'a [Found<'v>]) {
        values.few.get(..self.paths.len()).unwrap_or(&values.many).split_at(self.groups)
    }
}

/// Values that need no allocation: those of a usual window.
const FEW_VALUES: usize = 6;

/// The JSON at a path; `None` when there is none.
type Found<'v> = Option<&'v [u8]>;

/// What windows need of one record.
#[derive(Debug, Default)]
pub(super) struct Values<'v> {
    few: [Found<'v>; FEW_VALUES],
    many: Vec<Found<'v>>,
}

/// Returns whether all predicates are true for a record; counts it when one of them fails.
pub(super) fn passes<'f>(
    filters: &'f [(usize, Filter)],
    (totals, mut failures): (&mut Totals, Option<&mut Failures>),
    mut evaluate: impl FnMut(&'f Filter) -> Evaluation<'f>,
) -> bool {
    filters.iter().all(|(operation, filter)| match evaluate(filter) {
        Evaluation::Match => true,
        Evaluation::NoMatch => false,
        Evaluation::Failed(failure) => {
            totals.filter_failures += 1;
            if let Some(failures) = &mut failures {
                failures.note(&format!("operations[{operation}]"), &failure.to_string());
            }
            false
        }
    })
}

fn aggregates(aggregations: &Aggregations) -> Result<Aggregates> {
    let one = |of: &AggregationOf| {
        let unknown = || malformed(&format!("there is no aggregation {:?}", of.aggregation));
        let aggregation = Aggregation::of_name(&of.aggregation).ok_or_else(unknown)?;
        Ok(Aggregate { aggregation, field: of.field.clone() })
    };
    Aggregates::new(&aggregations.all().iter().map(one).collect::<Result<Vec<_>>>()?)
}

fn window_spec(window: Window) -> Result<WindowSpec> {
    match window {
        Window::Tumbling { duration } => WindowSpec::tumbling(duration),
        Window::Sliding { duration, slide } => WindowSpec::sliding(duration, slide),
        Window::Session { gap } => WindowSpec::session(gap),
    }
}

/// Reads an event time: milliseconds since 1970, rounded down, or a time as the drain takes it.
fn event_time(json: &[u8]) -> Option<EventTime> {
    if json.first() == Some(&b'"') {
        let text = JsonStr::of_value(json).unescape();
        return EventTime::new(parse_timestamp(&text).ok()?.millis());
    }
    let text = std::str::from_utf8(json).ok()?;
    let whole = text.parse::<i64>().ok();
    let floored = || text.parse::<f64>().ok().filter(|number| number.abs() < 9e15).map(|number| number.floor() as i64);
    EventTime::new(whole.or_else(floored)?)
}

/// Returns so many milliseconds, which are not negative.
pub(super) fn millis(count: i64) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    fn plan(operations: &str) -> Result<Plan> {
        let json = format!(r#"{{"name":"p","source":"s","sink":"t","operations":{operations}}}"#);
        Plan::new(&ProcessorDefinition::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn orders_that_make_no_sense_are_refused_with_their_place() {
        const FILTER: &str = r#"{"type":"filter","predicate":"value.a > 1"}"#;
        const WINDOW: &str = r#"{"type":"window","windowType":"tumbling","duration":10}"#;
        const COUNT: &str = r#"{"type":"aggregate","aggregation":"count"}"#;
        assert!(plan(&format!("[{FILTER},{FILTER},{WINDOW},{COUNT}]")).is_ok());
        assert!(plan(&format!("[{FILTER}]")).is_ok());
        for (operations, wanted) in [
            (format!("[{COUNT}]"), "operations[0]: an aggregate needs a window"),
            (format!("[{WINDOW}]"), "operations: a window needs an aggregate"),
            (format!("[{WINDOW},{FILTER},{COUNT}]"), "operations[1]: what comes behind a window"),
            (format!("[{WINDOW},{COUNT},{FILTER}]"), "operations[2]: nothing comes behind an aggregate"),
            (r#"[{"type":"filter","predicate":"value.a >"}]"#.to_owned(), "operations[0].predicate: filter: column 10"),
            (
                format!(r#"[{WINDOW},{{"type":"aggregate","aggregation":"median"}}]"#),
                "operations[1]: there is no aggregation \"median\"",
            ),
            (
                format!(r#"[{WINDOW},{{"type":"aggregate","aggregation":"sum"}}]"#),
                "operations[1]: sum: field is missing",
            ),
            (
                r#"[{"type":"window","windowType":"sliding","duration":10,"slide":11}]"#.to_owned(),
                "operations[0]: slide: 11 is more",
            ),
        ] {
            let error = plan(&operations).unwrap_err();
            assert!(error.detail().starts_with(wanted), "{error}");
        }
    }

    #[test]
    fn times_are_milliseconds_or_texts() {
        for (json, wanted) in [
            ("1500", Some(1500)),
            ("1500.0", Some(1500)),
            ("-1.5", Some(-2)),
            ("1e3", Some(1000)),
            ("\"1970-01-01T00:00:01.5Z\"", Some(1500)),
            ("\"1970-01-01 00:00:01\"", Some(1000)),
            ("\"\\u0031970-01-01\"", Some(0)),
            ("\"yesterday\"", None),
            ("true", None),
            ("null", None),
            ("1e300", None),
            ("[1]", None),
        ] {
            assert_eq!(event_time(json.as_bytes()).map(EventTime::millis), wanted, "{json}");
        }
    }
}
