//! A compiled predicate.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::thread;

use cel::common::ast::SourceInfo;
use cel::common::types::CelBool;
use cel::{Context, Env, IdedExpr, Value};

use super::bind::bind;
use super::check::{Refusal, Uses, check};
use super::truth::check_truth;
use super::{compare, meter};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId};
use crate::record::Record;

/// Longest expression: it is parsed on every request that carries one.
pub const MAX_EXPRESSION_BYTES: usize = 4096;

/// Parsing and dropping a syntax tree recurse as deep as the expression, before anything can measure it. The longest
/// chain of 4 KiB fits this several times; only what is used of it becomes memory.
const PARSER_STACK_BYTES: usize = 64 << 20;

/// Brackets inside one another; beyond them the parser's look-ahead becomes slow.
const MAX_BRACKETS: usize = 32;

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::stdlib();
    // Cannot be declared already.
    let _infallible = meter::declare(&mut environment).and_then(|()| compare::declare(&mut environment));
    Arc::new(environment)
});

/// A predicate over one record: `value.amount > 1000 && headers.region == "eu"`.
///
/// Variables are `value` (the JSON: whole numbers are `int`, or `uint` beyond its range, others `double`, and what none of
/// them holds can be compared only), `key` (a
/// string or null), `headers` (a map of strings), `partition`, `offset` and `timestamp` (milliseconds since 1970 UTC).
/// The standard functions and macros of CEL are there, without `matches` and those of times and durations.
pub struct Filter {
    source: String,
    root: IdedExpr,
    uses: Uses,
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
            .spawn(move || parse(&text))
            .map_err(|error| Error::new(ErrorKind::Saturated, format!("the filter cannot be parsed now: {error}")))?;
        // A panic is a defect of the parser; the expression is what set it off.
        let (root, uses) = parser.join().unwrap_or_else(|_| Err(invalid("cannot be parsed")))?;
        Ok(Self { source: source.to_owned(), root, uses })
    }

    /// Returns the expression.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns whether the record is chosen: the expression is true for it. One that fails (a field is missing, types
    /// do not fit, more than [`super::meter::MAX_STEPS`] steps of loops) or is not a boolean does not choose it.
    #[must_use]
    pub fn matches(&self, partition: PartitionId, offset: Offset, record: &Record<'_>) -> bool {
        // A panic would be a defect of the interpreter; its reader goes on with the next record.
        catch_unwind(AssertUnwindSafe(|| self.evaluate(partition, offset, record))).unwrap_or(false)
    }

    fn evaluate(&self, partition: PartitionId, offset: Offset, record: &Record<'_>) -> bool {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        bind(&mut context, &self.uses, partition, offset, record);
        meter::start();
        let result = Value::resolve_val(&self.root, &context);
        let matched = result.is_ok_and(|value| value.downcast_ref::<CelBool>().is_some_and(|is| *is.inner()));
        matched && !meter::is_exhausted()
    }
}

fn parse(source: &str) -> Result<(IdedExpr, Uses)> {
    let parser = ENVIRONMENT.parser().enable_optional_syntax(false);
    let (mut root, positions) = parser.parse_with_source_info(source).map_err(|errors| {
        let Some(first) = errors.errors.first() else { return invalid("cannot be parsed") };
        let what = first.msg.lines().next().unwrap_or_default();
        place(first.pos, what)
    })?;
    let uses = check(&root).map_err(|refusal| place(position(&positions, &refusal), &refusal.what))?;
    check_truth(&root).map_err(|refusal| place(position(&positions, &refusal), &refusal.what))?;
    compare::install(&mut root);
    meter::install(&mut root);
    Ok((root, uses))
}

/// Line and column of what is refused, both from 1.
fn position(positions: &SourceInfo, refusal: &Refusal) -> (isize, isize) {
    let start =
        positions.offset_for(refusal.node).map_or(0, |(start, _)| start as usize).saturating_sub(refusal.before);
    // The parser counts bytes.
    let before = positions.source.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
    (line.cast_signed(), column.cast_signed())
}

fn place((line, column): (isize, isize), what: &str) -> Error {
    let column = column.max(1);
    if line > 1 {
        invalid(format!("line {line}, column {column}: {what}"))
    } else {
        invalid(format!("column {column}: {what}"))
    }
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
            return Err(place((1, (index + 1).cast_signed()), &format!("more than {MAX_BRACKETS} brackets deep")));
        }
    }
    Ok(())
}
