//! A compiled predicate.

use std::thread;

use super::check::{Refusal, check};
use super::compile::Compiler;
use super::evaluation::Evaluation;
use super::failure::{Cause, Failure};
use super::interpreted::{ENVIRONMENT, Interpreted};
use super::plan::Plan;
use super::position::Position;
use super::truth::check_truth;
use super::view::{Paths, RecordView, Unreadable};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId};
use crate::json::{Lookup, PathSet};
use crate::record::Record;

/// Longest expression: it is parsed on every request that carries one.
pub const MAX_EXPRESSION_BYTES: usize = 4096;

/// Parsing and dropping a syntax tree recurse as deep as the expression, before anything can measure it. The longest
/// chain of 4 KiB fits this several times; only what is used of it becomes memory.
const PARSER_STACK_BYTES: usize = 64 << 20;

/// Brackets inside one another; beyond them the parser's look-ahead becomes slow.
const MAX_BRACKETS: usize = 32;

/// A predicate over one record: `value.amount > 1000 && headers.region == "eu"`.
///
/// Variables are `value` (the JSON: whole numbers are `int`, or `uint` beyond its range, others `double`, and what none of
/// them holds can be compared only), `key` (a
/// string or null), `headers` (a map of strings), `partition`, `offset` and `timestamp` (milliseconds since 1970 UTC).
/// The standard functions and macros of CEL are there, without `matches` and those of times and durations.
///
/// Comparisons of fields with constants and what joins them are compiled, and read the stored JSON as it is; everything else
/// is left to an interpreter. Both agree on every record whose JSON is valid, as that of every stored record is.
pub struct Filter {
    source: String,
    /// `None` where the interpreter does it all.
    plan: Option<Plan>,
    paths: Paths,
    /// The whole expression, also for a record that the plan cannot read.
    whole: Interpreted,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Filter {
    /// Compiles an expression.
    ///
    /// # Errors
    /// `InvalidRequest` that names the column, counted in characters from 1: a syntax error, an unknown variable or
    /// function, what can never be true or false, or one of the bounds of this module.
    pub fn new(source: &str) -> Result<Self> {
        Self::compile(source, PathSet::default())
    }

    /// Compiles an expression as one of several that look at the same records: its paths into the value are added to
    /// those of the others, and [`Filter::evaluate_found`] finds all of them in one walk.
    ///
    /// # Errors
    /// As [`Filter::new`].
    pub(crate) fn among(source: &str, paths: &mut PathSet) -> Result<Self> {
        let filter = Self::compile(source, paths.clone())?;
        paths.clone_from(&filter.paths.value);
        Ok(filter)
    }

    fn compile(source: &str, paths: PathSet) -> Result<Self> {
        if source.trim().is_empty() {
            return Err(invalid("is empty"));
        }
        if source.len() > MAX_EXPRESSION_BYTES {
            return Err(invalid(format!("has {} bytes, more than {MAX_EXPRESSION_BYTES}", source.len())));
        }
        check_brackets(source)?;
        let text = source.to_owned();
        let parser = thread::Builder::new().name("forebay-filter".into()).stack_size(PARSER_STACK_BYTES);
        let parser = parser
            .spawn(move || parse(text, paths))
            .map_err(|error| Error::new(ErrorKind::Saturated, format!("the filter cannot be parsed now: {error}")))?;
        // A panic is a defect of the parser; the expression is what set it off.
        parser.join().unwrap_or_else(|_| Err(invalid("cannot be parsed")))
    }

    /// Leaves the whole expression to the interpreter: the reference that tests and benchmarks hold the compiled plan to.
    #[doc(hidden)]
    #[must_use]
    pub fn uncompiled(self) -> Self {
        let Self { source, whole, .. } = self;
        Self { source, plan: None, paths: Paths::default(), whole }
    }

    /// Returns the expression.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns whether no part is left to the interpreter: then a record costs as little as reading it.
    #[must_use]
    pub fn is_compiled(&self) -> bool {
        self.plan.as_ref().is_some_and(Plan::is_compiled)
    }

    /// Returns whether the record is chosen: the expression is true for it. One that fails does not choose it.
    #[must_use]
    #[inline]
    pub fn matches(&self, partition: PartitionId, offset: Offset, record: &Record<'_>) -> bool {
        self.evaluate(partition, offset, record).is_match()
    }

    /// Returns whether the expression is true or false for the record, or why it is neither: a field is missing, types do
    /// not fit, its loops take more than [`super::MAX_STEPS`] steps, or it is not a boolean.
    #[must_use]
    pub fn evaluate(&self, partition: PartitionId, offset: Offset, record: &Record<'_>) -> Evaluation<'_> {
        self.evaluate_found((partition, offset), record, (&self.paths.value, &mut Lookup::default()))
    }

    /// Evaluates the expression as [`Filter::evaluate`] does. `value` has the paths of all filters that were made
    /// [`Filter::among`] them, and what was found of them in the record's value so far; among the first ones of the set are
    /// those of this filter.
    #[inline]
    pub(crate) fn evaluate_found<'f>(
        &'f self,
        place: (PartitionId, Offset),
        record: &Record<'_>,
        value: (&PathSet, &mut Lookup),
    ) -> Evaluation<'f> {
        let mut view = RecordView::new(value, &self.paths.headers, place, record);
        let evaluation = match self.plan.as_ref().map(|plan| plan.evaluate(&mut view)) {
            Some(Ok(evaluation)) => evaluation,
            Some(Err(Unreadable)) | None => self.whole.evaluate(&mut view),
        };
        // The result of loops that were cut short is of no use, even where an operator absorbed the error.
        if view.is_exhausted() {
            return Evaluation::Failed(Failure::new(&self.whole, Cause::OutOfSteps));
        }
        evaluation
    }
}

fn parse(source: String, value: PathSet) -> Result<Filter> {
    let parser = ENVIRONMENT.parser().enable_optional_syntax(false);
    let (root, positions) = parser.parse_with_source_info(&source).map_err(|errors| {
        let Some(first) = errors.errors.first() else { return invalid("cannot be parsed") };
        let what = first.msg.lines().next().unwrap_or_default();
        let at_least_1 = |place: isize| usize::try_from(place).unwrap_or(1).max(1);
        let (line, column) = first.pos;
        refused(Position { line: at_least_1(line), column: at_least_1(column) }, what)
    })?;
    let refuse = |refusal: Refusal| refused(Position::of(&positions, refusal.node, refusal.before), &refusal.what);
    let uses = check(&root).map_err(refuse)?;
    check_truth(&root).map_err(refuse)?;
    let paths = Paths { value, headers: PathSet::default() };
    let mut compiler = Compiler { paths, positions: &positions };
    let plan = Some(compiler.condition(&root).map_err(refuse)?).filter(|plan| !matches!(plan, Plan::Interpreted(_)));
    let paths = compiler.paths;
    let position = Position::of_part(&positions, &root);
    let whole = Interpreted::new(root, uses, position);
    Ok(Filter { source, plan, paths, whole })
}

fn refused(position: Position, what: &str) -> Error {
    invalid(format!("{position}: {what}"))
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("filter: {what}"))
}

/// Refuses brackets that go too deep, without looking whether they are inside of a string: one with so many is refused
/// as well.
fn check_brackets(source: &str) -> Result<()> {
    let mut depth = 0_usize;
    for (index, character) in source.chars().enumerate() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_BRACKETS {
            let what = format!("more than {MAX_BRACKETS} brackets deep");
            return Err(refused(Position { line: 1, column: index + 1 }, &what));
        }
    }
    Ok(())
}
