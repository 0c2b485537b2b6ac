//! The way through an expression's tree.

use cel::IdedExpr;
use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr};

/// Gives each direct part of an expression to `visit`. Literals of messages, which no filter may have, have none.
pub(super) fn for_each_part(node: &mut IdedExpr, visit: fn(&mut IdedExpr)) {
    match &mut node.expr {
        Expr::Call(call) => {
            if let Some(target) = &mut call.target {
                visit(target);
            }
            for argument in &mut call.args {
                visit(argument);
            }
        }
        Expr::Select(select) => visit(&mut select.operand),
        Expr::List(list) => {
            for element in &mut list.elements {
                visit(element);
            }
        }
        Expr::Map(map) => {
            for entry in &mut map.entries {
                match &mut entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        visit(&mut entry.key);
                        visit(&mut entry.value);
                    }
                    EntryExpr::StructField(field) => visit(&mut field.value),
                }
            }
        }
        Expr::Comprehension(of) => {
            let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } = of.as_mut();
            for node in [iter_range, accu_init, loop_cond, loop_step, result] {
                visit(node);
            }
        }
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}
