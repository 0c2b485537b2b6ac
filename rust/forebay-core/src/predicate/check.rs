//! Checks an expression against the bounds, and finds the fields that it uses.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

/// Nodes inside one another: each is a call of the interpreter on the stack of a reader's thread.
pub const MAX_DEPTH: usize = 48;
/// Nodes of an expression: each looks at up to one whole record.
pub const MAX_NODES: usize = 512;
/// Additions: each may copy texts or lists as long as a record, and the sum of those before it.
pub const MAX_CONCATENATIONS: usize = 16;

pub(super) const TYPES: [&str; 10] =
    ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];
const FUNCTIONS: [&str; 13] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "type",
    "dyn",
    operators::NOT_STRICTLY_FALSE,
];
const OPERATORS: [&str; 18] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
];

/// The part of the value that is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum AllowedFields {
    #[default]
    None,
    /// Only these fields of the object.
    Some(BTreeSet<String>),
    /// Anything.
    Whole,
}

impl AllowedFields {
    fn add(&mut self, field: &str) {
        match self {
            AllowedFields::None => *self = AllowedFields::Some(BTreeSet::from([field.to_owned()])),
            AllowedFields::Some(fields) => drop(fields.insert(field.to_owned())),
            AllowedFields::Whole => {}
        }
    }
}

/// The variables that an expression uses: only they are bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    pub(super) value: AllowedFields,
    pub(super) key: bool,
    pub(super) headers: bool,
    pub(super) partition: bool,
    pub(super) offset: bool,
    pub(super) timestamp: bool,
}

/// The reason why an expression is refused, and the node that is to blame.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) node: u64,
    /// Characters before the node's place: a call's place is its bracket.
    pub(super) before: usize,
    pub(super) what: String,
}

/// Walks the tree once, no deeper than it may be.
pub(super) fn check(root: &IdedExpr) -> Result<Uses, Refusal> {
    let mut walk = Walk { uses: Uses::default(), locals: Vec::new(), nodes: 0, concatenations: 0 };
    walk.visit(root, 0)?;
    Ok(walk.uses)
}

struct Walk<'e> {
    uses: Uses,
    /// The variables of the loops around.
    locals: Vec<&'e str>,
    nodes: usize,
    concatenations: usize,
}

impl<'e> Walk<'e> {
    fn visit(&mut self, node: &'e IdedExpr, depth: usize) -> Result<(), Refusal> {
        let refuse = |what: String| Err(Refusal { node: node.id, before: 0, what });
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return refuse(format!("more than {MAX_DEPTH} operations deep"));
        }
        if self.nodes > MAX_NODES {
            return refuse(format!("more than {MAX_NODES} operations"));
        }
        match &node.expr {
            Expr::Unspecified => refuse("is incomplete".to_owned()),
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.variable(node, name),
            Expr::Select(select) if self.is_value(&select.operand) => {
                self.uses.value.add(&select.field);
                Ok(())
            }
            Expr::Select(select) => self.visit(&select.operand, depth + 1),
            Expr::Call(call) => self.call(node, call, depth),
            Expr::List(list) => self.all(&list.elements, depth),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key, depth + 1)?;
                    self.visit(&entry.value, depth + 1)
                }
                EntryExpr::StructField(field) => self.visit(&field.value, depth + 1),
            }),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, depth),
            Expr::Struct(made) => refuse(format!("there is no type {:?}", made.type_name)),
        }
    }

    fn all(&mut self, nodes: &'e [IdedExpr], depth: usize) -> Result<(), Refusal> {
        nodes.iter().try_for_each(|node| self.visit(node, depth + 1))
    }

    fn variable(&mut self, node: &IdedExpr, name: &str) -> Result<(), Refusal> {
        if self.locals.contains(&name) || TYPES.contains(&name) {
            return Ok(());
        }
        match name {
            "value" => self.uses.value = AllowedFields::Whole,
            "key" => self.uses.key = true,
            "headers" => self.uses.headers = true,
            "partition" => self.uses.partition = true,
            "offset" => self.uses.offset = true,
            "timestamp" => self.uses.timestamp = true,
            _ => {
                let known = "value, key, headers, partition, offset and timestamp";
                return Err(Refusal {
                    node: node.id,
                    before: 0,
                    what: format!("unknown variable {name:?}; there are {known}"),
                });
            }
        }
        Ok(())
    }

    fn is_value(&self, node: &IdedExpr) -> bool {
        matches!(&node.expr, Expr::Ident(name) if name == "value") && !self.locals.contains(&"value")
    }

    fn call(&mut self, node: &'e IdedExpr, call: &'e CallExpr, depth: usize) -> Result<(), Refusal> {
        let name = call.func_name.as_str();
        if !OPERATORS.contains(&name) && !FUNCTIONS.contains(&name) {
            return Err(Refusal {
                node: node.id,
                before: name.chars().count(),
                what: format!("unknown function {name:?}"),
            });
        }
        self.concatenations += usize::from(name == operators::ADD);
        // Each loop adds one or two additions of its own, which append to a list or count.
        if self.concatenations > MAX_CONCATENATIONS {
            return Err(Refusal {
                node: node.id,
                before: 0,
                what: format!("more than {MAX_CONCATENATIONS} additions"),
            });
        }
        if let [of, IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. }] = call.args.as_slice()
            && name == operators::INDEX
            && self.is_value(of)
        {
            self.uses.value.add(field.inner());
            return Ok(());
        }
        if let Some(target) = &call.target {
            self.visit(target, depth + 1)?;
        }
        self.all(&call.args, depth)
    }

    fn comprehension(&mut self, of: &'e ComprehensionExpr, depth: usize) -> Result<(), Refusal> {
        self.visit(&of.iter_range, depth + 1)?;
        self.visit(&of.accu_init, depth + 1)?;
        let before = self.locals.len();
        self.locals.extend([of.iter_var.as_str(), of.accu_var.as_str()]);
        self.locals.extend(of.iter_var2.as_deref());
        let inside = [&of.loop_cond, &of.loop_step, &of.result];
        let checked = inside.into_iter().try_for_each(|node| self.visit(node, depth + 1));
        self.locals.truncate(before);
        checked
    }
}
