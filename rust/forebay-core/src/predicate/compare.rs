//! Comparisons of numbers by their values. The interpreter makes a `double` of a whole number before it compares it with
//! one, and cannot compare what no type of its own holds.

use std::borrow::Cow;
use std::cmp::Ordering;

use cel::common::ast::{Expr, operators};
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelUInt, DYN_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError, IdedExpr};

use super::decimal::Decimal;
use super::number::Number;
use super::walk::for_each_part;

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Comparison<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;
type Function = for<'b, 'v> fn(Arguments<'b, 'v>) -> Comparison<'b, 'v>;

/// Operators, and the functions that stand for them; no expression can spell their names.
const STAND_INS: [(&str, &str, Function); 7] = [
    (operators::EQUALS, "@equals", |both| answer(equals(pair(&both)?))),
    (operators::NOT_EQUALS, "@differs", |both| answer(!equals(pair(&both)?))),
    (operators::LESS, "@less", |both| answer(ordering(pair(&both)?)?.is_lt())),
    (operators::LESS_EQUALS, "@at_most", |both| answer(ordering(pair(&both)?)?.is_le())),
    (operators::GREATER, "@greater", |both| answer(ordering(pair(&both)?)?.is_gt())),
    (operators::GREATER_EQUALS, "@at_least", |both| answer(ordering(pair(&both)?)?.is_ge())),
    (operators::IN, "@within", |both| answer(is_in(pair(&both)?)?)),
];

/// Declares the functions.
pub(super) fn declare(environment: &mut Env) -> Result<(), DeclarationError> {
    STAND_INS.iter().try_for_each(|(_, name, function)| {
        environment.add_overload(name, &format!("forebay_{name}"), vec![DYN_TYPE, DYN_TYPE], *function)
    })
}

/// Puts the functions where the operators are.
pub(super) fn install(node: &mut IdedExpr) {
    if let Expr::Call(call) = &mut node.expr
        && let Some((_, name, _)) = STAND_INS.iter().find(|(operator, _, _)| *operator == call.func_name)
    {
        (*name).clone_into(&mut call.func_name);
    }
    for_each_part(node, install);
}

fn number(value: &dyn Val) -> Option<Number<'_>> {
    if let Some(whole) = value.downcast_ref::<CelInt>() {
        return Some(Number::Whole((*whole.inner()).into()));
    }
    if let Some(double) = value.downcast_ref::<CelDouble>() {
        return Some(Number::Double(*double.inner()));
    }
    if let Some(whole) = value.downcast_ref::<CelUInt>() {
        return Some(Number::Whole((*whole.inner()).into()));
    }
    value.downcast_ref::<Decimal>().map(|decimal| Number::Decimal(Cow::Borrowed(decimal)))
}

/// Returns the order of two numbers; `None` when one of them is none.
pub(super) fn order(left: &dyn Val, right: &dyn Val) -> Option<Ordering> {
    number(left)?.order(&number(right)?)
}

fn pair<'a, 'b, 'v>(both: &'a [CowVal<'b, 'v>]) -> Result<(&'a (dyn Val + 'v), &'a (dyn Val + 'v)), ExecutionError> {
    match both {
        [left, right] => Ok((left.as_ref(), right.as_ref())),
        _ => Err(ExecutionError::invalid_argument_count(2, both.len())),
    }
}

fn answer<'b, 'v>(is: bool) -> Comparison<'b, 'v> {
    Ok(CowVal::owned(CelBool::from(is)))
}

fn equals((left, right): (&dyn Val, &dyn Val)) -> bool {
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left.order(&right) == Some(Ordering::Equal),
        _ => left.equals(right),
    }
}

fn ordering((left, right): (&dyn Val, &dyn Val)) -> Result<Ordering, ExecutionError> {
    let refuse = || ExecutionError::no_such_overload("compare", Vec::new());
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return left.order(&right).ok_or_else(refuse);
    }
    left.as_comparer().ok_or_else(refuse)?.compare(right)
}

fn is_in((element, container): (&dyn Val, &dyn Val)) -> Result<bool, ExecutionError> {
    if let (Some(_), Some(list)) = (number(element), container.downcast_ref::<CelList<'_>>()) {
        return Ok(list.inner().iter().any(|other| equals((element, other.as_ref()))));
    }
    let refuse = || ExecutionError::no_such_overload(operators::IN, Vec::new());
    container.as_container().ok_or_else(refuse)?.contains(element)
}
