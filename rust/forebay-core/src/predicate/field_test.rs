//! A test of one operand, done without the interpreter.

use std::cmp::Ordering;
use std::fmt;

use memchr::memmem::Finder;

use super::constant::Constant;
use super::evaluation::Evaluation;
use super::failure::{Cause, Failure};
use super::operand::{Found, Operand, Source};
use super::view::{RecordView, Unreadable};
use crate::json::PathId;

/// A condition on an operand.
#[derive(Debug)]
pub(super) struct FieldTest {
    pub(super) operand: Operand,
    pub(super) condition: Condition,
}

#[derive(Debug)]
pub(super) enum Condition {
    /// It is true.
    True,
    /// It is equal to the constant; unless `wanted`, it is not.
    Equals {
        constant: Constant,
        wanted: bool,
    },
    /// Beside the constant it has one of the orders.
    Order {
        constant: Constant,
        wanted: Orders,
    },
    /// It is equal to one of them.
    Within(Box<[Constant]>),
    /// It is an object with the field that this path, longer by one name, leads to.
    Has(PathId),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    Contains(Box<Finder<'static>>),
}

/// The orders that an operator takes: `<=` takes less and equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) less: bool,
    pub(super) equal: bool,
    pub(super) greater: bool,
}

impl Orders {
    /// Returns the orders for the operands the other way round.
    pub(super) fn mirrored(self) -> Self {
        Self { less: self.greater, equal: self.equal, greater: self.less }
    }

    #[inline]
    fn take(self, order: Ordering) -> bool {
        match order {
            Ordering::Less => self.less,
            Ordering::Equal => self.equal,
            Ordering::Greater => self.greater,
        }
    }
}

impl FieldTest {
    /// # Errors
    /// Fails when the record's JSON cannot be read.
    #[inline]
    pub(super) fn evaluate<'p>(&'p self, view: &mut RecordView<'_, '_>) -> Result<Evaluation<'p>, Unreadable> {
        let Some(found) = self.operand.find(view)? else {
            return Ok(Evaluation::Failed(Failure::new(self, Cause::Missing)));
        };
        let is = match &self.condition {
            Condition::True => {
                if let Found::Bool(is) = found {
                    Some(is)
                } else {
                    None
                }
            }
            Condition::Equals { constant, wanted } => Some(constant.equals(&found)? == *wanted),
            Condition::Order { constant, wanted } => constant.order(&found)?.map(|order| wanted.take(order)),
            Condition::Within(constants) => Some(is_within(&found, constants)?),
            Condition::Has(path) if matches!(found, Found::Object) => Some(self.has(view, *path)?),
            Condition::Has(_) => None,
            Condition::StartsWith(start) => found.text().map(|text| text.starts_with(start.as_bytes())),
            Condition::EndsWith(end) => found.text().map(|text| text.ends_with(end.as_bytes())),
            Condition::Contains(part) => found.text().map(|text| part.find(&text).is_some()),
        };
        Ok(match is {
            Some(true) => Evaluation::Match,
            Some(false) => Evaluation::NoMatch,
            None => Evaluation::Failed(Failure::new(self, Cause::Kind(found.kind()))),
        })
    }

    fn has(&self, view: &mut RecordView<'_, '_>, path: PathId) -> Result<bool, Unreadable> {
        let field = if let Source::Header(_) = self.operand.source { view.header(path)? } else { view.value(path)? };
        Ok(field.is_some())
    }
}

fn is_within(found: &Found<'_>, constants: &[Constant]) -> Result<bool, Unreadable> {
    for constant in constants {
        if constant.equals(found)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Says of what kind the operand would have to be.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::True => f.write_str("neither true nor false"),
            Condition::Order { constant, .. } => {
                write!(f, "which is neither more nor less than {}", constant.kind())
            }
            Condition::Has(_) => f.write_str("not an object"),
            Condition::StartsWith(_) | Condition::EndsWith(_) | Condition::Contains(_) => f.write_str("not a text"),
            // These take every kind.
            Condition::Equals { .. } | Condition::Within(_) => Ok(()),
        }
    }
}
