use super::super::codec::Reader;
use super::super::key::write_canonical;
use super::super::number::Number;
use super::super::spec::EventTime;
use super::cell::{Cell, MAX_KEPT_VALUE_BYTES};
use super::top::MAX_TOP_VALUE_BYTES;
use crate::error::{Error, ErrorKind, Result};

/// A function of the records of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// Records, whatever is in them.
    Count,
    /// The numbers of a field, added without rounding.
    Sum,
    /// Their mean.
    Avg,
    /// The least of them.
    Min,
    /// The largest of them.
    Max,
    /// The different values of a field: exact up to 2,048, then within [`super::DISTINCT_ERROR`].
    CountDistinct,
    /// The median of a field's numbers, within [`super::QUANTILE_ERROR`].
    P50,
    /// The number that 95 of a hundred do not exceed.
    P95,
    /// The number that 99 of a hundred do not exceed.
    P99,
    /// The value of a field in the first record that has one, by event time, then by source partition and offset.
    First,
    /// The value in the last one.
    Last,
    /// The most frequent values of a field, at most [`super::TOP_VALUES`], with their counts.
    Top,
}

impl Aggregation {
    /// All of them, by name.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("count", Self::Count),
        ("sum", Self::Sum),
        ("avg", Self::Avg),
        ("min", Self::Min),
        ("max", Self::Max),
        ("count_distinct", Self::CountDistinct),
        ("p50", Self::P50),
        ("p95", Self::P95),
        ("p99", Self::P99),
        ("first", Self::First),
        ("last", Self::Last),
        ("top", Self::Top),
    ];

    /// Returns the name, as definitions and results have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }

    /// Returns the one of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, one)| *one)
    }

    /// Returns how many of a hundred numbers do not exceed a quantile; 0 for what is none.
    pub(super) fn percent(self) -> u64 {
        match self {
            Self::P50 => 50,
            Self::P95 => 95,
            Self::P99 => 99,
            Self::Count
            | Self::Sum
            | Self::Avg
            | Self::Min
            | Self::Max
            | Self::CountDistinct
            | Self::First
            | Self::Last
            | Self::Top => 0,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Count => Kind::Count,
            Self::Sum | Self::Avg => Kind::Sum,
            Self::Min => Kind::Least,
            Self::Max => Kind::Most,
            Self::CountDistinct => Kind::Distinct,
            Self::P50 | Self::P95 | Self::P99 => Kind::Quantiles,
            Self::First => Kind::First,
            Self::Last => Kind::Last,
            Self::Top => Kind::Top,
        }
    }
}

/// One result of each window and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// What is done.
    pub aggregation: Aggregation,
    /// The path of the field it is done with; `None` for a count.
    pub field: Option<String>,
}

/// The kind of a [`Cell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Count,
    Sum,
    Least,
    Most,
    Distinct,
    Quantiles,
    First,
    Last,
    Top,
}

/// All results of one processor, and the cells that they are read from: those of one field share what they can.
#[derive(Clone, Debug)]
pub struct Aggregates {
    fields: Vec<String>,
    /// The kind of each cell, and the index of its field.
    cells: Vec<(Kind, usize)>,
    /// The name of each result as it is written, its function and the index of its cell.
    outputs: Vec<(Box<[u8]>, Aggregation, usize)>,
}

/// One record, as aggregates see it.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Its event time.
    pub time: EventTime,
    /// The partition it comes from.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// The JSON of [`Aggregates::fields`], in that order; `None` for a field that is missing.
    pub values: &'a [Option<&'a [u8]>],
}

impl Aggregates {
    /// Returns the plan of these results.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`]: there is none, two have the same name, or one lacks its field or has one too many.
    pub fn new(aggregates: &[Aggregate]) -> Result<Self> {
        let (mut fields, mut cells) = (Vec::new(), Vec::new());
        let mut outputs: Vec<(Box<[u8]>, Aggregation, usize)> = Vec::new();
        for Aggregate { aggregation, field } in aggregates {
            let name = aggregation.name();
            let output = match field {
                None if *aggregation != Aggregation::Count => return Err(invalid(format!("{name}: field is missing"))),
                Some(_) if *aggregation == Aggregation::Count => {
                    return Err(invalid("count: it counts records, and takes no field".to_owned()));
                }
                Some(field) if aggregates.len() > 1 => format!("{name}_{field}"),
                _ => name.to_owned(),
            };
            // A text is always written.
            let label =
                format!("{}:", serde_json::to_string(&output).unwrap_or_default()).into_bytes().into_boxed_slice();
            if outputs.iter().any(|(known, ..)| *known == label) {
                return Err(invalid(format!("{output}: it is there twice")));
            }
            let field = field.as_ref().map_or(0, |field| index_of(&mut fields, field.clone()));
            let cell = index_of(&mut cells, (aggregation.kind(), field));
            outputs.push((label, *aggregation, cell));
        }
        if outputs.is_empty() {
            return Err(invalid("aggregations: there is none".to_owned()));
        }
        Ok(Self { fields, cells, outputs })
    }

    /// Returns the paths of the fields whose values a [`Sample`] has.
    #[must_use]
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Returns how many cells each key of a window has.
    pub(in super::super) fn cells(&self) -> usize {
        self.cells.len()
    }

    /// Appends the cells of a key that has no record yet.
    pub(in super::super) fn begin(&self, out: &mut Vec<Cell>) {
        out.extend(self.cells.iter().map(|(kind, _)| match kind {
            Kind::Count => Cell::Count(0),
            Kind::Sum => Cell::Sum(Box::default()),
            Kind::Least => Cell::Least(None),
            Kind::Most => Cell::Most(None),
            Kind::Distinct => Cell::Distinct(Box::default()),
            Kind::Quantiles => Cell::Quantiles(Box::default()),
            Kind::First => Cell::First(None),
            Kind::Last => Cell::Last(None),
            Kind::Top => Cell::Top(Box::default()),
        }));
    }

    /// Reads the cells of a key as [`Cell::encode`] has written them, one after the other; `None` at bytes that are none.
    pub(in super::super) fn decode(&self, reader: &mut Reader<'_>) -> Option<Vec<Cell>> {
        let mut cells = Vec::with_capacity(self.cells.len());
        self.begin(&mut cells);
        for cell in &mut cells {
            cell.decode(reader)?;
        }
        Some(cells)
    }

    /// Adds a record. Returns how many cells could make nothing of their field.
    pub(in super::super) fn add(&self, cells: &mut [Cell], sample: &Sample<'_>) -> u64 {
        let mut skipped = 0;
        for (cell, (kind, field)) in cells.iter_mut().zip(&self.cells) {
            if *kind == Kind::Count {
                cell.count();
                continue;
            }
            let value = sample.values.get(*field).copied().flatten().filter(|value| *value != b"null");
            let taken = match (kind, value) {
                (_, None) => None,
                (Kind::Distinct | Kind::Top, Some(value)) => {
                    let mut canonical = Vec::new();
                    write_canonical(value, &mut canonical);
                    let is_counted = *kind == Kind::Distinct || canonical.len() <= MAX_TOP_VALUE_BYTES;
                    is_counted.then(|| cell.add_canonical(&canonical))
                }
                (Kind::First | Kind::Last, Some(value)) => (value.len() <= MAX_KEPT_VALUE_BYTES)
                    .then(|| cell.add_value((sample.time, sample.partition, sample.offset), value)),
                (_, Some(value)) => Number::parse(value).map(|number| cell.add_number(number)),
            };
            skipped += u64::from(taken.is_none());
        }
        skipped
    }

    /// Appends the results as members of a JSON object.
    pub(in super::super) fn write(&self, cells: &[Cell], out: &mut Vec<u8>) {
        for (index, (label, aggregation, cell)) in self.outputs.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(label);
            if let Some(cell) = cells.get(*cell) {
                cell.write(*aggregation, out);
            }
        }
    }
}

fn index_of<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

fn invalid(detail: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, detail)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    fn aggregate(text: &str) -> Aggregate {
        let (name, field) = text.split_once(' ').map_or((text, None), |(name, field)| (name, Some(field.to_owned())));
        Aggregate { aggregation: Aggregation::of_name(name).unwrap(), field }
    }

    fn plan(texts: &[&str]) -> Result<Aggregates> {
        Aggregates::new(&texts.iter().map(|text| aggregate(text)).collect::<Vec<_>>())
    }

    fn results(texts: &[&str], values: &[&str]) -> (String, u64) {
        let plan = plan(texts).unwrap();
        let (mut cells, mut skipped, mut out) = (Vec::new(), 0, Vec::new());
        plan.begin(&mut cells);
        for (offset, value) in values.iter().enumerate() {
            let value = (!value.is_empty()).then_some(value.as_bytes());
            let time = EventTime::new(0).unwrap();
            let sample = Sample { time, partition: 0, offset: offset as u64, values: &[value] };
            skipped += plan.add(&mut cells, &sample);
        }
        plan.write(&cells, &mut out);
        (String::from_utf8(out).unwrap(), skipped)
    }

    #[test]
    fn every_aggregation_has_its_name() {
        for (name, aggregation) in Aggregation::ALL {
            assert_eq!((aggregation.name(), Aggregation::of_name(name)), (*name, Some(*aggregation)));
        }
        assert_eq!(Aggregation::of_name("median"), None);
    }

    #[test]
    fn plans_that_say_nothing_are_refused() {
        for (texts, wanted) in [
            (&[][..], "aggregations: there is none"),
            (&["sum"], "sum: field is missing"),
            (&["count x"], "count: it counts records, and takes no field"),
            (&["sum x", "sum x"], "sum_x: it is there twice"),
        ] {
            assert_eq!(plan(texts).unwrap_err().detail(), wanted);
        }
    }

    #[test]
    fn what_can_be_is_shared() {
        let plan = plan(&["sum x", "avg x", "p50 x", "p95 x", "p99 x", "min x", "sum y", "count"]).unwrap();
        assert_eq!(plan.cells(), 5);
        assert_eq!(plan.fields(), ["x", "y"]);
        assert_eq!(size_of::<Cell>(), 16);
    }

    #[test]
    fn results_and_what_is_skipped() {
        assert_eq!(results(&["count"], &["1", "", "null"]), (r#""count":3"#.into(), 0));
        assert_eq!(results(&["sum x"], &["0.1", "0.2", "\"1\"", "null", ""]), (r#""sum":0.3"#.into(), 3));
        assert_eq!(
            results(&["avg x", "min x", "max x"], &["1", "2.5", "-1"]),
            (r#""avg_x":0.8333333333333334,"min_x":-1,"max_x":2.5"#.into(), 0)
        );
        assert_eq!(
            results(&["count_distinct x"], &["1", "1.0", "\"1\"", "null", "[1]"]),
            (r#""count_distinct":3"#.into(), 1)
        );
        assert_eq!(
            results(&["first x", "last x"], &["", "{\"a\":1}", "2"]),
            (r#""first_x":{"a":1},"last_x":2"#.into(), 2)
        );
        assert_eq!(
            results(&["sum x", "avg x", "min x", "p50 x", "first x"], &["", "null"]),
            (r#""sum_x":null,"avg_x":null,"min_x":null,"p50_x":null,"first_x":null"#.into(), 8)
        );
        assert_eq!(
            results(&["top x"], &["\"a\"", "1.0", "\"\\u0061\"", "null", ""]),
            (r#""top":[{"value":"a","count":2},{"value":1,"count":1}]"#.into(), 2)
        );
        let long = format!("\"{}\"", "x".repeat(MAX_TOP_VALUE_BYTES));
        assert_eq!(results(&["top x"], &[&long]), (r#""top":[]"#.into(), 1));
        let long = format!("\"{}\"", "x".repeat(MAX_KEPT_VALUE_BYTES));
        assert_eq!(results(&["first x"], &[&long, "1"]), (r#""first":1"#.into(), 1));
    }
}
