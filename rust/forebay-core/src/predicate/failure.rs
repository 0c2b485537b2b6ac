//! The reason why a predicate is neither true nor false for a record.

use std::fmt::{self, Write};

use cel::ExecutionError;

use super::field_test::FieldTest;
use super::interpreted::Interpreted;
use super::meter::MAX_STEPS;

/// Longest text of a failure: it may name a path as long as the expression, or show a value as large as the record.
pub const MAX_FAILURE_BYTES: usize = 256;

const CUT: &str = "…";

/// A failure; its text, of at most [`MAX_FAILURE_BYTES`], names the field or the place in the expression, and the cause.
/// It is made by [`fmt::Display`], not before.
#[derive(Clone)]
pub struct Failure<'f> {
    part: Part<'f>,
    cause: Cause,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'f> {
    Field(&'f FieldTest),
    Interpreted(&'f Interpreted),
}

#[derive(Clone, Debug)]
pub(super) enum Cause {
    /// The record does not have the field.
    Missing,
    /// A value of this kind does not fit.
    Kind(&'static str),
    /// The interpreter gives this reason.
    Interpreter(Box<ExecutionError>),
    /// The expression gives a value of this type.
    NotBoolean(Box<str>),
    OutOfSteps,
    /// A defect of the interpreter.
    Panic,
}

impl<'f> Failure<'f> {
    #[inline]
    pub(super) fn new(part: impl Into<Part<'f>>, cause: Cause) -> Self {
        Self { part: part.into(), cause }
    }

    fn write(&self, f: &mut dyn Write) -> fmt::Result {
        match self.part {
            Part::Field(test) => write!(f, "{}", test.operand)?,
            Part::Interpreted(part) => write!(f, "{}:", part.position())?,
        }
        match (&self.cause, self.part) {
            (Cause::Missing, _) => f.write_str(" is missing"),
            (Cause::Kind(kind), Part::Field(test)) => write!(f, " is {kind}, {}", test.condition),
            (Cause::Kind(kind), Part::Interpreted(_)) => write!(f, " is {kind}"),
            (Cause::Interpreter(error), _) => write!(f, " {error}"),
            (Cause::NotBoolean(name), _) => write!(f, " gives {name}, neither true nor false"),
            (Cause::OutOfSteps, _) => write!(f, " loops take more than {MAX_STEPS} steps"),
            (Cause::Panic, _) => f.write_str(" cannot be evaluated"),
        }
    }
}

impl<'f> From<&'f FieldTest> for Part<'f> {
    fn from(test: &'f FieldTest) -> Self {
        Part::Field(test)
    }
}

impl<'f> From<&'f Interpreted> for Part<'f> {
    fn from(part: &'f Interpreted) -> Self {
        Part::Interpreted(part)
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = BoundedText::default();
        // It fails where the text is full.
        let _full = self.write(&mut text);
        f.write_str(&text.0)
    }
}

impl fmt::Debug for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failure({self})")
    }
}

/// A text that ends at the bound, whatever is written to it.
#[derive(Debug, Default)]
struct BoundedText(String);

impl Write for BoundedText {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = MAX_FAILURE_BYTES.saturating_sub(self.0.len());
        if more.len() + CUT.len() <= room {
            self.0.push_str(more);
            return Ok(());
        }
        let room = room.saturating_sub(CUT.len());
        let fitting = more.char_indices().map(|(start, character)| start + character.len_utf8());
        let end = fitting.take_while(|end| *end <= room).last().unwrap_or_default();
        self.0.push_str(more.get(..end).unwrap_or_default());
        self.0.push_str(CUT);
        Err(fmt::Error)
    }
}
