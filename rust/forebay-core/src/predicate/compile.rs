//! Makes the plan of an expression: what is simple becomes tests of fields, the rest stays with the interpreter.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, SourceInfo, operators};
use memchr::memmem::Finder;

use super::check::{Refusal, check};
use super::constant::Constant;
use super::field_test::{Condition, FieldTest, Orders};
use super::interpreted::Interpreted;
use super::operand::{Operand, Source};
use super::plan::Plan;
use super::position::Position;
use super::view::Paths;
use crate::json::PathSet;

/// Makes plans; the paths of all of them are in one place.
pub(super) struct Compiler<'c> {
    pub(super) paths: Paths,
    pub(super) positions: &'c SourceInfo,
}

/// A variable of a record, and the names of a path into it.
struct Path<'e> {
    variable: &'e str,
    names: Vec<&'e str>,
}

impl Compiler<'_> {
    /// Makes the plan of a condition of at most [`super::MAX_DEPTH`] levels.
    ///
    /// # Errors
    /// Refuses what the bounds of the module refuse.
    pub(super) fn condition(&mut self, node: &IdedExpr) -> Result<Plan, Refusal> {
        if let Some(test) = self.field_test(node) {
            return Ok(Plan::Test(test));
        }
        if let Expr::Literal(LiteralValue::Boolean(is)) = &node.expr {
            return Ok(Plan::Constant(*is.inner()));
        }
        let Expr::Call(call) = &node.expr else { return self.left_alone(node) };
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [part]) => self.negated(node, part),
            (operators::LOGICAL_AND, [_, _]) => self.joined(node, operators::LOGICAL_AND, Plan::All),
            (operators::LOGICAL_OR, [_, _]) => self.joined(node, operators::LOGICAL_OR, Plan::Any),
            _ => self.left_alone(node),
        }
    }

    /// Takes a part that the interpreter evaluates.
    fn left_alone(&self, node: &IdedExpr) -> Result<Plan, Refusal> {
        let uses = check(node)?;
        let part = Interpreted::new(node.clone(), uses, Position::of_part(self.positions, node));
        Ok(Plan::Interpreted(Box::new(part)))
    }

    fn negated(&mut self, node: &IdedExpr, part: &IdedExpr) -> Result<Plan, Refusal> {
        let part = self.condition(part)?;
        if let Plan::Interpreted(_) = part {
            return self.left_alone(node);
        }
        Ok(Plan::Not(Box::new(part)))
    }

    fn joined(&mut self, node: &IdedExpr, operator: &str, join: fn(Box<[Plan]>) -> Plan) -> Result<Plan, Refusal> {
        let mut operands = Vec::new();
        flatten(node, operator, &mut operands);
        let parts = operands.into_iter().map(|operand| self.condition(operand)).collect::<Result<Box<[Plan]>, _>>()?;
        // Each part for the interpreter has the record bound once more.
        if parts.iter().all(|part| matches!(part, Plan::Interpreted(_))) {
            return self.left_alone(node);
        }
        Ok(join(parts))
    }

    fn field_test(&mut self, node: &IdedExpr) -> Option<FieldTest> {
        if let Expr::Select(SelectExpr { operand, field, test: true }) = &node.expr {
            return self.presence(operand, field);
        }
        if let Expr::Call(call) = &node.expr {
            if let Some(target) = &call.target {
                return self.text_test(target, call);
            }
            if let Some(test) = self.comparison(call) {
                return Some(test);
            }
        }
        self.truth(node)
    }

    fn truth(&mut self, node: &IdedExpr) -> Option<FieldTest> {
        Some(FieldTest { operand: self.operand(node)?, condition: Condition::True })
    }

    fn presence(&mut self, operand: &IdedExpr, field: &str) -> Option<FieldTest> {
        let path = path(operand)?;
        let set = self.set(path.variable)?;
        let has = set.add(path.names.iter().copied().chain([field]));
        Some(FieldTest { operand: self.operand(operand)?, condition: Condition::Has(has) })
    }

    fn text_test(&mut self, target: &IdedExpr, call: &CallExpr) -> Option<FieldTest> {
        let [IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }] = call.args.as_slice() else {
            return None;
        };
        let text = text.inner();
        let condition = match call.func_name.as_str() {
            "startsWith" => Condition::StartsWith(text.into()),
            "endsWith" => Condition::EndsWith(text.into()),
            "contains" => Condition::Contains(Box::new(Finder::new(text).into_owned())),
            _ => return None,
        };
        Some(FieldTest { operand: self.operand(target)?, condition })
    }

    fn comparison(&mut self, call: &CallExpr) -> Option<FieldTest> {
        let [left, right] = call.args.as_slice() else { return None };
        if call.func_name == operators::IN {
            let Expr::List(list) = &right.expr else { return None };
            let constants = list.elements.iter().map(constant).collect::<Option<_>>()?;
            return Some(FieldTest { operand: self.operand(left)?, condition: Condition::Within(constants) });
        }
        let (operand, constant, mirrored) = match (constant(left), constant(right)) {
            (None, Some(constant)) => (left, constant, false),
            (Some(constant), None) => (right, constant, true),
            _ => return None,
        };
        let condition = match call.func_name.as_str() {
            operators::EQUALS => Condition::Equals { constant, wanted: true },
            operators::NOT_EQUALS => Condition::Equals { constant, wanted: false },
            operator => {
                let wanted = orders(operator)?;
                Condition::Order { constant, wanted: if mirrored { wanted.mirrored() } else { wanted } }
            }
        };
        Some(FieldTest { operand: self.operand(operand)?, condition })
    }

    fn operand(&mut self, node: &IdedExpr) -> Option<Operand> {
        let path = path(node)?;
        let name = std::iter::once(path.variable).chain(path.names.iter().copied()).collect::<Vec<_>>().join(".");
        let source = match (path.variable, path.names.as_slice()) {
            ("key", []) => Source::Key,
            ("partition", []) => Source::Partition,
            ("offset", []) => Source::Offset,
            ("timestamp", []) => Source::Timestamp,
            ("value", names) => Source::Value(self.paths.value.add(names.iter().copied())),
            ("headers", names) => Source::Header(self.paths.headers.add(names.iter().copied())),
            _ => return None,
        };
        Some(Operand { source, name: name.into() })
    }

    fn set(&mut self, variable: &str) -> Option<&mut PathSet> {
        match variable {
            "value" => Some(&mut self.paths.value),
            "headers" => Some(&mut self.paths.headers),
            _ => None,
        }
    }
}

/// Collects the operands of an operator, which groups them in pairs.
fn flatten<'e>(node: &'e IdedExpr, operator: &str, operands: &mut Vec<&'e IdedExpr>) {
    if let Expr::Call(call) = &node.expr
        && call.func_name == operator
        && call.args.len() == 2
    {
        for operand in &call.args {
            flatten(operand, operator, operands);
        }
    } else {
        operands.push(node);
    }
}

/// Returns the path that an expression is: `value.who.name` or `value["who"].name`.
fn path(node: &IdedExpr) -> Option<Path<'_>> {
    if let Expr::Ident(variable) = &node.expr {
        return Some(Path { variable, names: Vec::new() });
    }
    if let Expr::Select(SelectExpr { operand, field, test: false }) = &node.expr {
        return path(operand).map(|path| path.then(field));
    }
    if let Expr::Call(call) = &node.expr
        && let [of, name] = call.args.as_slice()
        && let Expr::Literal(LiteralValue::String(name)) = &name.expr
        && call.func_name == operators::INDEX
    {
        return path(of).map(|path| path.then(name.inner()));
    }
    None
}

impl<'e> Path<'e> {
    fn then(mut self, name: &'e str) -> Self {
        self.names.push(name);
        self
    }
}

fn constant(node: &IdedExpr) -> Option<Constant> {
    if let Expr::Literal(literal) = &node.expr { Constant::new(literal) } else { None }
}

fn orders(operator: &str) -> Option<Orders> {
    let (less, equal, greater) = match operator {
        operators::LESS => (true, false, false),
        operators::LESS_EQUALS => (true, true, false),
        operators::GREATER_EQUALS => (false, true, true),
        operators::GREATER => (false, false, true),
        _ => return None,
    };
    Some(Orders { less, equal, greater })
}
