//! Numbers that neither `int`, `uint` nor `double` hold: whole ones beyond 64 bits, and others beyond `double`'s range.

use std::any::Any;
use std::cmp::Ordering;

use cel::ExecutionError;
use cel::common::traits::Comparer;
use cel::common::types::Type;
use cel::common::value::{StaticVal, Val};

use super::compare;
pub(super) use crate::json::Decimal;

/// The type's name in expressions.
pub(super) static DECIMAL: Type = Type::new_unspecified_type("decimal");

impl Val for Decimal {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &DECIMAL
    }

    fn as_comparer(&self) -> Option<&dyn Comparer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        compare::order(self, other) == Some(Ordering::Equal)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Decimal {}

impl Comparer for Decimal {
    fn compare(&self, rhs: &dyn Val) -> Result<Ordering, ExecutionError> {
        compare::order(self, rhs).ok_or_else(|| ExecutionError::no_such_overload("compare", Vec::new()))
    }
}
