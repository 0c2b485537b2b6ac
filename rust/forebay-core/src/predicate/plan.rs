//! An expression as it is evaluated: tests of fields, what joins them, and parts for the interpreter.

use super::evaluation::Evaluation;
use super::field_test::FieldTest;
use super::interpreted::Interpreted;
use super::view::{RecordView, Unreadable};

/// A condition on a record. It is true, false or fails exactly where the interpreter says so of the expression it was made
/// from, for every record whose JSON is valid.
#[derive(Debug)]
pub(super) enum Plan {
    Constant(bool),
    Not(Box<Plan>),
    /// Every part is true. False decides, whatever fails before or after it.
    All(Box<[Plan]>),
    /// A part is true, which decides.
    Any(Box<[Plan]>),
    Test(FieldTest),
    Interpreted(Box<Interpreted>),
}

impl Plan {
    /// Evaluates as little as decides, in the order of the expression.
    ///
    /// # Errors
    /// Fails when the record's JSON cannot be read.
    pub(super) fn evaluate<'p>(&'p self, view: &mut RecordView<'_, '_>) -> Result<Evaluation<'p>, Unreadable> {
        match self {
            Plan::Test(test) => test.evaluate(view),
            Plan::All(parts) => join(parts, view, false),
            Plan::Any(parts) => join(parts, view, true),
            Plan::Not(part) => part.evaluate(view).map(Evaluation::negated),
            Plan::Constant(is) => Ok(if *is { Evaluation::Match } else { Evaluation::NoMatch }),
            Plan::Interpreted(part) => Ok(part.evaluate(view)),
        }
    }

    /// Returns whether nothing is left to the interpreter.
    pub(super) fn is_compiled(&self) -> bool {
        match self {
            Plan::Constant(_) | Plan::Test(_) => true,
            Plan::Not(part) => part.is_compiled(),
            Plan::All(parts) | Plan::Any(parts) => parts.iter().all(Plan::is_compiled),
            Plan::Interpreted(_) => false,
        }
    }
}

/// Joins parts of which one that is `decisive` decides; without one, the first failure does.
fn join<'p>(parts: &'p [Plan], view: &mut RecordView<'_, '_>, decisive: bool) -> Result<Evaluation<'p>, Unreadable> {
    let mut failed = None;
    for part in parts {
        match (part.evaluate(view)?, decisive) {
            (Evaluation::Match, true) => return Ok(Evaluation::Match),
            (Evaluation::NoMatch, false) => return Ok(Evaluation::NoMatch),
            (Evaluation::Match, false) | (Evaluation::NoMatch, true) => {}
            (Evaluation::Failed(failure), _) => failed = failed.or(Some(failure)),
        }
    }
    Ok(match failed {
        Some(failure) => Evaluation::Failed(failure),
        None if decisive => Evaluation::NoMatch,
        None => Evaluation::Match,
    })
}
