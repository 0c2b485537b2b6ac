use std::fmt;

use cel::IdedExpr;
use cel::common::ast::{Expr, SourceInfo};

/// A place in an expression, counted from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    /// Returns the place of a node, or so many characters before it.
    pub(super) fn of(source: &SourceInfo, node: u64, before: usize) -> Self {
        let start = source.offset_for(node).map_or(0, |(start, _)| start as usize).saturating_sub(before);
        // The parser counts bytes.
        let before = source.source.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
        Self { line, column }
    }

    /// Returns where a part of an expression begins. The place of an operator is its sign, and of a call its bracket.
    pub(super) fn of_part(source: &SourceInfo, part: &IdedExpr) -> Self {
        let mut first = part;
        loop {
            if let Expr::Select(select) = &first.expr {
                first = &select.operand;
            } else if let Expr::Comprehension(of) = &first.expr {
                first = &of.iter_range;
            } else if let Expr::Call(call) = &first.expr {
                let function = call.func_name.starts_with(char::is_alphabetic);
                match (&call.target, call.args.as_slice()) {
                    (Some(target), _) => first = target,
                    (None, [left, _, ..]) if !function => first = left,
                    (None, _) => return Self::of(source, first.id, if function { call.func_name.len() } else { 0 }),
                }
            } else {
                return Self::of(source, first.id, 0);
            }
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "column {}", self.column)
    }
}
