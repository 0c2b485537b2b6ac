//! Whether one record is what a search looks for.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::fold::{fold_into, folded};
use super::needle::Needle;
use super::pattern::Pattern;
use super::prefilter::Prefilter;
use super::query::Query;
use super::request::{
    Comparison, Conditions, MAX_METADATA_CONDITIONS, MAX_PATH_NAMES, MAX_VALUE_BYTES, MetadataCondition,
};
use super::watch::Watch;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Timestamp;
use crate::json::{Decimal, JsonStr, PathId, PathSet, Scalar, Spans, each_scalar};
use crate::log::segment::columns::MEMBER;
use crate::record::Record;

/// Conditions, compiled, with the memory that looking at records takes.
#[derive(Debug)]
pub(super) struct Matcher {
    start: Timestamp,
    end: Timestamp,
    project: Option<Vec<u8>>,
    projects: Option<BTreeSet<Vec<u8>>>,
    paths: PathSet,
    message: PathId,
    metadata: PathId,
    pub(super) fields: Vec<(PathId, Test)>,
    /// The way to each of the fields, as columns have it.
    pub(super) field_paths: Vec<Vec<u8>>,
    pub(super) query: Query,
    spans: Spans,
    folded: String,
    was_interrupted: bool,
}

/// What the value of a field has to be.
#[derive(Debug)]
pub(super) enum Test {
    /// This level.
    Level(String),
    /// This text.
    Text(String),
    /// A number with one of these orders to this one.
    Number(Decimal, &'static [Ordering]),
}

/// Returns the one spelling of a level.
pub(super) fn level_of(text: &str) -> String {
    let level = folded(text);
    if level == "warning" { "warn".to_owned() } else { level }
}

impl Matcher {
    /// Compiles conditions, and what of them can be told by a record's bytes.
    ///
    /// # Errors
    /// `InvalidRequest` naming the condition.
    pub(super) fn new(conditions: &Conditions) -> Result<(Self, Prefilter)> {
        let mut paths = PathSet::default();
        let query = Query::parse(&conditions.query)?;
        let (message, metadata) = if query.terms.is_empty() {
            (PathId::ROOT, PathId::ROOT)
        } else {
            (paths.add(["message"]), paths.add(["metadata"]))
        };
        let mut prefilter = Prefilter::default();
        for term in query.terms.iter().filter(|term| !term.is_excluded) {
            demand(&mut prefilter, &term.pattern);
        }
        let bytes = |text: &String| text.clone().into_bytes();
        let mut matcher = Self {
            start: Timestamp(conditions.start_time.unwrap_or(i64::MIN)),
            end: Timestamp(conditions.end_time.unwrap_or(i64::MAX)),
            project: conditions.project_id.as_ref().map(bytes),
            projects: conditions.projects.as_ref().map(|names| names.iter().map(bytes).collect()),
            paths,
            message,
            metadata,
            fields: Vec::new(),
            field_paths: Vec::new(),
            query,
            spans: Spans::default(),
            folded: String::new(),
            was_interrupted: false,
        };
        matcher.add_fields(conditions, &mut prefilter)?;
        Ok((matcher, prefilter))
    }

    fn add_fields(&mut self, conditions: &Conditions, prefilter: &mut Prefilter) -> Result<()> {
        let Conditions { level, service, request_id, user_id, project_id, metadata, .. } = conditions;
        if let Some(project) = project_id {
            check_value("project_id", project)?;
        }
        if let Some(level) = level {
            check_value("level", level)?;
            let level = level_of(level);
            demand(prefilter, &Pattern::text(&level, true));
            self.add_field(&["level"], Test::Level(level));
        }
        if let Some(service) = service {
            self.add_text("service", &["service"], service, prefilter)?;
        }
        for (name, value) in [("request_id", request_id), ("user_id", user_id)] {
            if let Some(value) = value {
                self.add_text(name, &["metadata", name], value, prefilter)?;
            }
        }
        if metadata.len() > MAX_METADATA_CONDITIONS {
            let detail =
                format!("metadata: has {} conditions, at most {MAX_METADATA_CONDITIONS} are allowed", metadata.len());
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        metadata.iter().try_for_each(|condition| self.add_metadata(condition, prefilter))
    }

    fn add_metadata(&mut self, condition: &MetadataCondition, prefilter: &mut Prefilter) -> Result<()> {
        let MetadataCondition { path, is, value } = condition;
        let field = format!("metadata.{path}");
        check_value(&field, path)?;
        let names: Vec<&str> = std::iter::once("metadata").chain(path.split('.')).collect();
        if names.len() > MAX_PATH_NAMES + 1 || names.contains(&"") {
            let detail = format!("{field}: must be 1 to {MAX_PATH_NAMES} names with a dot between two of them");
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        let orders: &[Ordering] = match is {
            Comparison::Equal => return self.add_text(&field, &names, value, prefilter),
            Comparison::Above => &[Ordering::Greater],
            Comparison::AtLeast => &[Ordering::Greater, Ordering::Equal],
            Comparison::Below => &[Ordering::Less],
            Comparison::AtMost => &[Ordering::Less, Ordering::Equal],
        };
        check_value(&field, value)?;
        let Some(number) = Decimal::parse(value) else {
            let detail = format!("{field}: {value:?} is no number; only = compares texts");
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        };
        if let Some(needle) = names.last().and_then(|name| Needle::of(name)) {
            prefilter.demand(vec![needle]);
        }
        self.add_field(&names, Test::Number(number, orders));
        Ok(())
    }

    fn add_field(&mut self, names: &[&str], test: Test) {
        self.fields.push((self.paths.add(names.iter().copied()), test));
        self.field_paths.push(names.iter().flat_map(|name| std::iter::once(MEMBER).chain(name.bytes())).collect());
    }

    fn add_text(&mut self, field: &str, path: &[&str], value: &str, prefilter: &mut Prefilter) -> Result<()> {
        check_value(field, value)?;
        demand(prefilter, &Pattern::text(value, true));
        self.add_field(path, Test::Text(value.to_owned()));
        Ok(())
    }

    /// Returns whether records of these times may match: the smallest, and the largest.
    pub(super) fn overlaps(&self, min: Timestamp, max: Timestamp) -> bool {
        min <= self.end && max >= self.start
    }

    /// Returns whether all records of these times have a time that matches.
    pub(super) fn covers(&self, min: Timestamp, max: Timestamp) -> bool {
        self.start <= min && max <= self.end
    }

    /// Returns whether a record of that time may match.
    #[inline]
    pub(super) fn has_time(&self, time: Timestamp) -> bool {
        (self.start..=self.end).contains(&time)
    }

    /// Returns whether only records of some keys may match.
    pub(super) fn asks_keys(&self) -> bool {
        self.project.is_some() || self.projects.is_some()
    }

    /// Returns whether a record with that key may match.
    #[inline]
    pub(super) fn has_key(&self, key: &[u8]) -> bool {
        self.project.as_ref().is_none_or(|project| project == key)
            && self.projects.as_ref().is_none_or(|projects| projects.contains(key))
    }

    /// Takes note that the search was over while records were looked at.
    pub(super) fn interrupt(&mut self) {
        self.was_interrupted = true;
    }

    /// Returns whether what stands before a record's value matches.
    #[inline]
    pub(super) fn admits(&self, record: &Record<'_>) -> bool {
        self.has_time(record.timestamp) && self.has_key(record.key.unwrap_or_default())
    }

    /// Returns whether a record's value matches. It does not when the search is over, which then says so, too.
    pub(super) fn matches(&mut self, value: &[u8], watch: &Watch<'_>) -> bool {
        if self.query.terms.is_empty() && self.fields.is_empty() {
            return true;
        }
        if !self.paths.find(value, &mut self.spans) {
            return false;
        }
        let spans = &self.spans;
        let is_so = |(path, test): &(PathId, Test)| spans.get(value, *path).is_some_and(|json| test.holds(json));
        self.fields.iter().all(is_so) && (self.query.terms.is_empty() || self.has_terms(value, watch))
    }

    fn has_terms(&mut self, value: &[u8], watch: &Watch<'_>) -> bool {
        let mut search = TermSearch::new(&self.query, &mut self.folded, watch);
        if let Some(message) = self.spans.get(value, self.message).filter(|json| json.starts_with(b"\"")) {
            search.take(&JsonStr::of_value(message).unescape());
        }
        if let Some(metadata) = self.spans.get(value, self.metadata) {
            each_scalar(metadata, |scalar| {
                match scalar {
                    Scalar::Text(text) => search.take(&text.unescape()),
                    Scalar::Number(number) => search.take(number),
                }
                !search.is_decided()
            });
        }
        let is_found = search.is_found();
        self.was_interrupted |= search.was_interrupted;
        is_found
    }

    /// Returns whether the search was over while a record was looked at, which then did not match.
    pub(super) fn was_interrupted(&self) -> bool {
        self.was_interrupted
    }
}

/// Which terms were found in the texts of one record.
struct TermSearch<'m, 'w> {
    query: &'m Query,
    folded: &'m mut String,
    watch: &'m Watch<'w>,
    /// A bit for each term that is still to be looked for.
    open: u64,
    /// Those of them that must be found.
    wanted: u64,
    is_excluded: bool,
    was_interrupted: bool,
}

impl<'m, 'w> TermSearch<'m, 'w> {
    fn new(query: &'m Query, folded: &'m mut String, watch: &'m Watch<'w>) -> Self {
        let bits = |chosen: &dyn Fn(bool) -> bool| {
            let terms = query.terms.iter().enumerate();
            terms.filter(|(_, term)| chosen(term.is_excluded)).fold(0, |bits, (index, _)| bits | 1 << index)
        };
        let (open, wanted) = (bits(&|_| true), bits(&|is_excluded| !is_excluded));
        Self { query, folded, watch, open, wanted, is_excluded: false, was_interrupted: false }
    }

    fn take(&mut self, text: &[u8]) {
        if self.is_decided() {
            return;
        }
        let text: Cow<'_, str> = String::from_utf8_lossy(text);
        fold_into(&text, self.folded);
        for (index, term) in self.query.terms.iter().enumerate() {
            if self.open & 1 << index == 0 {
                continue;
            }
            if matches!(term.pattern, Pattern::Regex(_)) && self.watch.is_over().is_some() {
                self.was_interrupted = true;
                return;
            }
            if term.pattern.is_in(&text, self.folded) {
                self.open &= !(1 << index);
                self.is_excluded |= term.is_excluded;
            }
        }
    }

    fn is_decided(&self) -> bool {
        self.is_excluded || self.was_interrupted || self.open == 0
    }

    fn is_found(&self) -> bool {
        !self.is_excluded && !self.was_interrupted && self.open & self.wanted == 0
    }
}

impl Test {
    fn holds(&self, json: &[u8]) -> bool {
        match json {
            [b'"', raw @ .., b'"'] => self.holds_of(raw, true),
            _ => self.holds_of(json, false),
        }
    }

    /// Returns whether it holds of a value, which if it is a string has no quotation marks here.
    pub(super) fn holds_of(&self, stored: &[u8], is_string: bool) -> bool {
        let text = || if is_string { Some(JsonStr::of_raw(stored).unescape()) } else { text_of(stored) };
        match self {
            Self::Level(level) => text().is_some_and(|text| level_of(&String::from_utf8_lossy(&text)) == *level),
            Self::Text(wanted) => text().is_some_and(|text| *text == *wanted.as_bytes()),
            Self::Number(number, orders) => {
                let found = std::str::from_utf8(stored).ok().filter(|_| !is_string).and_then(Decimal::parse);
                found.is_some_and(|found| orders.contains(&found.order(number)))
            }
        }
    }
}

/// Returns the text of a value: of a string what it stands for, of a number or a word itself.
pub(super) fn text_of(json: &[u8]) -> Option<Cow<'_, [u8]>> {
    match json.first()? {
        b'"' => Some(JsonStr::of_value(json).unescape()),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

fn demand(prefilter: &mut Prefilter, pattern: &Pattern) {
    if let Some(needles) = pattern.needles() {
        prefilter.demand(needles);
    } else if pattern.is_beyond_ascii() {
        prefilter.demand_beyond_ascii();
    }
}

fn check_value(field: &str, value: &str) -> Result<()> {
    if value.is_empty() || value.len() > MAX_VALUE_BYTES {
        let field: String = field.chars().take(64).collect();
        let detail = format!("{field}: must have 1 to {MAX_VALUE_BYTES} bytes; leave it out for any");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    Ok(())
}
