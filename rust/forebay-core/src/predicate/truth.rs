//! Finds out whether an expression can be true at all. Types of values are known only with a record, but much is
//! certain before: a sum is never true or false, and a text and a number have no order.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

use super::check::{Refusal, TYPES};

/// The result of an expression, as far as it is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueType {
    /// Whatever the record holds.
    Any,
    Truth,
    Number,
    Text,
    Bytes,
    List,
    Map,
    Null,
    Type,
    /// A sum of what is not known: of numbers, texts, bytes or lists.
    Sum,
    /// One of several, none of which is true or false.
    Mixed,
}

impl ValueType {
    fn name(self) -> &'static str {
        match self {
            ValueType::Any => "any value",
            ValueType::Truth => "true or false",
            ValueType::Number => "a number",
            ValueType::Text => "a text",
            ValueType::Bytes => "bytes",
            ValueType::List => "a list",
            ValueType::Map => "a map",
            ValueType::Null => "null",
            ValueType::Type => "a type",
            ValueType::Sum => "a sum",
            ValueType::Mixed => "what it gives",
        }
    }

    fn may_be_true(self) -> bool {
        matches!(self, ValueType::Any | ValueType::Truth)
    }

    fn has_order(self) -> bool {
        !matches!(self, ValueType::List | ValueType::Map | ValueType::Null | ValueType::Type)
    }

    fn is_certain(self) -> bool {
        !matches!(self, ValueType::Any | ValueType::Sum | ValueType::Mixed)
    }
}

/// Refuses an expression that is true for no record, whatever it holds, because of its types. The tree keeps to the
/// bounds already.
pub(super) fn check_truth(root: &IdedExpr) -> Result<(), Refusal> {
    Inference { locals: Vec::new() }.condition(root)
}

struct Inference<'e> {
    /// The variables of the loops around, innermost last.
    locals: Vec<(&'e str, ValueType)>,
}

impl<'e> Inference<'e> {
    fn condition(&mut self, node: &'e IdedExpr) -> Result<(), Refusal> {
        let shape = self.shape(node)?;
        if shape.may_be_true() {
            return Ok(());
        }
        refuse(node, format!("{} is never true or false", shape.name()))
    }

    fn shape(&mut self, node: &'e IdedExpr) -> Result<ValueType, Refusal> {
        match &node.expr {
            Expr::Literal(literal) => Ok(of_literal(literal)),
            Expr::Ident(name) => Ok(self.variable(name)),
            Expr::Select(select) => {
                let of = self.shape(&select.operand)?;
                Ok(if select.test { ValueType::Truth } else { self.inside(&select.operand, of) })
            }
            Expr::Call(call) => self.call(node, call),
            Expr::List(list) => {
                list.elements.iter().try_for_each(|element| self.shape(element).map(drop))?;
                Ok(ValueType::List)
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.shape(&entry.key)?;
                        self.shape(&entry.value)?;
                    }
                }
                Ok(ValueType::Map)
            }
            Expr::Comprehension(of) => self.comprehension(of),
            Expr::Struct(_) | Expr::Unspecified => Ok(ValueType::Any),
        }
    }

    fn variable(&self, name: &str) -> ValueType {
        if let Some((_, shape)) = self.locals.iter().rev().find(|(local, _)| *local == name) {
            return *shape;
        }
        match name {
            "key" => ValueType::Text,
            "headers" => ValueType::Map,
            "partition" | "offset" | "timestamp" => ValueType::Number,
            _ if TYPES.contains(&name) => ValueType::Type,
            _ => ValueType::Any,
        }
    }

    /// A field or an element: headers are texts.
    fn inside(&self, operand: &IdedExpr, of: ValueType) -> ValueType {
        let headers = matches!(&operand.expr, Expr::Ident(name) if name == "headers") && of == ValueType::Map;
        if headers && !self.locals.iter().any(|(local, _)| *local == "headers") {
            ValueType::Text
        } else {
            ValueType::Any
        }
    }

    fn call(&mut self, node: &'e IdedExpr, call: &'e CallExpr) -> Result<ValueType, Refusal> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, both) => {
                both.iter().try_for_each(|operand| self.condition(operand))?;
                return Ok(ValueType::Truth);
            }
            (operators::LOGICAL_NOT, [operand]) => return self.condition(operand).map(|()| ValueType::Truth),
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.condition(condition)?;
                let (yes, no) = (self.shape(yes)?, self.shape(no)?);
                return Ok(either(yes, no));
            }
            _ => {}
        }
        if let Some(target) = &call.target {
            self.shape(target)?;
        }
        let shapes = call.args.iter().map(|argument| self.shape(argument)).collect::<Result<Vec<_>, _>>()?;
        match (call.func_name.as_str(), shapes.as_slice()) {
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [left, right],
            ) => {
                check_order(node, *left, *right)?;
                Ok(ValueType::Truth)
            }
            (operators::ADD, [left, right]) => Ok(sum(*left, *right)),
            (operators::INDEX, [of, _]) => Ok(self.inside(&call.args[0], *of)),
            ("dyn", [of]) => Ok(*of),
            (name, _) => Ok(of_function(name)),
        }
    }

    fn comprehension(&mut self, of: &'e ComprehensionExpr) -> Result<ValueType, Refusal> {
        self.shape(&of.iter_range)?;
        let gathered = self.shape(&of.accu_init)?;
        let before = self.locals.len();
        self.locals.push((&of.iter_var, ValueType::Any));
        self.locals.extend(of.iter_var2.as_deref().map(|name| (name, ValueType::Any)));
        self.locals.push((&of.accu_var, gathered));
        let inside = [&of.loop_cond, &of.loop_step, &of.result];
        let shapes = inside.into_iter().map(|node| self.shape(node)).collect::<Result<Vec<_>, _>>();
        self.locals.truncate(before);
        Ok(shapes?.pop().unwrap_or(ValueType::Any))
    }
}

fn refuse<T>(node: &IdedExpr, what: String) -> Result<T, Refusal> {
    Err(Refusal { node: node.id, before: 0, what })
}

fn check_order(node: &IdedExpr, left: ValueType, right: ValueType) -> Result<(), Refusal> {
    if let Some(without) = [left, right].into_iter().find(|shape| !shape.has_order()) {
        return refuse(node, format!("{} is neither more nor less than anything", without.name()));
    }
    if left.is_certain() && right.is_certain() && left != right {
        return refuse(node, format!("{} is neither more nor less than {}", left.name(), right.name()));
    }
    Ok(())
}

fn of_literal(literal: &LiteralValue) -> ValueType {
    match literal {
        LiteralValue::Boolean(_) => ValueType::Truth,
        LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => ValueType::Number,
        LiteralValue::String(_) => ValueType::Text,
        LiteralValue::Bytes(_) => ValueType::Bytes,
        LiteralValue::Null => ValueType::Null,
    }
}

fn of_function(name: &str) -> ValueType {
    match name {
        operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO | operators::NEGATE => {
            ValueType::Number
        }
        "size" | "int" | "uint" | "double" => ValueType::Number,
        "string" => ValueType::Text,
        "bytes" => ValueType::Bytes,
        "type" => ValueType::Type,
        "contains" | "startsWith" | "endsWith" | "bool" => ValueType::Truth,
        operators::EQUALS | operators::NOT_EQUALS | operators::IN | operators::NOT_STRICTLY_FALSE => ValueType::Truth,
        _ => ValueType::Any,
    }
}

/// The types that both branches of a condition may give.
fn either(yes: ValueType, no: ValueType) -> ValueType {
    if yes == no {
        yes
    } else if yes.may_be_true() || no.may_be_true() {
        ValueType::Any
    } else {
        ValueType::Mixed
    }
}

fn sum(left: ValueType, right: ValueType) -> ValueType {
    let known = [left, right]
        .into_iter()
        .find(|shape| matches!(shape, ValueType::Number | ValueType::Text | ValueType::Bytes | ValueType::List));
    known.unwrap_or(ValueType::Sum)
}
