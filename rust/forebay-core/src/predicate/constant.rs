//! A literal of an expression beside what a record holds.

use std::cmp::Ordering;

use cel::common::ast::LiteralValue;

use super::number::Number;
use super::operand::Found;
use super::view::Unreadable;

/// A literal.
#[derive(Debug)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Number(Number<'static>),
    Text(Box<str>),
}

impl Constant {
    /// Returns the literal's value; `None` for bytes, which no record holds.
    pub(super) fn new(literal: &LiteralValue) -> Option<Self> {
        Some(match literal {
            LiteralValue::Null => Constant::Null,
            LiteralValue::Boolean(is) => Constant::Bool(*is.inner()),
            LiteralValue::Int(whole) => Constant::Number(Number::Whole((*whole.inner()).into())),
            LiteralValue::UInt(whole) => Constant::Number(Number::Whole((*whole.inner()).into())),
            LiteralValue::Double(double) => Constant::Number(Number::Double(*double.inner())),
            LiteralValue::String(text) => Constant::Text(text.inner().into()),
            LiteralValue::Bytes(_) => return None,
        })
    }

    /// Returns whether they are equal: values of different types never are.
    ///
    /// # Errors
    /// Fails on a number that is not written as in JSON.
    #[inline]
    pub(super) fn equals(&self, found: &Found<'_>) -> Result<bool, Unreadable> {
        Ok(match (self, found) {
            (Constant::Null, Found::Null) => true,
            (Constant::Bool(wanted), Found::Bool(is)) => is == wanted,
            (Constant::Number(wanted), _) => {
                found.number()?.is_some_and(|number| number.order(wanted) == Some(Ordering::Equal))
            }
            (Constant::Text(wanted), _) => found.text().is_some_and(|text| *text == *wanted.as_bytes()),
            _ => false,
        })
    }

    /// Returns the order of what was found beside this; `None` when there is none between the two.
    ///
    /// # Errors
    /// Fails on a number that is not written as in JSON.
    #[inline]
    pub(super) fn order(&self, found: &Found<'_>) -> Result<Option<Ordering>, Unreadable> {
        Ok(match (self, found) {
            (Constant::Bool(than), Found::Bool(is)) => Some(is.cmp(than)),
            (Constant::Number(than), _) => found.number()?.and_then(|number| number.order(than)),
            (Constant::Text(than), _) => found.text().map(|text| (*text).cmp(than.as_bytes())),
            _ => None,
        })
    }

    /// Returns what it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Constant::Null => "null",
            Constant::Bool(_) => "true or false",
            Constant::Number(_) => "a number",
            Constant::Text(_) => "a text",
        }
    }
}
